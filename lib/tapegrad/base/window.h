#pragma once

// What users say about windows that slide over images, for convolutions and poolings, and all sizes that follow from it.

#include <array>
#include <string>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A number for the rows and one for the columns; a single number stands for both.
struct Size2D {
  index_t height = 1, width = 1;

  constexpr Size2D() = default;
  constexpr Size2D(index_t both) : height(both), width(both) {}
  constexpr Size2D(index_t rows, index_t columns) : height(rows), width(columns) {}
  friend bool operator==(const Size2D&, const Size2D&) = default;
};

/// How much padding surrounds an image before it is convolved. Padding counts as zero and is skipped, never multiplied.
///   Valid     none.
///   Same      as TensorFlow: the result has ceil(size / stride) pixels; the odd pixel of padding goes after.
///   Full      kernel - 1 (dilated) on every side: wherever filter and image overlap at all.
///   Explicit  as given.
class Padding {
 public:
  enum class Kind { Valid, Same, Full, Explicit };
  static const Padding Valid, Same, Full;
  /// Throws when a side is negative.
  [[nodiscard]] static Padding Explicit(index_t top, index_t bottom, index_t left, index_t right);
  /// The same on all four sides, as in PyTorch's padding=n; {rows, columns}, as in its padding=(h, w).
  [[nodiscard]] static Padding Explicit(Size2D both_sides);

  constexpr Kind kind() const { return kind_; }
  /// Only of Explicit: before and after, along rows (0) or columns (1).
  index_t before(int axis) const { return sides_[static_cast<std::size_t>(2 * axis)]; }
  index_t after(int axis) const { return sides_[static_cast<std::size_t>(2 * axis + 1)]; }
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

/// What a convolution needs to be told besides its tensors.
struct Conv2DOptions {
  Size2D strides = 1;                ///< pixels from one window to the next
  Padding padding = Padding::Valid;  ///< zeros around the image
  Size2D dilations = 1;              ///< pixels from one tap of the filter to the next
  index_t groups = 1;                ///< channels are cut into as many groups, each with a filter of its own
};

/// A convolution with all sizes known. Images are NHWC, filters [kernel_h, kernel_w, in_channels / groups,
/// out_channels]. "in" and "out" are those of conv2d; its gradients, and the transposed convolution, take the
/// same struct and go the other way.
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
  /// Multiplications that make one output element.
  index_t window() const { return kernel_h * kernel_w * group_in(); }

  Shape in_shape() const { return {batch, in_h, in_w, in_channels}; }
  Shape out_shape() const { return {batch, out_h, out_w, out_channels}; }
  Shape filter_shape() const { return {kernel_h, kernel_w, group_in(), out_channels}; }
};

}  // namespace v0
}  // namespace tapegrad
