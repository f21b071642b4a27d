#pragma once

// Pooling of images: the largest or the mean pixel of windows, or of whole images.

#include <optional>

#include "tapegrad/base/window.h"
#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct Pool2DOptions {
  Size2D pool_size = 2;  ///< height and width of the windows
  /// As pool_size if not given.
  std::optional<Size2D> strides = std::nullopt;
  Padding padding = Padding::Valid;  ///< pixels around the image, which count for nothing
};

// Images are NHWC, Float32 or Float64; results have the sizes of a convolution with a filter of pool_size.
// Padding is not there: it is never the largest, and it does not count in a mean. Throws when x has not four
// axes, or when a window has no pixel.

/// The largest pixel of each window, channel by channel. Where pixels are equal the gradient goes to the
/// first in row order (global_max_pool2d shares it among them).
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const Pool2DOptions& options = {});
/// The mean of each window's pixels.
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const Pool2DOptions& options = {});

/// The largest pixel, and the mean of all pixels, of each channel of each image: [n, h, w, c] -> [n, c], or
/// [n, 1, 1, c] if options.keepdims is set. Pixels that share the largest value share its
/// gradient equally, as in max().
[[nodiscard]] Tensor global_max_pool2d(const Tensor& x, const ReduceOptions& options = {});
[[nodiscard]] Tensor global_avg_pool2d(const Tensor& x, const ReduceOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
