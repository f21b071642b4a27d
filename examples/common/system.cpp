#include "common/system.h"

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <stdlib.h>
#include <sys/stat.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

#include <cerrno>
#include <cstdint>

namespace common::system {

namespace fs = std::filesystem;

namespace {

std::error_code last_error() {
  return {errno, std::generic_category()};
}

}  // namespace

#if defined(_WIN32)

fs::path program() {
  const wchar_t* name = nullptr;
  return ::_get_wpgmptr(const_cast<wchar_t**>(&name)) == 0 && name != nullptr ? name : L"";
}

int process_number() {
  return ::_getpid();
}

const char* nowhere() {
  return "NUL";
}

std::error_code refusal_to_access(const fs::path& file) {
  constexpr int kToWrite = 2;
  return ::_waccess(file.c_str(), kToWrite) == 0 ? std::error_code() : last_error();
}

std::error_code refusal_to_open(const fs::path& file) {
  const int opened =
      ::_wopen(file.c_str(), _O_WRONLY | _O_APPEND | _O_CREAT | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
  if (opened < 0) return last_error();
  ::_close(opened);
  return {};
}

#else

fs::path program() {
#if defined(__APPLE__)
  char name[4096];
  std::uint32_t size = sizeof name;
  return ::_NSGetExecutablePath(name, &size) == 0 ? name : "";
#else
  std::error_code none;
  return fs::read_symlink("/proc/self/exe", none);
#endif
}

int process_number() {
  return ::getpid();
}

const char* nowhere() {
  return "/dev/null";
}

std::error_code refusal_to_access(const fs::path& file) {
  return ::access(file.c_str(), W_OK) == 0 ? std::error_code() : last_error();
}

std::error_code refusal_to_open(const fs::path& file) {
  const int opened = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (opened < 0) return last_error();
  ::close(opened);
  return {};
}

#endif

}  // namespace common::system
