#pragma once

// Images made larger.

#include "tapegrad/base/window.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Images NHWC made `size` times as high and wide. Throws when x has not four axes, or for a size below 1.

/// Every pixel becomes a block of equal ones.
[[nodiscard]] Tensor upsample_nearest(const Tensor& x, Size2D size = 2);
/// Linear between the centres of neighbouring pixels, which lie at + 0.5, and constant outside of them: as
/// Keras' UpSampling2D and PyTorch's interpolate with align_corners=False. Float32 or Float64.
[[nodiscard]] Tensor upsample_bilinear(const Tensor& x, Size2D size = 2);

}  // namespace v0
}  // namespace tapegrad
