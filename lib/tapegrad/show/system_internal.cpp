#include "tapegrad/show/system_internal.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <io.h>

#include <cstdlib>
#else
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

#include <cerrno>
#include <fstream>
#include <string_view>

namespace tapegrad::inline v0::detail::system {

#if defined(_WIN32)

std::FILE* open_log(const char* path, bool keep) {
  return std::fopen(path, keep ? "abN" : "wbN");
}

bool is_terminal(std::FILE* file) {
  return ::_isatty(::_fileno(file)) != 0;
}

int columns(std::FILE* file) {
  CONSOLE_SCREEN_BUFFER_INFO console{};
  const auto handle = reinterpret_cast<HANDLE>(::_get_osfhandle(::_fileno(file)));
  return ::GetConsoleScreenBufferInfo(handle, &console) != 0
             ? console.srWindow.Right - console.srWindow.Left + 1
             : 0;
}

bool cut_off(std::FILE* file, std::uint64_t bytes) {
  const int error = ::_chsize_s(::_fileno(file), static_cast<std::int64_t>(bytes));
  ::_lseeki64(::_fileno(file), 0, SEEK_END);
  if (error != 0) errno = error;
  return error == 0;
}

bool write_to_disk(std::FILE* file) {
  return ::_commit(::_fileno(file)) == 0;
}

std::tm utc(std::time_t time) {
  std::tm found{};
  ::gmtime_s(&found, &time);
  return found;
}

Machine machine() {
  MEMORYSTATUSEX memory{};
  memory.dwLength = sizeof memory;
  ::GlobalMemoryStatusEx(&memory);
  const char* const processor = std::getenv("PROCESSOR_IDENTIFIER");
  return {.processor = processor != nullptr ? processor : "",
          .system = "Windows",
          .memory = static_cast<double>(memory.ullTotalPhys)};
}

#else

namespace {

// The value of the first line "key<separators>value" of a file, empty when there is none.
std::string value_in(const char* path, std::string_view key, std::string_view separators) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const auto begin = line.find_first_not_of(separators, key.size());
    if (begin == key.size() || begin == std::string::npos) continue;
    return line.substr(begin, line.find_last_not_of("\" \t") + 1 - begin);
  }
  return {};
}

// "AMD EPYC"; empty when nobody tells.
std::string processor_name() {
#if defined(__APPLE__)
  char name[256] = {};
  std::size_t size = sizeof name - 1;
  return ::sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0 ? name : "";
#else
  return value_in("/proc/cpuinfo", "model name", "\t :");
#endif
}

}  // namespace

std::FILE* open_log(const char* path, bool keep) {
  return std::fopen(path, keep ? "ae" : "we");
}

bool is_terminal(std::FILE* file) {
  return ::isatty(::fileno(file)) == 1;
}

int columns(std::FILE* file) {
  winsize size{};
  return ::ioctl(::fileno(file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool cut_off(std::FILE* file, std::uint64_t bytes) {
  const bool done = ::ftruncate(::fileno(file), static_cast<off_t>(bytes)) == 0;
  const int error = errno;
  ::lseek(::fileno(file), 0, SEEK_END);
  errno = error;
  return done;
}

bool write_to_disk(std::FILE* file) {
  return ::fsync(::fileno(file)) == 0;
}

std::tm utc(std::time_t time) {
  std::tm found{};
  ::gmtime_r(&time, &found);
  return found;
}

Machine machine() {
  utsname system{};
  ::uname(&system);
  std::string processor = processor_name();
  if (processor.empty()) processor = system.machine;
  std::string name = value_in("/etc/os-release", "PRETTY_NAME", "=\"");
  if (name.empty()) name = system.sysname;
  return {.processor = processor,
          .system = name + ", " + system.sysname + " " + system.release,
          .memory =
              static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE))};
}

#endif

}  // namespace tapegrad::inline v0::detail::system
