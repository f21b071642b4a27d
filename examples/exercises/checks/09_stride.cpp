#include "checks/09_stride.h"

#include <fmt/format.h>

namespace exercise_09 {

Tensor given_conv2d_dx(const Tensor& dy, const Tensor& w) {
  const Shape& g = dy.shape();
  return tg::conv2d_backprop_input({g[0], g[1] + w.shape()[0] - 1, g[2] + w.shape()[1] - 1, w.shape()[2]}, w,
                                   dy);
}

Tensor given_conv2d_dw(const Tensor& x, const Tensor& dy) {
  const Shape &s = x.shape(), &g = dy.shape();
  return tg::conv2d_backprop_filter(x, {s[1] - g[1] + 1, s[2] - g[2] + 1, s[3], g[3]}, dy);
}

namespace {

struct Sizes {
  Shape x, w;
  index_t sh, sw;
};

/// dy with its entry [p, q] at [p a, q b], in a plane of these sizes.
Tensor spread(const Tensor& dy, index_t rows, index_t columns, index_t a, index_t b) {
  const Shape& s = dy.shape();
  Tensor t = new_tensor({s[0], rows, columns, s[3]});
  for (index_t n = 0; n < s[0]; ++n)
    for (index_t p = 0; p < s[1]; ++p)
      for (index_t q = 0; q < s[2]; ++q)
        for (index_t o = 0; o < s[3]; ++o)
          if (p * a < rows && q * b < columns) t.set({n, p * a, q * b, o}, dy.at({n, p, q, o}));
  return t;
}

void check_zeros(Check& check, const Answers& answers, const Shape& shape, index_t sh, index_t sw) {
  check.context(fmt::format("dy {}, strides {} and {}", shape.str(), sh, sw));
  const Tensor dy = check.draw(shape);
  const auto sized = [&](index_t a, index_t b) {
    return spread(dy, (shape[1] - 1) * a + 1, (shape[2] - 1) * b + 1, a, b);
  };
  check.compare(
      "the spread dy", answers.insert_zeros(dy, sh, sw), sized(sh, sw),
      {.axes = "n h w out",
       .explanations = {
           {"s zeros lie between neighbours, one too many: entry p goes to row p s, so s - 1 lie between",
            [=] { return sized(sh + 1, sw + 1); }},
           {"zeros follow the last row and column, too: they lie between rows only, so there are (p - 1) s + 1 rows",
            [=] { return spread(dy, shape[1] * sh, shape[2] * sw, sh, sw); }},
           {"the strides of rows and columns are exchanged", [=] { return sized(sw, sh); }},
           {"zeros are inserted between rows only", [=] { return sized(sh, 1); }},
           {"zeros are inserted between columns only", [=] { return sized(1, sw); }},
           {"nothing is inserted", [=] { return sized(1, 1); }},
           {"entries are repeated where zeros must stand: that is upsampling, and its sums are not a gradient",
            [=] { return tg::repeat(tg::repeat(dy, sh, 1), sw, 2); }},
       }});
}

void check_gradient(Check& check, const Answers& answers, const Sizes& s, bool of_x) {
  check.context(fmt::format("x {}, w {}, strides {} and {}", s.x.str(), s.w.str(), s.sh, s.sw));
  const tg::Conv2DOptions options = {.strides = {s.sh, s.sw}};
  const auto left_over = [=](const Tensor& dy) {  // rows and columns of x that no window reaches
    return std::pair{s.x[1] - (dy.shape()[1] - 1) * s.sh - s.w[0],
                     s.x[2] - (dy.shape()[2] - 1) * s.sw - s.w[1]};
  };
  check.backward(
      [=](const Tensors& in) { return tg::conv2d(in[0], in[1], options); },
      [&](const Tensors& in, const Tensor&, const Tensor& dy) {
        if (of_x)
          return Tensors{answers.strided_dx(dy, in[1], in[0].shape(), s.sh, s.sw),
                         tg::conv2d_backprop_filter(in[0], in[1].shape(), dy, options)};
        return Tensors{tg::conv2d_backprop_input(in[0].shape(), in[1], dy, options),
                       answers.strided_dw(in[0], dy, in[1].shape(), s.sh, s.sw)};
      },
      {check.draw(s.x), check.draw(s.w)},
      {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w c", "kh kw in out"}},
      {{0, "dx ends where the last window ends: x has more rows or columns, and their gradient is 0",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const Shape& y = dy.shape();
          const Tensor dx = tg::conv2d_backprop_input(in[0].shape(), in[1], dy, options);
          return tg::slice(dx, {{}, {0, (y[1] - 1) * s.sh + s.w[0]}, {0, (y[2] - 1) * s.sw + s.w[1]}});
        }},
       {0,
        "the rows and columns that are left over were put at the top and on the left: no window reaches the last ones of x, "
        "so they belong at the bottom and on the right",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const auto [rows, columns] = left_over(dy);
          const Tensor dx = tg::conv2d_backprop_input(in[0].shape(), in[1], dy, options);
          return tg::pad(tg::slice(dx, {{}, {0, s.x[1] - rows}, {0, s.x[2] - columns}}),
                         {{}, {rows, 0}, {columns, 0}, {}});
        }},
       {1, "x was cut at the top and on the left: no window reaches its last rows and columns, so cut these",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const auto [rows, columns] = left_over(dy);
          return tg::conv2d_backprop_filter(tg::slice(in[0], {{}, {rows, s.x[1]}, {columns, s.x[2]}}),
                                            in[1].shape(), dy, options);
        }},
       {1, "x was not cut: rows and columns that no window reaches made dw larger than w",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const Shape& y = dy.shape();
          return given_conv2d_dw(in[0], spread(dy, (y[1] - 1) * s.sh + 1, (y[2] - 1) * s.sw + 1, s.sh, s.sw));
        }}},
      {of_x ? std::size_t{1} : std::size_t{0}});
}

/// The numbers of the text.
void check_question(Check& check, const Answers& answers) {
  const auto tensor = [](const tg::Literal& rows, const Shape& shape) {
    return tg::reshape(tg::tensor(rows, tg::DType::Float64), shape);
  };
  const Tensor dy = tensor({{-67, -77}, {-117, -127}}, {1, 2, 2, 1});
  const Tensor w = tensor({{-1, 2, -3}, {4, -5, 6}, {-7, 8, -9}}, {3, 3, 1, 1});
  const auto with_strides = [=](index_t a, index_t b) {
    const Tensor dx = given_conv2d_dx(spread(dy, a + 1, b + 1, a, b), w);
    return tg::pad(dx, {{}, {0, 5 - dx.shape()[1]}, {0, 5 - dx.shape()[2]}, {}});
  };
  check.context("the numbers of the text, dy = ((-67, -77), (-117, -127)), strides 2 and 2");
  check.compare("dx", answers.strided_dx(dy, w, {1, 5, 5, 1}, 2, 2),
                tg::conv2d_backprop_input({1, 5, 5, 1}, w, dy, {.strides = 2}),
                {.axes = "n h w c",
                 .explanations = {
                     {"the stride is forgotten: this is dx of stride 1", [=] { return with_strides(1, 1); }},
                     {"the stride is forgotten: this is dx of stride 1, smaller than x",
                      [=] { return given_conv2d_dx(dy, w); }},
                     {"the filter is turned: given_conv2d_dx() does all the turning that is needed",
                      [=] {
                        return tg::conv2d_backprop_input({1, 5, 5, 1}, tg::rot180(w), dy, {.strides = 2});
                      }},
                 }});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  // In the second case windows fill x exactly, in the others rows or columns are left over.
  const std::vector<Sizes> all = {{{1, 5, 6, 1}, {2, 3, 1, 1}, 1, 1},
                                  {{2, 5, 8, 2}, {3, 2, 2, 3}, 2, 3},
                                  {{1, 6, 9, 2}, {3, 2, 2, 3}, 2, 3},
                                  {{2, 9, 7, 3}, {2, 3, 3, 2}, 4, 2}};
  const std::vector<Sizes> easy = {{{2, 5, 5, 3}, {3, 3, 3, 2}, 1, 1}};
  check.part(
      "insert_zeros",
      "entry [p, q] goes to [p sh, q sw] of a tensor of zeros with (rows - 1) sh + 1 rows and (columns - 1) sw + 1 "
      "columns. Write it for ((1, 2), (3, 4)), strides 2 and 3, on paper.",
      [&] {
        check_zeros(check, answers, {1, 2, 3, 1}, 2, 2);
        check_zeros(check, answers, {2, 3, 2, 2}, 2, 3);
        check_zeros(check, answers, {2, 2, 3, 1}, 4, 1);
      });
  check.part(
      "strided_dx",
      "given_conv2d_dx(insert_zeros(dy, sh, sw), w) is dx as far as windows reach: (p - 1) sh + kh rows. x may have more; no "
      "window reaches them, so their gradient is 0: copy the result into new_tensor(x_shape).",
      [&] {
        if (!check.friendly() && check.rigour() != Rigour::OnesGradient) check_question(check, answers);
        for (const Sizes& s : check.cases(all, easy)) check_gradient(check, answers, s, true);
      });
  check.part(
      "strided_dw",
      "given_conv2d_dw(x, spread dy) has x's rows - dy's rows + 1 rows: too many where x has rows that no window reaches. Cut "
      "x to (p - 1) sh + kh rows first (tg::slice(x, {{}, {0, rows}, {0, columns}})), or keep only the first kh rows and kw "
      "columns of the result.",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_gradient(check, answers, s, false);
      });
}

}  // namespace exercise_09
