#pragma once

// The options of windows that slide over images (convolutions and pooling), and the sizes that follow from them.

#include <array>
#include <ostream>
#include <string>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A height and a width, in pixels; a single number stands for both.
struct Size2D {
  index_t height = 1, width = 1;

  constexpr Size2D() = default;
  constexpr Size2D(index_t both) : height(both), width(both) {}
  constexpr Size2D(index_t rows, index_t columns) : height(rows), width(columns) {}
  friend bool operator==(const Size2D&, const Size2D&) = default;
};

/// How many pixels of padding surround an image that is convolved. Padding counts as zero: kernels skip padded pixels
/// instead of multiplying by 0.
///   Valid     no padding.
///   Same      as in TensorFlow: the result has ceil(size / stride) pixels along each axis; an odd pixel of padding is
///             at the bottom or right.
///   Full      dilation * (kernel - 1) pixels on every side: one result for every place where filter and image overlap.
///   Explicit  the number of pixels that is given for each side.
class Padding {
 public:
  enum class Kind { Valid, Same, Full, Explicit };
  static const Padding Valid, Same, Full;
  /// Throws when a side is negative.
  [[nodiscard]] static Padding Explicit(index_t top, index_t bottom, index_t left, index_t right);
  /// The same on all four sides, as in PyTorch's padding=n; {rows, columns}, as in its padding=(h, w).
  [[nodiscard]] static Padding Explicit(Size2D both_sides);

  constexpr Kind kind() const { return kind_; }
  /// The pixels of Explicit before and after the image, along the height (axis 0) or the width (axis 1); 0 for the
  /// other kinds.
  index_t before(int axis) const { return sides_[2 * static_cast<std::size_t>(axis)]; }
  index_t after(int axis) const { return sides_[2 * static_cast<std::size_t>(axis) + 1]; }
  /// "VALID", "SAME", "FULL" or "EXPLICIT{1,1,0,2}".
  std::string str() const;

 private:
  constexpr explicit Padding(Kind kind) : kind_(kind) {}
  Kind kind_;
  std::array<index_t, 4> sides_{};  // top, bottom, left, right
};
inline constexpr Padding Padding::Valid{Padding::Kind::Valid};
inline constexpr Padding Padding::Same{Padding::Kind::Same};
inline constexpr Padding Padding::Full{Padding::Kind::Full};
/// Writes padding.str().
inline std::ostream& operator<<(std::ostream& stream, const Padding& padding) {
  return stream << padding.str();
}

/// The options of a convolution.
struct Conv2DOptions {
  Size2D strides = 1;                ///< pixels from one window to the next
  Padding padding = Padding::Valid;  ///< zeros around the image
  Size2D dilations = 1;              ///< pixels from one tap of the filter to the next
  index_t groups = 1;  ///< groups that the channels are split into; each has a filter of its own
};

/// A convolution with all sizes known. Images are NHWC, filters [kernel_h, kernel_w, in_channels / groups,
/// out_channels]. "in" and "out" are the input and the result of conv2d. The gradients and the transposed convolution
/// take the geometry of the conv2d that they belong to.
struct Conv2DGeometry {
  index_t batch = 0;
  index_t in_h = 0, in_w = 0, in_channels = 0;
  index_t out_h = 0, out_w = 0, out_channels = 0;
  index_t kernel_h = 0, kernel_w = 0;
  index_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  index_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  index_t groups = 1;

  friend bool operator==(const Conv2DGeometry&, const Conv2DGeometry&) = default;

  index_t group_in() const { return in_channels / groups; }
  index_t group_out() const { return out_channels / groups; }
  /// The number of products whose sum is one output element.
  index_t window() const { return kernel_h * kernel_w * group_in(); }

  Shape in_shape() const { return {batch, in_h, in_w, in_channels}; }
  Shape out_shape() const { return {batch, out_h, out_w, out_channels}; }
  Shape filter_shape() const { return {kernel_h, kernel_w, group_in(), out_channels}; }
};

}  // namespace v0
}  // namespace tapegrad
