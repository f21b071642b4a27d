#include "tapegrad/io/image.h"

#include <algorithm>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr double kMaxBytes = 0x1p28;

}  // namespace

Image::Image(int rows, int columns, int depth, Colour fill) : height(rows), width(columns), channels(depth) {
  if (channels != 1 && channels != 3) fail("image", "an image has 1 or 3 channels, not {}", channels);
  if (height < 1 || width < 1 || static_cast<double>(height) * width * channels > kMaxBytes)
    fail("image", "an image of {} x {} pixels with {} channels is empty or larger than {} bytes", height,
         width, channels, kMaxBytes);
  pixels.resize(offset(height, 0));
  if (channels == 1) {
    std::ranges::fill(pixels, fill.brightness());
  } else {
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
      pixels[i] = fill.red;
      pixels[i + 1] = fill.green;
      pixels[i + 2] = fill.blue;
    }
  }
}

}  // namespace tapegrad::inline v0
