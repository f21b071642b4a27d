#pragma once

// Transforms, which change images on their way into a batch: noise, shifts, flips, crops.

#include <functional>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// A function that changes an image on its way into a batch. It gets the image, [height, width, channels], in memory of
/// its own and in the dtype of the batch, and returns the image for the batch. Random numbers are drawn from the
/// generator, which belongs to the sample. Loaders call it on several threads at once.
using Transform = std::function<Tensor(Tensor image, Generator& generator)>;

/// Applies the transforms one after the other.
[[nodiscard]] Transform compose(std::vector<Transform> transforms);

/// (x - mean) / standard deviation, with one number for all channels or one for each. For Float32 and Float64. Throws
/// when standard deviations are not positive, or when there are not as many as means.
[[nodiscard]] Transform normalize(std::vector<double> means, std::vector<double> standard_deviations);

/// x + standard deviation * n with n from the standard normal distribution, for each element; the result is not
/// clamped. For Float32 and Float64.
[[nodiscard]] Transform gaussian_noise(double standard_deviation);

/// Shifts the image by a random whole number of pixels, up to max_shift, vertically and horizontally; pixels that come in
/// have the value fill_value.
[[nodiscard]] Transform random_shift(index_t max_shift, double fill_value = 0);

/// Mirrors the image with this probability: horizontally (axis 1) or vertically (axis 0).
[[nodiscard]] Transform random_flip(double probability = 0.5, int axis = 1);

/// Crops a window of this size at a random place of the image padded by `padding` pixels of fill_value on each side. Throws
/// for an image that, with its padding, is smaller than the window.
[[nodiscard]] Transform random_crop(index_t height, index_t width, index_t padding = 0,
                                    double fill_value = 0);

}  // namespace v0
}  // namespace tapegrad
