#pragma once

// Internal: the attributes that convolutions and pooling of ONNX share.

#include "tapegrad/base/window.h"
#include "tapegrad/exchange/onnx_node_internal.h"

namespace tapegrad::inline v0::onnx {

/// Strides, dilations and pads of a window. A model with one spatial axis has a window of height 1.
class Window {
 public:
  explicit Window(const Node& node);

  /// The pads of each spatial axis, for an image of this size: what auto_pad says, and what ceil_mode adds at the end.
  struct Pads {
    index_t before[2] = {0, 0}, after[2] = {0, 0};
    Padding padding() const { return Padding::Explicit(before[0], after[0], before[1], after[1]); }
    bool any() const { return before[0] + before[1] + after[0] + after[1] > 0; }
  };
  Pads pads(Size2D image, Size2D kernel, bool ceil_mode = false) const;

  Size2D strides = 1, dilations = 1;
  std::optional<Size2D> kernel;  ///< kernel_shape, if the node says it
  std::string auto_pad;
  Pads given;  ///< by the attribute pads
};

/// One or two numbers, one for each spatial axis, as height and width.
Size2D as_size(const Node& node, std::string_view what, const std::vector<std::int64_t>& numbers);

/// An image [n, h, w, c] of a value of rank 4, or of rank 3 with the height 1.
Tensor image_of(const Value& x);
/// The value of an image that image_of() made of x's like.
Value value_of_image(const Tensor& image, const Value& x);

}  // namespace tapegrad::inline v0::onnx
