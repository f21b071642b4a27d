#pragma once

// Internal: the checksum of gzip and ZIP, for files that are there without zlib, too.

#include <cstdint>
#include <span>

namespace tapegrad::inline v0::detail {

/// The CRC-32 of the bytes behind those whose CRC-32 is `before` (0: none), as zlib's crc32().
std::uint32_t crc32(std::uint32_t before, std::span<const std::uint8_t> bytes);

}  // namespace tapegrad::inline v0::detail
