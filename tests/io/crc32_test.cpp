#include "tapegrad/io/crc32_internal.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tapegrad/base/random.h"

namespace tapegrad {
namespace {

TEST(Crc32, OfTheDigitsIsTheCheckValueOfItsDefinition) {
  constexpr std::string_view kDigits = "123456789";
  EXPECT_EQ(detail::crc32(0, {reinterpret_cast<const std::uint8_t*>(kDigits.data()), kDigits.size()}),
            0xcbf43926U);
  EXPECT_EQ(detail::crc32(0, {}), 0U);
}

TEST(Crc32, IsThatOfZlibForEveryLengthAndAlignmentAndInParts) {
  Generator generator(1);
  std::vector<std::uint8_t> bytes(200);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(generator.uniform() * 256);
  for (std::size_t begin = 0; begin < 9; ++begin)
    for (std::size_t length = 0; begin + length <= bytes.size(); ++length) {
      const std::span<const std::uint8_t> part = std::span<const std::uint8_t>(bytes).subspan(begin, length);
      const std::uint32_t whole = detail::crc32(0, part);
      ASSERT_EQ(whole, ::crc32_z(0, part.data(), part.size())) << begin << ", " << length;
      ASSERT_EQ(whole, detail::crc32(detail::crc32(0, part.first(length / 3)), part.subspan(length / 3)));
    }
}

}  // namespace
}  // namespace tapegrad
