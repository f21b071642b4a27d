#include "checks/12_conv2d_transpose.h"

#include <fmt/format.h>

namespace exercise_12 {
namespace {

struct Sizes {
  Shape x, w;
  index_t stride_h, stride_w, top, bottom, left, right, more_h, more_w;
  bool text = false;  // with the numbers of the text
};

Setting setting(const Sizes& s) {
  const index_t height = (s.x[1] - 1) * s.stride_h + s.w[0] - s.top - s.bottom + s.more_h;
  const index_t width = (s.x[2] - 1) * s.stride_w + s.w[1] - s.left - s.right + s.more_w;
  return {.stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .top = s.top,
          .left = s.left,
          .y = {s.x[0], height, width, s.w[2]},
          .options = {.strides = {s.stride_h, s.stride_w},
                      .padding = tg::Padding::Explicit(s.top, s.bottom, s.left, s.right)}};
}

const std::vector<Sizes> kSizes = {
    {{1, 2, 2, 1}, {3, 3, 1, 1}, 2, 2, 0, 0, 0, 0, 0, 0, true},
    {{2, 3, 2, 2}, {2, 3, 3, 2}, 1, 1, 0, 0, 0, 0, 0, 0},
    {{2, 2, 4, 3}, {3, 2, 2, 3}, 2, 3, 0, 0, 0, 0, 0, 0},
    {{2, 3, 4, 2}, {4, 3, 3, 2}, 3, 2, 1, 2, 0, 1, 0, 0},
    {{2, 4, 3, 2}, {3, 4, 3, 2}, 3, 2, 0, 1, 2, 0, 1, 0},
};
const std::vector<Sizes> kEasy = {{{2, 5, 5, 3}, {3, 3, 2, 3}, 1, 1, 1, 1, 1, 1, 0, 0}};

Tensor right_result(const Tensor& x, const Tensor& w, const Setting& s) {
  return tg::conv2d_backprop_input(s.y, w, x, s.options);
}

/// One product of the stamps, and where it goes.
struct Product {
  index_t n, p, q, o, i, j, c, h, w;
};

// The stamps with a mistake in them: place changes where a product goes, and overwrite makes it the only one.
Tensor wrong_stamps(const Tensor& x, const Tensor& w, const Setting& s, bool overwrite,
                    const std::function<void(Product&)>& place) {
  Tensor y = new_tensor(s.y);
  const Shape &in = x.shape(), &f = w.shape();
  for (index_t n = 0; n < in[0]; ++n)
    for (index_t p = 0; p < in[1]; ++p)
      for (index_t q = 0; q < in[2]; ++q)
        for (index_t o = 0; o < in[3]; ++o)
          for (index_t i = 0; i < f[0]; ++i)
            for (index_t j = 0; j < f[1]; ++j)
              for (index_t c = 0; c < f[2]; ++c) {
                Product at{n, p, q, o, i, j, c, p * s.stride_h + i - s.top, q * s.stride_w + j - s.left};
                const double value = x.at({n, p, q, o}) * w.at({i, j, c, o});
                place(at);
                if (at.h < 0 || at.h >= s.y[1] || at.w < 0 || at.w >= s.y[2]) continue;
                if (overwrite)
                  y.set({at.n, at.h, at.w, at.c}, value);
                else
                  add_to(y, {at.n, at.h, at.w, at.c}, value);
              }
  return y;
}

std::vector<Explanation> explanations(const Tensor& x, const Tensor& w, const Setting& s) {
  const auto moved = [=](std::function<void(Product&)> place) {
    return [=] { return wrong_stamps(x, w, s, false, place); };
  };
  const index_t kh = w.shape()[0], kw = w.shape()[1];
  return {
      {fmt::format(
           "the stamps are turned by 180 degrees: the corner of a stamp is x[p, q] w[0, 0]. The first one is "
           "{:.6g} here, where {:.6g} belongs",
           x.at({0, 0, 0, 0}) * w.at({w.shape()[0] - 1, w.shape()[1] - 1, 0, 0}),
           x.at({0, 0, 0, 0}) * w.at({0, 0, 0, 0})),
       moved([=](Product& at) {
         at.h = at.p * s.stride_h + kh - 1 - at.i - s.top;
         at.w = at.q * s.stride_w + kw - 1 - at.j - s.left;
       })},
      {"where stamps overlap, the last one is left: they must be added up (add_to), not overwritten (set)",
       [=] { return wrong_stamps(x, w, s, true, [](Product&) {}); }},
      {"the stride is left out: the stamp of x[p, q] begins at row p stride_h and column q stride_w",
       moved([=](Product& at) {
         at.h = at.p + at.i - s.top;
         at.w = at.q + at.j - s.left;
       })},
      {"the strides are exchanged: stride_h goes with rows, stride_w with columns", moved([=](Product& at) {
         at.h = at.p * s.stride_w + at.i - s.top;
         at.w = at.q * s.stride_h + at.j - s.left;
       })},
      {"nothing is cut off: row r of the stamped picture is row r - top of y, and column r is r - left",
       moved([=](Product& at) {
         at.h += s.top;
         at.w += s.left;
       })},
      {"top and left are added where they must be subtracted: they are rows and columns that are cut off",
       moved([=](Product& at) {
         at.h += 2 * s.top;
         at.w += 2 * s.left;
       })},
      {"top and left are exchanged: top rows and left columns are cut off", moved([=](Product& at) {
         at.h += s.top - s.left;
         at.w += s.left - s.top;
       })},
      {"only the first channel of x is stamped: the sum runs over o as well",
       [=] { return wrong_stamps(x, w, s, false, [](Product& at) { at.h = at.o == 0 ? at.h : -1; }); }},
      {"all images of the batch are stamped onto image 0", moved([](Product& at) { at.n = 0; })},
  };
}

// The learner's gradients; operands that do not fit are the mistake that this exercise is about.
Tensors fitting(Check& check, const Answers& answers, const Tensors& in, const Tensor& dy, const Setting& s) {
  const char* hint =
      "an operand has the wrong place, or the wrong kernel was called: dy is the large image here and x the small one. dx is "
      "small, so it comes from conv2d; for dw the large image stands first";
  try {
    const Tensors found = answers.transpose_backward(in[0], in[1], dy, s);
    for (std::size_t k = 0; k < 2 && k < found.size(); ++k)
      if (found[k].defined() && found[k].shape() != in[k].shape())
        check.fail({.text = fmt::format("d{} has the shape {}, and must have {}", k == 0 ? "x" : "w",
                                        found[k].shape().str(), in[k].shape().str()),
                    .tensors = {k == 0 ? "dx" : "dw"},
                    .hints = {hint}});
    return found;
  } catch (const tg::Error& error) {
    check.fail({.text = fmt::format("transpose_backward() ends with an error: {}", error.what()),
                .tensors = {"transpose_backward"},
                .hints = {hint}});
  }
}

void forward_part(Check& check, const char* name, const char* look_next, const auto& function) {
  check.part(name, look_next, [&] {
    for (const Sizes& sizes : check.cases(kSizes, kEasy)) {
      const Setting s = setting(sizes);
      const Tensor x = sizes.text ? tg::tensor({{{{-67}, {-77}}, {{-117}, {-127}}}}, tg::DType::Float64)
                                  : check.draw(sizes.x);
      const Tensor w =
          sizes.text
              ? tg::reshape(tg::tensor({-1, 2, -3, 4, -5, 6, -7, 8, -9}, tg::DType::Float64), {3, 3, 1, 1})
              : check.draw(sizes.w);
      check.context(fmt::format("x {}, w {}, strides {} and {}, top {}, left {}, y {}", x.shape().str(),
                                w.shape().str(), s.stride_h, s.stride_w, s.top, s.left, s.y.str()));
      check.compare("y", function(x, w, s), right_result(x, w, s),
                    {.axes = "n h w out", .explanations = explanations(x, w, s)});
    }
  });
}

}  // namespace

void check(Check& check, const Answers& answers) {
  forward_part(
      check, "stamps",
      "take the text's numbers and a pencil: lay -67 w on an empty 5 x 5 picture, its corner at [0, 0], then -77 w "
      "two columns further, and add. Seven loops: n, p, q, o over x, and i, j, c over the filter.",
      answers.stamps);
  forward_part(
      check, "transpose",
      "which of the three kernels makes the large image from the small one and the filter? Its first argument is "
      "the shape of what it makes.",
      answers.transpose);
  check.part(
      "transpose_backward",
      "in y = transpose(x, w) the large image is y and the small one x. So dy is large, and dx is small: which "
      "kernel leads from large to small? For dw the filter kernel wants the large image first.",
      [&] {
        for (const Sizes& sizes : check.cases(kSizes, kEasy)) {
          const Setting s = setting(sizes);
          check.context(fmt::format("x {}, w {}, strides {} and {}, top {}, left {}, y {}", sizes.x.str(),
                                    sizes.w.str(), s.stride_h, s.stride_w, s.top, s.left, s.y.str()));
          check.backward(
              [&](const Tensors& in) { return right_result(in[0], in[1], s); },
              [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                return fitting(check, answers, in, dy, s);
              },
              {check.draw(sizes.x), check.draw(sizes.w)},
              {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w in", "kh kw out in"}});
        }
      });
}

}  // namespace exercise_12
