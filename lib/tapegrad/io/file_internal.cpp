#include "tapegrad/io/file_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

namespace tapegrad::inline v0::detail {
namespace {

[[noreturn]] void fail_errno(std::string_view op, std::string_view what, const std::filesystem::path& path) {
  const int error = errno;
  fail(op, "cannot {} '{}': {}", what, path.string(), std::generic_category().message(error));
}

}  // namespace

void fail_file_formatted(std::string_view op, const std::filesystem::path& path, fmt::string_view message,
                         fmt::format_args args) {
  tapegrad::fail(op, "'{}' {}", path.string(), fmt::vformat(message, args));
}

const std::filesystem::path& require_path(std::string_view op, const std::filesystem::path& path) {
  if (path.native().find('\0') != std::string::npos)
    fail(op, "a path must have no zero byte in it, got one behind '{}'", path.c_str());
  return path;
}

Descriptor::~Descriptor() {
  close();
}

int Descriptor::close() {
  return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1));
}

InputFile::InputFile(std::string_view op, std::filesystem::path path)
    : op_(op),
      path_(std::move(path)),
      file_(::open(require_path(op_, path_).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (file_.get() < 0) fail_errno(op_, "open", path_);
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) fail_errno(op_, "open", path_);
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
  // What git leaves in place of a large file if git-lfs is not installed.
  constexpr std::string_view kPointer = "version https://git-lfs.";
  std::array<std::uint8_t, kPointer.size()> head{};
  if (size_ >= head.size()) read_at(0, head);
  if (std::ranges::equal(head, kPointer))
    fail("is a pointer of Git LFS, not the file itself: fetch the file with git lfs pull");
}

std::size_t InputFile::read_some(std::span<std::uint8_t> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::read(file_.get(), buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(op_, "read", path_);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  position_ += filled;
  return filled;
}

void InputFile::read(std::span<std::uint8_t> buffer) {
  if (read_some(buffer) != buffer.size()) fail("ends too early: it was cut off");
}

void InputFile::read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const {
  while (!buffer.empty()) {
    const ssize_t got = ::pread(file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(op_, "read", path_);
    if (got == 0) fail("ends too early: it was cut off");
    offset += static_cast<std::uint64_t>(got);
    buffer = buffer.subspan(static_cast<std::size_t>(got));
  }
}

std::vector<std::uint8_t> read_file(std::string_view op, const std::filesystem::path& path,
                                    std::uint64_t size_limit) {
  InputFile file(op, path);
  if (file.size() > size_limit) file.fail("is {} bytes long; at most {} are read", file.size(), size_limit);
  std::vector<std::uint8_t> content(static_cast<std::size_t>(file.size()));
  file.read(content);
  return content;
}

void write_file(std::string_view op, const std::filesystem::path& path, Parts parts) {
  require_path(op, path);
  // A link is followed: what it points to is replaced, not the link.
  std::error_code none;
  std::filesystem::path target = std::filesystem::canonical(path, none);
  struct stat status {};
  if (none == std::errc::not_enough_memory) throw std::bad_alloc();  // or the link would be replaced
  const bool exists = !none && ::stat(target.c_str(), &status) == 0;
  if (!exists) target = path;
  if (exists && !S_ISREG(status.st_mode)) fail_file(op, path, "is not a regular file");

  std::filesystem::path temporary;
  int fd = -1;
  for (int attempt = 0; fd < 0; ++attempt) {
    temporary = target;
    temporary += fmt::format(".{}-{}.tmp", ::getpid(), attempt);
    fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && (errno != EEXIST || attempt == 1000)) fail_errno(op, "write", path);
  }
  struct Removal {
    const std::filesystem::path& path;
    bool armed = true;
    ~Removal() {
      if (armed) ::unlink(path.c_str());
    }
  } removal{temporary};
  Descriptor file(fd);

  if (exists && ::fchmod(fd, status.st_mode & 0777) != 0) fail_errno(op, "write", path);
  for (std::span<const std::uint8_t> part : parts) {
    while (!part.empty()) {
      const ssize_t written = ::write(fd, part.data(), part.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_errno(op, "write", path);
      part = part.subspan(static_cast<std::size_t>(written));
    }
  }
  // A new name in a directory is on the disk once the directory is. One may write into a directory without reading it.
  const std::filesystem::path folder = target.parent_path();
  const Descriptor directory(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (::fsync(fd) != 0 || file.close() != 0 || ::rename(temporary.c_str(), target.c_str()) != 0)
    fail_errno(op, "write", path);
  removal.armed = false;
  if (directory.get() >= 0 && ::fsync(directory.get()) != 0 && errno != EINVAL &&
      errno != ENOTSUP)  // not all file systems do that
    fail_errno(op, "sync", folder);
}

std::vector<std::filesystem::path> paths_in(std::string_view op, const std::filesystem::path& directory,
                                            bool may_be_missing) {
  require_path(op, directory);
  std::vector<std::filesystem::path> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(directory.empty() ? "." : directory.c_str()),
                                                   ::closedir);
  if (!opened && errno == ENOENT && may_be_missing) return found;
  if (!opened) fail_errno(op, "list", directory);
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(opened.get());
    if (entry == nullptr && errno != 0) fail_errno(op, "list", directory);
    if (entry == nullptr) return found;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") found.push_back(directory / name);
  }
}

}  // namespace tapegrad::inline v0::detail
