#include "tapegrad/io/file_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "tapegrad/io/inflate_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

[[noreturn]] void fail_errno(std::string_view op, std::string_view what, const std::filesystem::path& path) {
  const int error = errno;
  fail(op, "cannot {} '{}': {}", what, path.string(), std::generic_category().message(error));
}

constexpr std::size_t kChunk = std::size_t{1} << 16;

}  // namespace

void fail_file_formatted(std::string_view op, const std::filesystem::path& path, fmt::string_view message,
                         fmt::format_args args) {
  tapegrad::fail(op, "'{}' {}", path.string(), fmt::vformat(message, args));
}

Descriptor::~Descriptor() {
  close();
}

int Descriptor::close() {
  return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1));
}

InputFile::InputFile(std::string_view op, std::filesystem::path path)
    : op_(op), path_(std::move(path)), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (file_.get() < 0) fail_errno(op_, "open", path_);
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) fail_errno(op_, "open", path_);
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
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

Unzipped::Unzipped(std::string_view op, const std::filesystem::path& path) : file_(op, path), begin_(2) {
  begin_.resize(file_.read_some(begin_));
  if (begin_.size() < 2 || begin_[0] != 0x1f || begin_[1] != 0x8b) return;
  inflater_ = std::make_unique<Inflater>(
      file_, true, [this](std::span<std::uint8_t> buffer) { return read_plain(buffer); });
}

Unzipped::~Unzipped() = default;

std::uint64_t Unzipped::size_limit() const {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  if (!is_gzip()) return file_.size();
  return file_.size() > kMost / kMostDeflated ? kMost : file_.size() * kMostDeflated;
}

std::size_t Unzipped::read_plain(std::span<std::uint8_t> buffer) {
  const std::size_t seen = std::min(begin_.size(), buffer.size());
  std::copy_n(begin_.begin(), seen, buffer.begin());
  begin_.erase(begin_.begin(), begin_.begin() + static_cast<std::ptrdiff_t>(seen));
  return seen + file_.read_some(buffer.subspan(seen));
}

std::size_t Unzipped::read_some(std::span<std::uint8_t> buffer) {
  return inflater_ ? inflater_->read_some(buffer) : read_plain(buffer);
}

void Unzipped::read(std::span<std::uint8_t> buffer) {
  if (read_some(buffer) != buffer.size()) file_.fail("ends too early: it was cut off");
}

namespace {

std::vector<std::uint8_t> compressed(std::string_view op, Parts parts, bool as_gzip) {
  z_stream state{};
  gz_header header{};
  header.os = 255;  // zlib would write which system this is
  constexpr int kMemoryLevel = 9, kGzip = 16;
  if (deflateInit2(&state, Z_BEST_COMPRESSION, Z_DEFLATED, as_gzip ? MAX_WBITS + kGzip : -MAX_WBITS,
                   kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    fail(op, "no memory to compress");
  if (as_gzip) deflateSetHeader(&state, &header);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&state, deflateEnd);
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> chunk(kChunk);
  const auto run = [&](std::span<const std::uint8_t> content, int flush) {
    do {
      const std::size_t taken = std::min<std::size_t>(content.size(), std::numeric_limits<uInt>::max());
      state.next_in = const_cast<std::uint8_t*>(content.data());
      state.avail_in = static_cast<uInt>(taken);
      state.next_out = chunk.data();
      state.avail_out = static_cast<uInt>(chunk.size());
      if (deflate(&state, flush) == Z_STREAM_ERROR) fail(op, "{} bytes cannot be compressed", content.size());
      content = content.subspan(taken - state.avail_in);
      packed.insert(packed.end(), chunk.begin(), chunk.end() - static_cast<std::ptrdiff_t>(state.avail_out));
    } while (!content.empty() || state.avail_out == 0);
  };
  for (const auto part : parts) run(part, Z_NO_FLUSH);
  run({}, Z_FINISH);
  return packed;
}

}  // namespace

std::vector<std::uint8_t> gzip(std::string_view op, Parts parts) {
  return compressed(op, parts, true);
}

std::vector<std::uint8_t> deflated_bytes(std::string_view op, Parts parts) {
  return compressed(op, parts, false);
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
  // A link is followed: what it points to is replaced, not the link.
  std::error_code none;
  std::filesystem::path target = std::filesystem::canonical(path, none);
  struct stat status {};
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
