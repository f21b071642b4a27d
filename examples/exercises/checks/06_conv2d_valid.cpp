#include "checks/06_conv2d_valid.h"

#include <fmt/format.h>

namespace exercise_06 {
namespace {

struct Sizes {
  Shape x, w;
};

void compare(Check& check, const Answers& answers, const Tensor& x, const Tensor& w) {
  const auto first_channel = [](const Tensor& t) { return tg::slice(t, {{}, {}, {0, 1}}); };
  check.context(fmt::format("x {}, w {}", x.shape().str(), w.shape().str()));
  check.compare(
      "y", answers.conv2d_valid(x, w), tg::conv2d(x, w),
      {.axes = "n h w out",
       .explanations = {
           {"the filter is turned by 180 degrees: what networks call a convolution is a correlation, and turns "
            "nothing. w[i, j] meets x[p + i, q + j]",
            [=] { return tg::conv2d(x, tg::rot180(w)); }},
           {"only the last product of each sum is left: y[n, p, q, o] is overwritten (=) where the products must "
            "be added up (+=)",
            [=] {
              const index_t kh = w.shape()[0], kw = w.shape()[1], in = w.shape()[2];
              const Tensor last = tg::slice(w, {{kh - 1, kh}, {kw - 1, kw}, {in - 1, in}});
              const Tensor window =
                  tg::slice(x, {{}, {kh - 1, x.shape()[1]}, {kw - 1, x.shape()[2]}, {in - 1, in}});
              return tg::conv2d(window, last);
            }},
           {"only the first input channel is used: the sum runs over i, j and c",
            [=] {
              return tg::conv2d(tg::slice(x, {{}, {}, {}, {0, 1}}), first_channel(w));
            }},
           {"every input channel is multiplied by the filter of channel 0: c is an index of w, too",
            [=] { return tg::conv2d(tg::sum(x, {3}, {.keepdims = true}), first_channel(w)); }},
           {"every output channel is the same: o is an index of w, too",
            [=] {
              const Tensor y = tg::conv2d(x, tg::slice(w, {{}, {}, {}, {0, 1}}));
              return tg::broadcast_to(y, {x.shape()[0], y.shape()[1], y.shape()[2], w.shape()[3]});
            }},
           {"this is the mean over the window, and a convolution is the sum: do not divide by kh kw",
            [=] { return tg::conv2d(x, w) / static_cast<double>(w.shape()[0] * w.shape()[1]); }},
           {"the image is padded as with SAME, and the size of y is that of x. VALID uses only windows that lie "
            "inside of x: h - kh + 1 rows, w - kw + 1 columns",
            [=] { return tg::conv2d(x, w, {.padding = tg::Padding::Same}); }},
           {"the last row and column are missing: there are h - kh + 1 windows from top to bottom, not h - kh",
            [=] {
              const Tensor y = tg::conv2d(x, w);
              return tg::slice(y, {{}, {0, y.shape()[1] - 1}, {0, y.shape()[2] - 1}});
            }},
           {"all images of the batch give the result of image 0: n is an index of x, too",
            [=] {
              const Tensor y = tg::conv2d(tg::slice(x, {{0, 1}}), w);
              return tg::broadcast_to(y, {x.shape()[0], y.shape()[1], y.shape()[2], y.shape()[3]});
            }},
       }});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check.part(
      "conv2d_valid",
      "draw x, 4 rows of 5 numbers, and a filter of 2 x 3 on it: how many places are there from top to "
      "bottom, how many from left to right? The filter's corner w[0, 0] lies on x[p, q], so its entry "
      "w[i, j] lies on x[p + i, q + j]. Six loops give y: n, p, q, o for its entries, i, j, c for the sum.",
      [&] {
        // One image, one channel: the numbers of the text.
        const auto tensor = [](const tg::Literal& rows, const Shape& shape) {
          return tg::reshape(tg::tensor(rows, tg::DType::Float64), shape);
        };
        compare(check, answers,
                tensor({{0, 0, 2, 3, -3, -2},
                        {2, 3, -2, -1, 3, -1},
                        {-2, 2, -2, -1, 1, 0},
                        {-3, -3, 3, 2, 2, 0},
                        {2, -1, 0, 2, -3, -1}},
                       {1, 5, 6, 1}),
                tensor({{-3, 0}, {3, -3}, {-1, -1}}, {3, 2, 1, 1}));
        const std::vector<Sizes> all = {
            {{2, 5, 7, 1}, {2, 3, 1, 1}}, {{1, 5, 7, 3}, {4, 2, 3, 2}}, {{3, 4, 6, 2}, {1, 6, 2, 5}}};
        for (const Sizes& s : check.cases(all, {{{2, 5, 5, 3}, {3, 3, 3, 2}}}))
          compare(check, answers, check.draw(s.x), check.draw(s.w));
      });
}

}  // namespace exercise_06
