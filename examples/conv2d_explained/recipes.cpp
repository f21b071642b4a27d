#include "recipes.h"

#include <algorithm>

namespace conv2d_explained {

tg::Tensor as_image(const tg::Tensor& plane) {
  return tg::reshape(plane, {1, plane.shape()[0], plane.shape()[1], 1});
}

tg::Tensor as_filter(const tg::Tensor& plane) {
  return tg::reshape(plane, {plane.shape()[0], plane.shape()[1], 1, 1});
}

Example upsampling_example() {
  return {.x = as_image(tg::tensor({{0, 0, 1.5}, {0, 1, 0}, {0, 0, 0}})),
          .w = as_filter(tg::tensor({{1, 2}, {3, 4}})),
          .y = as_image(tg::tensor({{0, 0, 0, 0, 1.5, 3},
                                    {0, 0, 0, 0, 4.5, 6},
                                    {0, 0, 1, 2, 0, 0},
                                    {0, 0, 3, 4, 0, 0},
                                    {0, 0, 0, 0, 0, 0},
                                    {0, 0, 0, 0, 0, 0}}))};
}

Example torch_example() {
  return {.x = as_image(tg::tensor({{1, 0}, {2, 1}})),
          .w = as_filter(tg::tensor({{1, 0, 1}, {0, 1, 1}, {1, 0, 0}})),
          .y = as_image(tg::tensor({{1, 0, 1, 0}, {2, 2, 3, 1}, {1, 2, 3, 1}, {2, 1, 0, 0}}))};
}

Example overlapping_example() {
  return {.x = as_image(tg::tensor({{-67, -77}, {-117, -127}})),
          .w = as_filter(tg::tensor({{-1, 2, -3}, {4, -5, 6}, {-7, 8, -9}})),
          .y = as_image(tg::tensor({{67, -134, 278, -154, 231},
                                    {-268, 335, -710, 385, -462},
                                    {586, -770, 1620, -870, 1074},
                                    {-468, 585, -1210, 635, -762},
                                    {819, -936, 1942, -1016, 1143}}))};
}

tg::Tensor four_channel_input() {
  return tg::tensor({{{1, 0, 1}, {0, 2, 1}, {1, 1, 0}},
                     {{2, 0, 2}, {0, 1, 0}, {1, 0, 0}},
                     {{1, 1, 1}, {2, 2, 0}, {1, 1, 1}},
                     {{1, 1, 2}, {1, 0, 1}, {0, 2, 2}}});
}

tg::Tensor four_channel_kernels() {
  return tg::tensor({{{{1, 0, 1}, {-1, 1, 0}, {0, -1, 0}},
                      {{-1, 0, 1}, {0, 0, 1}, {1, 1, 1}},
                      {{0, 1, 1}, {2, 0, 1}, {1, 2, 1}},
                      {{1, 1, 1}, {0, 2, 1}, {1, 0, 1}}},
                     {{{1, 0, 2}, {-2, 1, 1}, {1, -1, 0}},
                      {{-1, 0, 1}, {-1, 2, 1}, {1, 1, 1}},
                      {{0, 0, 0}, {2, 2, 1}, {1, -1, 1}},
                      {{2, 1, 1}, {0, -1, 1}, {1, 1, 1}}}});
}

tg::Tensor four_channel_result() {
  return tg::tensor({{{4, 3, 6, 2, 7, 3},
                      {4, 3, 3, 2, 7, 5},
                      {8, 6, 8, 5, 11, 2},
                      {3, 2, 7, 2, 3, 3},
                      {5, 5, 11, 3, 9, 3},
                      {2, 1, 4, 5, 4, 4}},
                     {{4, 1, 7, 0, 7, 2},
                      {5, 6, 0, 1, 8, 5},
                      {8, 0, 8, -2, 14, 2},
                      {3, 3, 9, 8, 1, 0},
                      {3, 0, 13, 0, 11, 2},
                      {3, 5, 3, 1, 3, 0}}});
}

tg::Tensor random_integers(const tg::Shape& shape, index_t low, index_t high, tg::Generator& generator) {
  tg::Tensor x = tg::zeros(shape);
  for (float& value : x.mutable_values<float>())
    value = static_cast<float>(
        low + static_cast<index_t>(generator.integer(static_cast<std::uint64_t>(high - low + 1))));
  return x;
}

bool all_equal(const std::vector<tg::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [&](const tg::Tensor& x) { return tg::equal(x, tensors.front()); });
}

double inner_product(const tg::Tensor& a, const tg::Tensor& b) {
  return tg::sum(a * b).item();
}

tg::Tensor stamp(const tg::Tensor& x, const tg::Tensor& w, index_t i, index_t j, index_t stride) {
  const index_t rows = x.shape()[1], columns = x.shape()[2];
  const tg::Tensor scaled = w * x.at({0, i, j, 0});
  return tg::pad(tg::reshape(scaled, {1, w.shape()[0], w.shape()[1], 1}),
                 {{}, {i * stride, (rows - 1 - i) * stride}, {j * stride, (columns - 1 - j) * stride}, {}});
}

tg::Tensor swap_channels(const tg::Tensor& w) {
  return tg::permute(w, {0, 1, 3, 2});
}

tg::Tensor four_steps(const tg::Tensor& x, const tg::Tensor& w, index_t stride, const tg::Padding& margins) {
  const tg::Tensor spaced = tg::zero_insert(x, {0, stride - 1, stride - 1, 0});
  const tg::Tensor turned = tg::rot180(w);
  return tg::conv2d(spaced, swap_channels(turned), {.padding = margins});
}

tg::Padding margins_of(const tg::Conv2DGeometry& conv) {
  // After the last pixel there is room for what the last window does not reach.
  const auto after = [](index_t size, index_t before, index_t pixels, index_t stride) {
    return size + before - (pixels - 1) * stride - 1;
  };
  return tg::Padding::Explicit(
      conv.kernel_h - 1 - conv.pad_top, after(conv.in_h, conv.pad_top, conv.out_h, conv.stride_h),
      conv.kernel_w - 1 - conv.pad_left, after(conv.in_w, conv.pad_left, conv.out_w, conv.stride_w));
}

tg::Tensor filter_gradient_by_conv2d(const tg::Tensor& x, const tg::Shape& filter_shape, const tg::Tensor& dy,
                                     const tg::Conv2DOptions& options) {
  const tg::Conv2DGeometry g = tg::conv2d_geometry(x.shape(), filter_shape, options);
  const tg::Tensor images = tg::permute(x, {3, 1, 2, 0});    // [in, h, w, n]
  const tg::Tensor filters = tg::permute(dy, {1, 2, 0, 3});  // [out_h, out_w, n, out]
  const tg::Tensor dw =
      tg::conv2d(images, filters,
                 {.padding = tg::Padding::Explicit(g.pad_top, g.pad_bottom, g.pad_left, g.pad_right),
                  .dilations = options.strides});
  // The last pixels of x, which no window reached, have made it too large.
  return tg::slice(tg::permute(dw, {1, 2, 0, 3}), {{0, g.kernel_h}, {0, g.kernel_w}});
}

}  // namespace conv2d_explained
