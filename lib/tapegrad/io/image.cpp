#include "tapegrad/io/image.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr double kMaxBytes = 0x1p28;

// The cubic filters of Mitchell and Netravali, "Reconstruction Filters in Computer Graphics" (1988): their own
// (b = c = 1/3), which does not ring, and Catmull and Rom's (b = 0, c = 1/2), which goes through the pixels.
double cubic(double x, double b, double c) {
  x = std::abs(x);
  if (x >= 2) return 0;
  if (x < 1) return ((12 - 9 * b - 6 * c) * x * x * x + (-18 + 12 * b + 6 * c) * x * x + 6 - 2 * b) / 6;
  return ((-b - 6 * c) * x * x * x + (6 * b + 30 * c) * x * x + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6;
}

// What a pixel of the new size is made of: pixels from first on, beyond the edges the last one inside.
struct Mix {
  int first = 0;
  std::vector<float> weights;
};

std::vector<Mix> mixes(int from, int to) {
  const double ratio = static_cast<double>(from) / to, stretch = std::max(ratio, 1.0);
  const double b = ratio > 1 ? 1.0 / 3 : 0, c = ratio > 1 ? 1.0 / 3 : 0.5;
  std::vector<Mix> made(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * ratio - 0.5;
    const int begin = static_cast<int>(std::ceil(centre - 2 * stretch)),
              end = static_cast<int>(std::floor(centre + 2 * stretch)) + 1;
    const int first = std::clamp(begin, 0, from - 1), last = std::clamp(end - 1, 0, from - 1);
    std::vector<double> weights(static_cast<std::size_t>(last - first + 1));
    double sum = 0;
    for (int k = begin; k < end; ++k) {
      const double weight = cubic((k - centre) / stretch, b, c);
      weights[static_cast<std::size_t>(std::clamp(k, first, last) - first)] += weight;
      sum += weight;
    }
    Mix& mix = made[static_cast<std::size_t>(i)];
    mix.first = first;
    for (const double weight : weights) mix.weights.push_back(static_cast<float>(weight / sum));
  }
  return made;
}

void require_size(std::string_view op, int height, int width, int channels) {
  if (channels != 1 && channels != 3) fail(op, "channels must be 1 (grey) or 3 (colour), got {}", channels);
  if (height < 1 || width < 1 || static_cast<double>(height) * width * channels > kMaxBytes)
    fail(op, "height and width must be at least 1 and the image at most {} bytes, got {} x {} x {}",
         kMaxBytes, height, width, channels);
}

}  // namespace

Image::Image(int rows, int columns, int depth, Colour fill) : height(rows), width(columns), channels(depth) {
  require_size("image", height, width, channels);
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

Image resized(const Image& image, int height, int width) {
  require_size("resized", height, width, image.channels);
  require_size("resized", image.height, image.width, image.channels);
  if (image.pixels.size() != static_cast<std::size_t>(image.height) * static_cast<std::size_t>(image.width) *
                                 static_cast<std::size_t>(image.channels))
    fail("resized", "an image of {} x {} x {} must have as many bytes of pixels, got {}", image.height,
         image.width, image.channels, image.pixels.size());
  Image made(height, width, image.channels);
  const std::vector<Mix> down = mixes(image.height, height), right = mixes(image.width, width);
  const auto channels = static_cast<std::size_t>(image.channels);
  std::vector<float> line(static_cast<std::size_t>(image.width) * channels);
  for (int y = 0; y < height; ++y) {
    const Mix& rows = down[static_cast<std::size_t>(y)];
    std::ranges::fill(line, 0.0f);
    for (std::size_t k = 0; k < rows.weights.size(); ++k) {
      const std::uint8_t* row = image.at(rows.first + static_cast<int>(k), 0);
      for (std::size_t i = 0; i < line.size(); ++i) line[i] += rows.weights[k] * static_cast<float>(row[i]);
    }
    std::uint8_t* to = made.at(y, 0);
    for (const Mix& columns : right)
      for (std::size_t c = 0; c < channels; ++c) {
        float sum = 0;
        const float* from = line.data() + static_cast<std::size_t>(columns.first) * channels + c;
        for (std::size_t k = 0; k < columns.weights.size(); ++k)
          sum += columns.weights[k] * from[k * channels];
        *to++ = static_cast<std::uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
      }
  }
  return made;
}

}  // namespace tapegrad::inline v0
