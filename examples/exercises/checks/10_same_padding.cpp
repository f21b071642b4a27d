#include "checks/10_same_padding.h"

#include <fmt/format.h>

#include <algorithm>

namespace exercise_10 {

Tensor given_pad(const Tensor& x, Margins rows, Margins columns) {
  return tg::pad(x, {{}, {rows.before, rows.after}, {columns.before, columns.after}, {}});
}

Tensor given_conv2d_valid(const Tensor& x, const Tensor& w, index_t sh, index_t sw) {
  return tg::conv2d(x, w, {.strides = {sh, sw}});
}

Tensor given_strided_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw) {
  return tg::conv2d_backprop_input(x_shape, w, dy, {.strides = {sh, sw}});
}

namespace {

struct Sizes {
  Shape x, w;
  index_t sh, sw;
};

Margins margins(index_t size, index_t kernel, index_t stride) {
  const index_t total = std::max<index_t>(0, ((size + stride - 1) / stride - 1) * stride + kernel - size);
  return {total / 2, total - total / 2};
}

bool same(Margins a, Margins b) {
  return a.before == b.before && a.after == b.after;
}

void check_margins(Check& check, const Answers& answers, index_t size, index_t kernel, index_t stride) {
  check.context(fmt::format("size {}, a filter of {}, stride {}", size, kernel, stride));
  const Margins right = margins(size, kernel, stride), got = answers.same_margins(size, kernel, stride);
  const index_t unclamped = ((size + stride - 1) / stride - 1) * stride + kernel - size;
  std::string hint;
  if (same(got, {right.after, right.before}))
    hint = "the odd pixel is on the wrong side: SAME puts it after (at the bottom, on the right)";
  else if (got.before + got.after == unclamped && unclamped < 0)
    hint = "the total is negative: where the windows need no zeros it is 0";
  else if (same(got, {(kernel - 1) / 2, (kernel - 1) / 2}))
    hint = "(k - 1) / 2 on both sides is right for stride 1 and odd filters only";
  else if (same(got, {(kernel - 1) / 2, kernel - 1 - (kernel - 1) / 2}))
    hint =
        "this is the padding of stride 1: with a stride the last window begins at (p - 1) s, and fewer zeros are needed";
  else if (same(got, {0, right.before + right.after}))
    hint = "all zeros are put after: half of them (rounded down) belong before";
  else if (got.before + got.after == std::max<index_t>(0, (size / stride - 1) * stride + kernel - size))
    hint = "the size of y is rounded down: SAME has size / s rounded up, (size + s - 1) / s";
  else if (same(got, {kernel / 2, kernel / 2}))
    hint = "k / 2 on both sides is one too many for even filters, and knows nothing of the stride";
  check.expect(same(got, right),
               fmt::format("same_margins({}, {}, {}) is ({}, {}), and must be ({}, {})", size, kernel, stride,
                           got.before, got.after, right.before, right.after),
               hint);
}

void check_forward(Check& check, const Answers& answers, const Sizes& s) {
  check.context(fmt::format("x {}, w {}, strides {} and {}", s.x.str(), s.w.str(), s.sh, s.sw));
  const Tensor x = check.draw(s.x), w = check.draw(s.w);
  const Margins rows = margins(s.x[1], s.w[0], s.sh), columns = margins(s.x[2], s.w[1], s.sw);
  const auto with = [=](Margins r, Margins c) {
    return tg::conv2d(
        x, w,
        {.strides = {s.sh, s.sw}, .padding = tg::Padding::Explicit(r.before, r.after, c.before, c.after)});
  };
  check.compare(
      "y", answers.conv2d_same(x, w, s.sh, s.sw), with(rows, columns),
      {.axes = "n h w out",
       .explanations = {
           {"the odd pixel is on the wrong side: SAME puts it after (at the bottom, on the right)",
            [=] {
              return with({rows.after, rows.before}, {columns.after, columns.before});
            }},
           {"rows and columns are exchanged: the rows' margins come from x.shape()[1], w.shape()[0] and sh",
            [=] { return with(columns, rows); }},
           {"nothing is padded: this is VALID", [=] { return with({}, {}); }},
           {"this is every stride-th pixel of the SAME convolution with stride 1: its windows begin elsewhere",
            [=] {
              const Margins r1 = margins(s.x[1], s.w[0], 1), c1 = margins(s.x[2], s.w[1], 1);
              return with(r1, c1);
            }},
       }});
}

void check_dx(Check& check, const Answers& answers, const Sizes& s) {
  check.context(fmt::format("x {}, w {}, strides {} and {}", s.x.str(), s.w.str(), s.sh, s.sw));
  const Margins rows = margins(s.x[1], s.w[0], s.sh), columns = margins(s.x[2], s.w[1], s.sw);
  const tg::Conv2DOptions options = {.strides = {s.sh, s.sw}, .padding = tg::Padding::Same};
  // dx before it is cropped.
  const auto whole = [=](const Tensor& w, const Tensor& dy) {
    return tg::conv2d_backprop_input(
        {s.x[0], s.x[1] + rows.before + rows.after, s.x[2] + columns.before + columns.after, s.x[3]}, w, dy,
        {.strides = {s.sh, s.sw}});
  };
  check.backward(
      [=](const Tensors& in) { return tg::conv2d(in[0], in[1], options); },
      [&](const Tensors& in, const Tensor&, const Tensor& dy) {
        return Tensors{answers.conv2d_same_dx(dy, in[1], in[0].shape(), s.sh, s.sw),
                       tg::conv2d_backprop_filter(in[0], in[1].shape(), dy, options)};
      },
      {check.draw(s.x), check.draw(s.w)},
      {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w c", "kh kw in out"}},
      {{0, "dx is not cropped: it has the gradients of the zeros around x, too",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) { return whole(in[1], dy); }},
       {0, "the crop begins at 0: the gradient of the zeros before x must be cut off, too",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::slice(whole(in[1], dy), {{}, {0, s.x[1]}, {0, s.x[2]}});
        }},
       {0,
        "the odd pixel is on the wrong side: the crop must begin after margins.before rows, not after margins.after",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::slice(whole(in[1], dy),
                           {{}, {rows.after, rows.after + s.x[1]}, {columns.after, columns.after + s.x[2]}});
        }}},
      {1});
}

/// The numbers of the text: 4 channels of 3 x 3, kernels [2, 4, 3, 3] (out, in, rows, columns), and the result [2, 6, 6].
const std::vector<double> kInput = {1, 0, 1, 0, 2, 1, 1, 1, 0, 2, 0, 2, 0, 1, 0, 1, 0, 0,
                                    1, 1, 1, 2, 2, 0, 1, 1, 1, 1, 1, 2, 1, 0, 1, 0, 2, 2};
const std::vector<double> kKernels = {1, 0, 1, -1, 1, 0, 0, -1, 0, -1, 0, 1, 0,  0,  1, 1, 1, 1,
                                      0, 1, 1, 2,  0, 1, 1, 2,  1, 1,  1, 1, 0,  2,  1, 1, 0, 1,
                                      1, 0, 2, -2, 1, 1, 1, -1, 0, -1, 0, 1, -1, 2,  1, 1, 1, 1,
                                      0, 0, 0, 2,  2, 1, 1, -1, 1, 2,  1, 1, 0,  -1, 1, 1, 1, 1};
const std::vector<double> kResult = {4, 3, 6, 2, 7, 3, 4, 3, 3,  2, 7,  5, 8, 6, 8, 5,  11, 2,
                                     3, 2, 7, 2, 3, 3, 5, 5, 11, 3, 9,  3, 2, 1, 4, 5,  4,  4,
                                     4, 1, 7, 0, 7, 2, 5, 6, 0,  1, 8,  5, 8, 0, 8, -2, 14, 2,
                                     3, 3, 9, 8, 1, 0, 3, 0, 13, 0, 11, 2, 3, 5, 3, 1,  3,  0};

void check_question(Check& check, const Answers& answers) {
  check.context(
      "the numbers of the text: dy of 3 x 3 and 4 channels, x of 6 x 6 and 2 channels, strides 2 and 2");
  const Tensor dy = tg::permute(tg::tensor(kInput, {1, 4, 3, 3}), {0, 2, 3, 1});
  // The document lays its kernels on dy. What is laid on x is turned.
  const Tensor w = tg::rot180(tg::permute(tg::tensor(kKernels, {2, 4, 3, 3}), {2, 3, 0, 1}));
  check.compare("dx", answers.conv2d_same_dx(dy, w, {1, 6, 6, 2}, 2, 2),
                tg::permute(tg::tensor(kResult, {1, 2, 6, 6}), {0, 2, 3, 1}), {.axes = "n h w c"});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  const std::vector<Sizes> all = {{{1, 5, 6, 1}, {3, 3, 1, 1}, 1, 1},
                                  {{1, 4, 6, 2}, {2, 4, 2, 3}, 1, 1},
                                  {{2, 6, 7, 2}, {3, 4, 2, 3}, 2, 3},
                                  {{2, 7, 8, 3}, {1, 5, 3, 2}, 2, 3}};
  const std::vector<Sizes> easy = {{{2, 5, 5, 3}, {3, 3, 3, 2}, 1, 1}};
  struct Axis {
    index_t size, kernel, stride;
  };
  check.part(
      "same_margins",
      "the last window begins at (p - 1) s and ends at (p - 1) s + k, where p = size / s, rounded up. How much of it lies "
      "outside of size? Half of that, rounded down, is put before. (size + s - 1) / s rounds up.",
      [&] {
        const std::vector<Axis> axes = {{28, 7, 1}, {5, 3, 1}, {6, 2, 1}, {6, 4, 2}, {6, 3, 2},
                                        {7, 3, 2},  {8, 4, 3}, {7, 1, 2}, {9, 2, 3}, {5, 4, 2}};
        for (const Axis& a : check.cases(axes, {{5, 3, 1}, {7, 3, 1}}))
          check_margins(check, answers, a.size, a.kernel, a.stride);
      });
  check.part(
      "conv2d_same",
      "same_margins() once for the rows (x.shape()[1], w.shape()[0], sh) and once for the columns; then given_pad() and "
      "given_conv2d_valid().",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_forward(check, answers, s);
      });
  check.part(
      "conv2d_same_dx",
      "forward: pad, then convolve. Backward, in reverse order: given_strided_dx() for the shape of the padded image, then cut "
      "off what was added: tg::slice(t, {{}, {rows.before, rows.before + h}, {columns.before, columns.before + w}}).",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_dx(check, answers, s);
        if (!check.friendly() && check.rigour() != Rigour::OnesGradient) check_question(check, answers);
      });
}

}  // namespace exercise_10
