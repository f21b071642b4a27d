#include "tapegrad/io/system_internal.h"

#if !defined(_WIN32)

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "tapegrad/base/system_internal.h"

namespace tapegrad::inline v0::detail::system {
namespace {

template <class Call>
std::ptrdiff_t again_after_signals(Call call) {
  for (;;) {
    const ssize_t done = call();
    if (done >= 0 || errno != EINTR) return done;
  }
}

Status told_by(const struct stat& from) {
  return {.regular = S_ISREG(from.st_mode),
          .size = static_cast<std::uint64_t>(from.st_size),
          .permissions = static_cast<unsigned>(from.st_mode) & 0777};
}

const char* name_of(const std::filesystem::path& folder) {
  return folder.empty() ? "." : folder.c_str();
}

}  // namespace

int open_to_read(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int create(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

int close(int file) {
  return ::close(file);
}

std::ptrdiff_t read(int file, std::span<std::uint8_t> buffer) {
  return again_after_signals([&] { return ::read(file, buffer.data(), buffer.size()); });
}

std::ptrdiff_t read_at(int file, std::span<std::uint8_t> buffer, std::uint64_t offset) {
  return again_after_signals(
      [&] { return ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(offset)); });
}

std::ptrdiff_t write(int file, std::span<const std::uint8_t> bytes) {
  return again_after_signals([&] { return ::write(file, bytes.data(), bytes.size()); });
}

bool get_status(int file, Status& status) {
  struct stat from {};
  if (::fstat(file, &from) != 0) return false;
  status = told_by(from);
  return true;
}

bool get_status(const std::filesystem::path& path, Status& status) {
  struct stat from {};
  if (::stat(path.c_str(), &from) != 0) return false;
  status = told_by(from);
  return true;
}

bool set_permissions(int file, unsigned permissions) {
  return ::fchmod(file, static_cast<mode_t>(permissions)) == 0;
}

bool sync(int file) {
#if defined(F_FULLFSYNC)  // of macOS, where fsync() leaves bytes in the disk's own memory
  if (::fcntl(file, F_FULLFSYNC) == 0) return true;
#endif
  return ::fsync(file) == 0;
}

bool replace(const std::filesystem::path& from, const std::filesystem::path& to) {
  return ::rename(from.c_str(), to.c_str()) == 0;
}

void remove(const std::filesystem::path& path) {
  ::unlink(path.c_str());
}

int open_folder(const std::filesystem::path& path) {
  return ::open(name_of(path), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
}

bool sync_folder(int folder) {
  return ::fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP;  // not all file systems do that
}

int lock_folder(const std::filesystem::path& path) {
  const int folder = open_folder(path);
  if (folder < 0 || ::flock(folder, LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno != EWOULDBLOCK) return folder;  // not all file systems have locks
  ::close(folder);
  errno = EWOULDBLOCK;
  return -1;
}

bool list_folder(const std::filesystem::path& path, std::vector<std::filesystem::path>& found) {
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(name_of(path)), ::closedir);
  if (!opened) return false;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(opened.get());
    if (entry == nullptr) return errno == 0;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") found.push_back(path / name);
  }
}

std::uint32_t process_number() {
  return detail::process_number();
}

}  // namespace tapegrad::inline v0::detail::system

#else

#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <system_error>

#include "tapegrad/base/system_internal.h"

namespace tapegrad::inline v0::detail::system {
namespace {

constexpr std::size_t kMost = std::numeric_limits<int>::max();  // bytes that one call takes

bool fail_as_windows_says() {
  errno = std::error_code(static_cast<int>(::GetLastError()), std::system_category())
              .default_error_condition()
              .value();
  return false;
}

HANDLE handle(int file) {
  return reinterpret_cast<HANDLE>(::_get_osfhandle(file));
}

}  // namespace

int open_to_read(const std::filesystem::path& path) {
  Status status;
  if (get_status(path, status) && !status.regular) {
    errno = EACCES;
    return -1;
  }
  return ::_wopen(path.c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT);
}

int create(const std::filesystem::path& path) {
  return ::_wopen(path.c_str(), _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT,
                  _S_IREAD | _S_IWRITE);
}

int close(int file) {
  return ::_close(file);
}

std::ptrdiff_t read(int file, std::span<std::uint8_t> buffer) {
  return ::_read(file, buffer.data(), static_cast<unsigned>(std::min(buffer.size(), kMost)));
}

std::ptrdiff_t read_at(int file, std::span<std::uint8_t> buffer, std::uint64_t offset) {
  OVERLAPPED at{};
  at.Offset = static_cast<DWORD>(offset);
  at.OffsetHigh = static_cast<DWORD>(offset >> 32);
  const std::int64_t before = ::_telli64(file);  // ReadFile moves the place that read() goes on from
  DWORD done = 0;
  const bool read = ::ReadFile(handle(file), buffer.data(),
                               static_cast<DWORD>(std::min(buffer.size(), kMost)), &done, &at) != 0;
  const bool at_the_end = !read && ::GetLastError() == ERROR_HANDLE_EOF;
  if (!read && !at_the_end) fail_as_windows_says();
  ::_lseeki64(file, before, SEEK_SET);
  return read || at_the_end ? static_cast<std::ptrdiff_t>(done) : -1;
}

std::ptrdiff_t write(int file, std::span<const std::uint8_t> bytes) {
  return ::_write(file, bytes.data(), static_cast<unsigned>(std::min(bytes.size(), kMost)));
}

bool get_status(int file, Status& status) {
  struct _stat64 from {};
  if (::_fstat64(file, &from) != 0) return false;
  status = {.regular = (from.st_mode & _S_IFREG) != 0, .size = static_cast<std::uint64_t>(from.st_size)};
  return true;
}

bool get_status(const std::filesystem::path& path, Status& status) {
  struct _stat64 from {};
  if (::_wstat64(path.c_str(), &from) != 0) return false;
  status = {.regular = (from.st_mode & _S_IFREG) != 0, .size = static_cast<std::uint64_t>(from.st_size)};
  return true;
}

bool set_permissions(int, unsigned) {
  return true;
}

bool sync(int file) {
  return ::_commit(file) == 0;
}

bool replace(const std::filesystem::path& from, const std::filesystem::path& to) {
  return ::MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0 ||
         fail_as_windows_says();
}

void remove(const std::filesystem::path& path) {
  ::_wunlink(path.c_str());
}

int open_folder(const std::filesystem::path&) {
  return -1;
}

bool sync_folder(int) {
  return true;
}

// A folder has no lock there: a file in it that nobody else can open, and that goes with the program.
int lock_folder(const std::filesystem::path& path) {
  const std::filesystem::path file = path / "tapegrad.lock";
  const HANDLE opened = ::CreateFileW(file.c_str(), GENERIC_WRITE, 0, nullptr, OPEN_ALWAYS,
                                      FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE, nullptr);
  if (opened != INVALID_HANDLE_VALUE) return ::_open_osfhandle(reinterpret_cast<intptr_t>(opened), 0);
  if (::GetLastError() == ERROR_SHARING_VIOLATION)
    errno = EWOULDBLOCK;
  else
    fail_as_windows_says();
  return -1;
}

bool list_folder(const std::filesystem::path& path, std::vector<std::filesystem::path>& found) {
  std::error_code error;
  const std::filesystem::path folder = path.empty() ? std::filesystem::path(".") : path;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    found.push_back(path / at->path().filename());
  if (error) errno = error.default_error_condition().value();
  return !error;
}

std::uint32_t process_number() {
  return detail::process_number();
}

}  // namespace tapegrad::inline v0::detail::system

#endif
