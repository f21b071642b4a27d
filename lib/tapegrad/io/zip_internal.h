#pragma once

// Internal: ZIP archives, as far as npz needs them: members that are stored or deflated, ZIP64 when reading.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/io/gzip_internal.h"

namespace tapegrad::inline v0::detail {

struct ZipMember {
  std::string name;
  std::uint16_t method = 0;
  std::uint32_t checksum = 0;
  std::uint64_t header = 0;            ///< where its local header begins
  std::uint64_t packed = 0, size = 0;  ///< bytes in the archive, and of the content
};

/// An archive whose directory was read and checked: members lie inside the file, do not overlap, and are not
/// larger than what deflate could have packed into their bytes.
class ZipArchive {
 public:
  ZipArchive(std::string_view op, const std::filesystem::path& path);

  const InputFile& file() const { return file_; }
  /// In the order of the directory.
  const std::vector<ZipMember>& members() const { return members_; }

 private:
  InputFile file_;
  std::vector<ZipMember> members_;
};

/// The content of a member, from its beginning to its end.
class ZipReader {
 public:
  ZipReader(const ZipArchive& archive, const ZipMember& member);
  ~ZipReader();
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  /// Fills buffer, or throws. What is read last is checked against the checksum.
  void read(std::span<std::uint8_t> buffer);

 private:
  std::size_t read_packed(std::span<std::uint8_t> buffer);

  const InputFile& file_;
  const ZipMember& member_;
  std::uint64_t at_, end_;  // of the packed bytes that were not read, in the file
  std::uint64_t left_;      // of the content
  std::uint32_t checksum_ = 0;
  std::unique_ptr<Inflater> inflater_;  // of a deflated member
};

/// A member to be written: its content is the parts, one after the other.
struct ZipContent {
  std::string name;
  std::vector<std::span<const std::uint8_t>> parts;
};

/// Writes an archive, deflated if asked, without times in it: the same content gives the same bytes. Replaces
/// the file only once all of it is written. Throws for archives of 4 GB and more.
void write_zip(std::string_view op, const std::filesystem::path& path, std::span<const ZipContent> contents,
               bool deflated);

}  // namespace tapegrad::inline v0::detail
