#include "tapegrad/io/crc32_internal.h"

#include <array>
#include <bit>
#include <cstring>

namespace tapegrad::inline v0::detail {
namespace {

// Four bytes at a time ("slicing by 4", Kounavis and Berry 2005): table k is of a byte with k bytes behind it.
using Tables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Tables make_tables() {
  constexpr std::uint32_t kPolynomial = 0xedb88320;  // IEEE 802.3, its bits in reverse
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? kPolynomial : 0);
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < tables.size(); ++k)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t last = tables[k - 1][byte];
      tables[k][byte] = last >> 8 ^ tables[0][last & 255];
    }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32(std::uint32_t before, std::span<const std::uint8_t> bytes) {
  static_assert(std::endian::native == std::endian::little);
  std::uint32_t value = ~before;
  while (bytes.size() >= sizeof value) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= value;
    value = kTables[3][word & 255] ^ kTables[2][word >> 8 & 255] ^ kTables[1][word >> 16 & 255] ^
            kTables[0][word >> 24];
    bytes = bytes.subspan(sizeof word);
  }
  for (const std::uint8_t byte : bytes) value = value >> 8 ^ kTables[0][(value ^ byte) & 255];
  return ~value;
}

}  // namespace tapegrad::inline v0::detail
