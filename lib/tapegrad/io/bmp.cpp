#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "tapegrad/io/codecs_internal.h"

// The format is described in Microsoft's documentation of BITMAPFILEHEADER and BITMAPV5HEADER.

namespace tapegrad::inline v0::detail {
namespace {

constexpr std::uint32_t kFileHeader = 14, kOldHeader = 12, kNewHeader = 40, kLongestHeader = 124;
constexpr std::uint32_t kPlain = 0, kMasks = 3, kMasksWithAlpha = 6;  // ways to pack pixels

struct Header {
  double height = 0, width = 0;
  bool top_down = false;
  std::uint32_t bits = 0;    // of a pixel
  std::uint32_t pixels = 0;  // where they begin
  std::uint32_t palette = 0, colours = 0, colour_bytes = 4;
  std::array<std::uint32_t, 3> masks{};  // of red, green and blue

  double row_bytes() const { return std::ceil(width * bits / 32) * 4; }  // whole words
};

void read_masks(const EncodedImage& file, Header& header, std::uint32_t packing) {
  if (packing != kPlain && header.bits != 16 && header.bits != 32)
    file.fail("is damaged: pixels of {} bits have no masks", header.bits);
  header.masks = header.bits == 16 ? std::array<std::uint32_t, 3>{0x7c00, 0x3e0, 0x1f}
                                   : std::array<std::uint32_t, 3>{0xff0000, 0xff00, 0xff};
  if (packing == kPlain) return;
  for (std::size_t c = 0; c < 3; ++c) header.masks[c] = file.little32(kFileHeader + kNewHeader + 4 * c);
  for (const std::uint32_t mask : header.masks) {
    const std::uint32_t ones = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if ((ones & (ones + 1)) != 0) file.fail("is damaged: {:#x} is not a mask of a colour", mask);
  }
}

void read_palette(const EncodedImage& file, Header& header, std::uint32_t announced) {
  const std::uint32_t most = std::uint32_t{1} << header.bits;
  if (header.pixels < header.palette || announced > most)
    file.fail("is damaged: a palette of {} colours has no place", announced);
  header.colours =
      std::min(announced == 0 ? most : announced, (header.pixels - header.palette) / header.colour_bytes);
}

Header read_header(const EncodedImage& file) {
  Header header;
  header.pixels = file.little32(10);
  const std::uint32_t length = file.little32(kFileHeader);
  const bool old = length == kOldHeader;
  if (!old && (length < kNewHeader || length > kLongestHeader))
    file.fail("has a header of {} bytes, which cannot be read", length);
  const std::uint32_t packing = old ? kPlain : file.little32(30);
  if (packing != kPlain && packing != kMasks && packing != kMasksWithAlpha)
    file.fail("is packed in a way ({}) that cannot be read: save it without compression", packing);
  const double height = old ? file.little16(20) : static_cast<std::int32_t>(file.little32(22));
  header.width = old ? file.little16(18) : static_cast<std::int32_t>(file.little32(18));
  header.height = std::abs(height);
  header.top_down = height < 0;
  header.bits = file.little16(old ? 24 : 28);
  header.palette = kFileHeader + length;
  header.colour_bytes = old ? 3 : 4;
  if (header.bits == 1 || header.bits == 4 || header.bits == 8) {
    read_palette(file, header, old ? 0 : file.little32(46));
  } else if (header.bits != 16 && header.bits != 24 && header.bits != 32) {
    file.fail("has pixels of {} bits, which cannot be read", header.bits);
  }
  read_masks(file, header, packing);
  if (header.pixels < header.palette) file.fail("is damaged: its pixels begin inside of its header");
  return header;
}

// The masked bits of a pixel, from 0 to 255.
std::uint8_t channel(std::uint32_t pixel, std::uint32_t mask) {
  if (mask == 0) return 0;
  const int shift = std::countr_zero(mask);
  const std::uint64_t most = mask >> shift;
  return static_cast<std::uint8_t>(((std::uint64_t{pixel & mask} >> shift) * 255 + most / 2) / most);
}

Colour colour_at(const EncodedImage& file, const Header& header, std::span<const std::uint8_t> row,
                 std::size_t x) {
  const std::size_t bits = header.bits, first = x * bits / 8;
  if (bits > 8) {
    std::uint32_t pixel = 0;
    for (std::size_t i = bits / 8; i-- > 0;) pixel = pixel << 8 | row[first + i];
    return {channel(pixel, header.masks[0]), channel(pixel, header.masks[1]),
            channel(pixel, header.masks[2])};
  }
  const std::uint32_t number = row[first] >> (8 - bits - x * bits % 8) & ((1u << bits) - 1);
  if (number >= header.colours)
    file.fail("is damaged: a pixel has the colour {} of a palette of {}", number, header.colours);
  const auto blue_green_red = file.at(header.palette + std::uint64_t{number} * header.colour_bytes, 3);
  return {blue_green_red[2], blue_green_red[1], blue_green_red[0]};
}

}  // namespace

Image decode_bmp(const EncodedImage& file, int channels) {
  const Header header = read_header(file);
  file.require_size(header.height, header.width);
  const double needed = header.pixels + header.row_bytes() * header.height;
  if (needed > static_cast<double>(file.bytes().size()))
    file.fail("ends too early: {} x {} pixels take {} bytes, and it has {}", header.height, header.width,
              needed, file.bytes().size());
  Image image(static_cast<int>(header.height), static_cast<int>(header.width), 3);
  const auto row_bytes = static_cast<std::uint64_t>(header.row_bytes());
  for (int y = 0; y < image.height; ++y) {
    const int line = header.top_down ? y : image.height - 1 - y;
    const auto row = file.at(header.pixels + static_cast<std::uint64_t>(line) * row_bytes, row_bytes);
    for (int x = 0; x < image.width; ++x) {
      const Colour colour = colour_at(file, header, row, static_cast<std::size_t>(x));
      std::ranges::copy(std::array{colour.red, colour.green, colour.blue}, image.at(y, x));
    }
  }
  return with_channels(std::move(image), channels);
}

}  // namespace tapegrad::inline v0::detail
