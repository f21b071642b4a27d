#pragma once

// What is done to each image on its way into a batch: noise, shifts, flips, crops.

#include <functional>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// What is done to an image on its way into a batch: takes it, [height, width, channels] in memory of its
/// own, already in the dtype of the batch, and returns what the batch gets instead. Whatever is random is
/// drawn from the generator, which is the sample's own. Loaders call it on their threads, several at a time.
using Transform = std::function<Tensor(Tensor image, Generator& generator)>;

/// One after the other.
[[nodiscard]] Transform compose(std::vector<Transform> transforms);

/// (x - mean) / standard deviation, with one number for all channels or one for each. For Float32 and Float64. Throws
/// when standard deviations are not positive, or when there are not as many as means.
[[nodiscard]] Transform normalize(std::vector<double> means, std::vector<double> standard_deviations);

/// x + standard deviation * n with n from the standard normal distribution, for each element; the result is not
/// clamped. For Float32 and Float64.
[[nodiscard]] Transform gaussian_noise(double standard_deviation);

/// Moved by up to `most` pixels, whole ones, up or down and left or right; what comes in is `fill`.
[[nodiscard]] Transform random_shift(index_t most, double fill = 0);

/// Mirrored with this probability: left and right, or, with axis 0, top and bottom.
[[nodiscard]] Transform random_flip(double probability = 0.5, int axis = 1);

/// A window of this size at a random place in the image, around which a margin of `padding` pixels of `fill`
/// is thought. Throws for an image, with its margin, that is smaller than the window.
[[nodiscard]] Transform random_crop(index_t height, index_t width, index_t padding = 0, double fill = 0);

}  // namespace v0
}  // namespace tapegrad
