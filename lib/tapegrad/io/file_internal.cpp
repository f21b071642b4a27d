#include "tapegrad/io/file_internal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <new>
#include <system_error>
#include <utility>

#include "tapegrad/io/system_internal.h"

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
  if (path.native().find(std::filesystem::path::value_type{}) != std::filesystem::path::string_type::npos)
    fail(op, "a path must have no zero byte in it, got one behind '{}'", path.string().c_str());
  return path;
}

Descriptor::~Descriptor() {
  close();
}

int Descriptor::close() {
  return fd_ < 0 ? 0 : system::close(std::exchange(fd_, -1));
}

InputFile::InputFile(std::string_view op, std::filesystem::path path)
    : op_(op), path_(std::move(path)), file_(system::open_to_read(require_path(op_, path_))) {
  if (file_.get() < 0) fail_errno(op_, "open", path_);
  system::Status status;
  if (!system::get_status(file_.get(), status)) fail_errno(op_, "open", path_);
  if (!status.regular) fail("is not a regular file");
  size_ = status.size;
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
    const std::ptrdiff_t got = system::read(file_.get(), buffer.subspan(filled));
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
    const std::ptrdiff_t got = system::read_at(file_.get(), buffer, offset);
    if (got < 0) fail_errno(op_, "read", path_);
    if (got == 0) fail("ends too early: it was cut off");
    offset += static_cast<std::uint64_t>(got);
    buffer = buffer.subspan(static_cast<std::size_t>(got));
  }
}

std::vector<std::uint8_t> read_file(std::string_view op, const std::filesystem::path& path,
                                    std::uint64_t size_limit) {
  InputFile file(op, path);
  constexpr std::uint64_t kMost = std::numeric_limits<std::ptrdiff_t>::max();
  const std::uint64_t most = std::min(size_limit, kMost);
  if (file.size() > most) file.fail("is {} bytes long; at most {} are read", file.size(), most);
  std::vector<std::uint8_t> content(static_cast<std::size_t>(file.size()));
  file.read(content);
  return content;
}

void write_file(std::string_view op, const std::filesystem::path& path, Parts parts) {
  require_path(op, path);
  // A link is followed: what it points to is replaced, not the link.
  std::error_code none;
  std::filesystem::path target = std::filesystem::canonical(path, none);
  system::Status status;
  if (none == std::errc::not_enough_memory) throw std::bad_alloc();  // or the link would be replaced
  const bool exists = !none && system::get_status(target, status);
  if (!exists) target = path;
  if (exists && !status.regular) fail_file(op, path, "is not a regular file");

  std::filesystem::path temporary;
  int fd = -1;
  for (int attempt = 0; fd < 0; ++attempt) {
    temporary = target;
    temporary += fmt::format(".{}-{}.tmp", system::process_number(), attempt);
    fd = system::create(temporary);
    if (fd < 0 && (errno != EEXIST || attempt == 1000)) fail_errno(op, "write", path);
  }
  struct Removal {
    const std::filesystem::path& path;
    bool armed = true;
    ~Removal() {
      if (armed) system::remove(path);
    }
  } removal{temporary};
  Descriptor file(fd);

  if (exists && !system::set_permissions(fd, status.permissions)) fail_errno(op, "write", path);
  for (std::span<const std::uint8_t> part : parts) {
    while (!part.empty()) {
      const std::ptrdiff_t written = system::write(fd, part);
      if (written < 0) fail_errno(op, "write", path);
      part = part.subspan(static_cast<std::size_t>(written));
    }
  }
  // A new name in a directory is on the disk once the directory is. One may write into a directory without reading it.
  const std::filesystem::path folder = target.parent_path();
  const Descriptor directory(system::open_folder(folder));
  if (!system::sync(fd) || file.close() != 0 || !system::replace(temporary, target))
    fail_errno(op, "write", path);
  removal.armed = false;
  if (directory.get() >= 0 && !system::sync_folder(directory.get())) fail_errno(op, "sync", folder);
}

std::vector<std::filesystem::path> paths_in(std::string_view op, const std::filesystem::path& directory,
                                            bool may_be_missing) {
  require_path(op, directory);
  std::vector<std::filesystem::path> found;
  if (!system::list_folder(directory, found) && !(errno == ENOENT && may_be_missing))
    fail_errno(op, "list", directory);
  return found;
}

}  // namespace tapegrad::inline v0::detail
