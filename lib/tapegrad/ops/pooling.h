#pragma once

// Pooling of images: the maximum or the mean of windows, or of whole images.

#include <optional>

#include "tapegrad/base/window.h"
#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The options of max_pool2d() and avg_pool2d().
struct Pool2DOptions {
  Size2D pool_size = 2;  ///< height and width of the windows
  /// Pixels from one window to the next; pool_size if it is not set.
  std::optional<Size2D> strides = std::nullopt;
  Padding padding = Padding::Valid;  ///< pixels around the image, which no window takes into account
};

// Images are NHWC, Float32 or Float64; results have the sizes of a convolution with a filter of pool_size. Padded
// pixels are ignored: they are never the maximum, and do not count in a mean. Throws unless x has four axes, and when a
// window lies on padding only.

/// The maximum of each window, channel by channel. Where several pixels are the maximum, the gradient goes to the first
/// of them in row-major order (in global_max_pool2d they share it).
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const Pool2DOptions& options = {});
/// The mean of each window's pixels.
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const Pool2DOptions& options = {});

/// The maximum, and the mean, of all pixels of each channel of each image: [n, h, w, c] -> [n, c], or [n, 1, 1, c] if
/// options.keepdims is set. Where several pixels are the maximum, they share the gradient equally, as in max().
[[nodiscard]] Tensor global_max_pool2d(const Tensor& x, const ReduceOptions& options = {});
[[nodiscard]] Tensor global_avg_pool2d(const Tensor& x, const ReduceOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
