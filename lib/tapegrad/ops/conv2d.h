#pragma once

// Convolutions of images, their gradients, and the transposed convolution.

#include <optional>
#include <vector>

#include "tapegrad/base/window.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// The convolution conv2d, its transpose, and its gradients.
//
// The number <conv2d(x, w), y> is linear in each of x, w and y, so
//
//   <conv2d(x, w), y>  =  <x, conv2d_backprop_input(y, w)>  =  <w, conv2d_backprop_filter(x, y)>
//
// and each of the three functions is differentiated by the other two:
//
//   conv2d(x, w)                    dx: backprop_input(g, w)     dw: backprop_filter(x, g)
//   conv2d_backprop_input(dy, w)    ddy: conv2d(g, w)            dw: backprop_filter(g, dy)
//   conv2d_backprop_filter(x, dy)   dx: backprop_input(dy, g)    ddy: conv2d(x, g)
//
// In full they are conv2d_backprop_input(input_shape, w, dy) and conv2d_backprop_filter(x, filter_shape, dy).
//
// conv2d_transpose is conv2d_backprop_input under the name of the layer that uses it as its forward pass.
//
// Images are NHWC [batch, height, width, channels], filters HWIO [height, width, in / groups, out]. All
// functions take Float32 or Float64, and throw an Error that names the function, both shapes and the way out
// when their arguments do not fit together. As usual in deep learning the filter is not turned by 180 degrees: what is
// called convolution is a cross-correlation.
//
// Padded pixels are skipped, not multiplied by 0: a sum has a product only where a tap of the filter lies on a pixel of
// the image. So an infinity or NaN in a filter or in an output gradient reaches only results that share a pixel of the
// image with it, and one in a pixel that no tap reads reaches no result. This holds for all three functions, in Float32
// and Float64.

/// The convolution of images x with filters w: y[n, p, q, o] = sum over i, j, c of
/// x[n, p * stride + i * dilation - top, q * stride + j * dilation - left, c] * w[i, j, c, o].
/// Along each axis the result has floor((size + before + after - ke) / stride) + 1 pixels, ke = (k - 1)
/// dilation + 1; ceil(size / stride) for Same.
[[nodiscard]] Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2DOptions& options = {});

/// The gradient of sum(dy * conv2d(x, w)) with respect to x, where x has the shape input_shape. The gradient does not
/// depend on the values of x.
[[nodiscard]] Tensor conv2d_backprop_input(const Shape& input_shape, const Tensor& w, const Tensor& dy,
                                           const Conv2DOptions& options = {});

/// The gradient of sum(dy * conv2d(x, w)) with respect to w, where w has the shape filter_shape. The gradient does not
/// depend on the values of w.
[[nodiscard]] Tensor conv2d_backprop_filter(const Tensor& x, const Shape& filter_shape, const Tensor& dy,
                                            const Conv2DOptions& options = {});

/// The options of conv2d_transpose(). The first four are those of the conv2d that it transposes.
struct Conv2DTransposeOptions {
  Size2D strides = 1;  ///< pixels of the result between the filter's stamps of neighbouring pixels of x
  Padding padding = Padding::Valid;  ///< pixels cut off the result: the padding of the conv2d
  Size2D dilations = 1;              ///< pixels from one tap of the filter to the next
  index_t groups = 1;  ///< groups that the channels are split into; each has a filter of its own
  /// The result's shape: [height, width] or [batch, height, width, channels].
  std::optional<std::vector<index_t>> output_shape = std::nullopt;
  /// Pixels added to the smallest possible size (as in Keras and PyTorch), 0 to stride - 1. Not with output_shape.
  std::optional<Size2D> output_padding = std::nullopt;
};

/// The transposed convolution of x [n, h, w, in] with w [kh, kw, out / groups, in]: a result [n, height, width, out] of
/// such a size that conv2d with the same filter and options turns it back into x's shape. Every pixel of x stamps the
/// filter, times the pixel's value, onto the result; neighbouring stamps are `strides` pixels apart and add up.
///
/// Several sizes may lead back to x's shape. Without output_shape and output_padding the result has, with
/// ke = (k - 1) dilation + 1:
///   Same                in * stride
///   Valid               (in - 1) stride + max(ke, stride)
///   Full, Explicit      (in - 1) stride + ke - before - after
/// With output_padding p it has (in - 1) stride + ke + p pixels, minus 2 floor(ke / 2) for Same, minus the paddings for
/// Full and Explicit. A size that conv2d does not turn back into x's is an error that lists the possible sizes.
[[nodiscard]] Tensor conv2d_transpose(const Tensor& x, const Tensor& w,
                                      const Conv2DTransposeOptions& options = {});

/// What a fused convolution does besides the convolution.
struct FusedOptions {
  bool relu = false;  ///< apply relu() to the result
  /// The name for errors and for the tape, a string literal; nullptr for the name of the fused function.
  const char* op = nullptr;
};

/// conv2d(x, w, options) + bias, with relu() applied if fused.relu is set, in one pass over the result: what layers
/// compute. bias has one number for each channel of the result, or is undefined (no bias).
[[nodiscard]] Tensor fused_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                                  const FusedOptions& fused, const Conv2DOptions& options = {});
/// As fused_conv2d, of conv2d_transpose(x, w, options).
[[nodiscard]] Tensor fused_conv2d_transpose(const Tensor& x, const Tensor& w, const Tensor& bias,
                                            const FusedOptions& fused,
                                            const Conv2DTransposeOptions& options = {});

/// im2col: every window of x as a row of the result [n, out height, out width, kh * kw * channels], with zeros where
/// the window lies on padding. matmul(unfold(x), w reshaped to [kh * kw * channels, out]) is conv2d(x, w).
/// Differentiable; options.groups must be 1.
[[nodiscard]] Tensor unfold(const Tensor& x, Size2D kernel_size, const Conv2DOptions& options = {});
/// The adjoint of unfold: adds every window back onto the image of this shape.
[[nodiscard]] Tensor fold(const Tensor& columns, const Shape& input_shape, Size2D kernel_size,
                          const Conv2DOptions& options = {});

/// All sizes of conv2d(x, w), given the shapes of x and w: the result's size, and the padding on each side. Throws as
/// conv2d().
[[nodiscard]] Conv2DGeometry conv2d_geometry(const Shape& x, const Shape& w,
                                             const Conv2DOptions& options = {});

/// The convolution of one image written as a matrix C, [out_h * out_w * out_channels, in_h * in_w * in_channels]: with
/// x flattened, conv2d(x, w) = C x and dx = C^T dy. Built entry by entry from the definition, for learning and testing;
/// geometry is conv2d_geometry(x, w, options) (its batch is ignored). Not differentiable.
[[nodiscard]] Tensor conv2d_matrix(const Tensor& w, const Conv2DGeometry& geometry);

// Conversions from and to the layouts of other systems. Each permutes the axes as its name says.

[[nodiscard]] Tensor nhwc_to_nchw(const Tensor& images);
[[nodiscard]] Tensor nchw_to_nhwc(const Tensor& images);
/// TensorFlow's filter [kh, kw, in, out] to PyTorch's Conv2d.weight [out, in, kh, kw], and back.
[[nodiscard]] Tensor hwio_to_oihw(const Tensor& filter);
[[nodiscard]] Tensor oihw_to_hwio(const Tensor& filter);
/// TensorFlow's filter of a transposed convolution [kh, kw, out, in] to PyTorch's ConvTranspose2d.weight
/// [in, out, kh, kw], and back (with groups, out stands for out / groups in both).
[[nodiscard]] Tensor hwoi_to_iohw(const Tensor& filter);
[[nodiscard]] Tensor iohw_to_hwoi(const Tensor& filter);
/// A filter [kh, kw, ...] turned by 180 degrees: both of its first axes reversed.
[[nodiscard]] Tensor rot180(const Tensor& filter);

}  // namespace v0
}  // namespace tapegrad
