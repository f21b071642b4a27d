#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "recipes.h"
#include "sections.h"

namespace conv2d_explained {
namespace {

struct Gradients {
  tg::Tensor dx, dw;
};

// What the tape says: the gradients of sum(dy * conv2d(x, w)).
Gradients on_tape(const tg::Tensor& x0, const tg::Tensor& w0, const tg::Tensor& dy,
                  const tg::Conv2DOptions& options) {
  tg::Tape tape;
  const tg::Tensor x = tape.watch(x0), w = tape.watch(w0);
  const tg::Tensor y = tg::conv2d(x, w, options);
  const std::vector<tg::Tensor> both = tape.gradient(y, {x, w}, {.output_gradient = dy});
  return {.dx = both[0], .dw = both[1]};
}

void one_channel(Lesson& lesson) {
  const tg::Tensor x = as_image(tg::tensor({{0, 0, 2, 3, -3, -2},
                                            {2, 3, -2, -1, 3, -1},
                                            {-2, 2, -2, -1, 1, 0},
                                            {-3, -3, 3, 2, 2, 0},
                                            {2, -1, 0, 2, -3, -1}}));
  const tg::Tensor w = as_filter(tg::tensor({{-3, 0}, {3, -3}, {-1, -1}}));
  const tg::Tensor dy = as_image(tg::tensor({{3, -2, 0, -2, -3}, {2, -3, -2, 0, 0}, {-3, 3, 2, 3, -3}}));
  lesson.show("x", x);
  lesson.show("w", w);
  lesson.show("dy, the gradient of the loss by y = conv2d(x, w)", dy);
  const Gradients tape = on_tape(x, w, dy, {});

  lesson.say(
      "A pixel of x was multiplied by every tap of w, each for another pixel of y. So the gradient of the "
      "pixel collects those pixels of dy, in the opposite direction: a convolution of dy with the turned "
      "filter, at all places where the two overlap (FULL).");
  const tg::Tensor dx = tg::conv2d(dy, tg::rot180(w), {.padding = tg::Padding::Full});
  lesson.show("dx = conv2d(dy, rot180(w), FULL)", dx);
  lesson.check("equal to the tape, conv2d_backprop_input and conv2d_transpose",
               all_equal({dx, tape.dx, tg::conv2d_backprop_input(x.shape(), w, dy),
                          tg::conv2d_transpose(dy, w, {.output_shape = {{5, 6}}})}));

  lesson.say(
      "A tap of w was multiplied by the pixels of x in a window as large as y. So dy itself is the filter:");
  const tg::Tensor dw = as_filter(tg::reshape(
      tg::conv2d(x, as_filter(tg::reshape(dy, {3, 5})), {.padding = tg::Padding::Valid}), {3, 2}));
  lesson.show("dw = conv2d(x, dy, VALID)", dw);
  lesson.check("equal to the tape and conv2d_backprop_filter",
               all_equal({dw, tape.dw, tg::conv2d_backprop_filter(x, w.shape(), dy)}));
}

// dx in four ways, dw in three.
void compare(Lesson& lesson, const std::string& title, const tg::Tensor& x, const tg::Tensor& w,
             const tg::Conv2DOptions& options, tg::Generator& generator) {
  const tg::Conv2DGeometry geometry = tg::conv2d_geometry(x.shape(), w.shape(), options);
  const tg::Tensor dy = random_integers(geometry.out_shape(), -3, 3, generator);
  const Gradients tape = on_tape(x, w, dy, options);

  const tg::Tensor dx_by_conv2d = four_steps(dy, w, options.strides.height, margins_of(geometry));
  const tg::Tensor dx_by_backprop = tg::conv2d_backprop_input(x.shape(), w, dy, options);
  const tg::Tensor dx_by_transpose = tg::conv2d_transpose(dy, w,
                                                          {.strides = options.strides,
                                                           .padding = options.padding,
                                                           .output_shape = {{x.shape()[1], x.shape()[2]}}});
  lesson.check(title + ": dx is equal in four ways",
               all_equal({tape.dx, dx_by_conv2d, dx_by_backprop, dx_by_transpose}));

  const tg::Tensor dw_by_conv2d = filter_gradient_by_conv2d(x, w.shape(), dy, options);
  const tg::Tensor dw_by_backprop = tg::conv2d_backprop_filter(x, w.shape(), dy, options);
  lesson.check(title + ": dw is equal in three ways", all_equal({tape.dw, dw_by_conv2d, dw_by_backprop}));
}

}  // namespace

void gradients(Lesson& lesson) {
  lesson.heading("One channel, one image, stride 1, VALID");
  one_channel(lesson);

  lesson.heading("Two images, 3 channels to 4, any stride and padding");
  lesson.say(
      "dx by conv2d: zeros between the pixels of dy where there was a stride, the filter's channels "
      "exchanged, and around dy the zeros of FULL less the padding of the convolution.");
  lesson.say(
      "dw by conv2d: images and channels of x are exchanged, so that conv2d sums over the images; dy is the "
      "filter, and the strides become dilations.");
  tg::Generator generator(1);
  const tg::Tensor x = random_integers({2, 8, 7, 3}, -3, 3, generator);
  const tg::Tensor w = random_integers({3, 2, 3, 4}, -3, 3, generator);
  for (const tg::Padding padding : {tg::Padding::Valid, tg::Padding::Same})
    for (const index_t stride : {1, 2})
      compare(lesson, fmt::format("{}, stride {}", padding.str(), stride), x, w,
              {.strides = stride, .padding = padding}, generator);
}

namespace {

using Function = std::function<tg::Tensor(const tg::Tensor&)>;

// Whether the tape's gradient of sum(g * f(at)) is `expected`.
bool derivative_is(const Function& f, const tg::Tensor& at, const tg::Tensor& g, const tg::Tensor& expected) {
  tg::Tape tape;
  const tg::Tensor variable = tape.watch(at);
  return tg::equal(tape.gradient(f(variable), variable, {.output_gradient = g}), expected);
}

void three_sides(Lesson& lesson, const char* title, const tg::Shape& x_shape, const tg::Shape& w_shape,
                 const tg::Conv2DOptions& options) {
  tg::Generator generator(2);
  const tg::Tensor x = random_integers(x_shape, -3, 3, generator);
  const tg::Tensor w = random_integers(w_shape, -3, 3, generator);
  const tg::Tensor conv = tg::conv2d(x, w, options);
  const tg::Tensor y = random_integers(conv.shape(), -3, 3, generator);
  const tg::Tensor transposed = tg::conv2d_transpose(y, w,
                                                     {.strides = options.strides,
                                                      .padding = options.padding,
                                                      .dilations = options.dilations,
                                                      .groups = options.groups,
                                                      .output_shape = {{x_shape[1], x_shape[2]}}});
  const tg::Tensor filter = tg::conv2d_backprop_filter(x, w_shape, y, options);
  const double of_y = inner_product(conv, y), of_x = inner_product(x, transposed),
               of_w = inner_product(w, filter);
  lesson.check(fmt::format("{}: {} = {} = {}", title, of_y, of_x, of_w), of_y == of_x && of_x == of_w);
}

// The rules of the table, each against the tape.
void derivatives(Lesson& lesson) {
  const tg::Conv2DOptions options{.strides = 2, .padding = tg::Padding::Same};
  const tg::Conv2DTransposeOptions transposed{
      .strides = 2, .padding = tg::Padding::Same, .output_shape = {{5, 6}}};
  tg::Generator generator(4);
  const tg::Tensor x = random_integers({2, 5, 6, 3}, -3, 3, generator);
  const tg::Tensor w = random_integers({3, 3, 3, 2}, -3, 3, generator);
  const tg::Tensor y = random_integers({2, 3, 3, 2}, -3, 3, generator);
  // g has the shape of the function's result: that of y, of x, or of w.
  const tg::Tensor gy = random_integers(y.shape(), -3, 3, generator);
  const tg::Tensor gx = random_integers(x.shape(), -3, 3, generator);
  const tg::Tensor gw = random_integers(w.shape(), -3, 3, generator);

  const auto conv = [&](const tg::Tensor& a, const tg::Tensor& b) { return tg::conv2d(a, b, options); };
  const auto input = [&](const tg::Tensor& a, const tg::Tensor& b) {
    return tg::conv2d_backprop_input(x.shape(), b, a, options);
  };
  const auto filter = [&](const tg::Tensor& a, const tg::Tensor& b) {
    return tg::conv2d_backprop_filter(a, w.shape(), b, options);
  };
  const auto transpose = [&](const tg::Tensor& a, const tg::Tensor& b) {
    return tg::conv2d_transpose(a, b, transposed);
  };
  const auto check = [&](const char* rule, const auto& f, const tg::Tensor& a, const tg::Tensor& b,
                         const tg::Tensor& g, const tg::Tensor& da, const tg::Tensor& db) {
    lesson.check(rule, derivative_is([&](const tg::Tensor& v) { return f(v, b); }, a, g, da) &&
                           derivative_is([&](const tg::Tensor& v) { return f(a, v); }, b, g, db));
  };
  check("the derivatives of conv2d", conv, x, w, gy, input(gy, w), filter(x, gy));
  check("the derivatives of conv2d_backprop_input", input, y, w, gx, conv(gx, w), filter(gx, y));
  check("the derivatives of conv2d_backprop_filter", filter, x, y, gw, input(y, gw), conv(x, gw));
  check("the derivatives of conv2d_transpose", transpose, y, w, gx, conv(gx, w), filter(gx, y));
  lesson.check("conv2d_transpose(y, w) equals conv2d_backprop_input(y, w)",
               tg::equal(transpose(y, w), input(y, w)));
}

}  // namespace

void identity(Lesson& lesson) {
  lesson.say(
      "Multiply conv2d(x, w) by any y of its shape, element by element, and add up the products. The sum is "
      "linear in each of x, w and y: every term is a product x[.] w[.] y[.] of three elements. Sorted by the "
      "elements of y, of x or of w, the same sum is written in three ways:");
  lesson.print("<conv2d(x, w), y>  =  <x, conv2d_transpose(y, w)>  =  <w, conv2d_backprop_filter(x, y)>");
  three_sides(lesson, "VALID", {2, 6, 7, 3}, {3, 2, 3, 4}, {});
  three_sides(lesson, "SAME, stride 2", {2, 7, 6, 3}, {3, 3, 3, 4},
              {.strides = 2, .padding = tg::Padding::Same});
  three_sides(lesson, "FULL, dilation 2", {1, 6, 6, 2}, {3, 3, 2, 2},
              {.padding = tg::Padding::Full, .dilations = 2});
  three_sides(lesson, "SAME, strides 2 and 3, 2 groups", {1, 9, 8, 4}, {3, 3, 2, 6},
              {.strides = {2, 3}, .padding = tg::Padding::Same, .groups = 2});

  lesson.say(
      "The derivative of a linear function is the factor of its argument. So the three functions are each "
      "other's derivatives, and derivatives of any order need no fourth function (g is the gradient of the "
      "function's result):");
  lesson.print(
      "function                        is the plain conv2d of              its derivatives\n"
      "------------------------------  ----------------------------------  --------------------------------\n"
      "conv2d(x, w)                    x with w                            dx: backprop_input(g, w)\n"
      "                                                                    dw: backprop_filter(x, g)\n"
      "conv2d_backprop_input(dy, w)    dy, zeros between and around,       ddy: conv2d(g, w)\n"
      "                                with w turned, channels exchanged   dw: backprop_filter(g, dy)\n"
      "conv2d_backprop_filter(x, dy)   x with dy, images and channels      dx: backprop_input(dy, g)\n"
      "                                exchanged, stride as dilation       ddy: conv2d(x, g)\n"
      "conv2d_transpose(x, w)          as conv2d_backprop_input(x, w): the same function, as a layer");
  derivatives(lesson);
}

}  // namespace conv2d_explained
