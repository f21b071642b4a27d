#pragma once

// Internal: files, with errors that name the caller's op, the path and what the system says.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

/// Throws Error(op, "'path' <message>").
[[noreturn, gnu::cold]] void fail_file_formatted(std::string_view op, const std::filesystem::path& path,
                                                 fmt::string_view message, fmt::format_args args);
template <class... Args>
[[noreturn]] void fail_file(std::string_view op, const std::filesystem::path& path,
                            fmt::format_string<Args...> message, Args&&... args) {
  fail_file_formatted(op, path, message, fmt::make_format_args(args...));
}

/// Throws when there is a zero byte in the path, where the system would take it to end. Returns the path.
const std::filesystem::path& require_path(std::string_view op, const std::filesystem::path& path);

/// An open file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  /// The result of close().
  int close();

 private:
  int fd_;
};

/// A regular file that is read from its beginning to its end, or anywhere.
class InputFile {
 public:
  InputFile(std::string_view op, std::filesystem::path path);

  std::uint64_t size() const { return size_; }
  std::uint64_t position() const { return position_; }
  std::string_view op() const { return op_; }
  const std::filesystem::path& path() const { return path_; }

  /// Fills buffer as far as the file reaches and returns how far that was.
  std::size_t read_some(std::span<std::uint8_t> buffer);
  /// Fills buffer, or throws.
  void read(std::span<std::uint8_t> buffer);
  /// Fills buffer with the bytes from offset on, or throws. Does not move the position, and may be called on
  /// several threads at a time.
  void read_at(std::uint64_t offset, std::span<std::uint8_t> buffer) const;
  /// Throws the error of a file that is damaged or of another format.
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    fail_file_formatted(op_, path_, message, fmt::make_format_args(args...));
  }

 private:
  std::string op_;
  std::filesystem::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0, position_ = 0;
};

/// Bytes that follow each other, but lie in several places.
using Parts = std::span<const std::span<const std::uint8_t>>;

std::vector<std::uint8_t> read_file(std::string_view op, const std::filesystem::path& path,
                                    std::uint64_t size_limit);

/// Writes the parts one after the other into a new file beside path, and puts it in path's place once all of
/// it is on the disk, where its new name is too when this returns. On failure path is as it was and nothing
/// is left behind.
void write_file(std::string_view op, const std::filesystem::path& path, Parts parts);

/// What a directory holds, in no order; nothing for one that is missing, if it may be. Not by std::filesystem, which ends
/// the program where there is no memory for a name.
std::vector<std::filesystem::path> paths_in(std::string_view op, const std::filesystem::path& directory,
                                            bool may_be_missing = false);

}  // namespace tapegrad::inline v0::detail
