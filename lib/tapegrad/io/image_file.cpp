#include <algorithm>

#include "tapegrad/io/codecs_internal.h"
#include "tapegrad/io/gzip_internal.h"
#include "tapegrad/io/image.h"

namespace tapegrad::inline v0 {
namespace detail {
namespace {

constexpr double kLongestSide = 65535;
// Deflate packs 1032 bytes into one, and a byte may hold 8 pixels. (A JPEG needs a bit for each 64.)
constexpr double kMostPixelsOfAByte = 8.0 * static_cast<double>(kMostDeflated);

}  // namespace

bool EncodedImage::begins_with(std::string_view signature) const {
  return bytes_.size() >= signature.size() &&
         std::ranges::equal(bytes_.first(signature.size()), signature, {}, {},
                            [](char c) { return static_cast<std::uint8_t>(c); });
}

std::span<const std::uint8_t> EncodedImage::at(std::uint64_t offset, std::uint64_t count) const {
  if (offset > bytes_.size() || count > bytes_.size() - offset) fail("ends too early: it was cut off");
  return bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(count));
}

std::uint16_t EncodedImage::little16(std::uint64_t offset) const {
  const auto b = at(offset, 2);
  return static_cast<std::uint16_t>(b[0] | b[1] << 8);
}

std::uint32_t EncodedImage::little32(std::uint64_t offset) const {
  const auto b = at(offset, 4);
  return std::uint32_t{b[0]} | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 |
         std::uint32_t{b[3]} << 24;
}

std::uint32_t EncodedImage::big32(std::uint64_t offset) const {
  const auto b = at(offset, 4);
  return std::uint32_t{b[3]} | std::uint32_t{b[2]} << 8 | std::uint32_t{b[1]} << 16 |
         std::uint32_t{b[0]} << 24;
}

void EncodedImage::require_size(double height, double width) const {
  if (!(height >= 1 && width >= 1 && height <= kLongestSide && width <= kLongestSide))
    fail("is {} x {} pixels large, which is not a readable size: each side must be 1 to {} pixels long",
         height, width, kLongestSide);
  const index_t most = std::min(max_pixels_, kMaxPixels);
  if (height * width > static_cast<double>(most))
    fail("is {} x {} pixels large; at most {} pixels are read", height, width, most);
  if (height * width > kMostPixelsOfAByte * static_cast<double>(bytes_.size()))
    fail("is damaged: {} bytes cannot hold {} x {} pixels", bytes_.size(), height, width);
}

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  Image made(image.height, image.width, channels);
  const std::uint8_t* from = image.pixels.data();
  for (std::size_t i = 0; i < made.pixels.size(); i += static_cast<std::size_t>(channels)) {
    if (channels == 1) {
      made.pixels[i] = Colour{from[0], from[1], from[2]}.brightness();
    } else {
      std::fill_n(made.pixels.begin() + static_cast<std::ptrdiff_t>(i), 3, *from);
    }
    from += image.channels;
  }
  return made;
}

}  // namespace detail

void write_png(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::uint8_t> png = detail::png_of("write_png", image);
  const std::span<const std::uint8_t> part(png);
  detail::write_file("write_png", path, {&part, 1});
}

Image read_image(const std::filesystem::path& path, int channels, index_t max_pixels) {
  constexpr std::string_view kOp = "read_image";
  constexpr std::uint64_t kLongestFile = std::uint64_t{1} << 28;
  if (channels != 1 && channels != 3) fail(kOp, "channels must be 1 (grey) or 3 (colour), got {}", channels);
  const std::vector<std::uint8_t> bytes = detail::read_file(kOp, path, kLongestFile);
  const detail::EncodedImage file(kOp, path, bytes, max_pixels);
  if (file.begins_with(detail::kPngSignature)) return detail::decode_png(file, channels);
  if (file.begins_with(detail::kJpegSignature)) return detail::decode_jpeg(file, channels);
  if (file.begins_with(detail::kBmpSignature)) return detail::decode_bmp(file, channels);
  file.fail("is not a PNG, JPEG or BMP image");
}

}  // namespace tapegrad::inline v0
