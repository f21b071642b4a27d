#include "tapegrad/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/tensor/defined_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char *kNormalize = "normalize", *kNoise = "gaussian_noise", *kShift = "random_shift",
                     *kFlip = "random_flip", *kCrop = "random_crop";

void require_image(const char* op, const Tensor& x) {
  detail::require_defined(op, x, "the image");
  if (x.rank() != 3) fail(op, "takes images of shape [height, width, channels], not {}", x.shape());
}

// Calls f with the elements of x, which must be floating.
template <class F>
void for_floats(const char* op, Tensor& x, F&& f) {
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_floating_point_v<T>) {
      f(x.mutable_values<T>());
    } else {
      fail(op, "takes Float32 or Float64, not {}: the loader's option dtype says what it gets", x.dtype());
    }
  });
}

// The window of this size whose first pixel is (top, left) of x; what lies outside of x is fill.
Tensor window(const char* op, const Tensor& x, index_t top, index_t left, index_t height, index_t width,
              double fill) {
  const index_t channels = x.shape()[2];
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>)
      if (!(fill >= std::numeric_limits<T>::lowest() && fill <= std::numeric_limits<T>::max()) ||
          fill != std::trunc(fill))
        fail(op, "fill_value must be a value of {}, the dtype of the image, got {}", x.dtype(), fill);
  });
  Tensor cut = full({height, width, channels}, fill, x.dtype());
  const index_t first = std::max(index_t{0}, -left), last = std::min(width, x.shape()[1] - left);
  if (first >= last) return cut;
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T* from = x.data<T>();
    T* to = cut.mutable_data<T>();
    for (index_t y = std::max(index_t{0}, -top); y < std::min(height, x.shape()[0] - top); ++y)
      std::copy_n(from + ((y + top) * x.shape()[1] + first + left) * channels, (last - first) * channels,
                  to + (y * width + first) * channels);
  });
  return cut;
}

// A whole number in [low, high].
index_t draw(Generator& generator, index_t low, index_t high) {
  return low + static_cast<index_t>(generator.integer(static_cast<std::uint64_t>(high - low) + 1));
}

// Padding and shifts beyond this would only be mistakes, and could overflow.
constexpr index_t kMost = index_t{1} << 30;

void require_pixels(const char* op, index_t pixels, index_t least) {
  if (pixels < least || pixels > kMost)
    fail(op, "the number of pixels must be {} to {}, got {}", least, kMost, pixels);
}

}  // namespace

Transform compose(std::vector<Transform> transforms) {
  for (const Transform& transform : transforms)
    if (!transform) fail("compose", "no transform may be an empty function");
  return [transforms = std::move(transforms)](Tensor image, Generator& generator) {
    for (const Transform& transform : transforms) image = transform(std::move(image), generator);
    return image;
  };
}

Transform normalize(std::vector<double> means, std::vector<double> standard_deviations) {
  if (means.empty() || means.size() != standard_deviations.size())
    fail(kNormalize,
         "there must be as many standard deviations as means, got {} means and {} standard deviations",
         means.size(), standard_deviations.size());
  for (const double mean : means)
    if (!std::isfinite(mean)) fail(kNormalize, "means must be finite, got {}", mean);
  for (const double standard_deviation : standard_deviations)
    if (!(standard_deviation > 0 && std::isfinite(standard_deviation)))
      fail(kNormalize, "standard deviations must be positive and finite, got {}", standard_deviation);
  return [means = std::move(means), standard_deviations = std::move(standard_deviations)](Tensor image,
                                                                                          Generator&) {
    require_image(kNormalize, image);
    const auto channels = static_cast<std::size_t>(image.shape()[2]);
    if (means.size() != 1 && means.size() != channels)
      fail(kNormalize, "there are {} means, but the image has {} channels (shape {})", means.size(), channels,
           image.shape());
    for_floats(kNormalize, image, [&]<class T>(std::span<T> values) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t at = means.size() == 1 ? 0 : i % channels;
        values[i] = static_cast<T>((static_cast<double>(values[i]) - means[at]) / standard_deviations[at]);
      }
    });
    return image;
  };
}

Transform gaussian_noise(double standard_deviation) {
  if (!(standard_deviation >= 0) || !std::isfinite(standard_deviation))
    fail(kNoise, "standard_deviation must be finite and at least 0, got {}", standard_deviation);
  return [standard_deviation](Tensor image, Generator& generator) {
    detail::require_defined(kNoise, image, "the image");
    std::vector<double> noise(static_cast<std::size_t>(image.size()));
    generator.fill_normal(noise, 0, standard_deviation);
    for_floats(kNoise, image, [&]<class T>(std::span<T> values) {
      std::ranges::transform(values, noise, values.begin(), [](T value, double more) {
        return static_cast<T>(static_cast<double>(value) + more);
      });
    });
    return image;
  };
}

Transform random_shift(index_t max_shift, double fill_value) {
  require_pixels(kShift, max_shift, 0);
  detail::require_finite(kShift, "fill_value", fill_value);
  return [max_shift, fill_value](const Tensor& image, Generator& generator) {
    require_image(kShift, image);
    const index_t down = draw(generator, -max_shift, max_shift),
                  right = draw(generator, -max_shift, max_shift);
    return window(kShift, image, -down, -right, image.shape()[0], image.shape()[1], fill_value);
  };
}

Transform random_flip(double probability, int axis) {
  if (!(probability >= 0 && probability <= 1))
    fail(kFlip, "probability must be in [0, 1], got {}", probability);
  if (axis != 0 && axis != 1)
    fail(kFlip, "axis must be 0 (top and bottom) or 1 (left and right), got {}", axis);
  return [probability, axis](Tensor image, Generator& generator) {
    require_image(kFlip, image);
    if (generator.uniform() >= probability) return image;
    // Blocks of `length` elements change places within each of `count` stretches.
    const Shape& shape = image.shape();
    const index_t stretches = axis == 0 ? 1 : shape[0], blocks = shape[axis];
    const index_t length = axis == 0 ? shape[1] * shape[2] : shape[2];
    dispatch(image.dtype(), [&](auto type) {
      auto* values = image.mutable_data<typename decltype(type)::type>();
      for (index_t stretch = 0; stretch < stretches; ++stretch, values += blocks * length)
        for (index_t low = 0, high = blocks - 1; low < high; ++low, --high)
          std::swap_ranges(values + low * length, values + (low + 1) * length, values + high * length);
    });
    return image;
  };
}

Transform random_crop(index_t height, index_t width, index_t padding, double fill_value) {
  require_pixels(kCrop, height, 1);
  require_pixels(kCrop, width, 1);
  require_pixels(kCrop, padding, 0);
  detail::require_finite(kCrop, "fill_value", fill_value);
  return [=](const Tensor& image, Generator& generator) {
    require_image(kCrop, image);
    const index_t down = image.shape()[0] + 2 * padding - height,
                  right = image.shape()[1] + 2 * padding - width;
    if (down < 0 || right < 0)
      fail(kCrop,
           "the window of {} x {} pixels must not be larger than the image {} with {} pixels of padding",
           height, width, image.shape(), padding);
    const index_t top = draw(generator, 0, down), left = draw(generator, 0, right);
    return window(kCrop, image, top - padding, left - padding, height, width, fill_value);
  };
}

}  // namespace tapegrad::inline v0
