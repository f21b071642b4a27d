#include <fmt/format.h>

#include <string>

#include "recipes.h"
#include "sections.h"

namespace conv2d_explained {

void four_steps_of_torch(Lesson& lesson) {
  const auto [x, w, expected] = torch_example();
  lesson.say(
      "nn.ConvTranspose2d(1, 1, kernel_size=3, stride=1, bias=False), with this map and this kernel "
      "(padding 0 is VALID):");
  lesson.show("x", x);
  lesson.show("w", w);
  const index_t kernel = 3, stride = 1, padding = 0;

  lesson.say(
      "Step 1: insert stride - 1 = 0 rows and columns of zeros between the pixels: nothing to do here.");
  const tg::Tensor spaced = tg::zero_insert(x, {0, stride - 1, stride - 1, 0});

  lesson.say("Step 2: kernel - padding - 1 = 2 rows and columns of zeros around it:");
  const index_t margin = kernel - padding - 1;
  const tg::Tensor padded = tg::pad(spaced, {{}, {margin, margin}, {margin, margin}, {}});
  lesson.show("padded", padded);
  lesson.check("equal to the padded map that goes into nn.Conv2d",
               tg::equal(padded, as_image(tg::tensor({{0, 0, 0, 0, 0, 0},
                                                      {0, 0, 0, 0, 0, 0},
                                                      {0, 0, 1, 0, 0, 0},
                                                      {0, 0, 2, 1, 0, 0},
                                                      {0, 0, 0, 0, 0, 0},
                                                      {0, 0, 0, 0, 0, 0}}))));

  lesson.say("Step 3: turn the kernel, upside down and left to right:");
  const tg::Tensor turned = tg::rot180(w);
  lesson.show("turned", turned);
  lesson.check("equal to the turned kernel that goes into nn.Conv2d",
               tg::equal(turned, as_filter(tg::tensor({{0, 0, 1}, {1, 1, 0}, {1, 0, 1}}))));

  lesson.say("Step 4: a plain convolution, with stride 1 and no padding:");
  const tg::Tensor y = tg::conv2d(padded, turned);
  lesson.show("conv2d(padded, turned)", y);
  lesson.check("equal to conv2d_transpose(x, w)", tg::equal(y, tg::conv2d_transpose(x, w)));
  lesson.check("equal to what PyTorch returns", tg::equal(y, expected));

  lesson.say(
      "And so for kernels of 1, 2, 3 and 5, strides 1 to 3 and paddings 0 to kernel - 1, on two images "
      "with 3 channels that become 2 (the channel axes of the kernel are exchanged as well):");
  tg::Generator generator(3);
  const tg::Tensor images = random_integers({2, 6, 5, 3}, -3, 3, generator);
  bool same = true;
  for (const index_t k : {1, 2, 3, 5})
    for (const index_t s : {1, 2, 3})
      for (index_t p = 0; p < k; ++p) {
        const tg::Tensor weight = random_integers({k, k, 2, 3}, -3, 3, generator);
        const tg::Tensor steps = four_steps(images, weight, s, tg::Padding::Explicit(k - p - 1));
        const tg::Tensor transposed =
            tg::conv2d_transpose(images, weight, {.strides = s, .padding = tg::Padding::Explicit(p)});
        same = same && tg::equal(steps, transposed);
      }
  lesson.check("the four steps equal conv2d_transpose in every case", same);
}

void sizes(Lesson& lesson) {
  lesson.say(
      "A row of i pixels, a filter of k taps: the first and the last stamp are (i - 1) s apart, and the "
      "last one is k wide. A padding of p cuts p pixels off at both ends: o = (i - 1) s + k - 2 p. A "
      "dilation of d spreads the filter over d (k - 1) + 1 pixels, and output_padding adds pixels at "
      "one end:");
  lesson.print("o = (i - 1) s - 2 p + d (k - 1) + output_padding + 1");

  const struct {
    index_t i, k, s, p, d, extra;
  } cases[] = {
      {2, 3, 1, 0, 1, 0}, {2, 3, 2, 0, 1, 0}, {2, 3, 2, 0, 1, 1}, {4, 3, 2, 1, 1, 0}, {4, 3, 2, 1, 1, 1},
      {4, 4, 2, 1, 1, 0}, {5, 2, 2, 0, 1, 0}, {5, 3, 1, 0, 2, 0}, {5, 3, 3, 2, 2, 2}, {7, 1, 3, 0, 1, 2},
  };
  std::string table = " i  k  s  p  d  output_padding   o\n";
  bool right = true, leads_back = true;
  for (const auto& [i, k, s, p, d, extra] : cases) {
    const tg::Tensor x = tg::ones({1, i, i, 1}), w = tg::ones({k, k, 1, 1});
    const tg::Padding padding = tg::Padding::Explicit(p);
    const tg::Tensor y = tg::conv2d_transpose(
        x, w, {.strides = s, .padding = padding, .dilations = d, .output_padding = extra});
    const tg::Tensor back = tg::conv2d(y, w, {.strides = s, .padding = padding, .dilations = d});
    const index_t o = (i - 1) * s - 2 * p + d * (k - 1) + extra + 1;
    table += fmt::format("{:2} {:2} {:2} {:2} {:2} {:15} {:3}\n", i, k, s, p, d, extra, y.shape()[1]);
    right = right && y.shape() == tg::Shape{1, o, o, 1};
    leads_back = leads_back && back.shape() == x.shape();
  }
  lesson.print(table);
  lesson.check("each of these results of conv2d_transpose has the size of the formula", right);
  lesson.check("conv2d with the same stride, padding and dilation leads back from each", leads_back);
}

void matrix(Lesson& lesson) {
  const auto [y, w, expected] = torch_example();
  lesson.say(
      "Written down as one long vector, an image of 4 x 4 has 16 elements, its convolution with a 3 x 3 "
      "kernel has 4. A linear map from 16 to 4 numbers is a matrix C of 4 x 16: each row holds the "
      "kernel where its window lies.");
  lesson.show("w", w);
  const tg::Tensor c = tg::conv2d_matrix(w, tg::conv2d_geometry({1, 4, 4, 1}, w.shape(), {}));
  lesson.show("C", c);

  const tg::Tensor x = tg::reshape(tg::arange(16), {1, 4, 4, 1});
  lesson.show("x", x);
  const tg::Tensor cx = tg::matmul(c, tg::reshape(x, {16, 1}));
  lesson.show("C x, as an image", tg::reshape(cx, {1, 2, 2, 1}));
  lesson.check("equal to conv2d(x, w)", tg::equal(tg::reshape(cx, {1, 2, 2, 1}), tg::conv2d(x, w)));

  lesson.say("The transpose C^T has 16 rows and 4 columns: it leads from 4 numbers to 16.");
  lesson.show("y", y);
  const tg::Tensor cty = tg::matmul(c, tg::reshape(y, {4, 1}), {.transpose_a = true});
  lesson.show("C^T y, as an image", tg::reshape(cty, {1, 4, 4, 1}));
  lesson.check("equal to conv2d_transpose(y, w)",
               tg::equal(tg::reshape(cty, {1, 4, 4, 1}), tg::conv2d_transpose(y, w)));
  lesson.check("equal to the result of the four steps", tg::equal(tg::reshape(cty, {1, 4, 4, 1}), expected));

  lesson.say(
      "A row of C is a column of C^T: what conv2d gathers from a window, the transpose stamps back onto "
      "it. So column 0 of C^T is the stamp of the pixel y[0, 0], here 1:");
  lesson.check("row 0 of C is the stamp of y[0, 0]",
               tg::equal(tg::reshape(tg::row(c, 0), {1, 4, 4, 1}), stamp(y, w, 0, 0, 1)));
  lesson.say(
      "It is also why the kernel looks turned in the four steps: seen from a pixel of the large image, "
      "the pixels of the small one that stamp on it lie in the opposite direction.");
}

namespace {

// Written out as loops: a 3 x 3 kernel around every pixel of a plane, zeros outside.
tg::Tensor compute_conv(const tg::Tensor& plane, const tg::Tensor& kernel) {
  const index_t height = plane.shape()[0], width = plane.shape()[1];
  const tg::Tensor padded = tg::pad(plane, {{1, 1}, {1, 1}});
  tg::Tensor result = tg::zeros({height, width});
  for (index_t i = 0; i < height; ++i)
    for (index_t j = 0; j < width; ++j) {
      double total = 0;
      for (index_t a = 0; a < 3; ++a)
        for (index_t b = 0; b < 3; ++b) total += padded.at({i + a, j + b}) * kernel.at({a, b});
      result.set({i, j}, total);
    }
  return result;
}

// Zeros between the pixels of [c, h, w], and one row and column around.
tg::Tensor fill_zeros(const tg::Tensor& input) {
  return tg::pad(tg::zero_insert(input, {0, 1, 1}), {{}, {1, 1}, {1, 1}});
}

}  // namespace

void many_channels(Lesson& lesson) {
  const tg::Tensor input = four_channel_input(), kernels = four_channel_kernels();
  lesson.say("Four channels lead to two: every pair of channels has a 3 x 3 kernel of its own.");
  lesson.show("input, channels first", input);
  lesson.show("kernels [out, in, rows, columns]", kernels);

  lesson.say("By hand. Zeros between the pixels, and around (the first of the four channels is shown):");
  const tg::Tensor spaced = fill_zeros(input);
  lesson.show("fill_zeros(input)[0]", tg::row(spaced, 0));

  lesson.say(
      "Then, for every output channel, convolve each input channel with its kernel and add up the "
      "results; at the end, crop: drop the last row and the last column.");
  tg::Tensor by_hand = tg::zeros({2, 6, 6});
  for (index_t out = 0; out < 2; ++out) {
    tg::Tensor total = tg::zeros({7, 7});
    for (index_t in = 0; in < 4; ++in)
      total = total + compute_conv(tg::row(spaced, in), tg::row(tg::row(kernels, out), in));
    lesson.show(fmt::format("output channel {}, before it is cropped", out), total);
    for (index_t i = 0; i < 6; ++i)
      for (index_t j = 0; j < 6; ++j) by_hand.set({out, i, j}, total.at({i, j}));
  }
  lesson.show("by hand", by_hand);
  lesson.check("equal to the results that TensorFlow prints", tg::equal(by_hand, four_channel_result()));

  lesson.say(
      "Now with conv2d_transpose. It wants the image as [n, h, w, c] and the filter as [kh, kw, out, "
      "in]. And as the transpose turns the filter while the code by hand did not, the kernels are "
      "turned beforehand:");
  const tg::Tensor x = tg::nchw_to_nhwc(tg::reshape(input, {1, 4, 3, 3}));
  const tg::Tensor w = tg::rot180(tg::permute(kernels, {2, 3, 0, 1}));
  const tg::Tensor y = tg::conv2d_transpose(
      x, w, {.strides = 2, .padding = tg::Padding::Same, .output_shape = {{1, 6, 6, 2}}});
  lesson.show("conv2d_transpose(x, turned kernels), stride 2, SAME; channels first", tg::nhwc_to_nchw(y));
  lesson.check("equal to the result by hand",
               tg::equal(tg::nhwc_to_nchw(y), tg::reshape(by_hand, {1, 2, 6, 6})));
}

void three_calls(Lesson& lesson) {
  tg::Generator generator(0);
  const tg::Tensor x = random_integers({1, 28, 28, 1}, 0, 2, generator);
  const tg::Tensor w = random_integers({7, 7, 1, 32}, -1, 1, generator);
  lesson.say(
      "An image of 28 x 28 x 1 and 32 filters of 7 x 7 (small whole numbers at random: every sum is "
      "exact), stride 1, padding SAME:");
  const tg::Tensor activations = tg::conv2d(x, w, {.padding = tg::Padding::Same});
  lesson.check("the activations have the shape [1, 28, 28, 32]",
               activations.shape() == tg::Shape{1, 28, 28, 32});

  const tg::Tensor first =
      tg::conv2d_transpose(activations, w, {.padding = tg::Padding::Same, .output_shape = {{1, 28, 28, 1}}});
  lesson.show("(1) conv2d_transpose(activations, w), the upper left corner",
              tg::slice(first, {{}, {0, 6}, {0, 8}}));

  lesson.say(
      "(2) With conv2d, the filter's channels are exchanged, [7, 7, 1, 32] to [7, 7, 32, 1], and each "
      "of the 32 is turned by 180 degrees:");
  const tg::Tensor turned = tg::rot180(tg::permute(w, {0, 1, 3, 2}));
  lesson.check("the turned filter has the shape [7, 7, 32, 1]", turned.shape() == tg::Shape{7, 7, 32, 1});
  const tg::Tensor second = tg::conv2d(activations, turned, {.padding = tg::Padding::Same});
  lesson.check("conv2d(activations, turned) equals (1), all 784 elements", tg::equal(first, second));

  const tg::Tensor third =
      tg::conv2d_backprop_input({1, 28, 28, 1}, w, activations, {.padding = tg::Padding::Same});
  lesson.check("(3) conv2d_backprop_input([1, 28, 28, 1], w, activations) equals (1)",
               tg::equal(first, third));
}

}  // namespace conv2d_explained
