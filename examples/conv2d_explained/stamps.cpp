#include <fmt/format.h>

#include "recipes.h"
#include "sections.h"

namespace conv2d_explained {

void one_stamp(Lesson& lesson) {
  const tg::Tensor x = as_image(tg::tensor({{1.5}}));
  const tg::Tensor w = as_filter(tg::tensor({{1, 2}, {3, 4}}));
  lesson.say("An image of a single pixel, and a filter of 2 x 2:");
  lesson.show("x", x);
  lesson.show("w", w);

  const tg::Tensor y = tg::conv2d_transpose(x, w);
  lesson.say("The pixel stamps the filter, times its own value, onto the result:");
  lesson.show("y = conv2d_transpose(x, w)", y);
  lesson.check("y is 1.5 w", tg::equal(y, tg::reshape(1.5 * w, y.shape())));

  const tg::Tensor back = tg::conv2d(y, w);
  lesson.say(
      "conv2d goes the other way: it lays the filter on a window, multiplies, and adds up to one "
      "number. It leads back to the shape of x, but not to its value: the transpose is not the inverse, "
      "which is why 'deconvolution' is a misleading name.");
  lesson.show("conv2d(y, w)", back);
  lesson.check("it has the shape of x", back.shape() == x.shape());
  lesson.check("it is 1.5 (1 + 4 + 9 + 16) = 45, not 1.5", back.item() == 45);
}

void side_by_side(Lesson& lesson) {
  const auto [x, w, expected] = upsampling_example();
  lesson.show("x", x);
  lesson.show("w", w);
  lesson.say(
      "Every pixel stamps. The stride says how far apart: pixel (i, j) stamps from (2 i, 2 j) on. As "
      "the filter is as wide as the stride, the stamps lie side by side, and the image grows to twice "
      "its size:");

  const tg::Tensor y = tg::conv2d_transpose(
      x, w, {.strides = 2, .padding = tg::Padding::Same, .output_shape = {{1, 6, 6, 1}}});
  lesson.show("conv2d_transpose(x, w), stride 2, SAME", y);
  lesson.check("equal to the result that TensorFlow prints", tg::equal(y, expected));
  lesson.check("VALID gives the same (nothing overlaps, so there is nothing to cut off)",
               tg::equal(tg::conv2d_transpose(x, w, {.strides = 2}), y));
}

void nearest_neighbour(Lesson& lesson) {
  const tg::Tensor x = as_image(tg::tensor({{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11, 12, 13, 14}}));
  lesson.show("x", x);
  lesson.say("A stamp of ones repeats the pixel. This is the layer, with its kernel set to ones:");

  tg::Generator generator(1);
  tg::Conv2DTranspose layer({.in_channels = 1, .filters = 64, .kernel_size = 2, .strides = 2}, generator);
  layer.kernel = tg::parameter(tg::ones({2, 2, 64, 1}));
  const tg::Tensor y = layer(x);
  const tg::Tensor first_channel = tg::slice(y, {{}, {}, {}, {0, 1}});
  lesson.show("the first of 64 channels of Conv2DTranspose(64, (2, 2), strides=(2, 2))", first_channel);

  const tg::Tensor expected = as_image(tg::tensor({{0, 0, 1, 1, 2, 2, 3, 3, 4, 4},
                                                   {0, 0, 1, 1, 2, 2, 3, 3, 4, 4},
                                                   {5, 5, 6, 6, 7, 7, 8, 8, 9, 9},
                                                   {5, 5, 6, 6, 7, 7, 8, 8, 9, 9},
                                                   {10, 10, 11, 11, 12, 12, 13, 13, 14, 14},
                                                   {10, 10, 11, 11, 12, 12, 13, 13, 14, 14}}));
  lesson.check("equal to the result that TensorFlow prints", tg::equal(first_channel, expected));
  lesson.check("all 64 channels are the same", tg::equal(y, tg::broadcast_to(first_channel, {1, 6, 10, 64})));
}

void overlapping_stamps(Lesson& lesson) {
  const auto [x, w, expected] = overlapping_example();
  lesson.show("x", x);
  lesson.show("w", w);
  lesson.say(
      "The stride is 2 but the filter is 3 wide: neighbouring stamps share a row or a column. Where "
      "they overlap, they add up.");

  tg::Tensor total = tg::zeros(expected.shape());
  for (index_t i = 0; i < 2; ++i)
    for (index_t j = 0; j < 2; ++j) {
      const tg::Tensor one = stamp(x, w, i, j, 2);
      lesson.show(fmt::format("the stamp of x[{}, {}] = {}", i, j, x.at({0, i, j, 0})), one);
      total = total + one;
    }
  const tg::Tensor y = tg::conv2d_transpose(
      x, w, {.strides = 2, .padding = tg::Padding::Valid, .output_shape = {{1, 5, 5, 1}}});
  lesson.show("conv2d_transpose(x, w), stride 2, VALID", y);
  lesson.check("equal to the result that TensorFlow prints", tg::equal(y, expected));
  lesson.check("equal to the sum of the four stamps", tg::equal(y, total));

  lesson.say(
      "So why 67? Only the first stamp covers the first element, and it does so with its own first tap: "
      "-67 times -1. The expected 603 = -67 times -9 is the last tap of the same stamp. It lies in the "
      "middle, where all four stamps meet:");
  lesson.check("y[0, 0] = -67 * -1 = 67", y.at({0, 0, 0, 0}) == x.at({0, 0, 0, 0}) * w.at({0, 0, 0, 0}));
  lesson.check("y[2, 2] = 603 + 539 + 351 + 127 = 1620",
               y.at({0, 2, 2, 0}) == -67 * -9 + -77 * -7 + -117 * -3 + -127 * -1);

  lesson.say(
      "And why does the filter look turned when one slides it? A figure with a sliding filter is "
      "another way to compute the same: zeros between and around the pixels, then a plain conv2d. At "
      "the first position its window holds -67 in its last corner. If the filter is turned first, its "
      "first tap, -1, lies there:");
  const tg::Tensor spaced = tg::pad(tg::zero_insert(x, {0, 1, 1, 0}), {{}, {2, 2}, {2, 2}, {}});
  lesson.show("x with zeros between and around", spaced);
  lesson.check("conv2d of it with the turned filter is the same result",
               tg::equal(tg::conv2d(spaced, tg::rot180(w)), y));
  lesson.check("with the filter not turned, the first element would be 603",
               tg::conv2d(spaced, w).at({0, 0, 0, 0}) == 603);
}

}  // namespace conv2d_explained
