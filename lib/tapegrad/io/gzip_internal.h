#pragma once

// Internal: what deflate packs: gzip files, read and written, and members of ZIP archives.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tapegrad/io/file_internal.h"

namespace tapegrad::inline v0::detail {

/// Deflate packs at most 258 bytes into two bits: it never holds more than this many times its length.
constexpr std::uint64_t kMostDeflated = 1032;

class Inflater;

/// The content of a file that may be gzipped (recognized by its first two bytes).
class Unzipped {
 public:
  Unzipped(std::string_view op, const std::filesystem::path& path);
  ~Unzipped();
  Unzipped(const Unzipped&) = delete;
  Unzipped& operator=(const Unzipped&) = delete;

  const InputFile& file() const { return file_; }
  /// The length of the content: exact for a plain file, else the most that gzip could have packed into the
  /// file.
  std::uint64_t size_limit() const;
  bool is_gzip() const { return inflater_ != nullptr; }
  /// As InputFile. The end of gzip's content is reached only when its checksum is right.
  std::size_t read_some(std::span<std::uint8_t> buffer);
  void read(std::span<std::uint8_t> buffer);

 private:
  std::size_t read_plain(std::span<std::uint8_t> buffer);

  InputFile file_;
  std::vector<std::uint8_t> begin_;  // the bytes that were looked at
  std::unique_ptr<Inflater> inflater_;
};

/// The parts together as a gzip file: the same bytes for the same content (no time, no name in it).
std::vector<std::uint8_t> gzip(std::string_view op, Parts parts);

/// The same without gzip's frame.
std::vector<std::uint8_t> deflated_bytes(std::string_view op, Parts parts);

}  // namespace tapegrad::inline v0::detail
