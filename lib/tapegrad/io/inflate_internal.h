#pragma once

// Internal: what deflate packed, unpacked again: the content of gzip files and of ZIP archives.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "tapegrad/io/gzip_internal.h"

namespace tapegrad::inline v0::detail {

class Inflater {
 public:
  /// Fills a buffer with the next packed bytes and returns how many there were, 0 at their end.
  using Refill = std::function<std::size_t(std::span<std::uint8_t> buffer)>;

  /// Unpacks gzip streams, with their checksums, or what has no frame. file is named in errors.
  Inflater(const InputFile& file, bool gzip, Refill refill);
  ~Inflater();

  /// Fills buffer as far as the content reaches and returns how far that was. A gzip file may consist of several
  /// streams, one after the other (RFC 1952; pigz and bgzip write such): their contents follow each other.
  std::size_t read_some(std::span<std::uint8_t> buffer);

 private:
  struct Stream;
  /// Whether another stream follows the one that has ended.
  bool next_stream();
  bool refill();

  const InputFile& file_;
  bool gzip_;
  Refill refill_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace tapegrad::inline v0::detail
