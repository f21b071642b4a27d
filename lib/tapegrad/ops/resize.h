#pragma once

// Upsampling of images.

#include "tapegrad/base/window.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Both take images, NHWC, and make them `size` times as high and as wide. Throws unless x has four axes and size is at
// least 1.

/// Nearest neighbour: every pixel becomes a block of equal pixels.
[[nodiscard]] Tensor upsample_nearest(const Tensor& x, Size2D size = 2);
/// Bilinear interpolation between the centres of pixels (pixel i has its centre at i + 0.5), constant beyond the
/// centres at the border: as Keras' UpSampling2D and PyTorch's interpolate with align_corners=False. Float32 or
/// Float64.
[[nodiscard]] Tensor upsample_bilinear(const Tensor& x, Size2D size = 2);

}  // namespace v0
}  // namespace tapegrad
