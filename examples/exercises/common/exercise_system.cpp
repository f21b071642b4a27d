#include "common/exercise_system.h"

#if defined(_WIN32)
#include <io.h>
#include <process.h>
#else
#include <unistd.h>
#endif

#include <cstdio>
#include <system_error>

namespace exercises::system {

#if defined(_WIN32)

bool is_terminal() {
  return ::_isatty(::_fileno(stdout)) != 0;
}

void end_saying(std::string_view text) {
  ::_write(1, text.data(), static_cast<unsigned>(text.size()));
  ::_exit(1);
}

#else

bool is_terminal() {
  return ::isatty(STDOUT_FILENO) != 0;
}

void end_saying(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
  ::_exit(1);
}

#endif

std::filesystem::path program() {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/exe", none);  // of Linux
}

}  // namespace exercises::system
