#include "checks/08_conv2d_dw.h"

#include <fmt/format.h>

namespace exercise_08 {

Tensor given_conv2d_valid(const Tensor& x, const Tensor& w) {
  return tg::conv2d(x, w);
}

namespace {

struct Sizes {
  Shape x, w;
};

Tensor only_image(const Tensor& t, index_t n) {
  return tg::slice(t, {{n, n + 1}});
}

void check_roles(Check& check, const Answers& answers) {
  check.part("channels_as_images", "the entry [n, h, w, c] of x goes to [c, h, w, n].", [&] {
    check.context("x [2, 3, 4, 5]");
    const Tensor x = check.draw({2, 3, 4, 5});
    check.compare(
        "the result", answers.channels_as_images(x), tg::permute(x, {3, 1, 2, 0}),
        {.axes = "c h w n",
         .explanations = {
             {"only the shape is changed: the elements keep their order in memory, so they belong to other indices. "
              "Move each entry",
              [=] {
                return tg::reshape(x, {5, 3, 4, 2});
              }},
             {"rows and columns are exchanged as well: only n and c change places",
              [=] {
                return tg::permute(x, {3, 2, 1, 0});
              }},
             {"this is NCHW: the images stay first, where the channels belong",
              [=] {
                return tg::permute(x, {0, 3, 1, 2});
              }},
         }});
  });
  check.part("dy_as_filter", "the entry [n, p, q, o] of dy goes to [p, q, n, o].", [&] {
    check.context("dy [2, 3, 4, 5]");
    const Tensor dy = check.draw({2, 3, 4, 5});
    check.compare(
        "the result", answers.dy_as_filter(dy), tg::permute(dy, {1, 2, 0, 3}),
        {.axes = "kh kw n out",
         .explanations = {
             {"only the shape is changed: the elements keep their order in memory, so they belong to other indices. "
              "Move each entry",
              [=] {
                return tg::reshape(dy, {3, 4, 2, 5});
              }},
             {"turned by 180 degrees: dw turns nothing, that is for dx",
              [=] {
                return tg::rot180(tg::permute(dy, {1, 2, 0, 3}));
              }},
             {"images and channels are exchanged: the sum of conv2d runs over the third axis of a filter, and here it "
              "must run over the images",
              [=] {
                return tg::permute(dy, {1, 2, 3, 0});
              }},
         }});
  });
}

void check_dw(Check& check, const Answers& answers, const Tensor& x, const Tensor& w) {
  check.context(fmt::format("x {}, w {}", x.shape().str(), w.shape().str()));
  const index_t images = x.shape()[0];
  check.backward(
      [](const Tensors& in) { return tg::conv2d(in[0], in[1]); },
      [&](const Tensors& in, const Tensor&, const Tensor& dy) {
        return Tensors{tg::conv2d_backprop_input(in[0].shape(), in[1], dy), answers.conv2d_dw(in[0], dy)};
      },
      {x, w}, {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w c", "kh kw in out"}},
      {{1, "only the first image of the batch counts: dw is the sum over all",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::conv2d_backprop_filter(only_image(x, 0), in[1].shape(), only_image(dy, 0));
        }},
       {1, "only the last image of the batch is left: overwritten (=) where all must be added up (+=)",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::conv2d_backprop_filter(only_image(x, images - 1), in[1].shape(),
                                            only_image(dy, images - 1));
        }},
       {1, "every image meets every image's dy: each belongs to its own alone",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::conv2d_backprop_filter(tg::sum(x, {0}, {.keepdims = true}), in[1].shape(),
                                            tg::sum(dy, {0}, {.keepdims = true}));
        }},
       {1,
        "only the shape is changed at the end: [in, kh, kw, out] must become [kh, kw, in, out], so move each entry",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const Tensor dw = tg::conv2d_backprop_filter(x, in[1].shape(), dy);
          return tg::reshape(tg::permute(dw, {2, 0, 1, 3}), in[1].shape());
        }},
       {1, "the axes are left as the convolution gives them, [in, kh, kw, out]: w is [kh, kw, in, out]",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::permute(tg::conv2d_backprop_filter(x, in[1].shape(), dy), {2, 0, 1, 3});
        }}},
      {0});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check_roles(check, answers);
  check.part(
      "conv2d_dw",
      "given_conv2d_valid(channels_as_images(x), dy_as_filter(dy)) has the shape [in, kh, kw, out]: its images are x's "
      "channels. What is left is to bring the first axis to the third place, entry by entry.",
      [&] {
        const std::vector<Sizes> all = {{{1, 5, 6, 1}, {3, 2, 1, 1}},
                                        {{1, 5, 6, 2}, {3, 2, 2, 3}},
                                        {{3, 4, 6, 2}, {2, 4, 2, 3}},
                                        {{2, 6, 4, 3}, {1, 3, 3, 2}}};
        for (const Sizes& s : check.cases(all, {{{2, 5, 5, 3}, {3, 3, 3, 2}}}))
          check_dw(check, answers, check.draw(s.x), check.draw(s.w));
      });
}

}  // namespace exercise_08
