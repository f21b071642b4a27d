#pragma once

#include <vector>

#include "tapegrad/tapegrad.h"

namespace conv2d_explained {

namespace tg = tapegrad;
using tg::index_t;

// What several sections share: arrays of the worked examples, and the recipes that turn one convolution into
// another.

/// A plane [h, w] as an image [1, h, w, 1].
tg::Tensor as_image(const tg::Tensor& plane);
/// A plane [h, w] as a filter [h, w, 1, 1].
tg::Tensor as_filter(const tg::Tensor& plane);

/// A worked example: conv2d_transpose of the image x with the filter w is y.
struct Example {
  tg::Tensor x, w, y;
};
/// 3x3 to 6x6 with a 2x2 filter and stride 2.
Example upsampling_example();
/// ConvTranspose2d of a 2x2 map with a 3x3 kernel and stride 1; the result is PyTorch's.
Example torch_example();
/// 2x2 to 5x5 with a 3x3 filter, stride 2 and padding VALID.
Example overlapping_example();

/// The image [4, 3, 3], channels first.
tg::Tensor four_channel_input();
/// The kernels [2, 4, 3, 3]: out, in, rows, columns.
tg::Tensor four_channel_kernels();
/// The result [2, 6, 6], channels first.
tg::Tensor four_channel_result();

/// Random whole numbers from low to high: small enough that every sum of products below is exact.
tg::Tensor random_integers(const tg::Shape& shape, index_t low, index_t high, tg::Generator& generator);

/// Whether all of them are equal, element by element.
bool all_equal(const std::vector<tg::Tensor>& tensors);

/// The sum of all products of corresponding elements.
double inner_product(const tg::Tensor& a, const tg::Tensor& b);

/// The stamp of x's pixel (i, j): the filter w times its value, where it lies on the result of the transposed
/// convolution (VALID, one channel), zeros elsewhere.
tg::Tensor stamp(const tg::Tensor& x, const tg::Tensor& w, index_t i, index_t j, index_t stride);

/// The filter [kh, kw, a, b] as [kh, kw, b, a].
tg::Tensor swap_channels(const tg::Tensor& w);

/// A transposed convolution as a plain one: stride - 1 zeros between x's pixels, zeros around them, the
/// filter turned by 180 degrees with its channels exchanged, and conv2d with stride 1.
tg::Tensor four_steps(const tg::Tensor& x, const tg::Tensor& w, index_t stride, const tg::Padding& margins);

/// The zeros around in step 2, for the transpose of any conv2d: after k - 1 on every side a pixel meets the
/// whole filter; the conv2d's own padding is cut off again.
tg::Padding margins_of(const tg::Conv2DGeometry& conv);

/// The gradient of conv2d with respect to its filter as a plain conv2d with the roles changed: the images'
/// channels become images, dy becomes the filter, and strides become dilations.
tg::Tensor filter_gradient_by_conv2d(const tg::Tensor& x, const tg::Shape& filter_shape, const tg::Tensor& dy,
                                     const tg::Conv2DOptions& options);

}  // namespace conv2d_explained
