#include <fmt/format.h>

#include "recipes.h"
#include "sections.h"

namespace conv2d_explained {
namespace {

// Shows the message with which a call is refused.
template <class Call>
void check_refused(Lesson& lesson, const char* claim, const Call& call) {
  bool refused = false;
  try {
    call();
  } catch (const tg::Error& error) {
    refused = true;
    lesson.say(error.what());
  }
  lesson.check(claim, refused);
}

void even_kernels(Lesson& lesson) {
  lesson.say(
      "'A simple case, but the same reasoning applies to the others.' Only for odd kernels and stride "
      "1. SAME puts the odd pixel of padding after the image; for an even kernel the transpose needs it "
      "before.");
  const tg::Tensor x = as_image(tg::tensor({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}));
  const tg::Tensor w = as_filter(tg::tensor({{1, 2}, {3, 4}}));
  const tg::Tensor y = tg::conv2d_transpose(x, w, {.padding = tg::Padding::Same});
  const tg::Tensor recipe = tg::conv2d(x, tg::rot180(w), {.padding = tg::Padding::Same});
  const tg::Tensor mended = tg::conv2d(x, tg::rot180(w), {.padding = tg::Padding::Explicit(1, 0, 1, 0)});
  lesson.show("conv2d_transpose(x, w), SAME, of x = 1 ... 9 and w = 1 ... 4", y);
  lesson.show("conv2d(x, rot180(w)), SAME", recipe);
  lesson.check("they differ", !tg::equal(y, recipe));
  lesson.check("with one pixel of padding before instead of after they are equal", tg::equal(y, mended));
}

void compared_as_whole_numbers(Lesson& lesson) {
  lesson.say(
      "A script that is often recommended compares the two results after a cast to whole numbers. Differences below 1 "
      "disappear: here the filter was not even turned.");
  const tg::Tensor x = as_image(tg::tensor({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}));
  const tg::Tensor w = as_filter(tg::tensor({{0.01, 0, 0}, {0, 0.02, 0}, {0, 0, 0.03}}));
  const tg::Tensor right = tg::conv2d_transpose(x, w, {.padding = tg::Padding::Same});
  const tg::Tensor wrong = tg::conv2d(x, w, {.padding = tg::Padding::Same});
  lesson.show("conv2d_transpose(x, w)", right);
  lesson.show("conv2d(x, w)", wrong);
  lesson.check("they differ", !tg::equal(right, wrong));
  lesson.check("cast to whole numbers they are equal",
               tg::equal(tg::cast(right, tg::DType::Int32), tg::cast(wrong, tg::DType::Int32)));
}

void several_channels_and_images(Lesson& lesson) {
  lesson.say(
      "'d_x = conv2d(d_out, rot180(w), FULL)', 'd_w = conv2d(x, d_out, VALID)': for one channel, one "
      "image, stride 1 and VALID.");
  tg::Generator generator(5);
  const tg::Tensor w = random_integers({2, 2, 2, 2}, -3, 3, generator);
  const tg::Tensor dy = random_integers({1, 3, 3, 2}, -3, 3, generator);
  const tg::Tensor dx = tg::conv2d_backprop_input({1, 4, 4, 2}, w, dy);
  const tg::Conv2DOptions full{.padding = tg::Padding::Full};
  lesson.check("two channels: d_x by the formula is wrong",
               !tg::equal(tg::conv2d(dy, tg::rot180(w), full), dx));
  lesson.check("with the channels of w exchanged it is right",
               tg::equal(tg::conv2d(dy, swap_channels(tg::rot180(w)), full), dx));

  const tg::Tensor images = random_integers({2, 4, 4, 1}, -3, 3, generator);
  const tg::Tensor dys = random_integers({2, 3, 3, 1}, -3, 3, generator);
  const tg::Tensor as_filters = tg::permute(dys, {1, 2, 3, 0});
  const tg::Tensor formula = tg::conv2d(images, as_filters);
  const tg::Tensor dw = tg::conv2d_backprop_filter(images, {2, 2, 1, 1}, dys);
  lesson.say(
      "Two images: the formula combines every image with every d_out. The right d_w is the sum over the images, each with "
      "its own d_out; so images and channels must be exchanged, as conv2d sums over channels.");
  lesson.check(fmt::format("d_w by the formula has the shape {} instead of {}", formula.shape().str(),
                           dw.shape().str()),
               formula.shape() != dw.shape());
  lesson.check("with images and channels exchanged it is right",
               tg::equal(filter_gradient_by_conv2d(images, {2, 2, 1, 1}, dys, {}), dw));
}

void default_initializer(Lesson& lesson) {
  lesson.say(
      "'What exactly does Conv2DTranspose(64, (2, 2), strides=(2, 2)) do?' Nearest-neighbour upsampling "
      "only with a kernel of ones and a bias of zero. The kernel of a new layer is random (Glorot uniform).");
  const tg::Tensor x = as_image(tg::tensor({{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9}, {10, 11, 12, 13, 14}}));
  const tg::Tensor nearest = tg::conv2d_transpose(x, tg::ones({2, 2, 64, 1}), {.strides = 2});
  tg::Generator generator(1);
  tg::Conv2DTranspose layer({.in_channels = 1, .filters = 64, .kernel_size = 2, .strides = 2}, generator);
  const tg::Tensor fresh = layer(x);
  lesson.show("a fresh layer's result: the first channel, upper left corner",
              tg::slice(fresh, {{}, {0, 4}, {0, 4}, {0, 1}}));
  lesson.check("it is not nearest-neighbour upsampling", !tg::equal(fresh, nearest));
  layer.kernel = tg::parameter(tg::ones(layer.kernel.shape()));
  lesson.check("with a kernel of ones it is", tg::equal(layer(x), nearest));
  layer.bias = tg::parameter(tg::ones(layer.bias.shape()));
  lesson.check("with a bias of 1 it is not any more", !tg::equal(layer(x), nearest));
}

void strides_need_zeros(Lesson& lesson) {
  lesson.say(
      "'It just transposes the weights and turns them by 180 degrees, then applies the standard "
      "conv2d.' Not for strides above 1: conv2d with stride 2 makes the image smaller, and zeros are "
      "needed in between.");
  const auto [x, w, y] = upsampling_example();
  const tg::Tensor recipe =
      tg::conv2d(x, swap_channels(tg::rot180(w)), {.strides = 2, .padding = tg::Padding::Same});
  lesson.check(fmt::format("by the recipe the result of upsampling is {}, not {}", recipe.shape().str(),
                           y.shape().str()),
               recipe.shape() != y.shape());
  lesson.check("with zeros between and around it is right",
               tg::equal(four_steps(x, w, 2, tg::Padding::Explicit(1)), y));
}

void channels_are_last(Lesson& lesson) {
  lesson.say(
      "A listing of this example shows TensorFlow's result as 2 x 6 x 6. The numbers are right, but "
      "conv2d_transpose returns [1, 6, 6, 2], channels last: printing it shows pairs.");
  const tg::Tensor x = tg::nchw_to_nhwc(tg::reshape(four_channel_input(), {1, 4, 3, 3}));
  const tg::Tensor w = tg::rot180(tg::permute(four_channel_kernels(), {2, 3, 0, 1}));
  const tg::Tensor y = tg::conv2d_transpose(x, w, {.strides = 2, .padding = tg::Padding::Same});
  lesson.show("the first row of the result", tg::row(tg::row(y, 0), 0));
  lesson.check("the shape is [1, 6, 6, 2]", y.shape() == tg::Shape{1, 6, 6, 2});
  lesson.check("channels first, it is the listing",
               tg::equal(tg::row(tg::nhwc_to_nchw(y), 0), four_channel_result()));
}

void margins_depend_on_the_size(Lesson& lesson) {
  lesson.say(
      "Zeros around, then drop the last row and column: right for a 3 x 3 kernel, stride 2, SAME and "
      "twice the size. 5 x 5 is a size that SAME leads back from too (5 / 2, rounded up, is 3), and "
      "there it is the first row and column that must go: everything shifts by one pixel.");
  tg::Generator generator(7);
  const tg::Tensor x = random_integers({1, 3, 3, 1}, 1, 9, generator);
  const tg::Tensor w = random_integers({3, 3, 1, 1}, 1, 9, generator);
  const auto of_size = [&](index_t size) {
    return tg::conv2d_transpose(x, w,
                                {.strides = 2, .padding = tg::Padding::Same, .output_shape = {{size, size}}});
  };
  const tg::Tensor small = of_size(5), large = of_size(6);
  lesson.show("output_shape 6 x 6", large);
  lesson.show("output_shape 5 x 5", small);
  lesson.check("5 x 5 is not 6 x 6 without its last row and column",
               !tg::equal(small, tg::slice(large, {{}, {0, 5}, {0, 5}})));
  lesson.check("it is 6 x 6 without its first row and column",
               tg::equal(small, tg::slice(large, {{}, {1, 6}, {1, 6}})));

  const tg::Tensor w5 = random_integers({5, 5, 1, 1}, 1, 9, generator);
  const tg::Tensor y5 = tg::conv2d_transpose(x, w5, {.strides = 2, .padding = tg::Padding::Same});
  const tg::Conv2DGeometry back =
      tg::conv2d_geometry(y5.shape(), w5.shape(), {.strides = 2, .padding = tg::Padding::Same});
  const tg::Tensor by_hand = four_steps(x, w5, 2, tg::Padding::Explicit(2));
  lesson.check(fmt::format("a 5 x 5 kernel: with margins of 2 on all sides it is {}, not {}",
                           by_hand.shape().str(), y5.shape().str()),
               by_hand.shape() != y5.shape());
  lesson.check("the margins that belong to the geometry are right",
               tg::equal(four_steps(x, w5, 2, margins_of(back)), y5));
}

void padding_is_not_output_padding(Lesson& lesson) {
  lesson.say(
      "'The padding here is output_padding.' It is not. Step 4 is a plain convolution without padding; "
      "output_padding adds rows and columns to the result, at the bottom and on the right only.");
  const auto [x, w, y] = overlapping_example();
  const tg::Tensor more = tg::conv2d_transpose(x, w, {.strides = 2, .output_padding = 1});
  lesson.show("stride 2, output_padding 1", more);
  lesson.check("it is the 5 x 5 result with a row and a column of zeros",
               tg::equal(more, tg::pad(y, {{}, {0, 1}, {0, 1}, {}})));
  const tg::Tensor padded_step4 = four_steps(x, w, 2, tg::Padding::Explicit(2 + 1));
  lesson.check(fmt::format("step 4 with a padding of 1 gives {}, another shape", padded_step4.shape().str()),
               padded_step4.shape() != more.shape());
}

void transpose_is_no_inverse(Lesson& lesson) {
  lesson.say(
      "'The inverse C^T', 'convolution multiplies by C^T and C^T, forward and backward'. C^T is the "
      "transpose of C, not its inverse. The convolution multiplies by C forward and C^T backward, the "
      "transposed convolution by C^T forward and C backward.");
  const tg::Tensor w = torch_example().w;
  const tg::Tensor c = tg::conv2d_matrix(w, tg::conv2d_geometry({1, 4, 4, 1}, w.shape(), {}));
  const tg::Tensor y = torch_example().x;
  const tg::Tensor there_and_back = tg::conv2d(tg::conv2d_transpose(y, w), w);
  lesson.show("y", y);
  lesson.show("C C^T y", there_and_back);
  lesson.check("C C^T y is not y", !tg::equal(there_and_back, y));

  tg::Generator generator(9);
  const tg::Tensor large = random_integers({1, 4, 4, 1}, -3, 3, generator);
  const auto times = [&](const tg::Tensor& v, const tg::MatmulOptions& options) {
    return tg::matmul(c, tg::reshape(v, {-1, 1}), options);
  };
  {
    tg::Tape tape;
    const tg::Tensor x = tape.watch(large), forward = tg::conv2d(x, w);
    const tg::Tensor backward = tape.gradient(forward, x, {.output_gradient = y});
    lesson.check("conv2d: forward C x, backward C^T dy",
                 tg::equal(tg::reshape(forward, {4, 1}), times(large, {})) &&
                     tg::equal(tg::reshape(backward, {16, 1}), times(y, {.transpose_a = true})));
  }
  {
    tg::Tape tape;
    const tg::Tensor x = tape.watch(y), forward = tg::conv2d_transpose(x, w);
    const tg::Tensor backward = tape.gradient(forward, x, {.output_gradient = large});
    lesson.check("conv2d_transpose: forward C^T x, backward C dy",
                 tg::equal(tg::reshape(forward, {16, 1}), times(y, {.transpose_a = true})) &&
                     tg::equal(tg::reshape(backward, {4, 1}), times(large, {})));
  }
}

void size_leaves_out(Lesson& lesson) {
  lesson.say("'o = (i - 1) s + k - 2 p' leaves out dilation and output_padding.");
  const index_t i = 3, k = 3, s = 2, p = 1, d = 2, extra = 1;
  const tg::Tensor y = tg::conv2d_transpose(
      tg::ones({1, i, i, 1}), tg::ones({k, k, 1, 1}),
      {.strides = s, .padding = tg::Padding::Explicit(p), .dilations = d, .output_padding = extra});
  const index_t size = y.shape()[1], short_formula = (i - 1) * s + k - 2 * p;
  lesson.check(fmt::format("i 3, k 3, s 2, p 1, dilation 2, output_padding 1: the size is {}, not {}", size,
                           short_formula),
               size != short_formula);
  lesson.check("(i - 1) s - 2 p + d (k - 1) + output_padding + 1 is right",
               size == (i - 1) * s - 2 * p + d * (k - 1) + extra + 1);
}

void order_of_the_channels(Lesson& lesson) {
  lesson.say(
      "'The first element should be 603.' It is 67, as the section overlapping_stamps shows. And the "
      "comment '(height, width, input_channels, output_channels)' is the order of conv2d. "
      "conv2d_transpose takes the filter of the convolution that it transposes, so the channels of its "
      "input come last.");
  const tg::Tensor x = overlapping_example().x, w = overlapping_example().w;
  lesson.check("the first element is 67", tg::conv2d_transpose(x, w, {.strides = 2}).at({0, 0, 0, 0}) == 67);
  check_refused(lesson, "1 channel to 2 with a filter [3, 3, 1, 2] is refused", [&] {
    (void)tg::conv2d_transpose(x, tg::ones({3, 3, 1, 2}));
  });
  lesson.check("with [3, 3, 2, 1] it has 2 channels",
               tg::conv2d_transpose(x, tg::ones({3, 3, 2, 1})).shape()[3] == 2);
}

void several_sizes(Lesson& lesson) {
  lesson.say(
      "The output_shape of the example, (1, 5, 5, 1), is one of four: with stride 2 and VALID, conv2d "
      "leads from 5 and from 6 pixels back to 2. The larger ones end in zeros.");
  const Example example = overlapping_example();
  const auto transposed = [&](index_t height, index_t width) {
    return tg::conv2d_transpose(example.x, example.w,
                                {.strides = 2, .output_shape = {{1, height, width, 1}}});
  };
  bool larger = true;
  for (const index_t height : {5, 6})
    for (const index_t width : {5, 6}) {
      const tg::Tensor zeros_after = tg::pad(example.y, {{}, {0, height - 5}, {0, width - 5}, {}});
      larger = larger && tg::equal(transposed(height, width), zeros_after);
    }
  lesson.check("5 x 5, 5 x 6, 6 x 5, 6 x 6: all are the same stamps, and zeros after them", larger);
  check_refused(lesson, "7 x 7 is refused", [&] { transposed(7, 7); });
}

}  // namespace

void corrections(Lesson& lesson) {
  const struct {
    const char* title;
    void (*run)(Lesson&);
  } parts[] = {
      {"'conv2d_transpose is conv2d with a turned filter': also for even kernels?", even_kernels},
      {"A comparison of results that cannot fail", compared_as_whole_numbers},
      {"'dx = conv2d(dy, rot180(w)), dw = conv2d(x, dy)': also for channels and batches?",
       several_channels_and_images},
      {"'Conv2DTranspose is nearest-neighbour upsampling'?", default_initializer},
      {"'It just turns the weights and applies conv2d': also for strides?", strides_need_zeros},
      {"Where are the channels of the result?", channels_are_last},
      {"'Insert zeros, convolve, drop the last row and column': always?", margins_depend_on_the_size},
      {"'The padding of the plain convolution is output_padding'?", padding_is_not_output_padding},
      {"'C^T undoes C'?", transpose_is_no_inverse},
      {"A formula for the size that is incomplete", size_leaves_out},
      {"'The first element should be 603', and the order of the filter's axes", order_of_the_channels},
      {"Is 5 x 5 the only possible output size?", several_sizes},
  };
  int number = 0;
  for (const auto& part : parts) {
    lesson.heading(fmt::format("{}. {}", ++number, part.title));
    part.run(lesson);
  }
}

}  // namespace conv2d_explained
