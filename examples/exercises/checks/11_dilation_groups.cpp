#include "checks/11_dilation_groups.h"

#include <fmt/format.h>

namespace exercise_11 {
namespace {

struct Sizes {
  Shape x, w;
  Options options;
};

tg::Conv2DOptions options_of(const Options& o) {
  return {.dilations = {o.dh, o.dw}, .groups = o.groups};
}

std::string context_of(const Sizes& s) {
  return fmt::format("x {}, w {}, dilations {} and {}, {} group{}", s.x.str(), s.w.str(), s.options.dh,
                     s.options.dw, s.options.groups, s.options.groups == 1 ? "" : "s");
}

/// The channels of t's axis in another order: 0, g, 2 g, ..., 1, g + 1, ... in place of 0, 1, 2, ...
Tensor interleaved(const Tensor& t, int axis, index_t groups) {
  std::vector<Tensor> parts;
  for (index_t g = 0; g < groups; ++g) {
    std::vector<tg::Range> ranges(static_cast<std::size_t>(axis) + 1);
    ranges.back() = {.begin = g, .end = tg::Range::kToEnd, .step = groups};
    parts.push_back(tg::slice(t, ranges));
  }
  return tg::concat(parts, axis);
}

/// The channels of group 0 for every group.
Tensor first_group(const Tensor& x, index_t groups) {
  const Tensor first = tg::slice(x, {{}, {}, {}, {0, x.shape()[3] / groups}});
  return tg::concat(std::vector<Tensor>(static_cast<std::size_t>(groups), first), 3);
}

void check_forward(Check& check, const Answers& answers, const Sizes& s) {
  check.context(context_of(s));
  const Tensor x = check.draw(s.x), w = check.draw(s.w);
  const Tensor right = tg::conv2d(x, w, options_of(s.options));
  const auto with = [=](Options o) { return tg::conv2d(x, w, options_of(o)); };
  const auto corner = [=](const Tensor& t) {
    return tg::slice(t, {{}, {0, right.shape()[1]}, {0, right.shape()[2]}});
  };
  const Options o = s.options;
  std::vector<Explanation> explanations = {
      {"the dilation is forgotten in x's index: w[i, j] meets x[p + i dh, q + j dw]",
       [=] {
         return corner(with({1, 1, o.groups}));
       }},
      {"the dilation is forgotten: this is the convolution with neighbouring pixels",
       [=] {
         return with({1, 1, o.groups});
       }},
      {"every group reads the channels of group 0: group g begins at channel g in / groups",
       [=] { return tg::conv2d(first_group(x, o.groups), w, options_of(o)); }}};
  if (o.groups > 1)
    explanations.push_back(
        {"output channel o is taken for one of group o % groups: groups are neighbours, o / (out / groups)",
         [=] {
           // In the right convolution group g's filters are neighbours: order them so, and put the results back.
           const index_t each = s.w[3] / o.groups;
           const Tensor y = tg::conv2d(x, interleaved(w, 3, o.groups), options_of(o));
           return interleaved(y, 3, each);
         }});
  check.compare("y", answers.conv2d_grouped(x, w, o), right,
                {.axes = "n h w out", .explanations = explanations});
}

void check_backward(Check& check, const Answers& answers, const Sizes& s) {
  check.context(context_of(s));
  const Options o = s.options;
  check.backward(
      [&](const Tensors& in) { return tg::conv2d(in[0], in[1], options_of(o)); },
      [&](const Tensors& in, const Tensor&, const Tensor& dy) {
        return answers.grouped_backward(in[0], in[1], dy, o);
      },
      {check.draw(s.x), check.draw(s.w)},
      {.tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"n h w c", "kh kw in out"}},
      {{0,
        "the gradients of all groups are added up in the channels of group 0: group g begins at channel g in / groups",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          const Tensor dx = tg::conv2d_backprop_input(in[0].shape(), in[1], dy, options_of(o));
          const index_t each = s.x[3] / o.groups;
          Tensor sum = tg::slice(dx, {{}, {}, {}, {0, each}});
          for (index_t g = 1; g < o.groups; ++g)
            sum = sum + tg::slice(dx, {{}, {}, {}, {g * each, (g + 1) * each}});
          return o.groups == 1
                     ? tg::zeros_like(dx)
                     : tg::concat(
                           {sum, tg::zeros({s.x[0], s.x[1], s.x[2], s.x[3] - each}, tg::DType::Float64)}, 3);
        }},
       {1, "every group reads the channels of group 0: group g begins at channel g in / groups",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          return tg::conv2d_backprop_filter(first_group(in[0], o.groups), in[1].shape(), dy, options_of(o));
        }},
       {0,
        "only the last product that arrives at a pixel is left: overwritten (=) where all must be added up (+=)",
        [=](const Tensors& in, const Tensor&, const Tensor& dy) {
          Tensor dx = new_tensor(s.x);
          const index_t ins = s.w[2], outs = s.w[3] / o.groups;
          const Shape& y = dy.shape();
          for (index_t n = 0; n < y[0]; ++n)
            for (index_t p = 0; p < y[1]; ++p)
              for (index_t q = 0; q < y[2]; ++q)
                for (index_t f = 0; f < y[3]; ++f)
                  for (index_t i = 0; i < s.w[0]; ++i)
                    for (index_t j = 0; j < s.w[1]; ++j)
                      for (index_t c = 0; c < ins; ++c)
                        dx.set({n, p + i * o.dh, q + j * o.dw, f / outs * ins + c},
                               in[1].at({i, j, c, f}) * dy.at({n, p, q, f}));
          return dx;
        }}});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  const std::vector<Sizes> all = {{{1, 6, 7, 1}, {3, 2, 1, 1}, {2, 3, 1}},
                                  {{2, 3, 4, 6}, {2, 3, 2, 9}, {1, 1, 3}},
                                  {{1, 7, 6, 4}, {3, 2, 2, 6}, {2, 3, 2}},
                                  {{2, 4, 6, 3}, {2, 3, 1, 6}, {3, 2, 3}}};
  // Courses rarely have dilation or groups; where they do, one of 2 along both axes.
  const std::vector<Sizes> easy = {{{2, 7, 7, 4}, {3, 3, 4, 4}, {1, 1, 1}}};
  check.part(
      "dilated_size",
      "3 entries with one pixel left out between neighbours: a . b . c reaches over 5. How many gaps are there, and how many "
      "pixels does each add?",
      [&] {
        struct Case {
          index_t k, d, size;
        };
        const std::vector<Case> cases = {{3, 1, 3}, {3, 2, 5}, {2, 4, 5}, {5, 3, 13}, {1, 7, 1}};
        for (const Case& c : check.cases(cases, {{3, 1, 3}})) {
          check.context(fmt::format("k {}, d {}", c.k, c.d));
          check.number(fmt::format("dilated_size({}, {})", c.k, c.d),
                       static_cast<double>(answers.dilated_size(c.k, c.d)), static_cast<double>(c.size),
                       1e-12,
                       {{static_cast<double>(c.k * c.d),
                         "k d counts a gap after the last entry: there are k - 1 gaps"},
                        {static_cast<double>(c.k + (c.k - 1) * c.d),
                         "d is the distance of neighbours: d - 1 pixels lie between"},
                        {static_cast<double>((c.k - 1) * c.d), "the last entry itself is forgotten: + 1"},
                        {static_cast<double>(c.k), "the dilation is forgotten"}});
        }
      });
  check.part(
      "conv2d_grouped",
      "exercise 6, with two changes: x's row is p + i dh and its column q + j dw, and the sum over c runs over in / groups "
      "channels, that is over w.shape()[2]. Output channel o belongs to group g = o / (out / groups), and reads x's channels g "
      "(in / groups) + c.",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_forward(check, answers, s);
      });
  check.part(
      "grouped_backward",
      "the loops of your conv2d_grouped, once more: every product x[...] w[...] in y[...] adds w[...] dy[...] to dx at x's "
      "indices, and x[...] dy[...] to dw at w's. Copy the loops, and replace the one line by two.",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_backward(check, answers, s);
      });
}

}  // namespace exercise_11
