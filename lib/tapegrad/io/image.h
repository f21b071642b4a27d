#pragma once

// Images of 8 bits a channel: PNG, JPEG and BMP files, and resizing.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  /// The grey value of this colour: the luma of ITU-R BT.601.
  std::uint8_t brightness() const {
    return static_cast<std::uint8_t>((77 * red + 150 * green + 29 * blue) / 256);
  }
  friend bool operator==(const Colour&, const Colour&) = default;
};

inline constexpr Colour kBlack{0, 0, 0};
inline constexpr Colour kWhite{255, 255, 255};

/// A picture of 8 bits per channel: grey (1 channel) or red, green, blue (3 channels). Rows from the top, pixels of a
/// row from the left, channels of a pixel together. 0 is black, 255 is full intensity.
struct Image {
  int height = 0, width = 0, channels = 1;
  std::vector<std::uint8_t> pixels;

  Image() = default;
  /// An image filled with one colour; a grey image takes the colour's brightness. Throws for sizes that are not
  /// positive, for more than 2^28 bytes, and for channels other than 1 and 3.
  Image(int height, int width, int channels, Colour fill = kBlack);

  /// The first channel of a pixel, without a check of bounds.
  std::uint8_t* at(int y, int x) { return pixels.data() + offset(y, x); }
  const std::uint8_t* at(int y, int x) const { return pixels.data() + offset(y, x); }

 private:
  std::size_t offset(int y, int x) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
           static_cast<std::size_t>(channels);
  }
};

/// Writes a PNG file. An earlier file is replaced only when the new one is complete. Throws when the file cannot be
/// written, and when the number of pixels does not match the sizes.
void write_png(const std::filesystem::path& path, const Image& image);

/// The bytes of the file that write_png() writes. Throws when the number of pixels does not match the sizes.
[[nodiscard]] std::vector<std::uint8_t> encode_png(const Image& image);

inline constexpr index_t kMaxPixels = index_t{1} << 26;  ///< the largest image that read_image() reads

/// Reads a PNG, JPEG or BMP file as grey (channels = 1) or colour (channels = 3), whatever its own colours are. Rows are
/// those of the file: an orientation that a camera noted (EXIF) is ignored. Throws when the file cannot be read or
/// decoded, or has more than max_pixels or kMaxPixels pixels.
[[nodiscard]] Image read_image(const std::filesystem::path& path, int channels,
                               index_t max_pixels = kMaxPixels);

/// The image in another size: Mitchell's filter where it gets smaller, a cubic spline where it gets larger.
/// Throws for sizes that an Image cannot have.
[[nodiscard]] Image resized(const Image& image, int height, int width);

}  // namespace v0
}  // namespace tapegrad
