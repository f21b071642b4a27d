#include "checks/07_conv2d_dx.h"

#include <fmt/format.h>

namespace exercise_07 {

Tensor given_conv2d_valid(const Tensor& x, const Tensor& w) {
  return tg::conv2d(x, w);
}

namespace {

Tensor float64(const tg::Literal& rows, const Shape& shape) {
  return tg::reshape(tg::tensor(rows, tg::DType::Float64), shape);
}

struct Sizes {
  Shape x, w;
};

Tensor padded(const Tensor& t, index_t top, index_t bottom, index_t left, index_t right) {
  return tg::pad(t, {{}, {top, bottom}, {left, right}, {}});
}

void check_padding(Check& check, const Answers& answers, const Shape& shape, index_t kh, index_t kw) {
  check.context(fmt::format("dy {}, a filter of {} x {}", shape.str(), kh, kw));
  const Tensor dy = check.draw(shape);
  check.compare(
      "the padded dy", answers.pad_full(dy, kh, kw), padded(dy, kh - 1, kh - 1, kw - 1, kw - 1),
      {.axes = "n h w out",
       .explanations = {
           {"k zeros on each side are one too many: with k - 1 the filter's last row still meets dy's first",
            [=] { return padded(dy, kh, kh, kw, kw); }},
           {"rows and columns are exchanged: kh - 1 zeros belong above and below, kw - 1 on the left and right",
            [=] { return padded(dy, kw - 1, kw - 1, kh - 1, kh - 1); }},
           {"this is the padding of SAME, half of FULL's",
            [=] { return padded(dy, (kh - 1) / 2, (kh - 1) / 2, (kw - 1) / 2, (kw - 1) / 2); }},
           {"dy lies in the upper left corner: entry [p, q] belongs to [p + kh - 1, q + kw - 1]",
            [=] { return padded(dy, 0, 2 * (kh - 1), 0, 2 * (kw - 1)); }},
       }});
}

void check_turned(Check& check, const Answers& answers, const Shape& shape) {
  check.context(fmt::format("w {}", shape.str()));
  const Tensor w = check.draw(shape);
  const auto swapped = [](const Tensor& t) { return tg::permute(t, {0, 1, 3, 2}); };
  check.compare(
      "the turned w", answers.turned(w), swapped(tg::rot180(w)),
      {.axes = "kh kw out in",
       .explanations = {
           {"the channels are not exchanged: dy has w's output channels, and dx its input channels",
            [=] { return tg::rot180(w); }},
           {"nothing is turned: entry [i, j] goes to [kh - 1 - i, kw - 1 - j]", [=] { return swapped(w); }},
           {"turned in rows only: 180 degrees means both, rows and columns",
            [=] { return swapped(tg::flip(w, 0)); }},
           {"turned in columns only: 180 degrees means both, rows and columns",
            [=] { return swapped(tg::flip(w, 1)); }},
           {"the order of the channels is reversed, too: only rows and columns are turned, channels change places",
            [=] { return swapped(tg::flip(tg::flip(tg::rot180(w), 2), 3)); }},
           {"rows and columns are exchanged: that is a transpose of the filter's plane, and not a turn",
            [=] {
              return tg::permute(w, {1, 0, 3, 2});
            }},
           {"rows and columns are exchanged after the turn: a turn by 180 degrees keeps them",
            [=] {
              return tg::permute(tg::rot180(w), {1, 0, 3, 2});
            }},
       }});
}

void check_dx(Check& check, const Answers& answers, const Tensor& x, const Tensor& w) {
  check.context(fmt::format("x {}, w {}", x.shape().str(), w.shape().str()));
  check.backward(
      [](const Tensors& in) { return tg::conv2d(in[0], in[1]); },
      [&](const Tensors& in, const Tensor&, const Tensor& dy) {
        return Tensors{answers.conv2d_dx(dy, in[1]), tg::conv2d_backprop_filter(in[0], in[1].shape(), dy)};
      },
      {x, w}, {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w c", "kh kw in out"}},
      {{0,
        "'w' is not turned where dx is a convolution of the padded dy: the gradient would be right if it were "
        "turned by 180 degrees",
        [](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::conv2d_backprop_input(in[0].shape(), tg::rot180(in[1]), dy);
        }}},
      {1});
}

/// The numbers of the text: with dy = ((1, 0), (2, 1)) the result is that of its transposed convolution.
void check_question(Check& check, const Answers& answers) {
  const Tensor w = float64({{1, 0, 1}, {0, 1, 1}, {1, 0, 0}}, {3, 3, 1, 1});
  const Tensor dy = float64({{1, 0}, {2, 1}}, {1, 2, 2, 1});
  check.context("the numbers of the text, dy = ((1, 0), (2, 1))");
  check.compare(
      "dx", answers.conv2d_dx(dy, w), tg::conv2d_backprop_input({1, 4, 4, 1}, w, dy),
      {.axes = "n h w c",
       .explanations = {{"'w' is not turned: it must be turned by 180 degrees where dx is a convolution of "
                         "the padded dy",
                         [=] {
                           return tg::conv2d_backprop_input({1, 4, 4, 1}, tg::rot180(w), dy);
                         }},
                        {"dy is not padded: without its zeros the result is smaller than x", [=] {
                           return tg::conv2d(dy, tg::slice(w, {{0, 1}, {0, 1}}));
                         }}}});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check.part(
      "pad_full",
      "the picture in the text: the outermost place where the filter still meets dy is the one where its last row and "
      "column lie on dy's first. So how many rows of it hang over? The result has h + 2 (kh - 1) rows.",
      [&] {
        check_padding(check, answers, {1, 2, 3, 1}, 3, 2);
        check_padding(check, answers, {2, 3, 2, 4}, 2, 4);
        check_padding(check, answers, {1, 4, 2, 2}, 1, 3);
      });
  check.part(
      "turned",
      "the entry w[i, j, c, o] goes to [kh - 1 - i, kw - 1 - j, o, c]. Turn a sheet of paper with the six letters of a 2 x 3 "
      "filter by half a turn, and read it.",
      [&] {
        check_turned(check, answers, {2, 3, 1, 1});
        check_turned(check, answers, {3, 2, 2, 4});
        check_turned(check, answers, {3, 3, 3, 3});
      });
  check.part(
      "conv2d_dx",
      "the two functions above, and given_conv2d_valid(image, filter): dx = conv2d_valid(pad_full(dy), turned(w)). kh and "
      "kw are those of w. Does the result have the shape of x?",
      [&] {
        if (!check.friendly() && check.rigour() != Rigour::OnesGradient) check_question(check, answers);
        const std::vector<Sizes> all = {
            {{1, 5, 6, 1}, {3, 2, 1, 1}}, {{2, 4, 6, 2}, {2, 4, 2, 3}}, {{2, 6, 4, 3}, {1, 3, 3, 2}}};
        for (const Sizes& s : check.cases(all, {{{2, 5, 5, 3}, {3, 3, 3, 2}}}))
          check_dx(check, answers, check.draw(s.x), check.draw(s.w));
      });
}

}  // namespace exercise_07
