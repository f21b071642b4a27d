#include "checks/04_broadcasting.h"

#include <fmt/format.h>

namespace exercise_04 {
namespace {

/// The axes of `shape` within g, and whether g is longer along them.
tg::Range first_of(index_t wide, index_t narrow) {
  return narrow == wide ? tg::Range{} : tg::Range{0, narrow};
}

/// g where a slice is taken in place of the sum.
Tensor first_slice(const Tensor& g, const Shape& shape) {
  std::vector<tg::Range> ranges;
  const int more = g.rank() - shape.rank();
  for (int d = 0; d < g.rank(); ++d)
    ranges.push_back(d < more ? tg::Range{0, 1} : first_of(g.shape()[d], shape[d - more]));
  return tg::reshape(tg::slice(g, ranges), shape);
}

Tensor last_slice(const Tensor& g, const Shape& shape) {
  std::vector<tg::Range> ranges;
  const int more = g.rank() - shape.rank();
  for (int d = 0; d < g.rank(); ++d) {
    const index_t size = g.shape()[d];
    ranges.push_back(d < more || shape[d - more] != size ? tg::Range{size - 1, size} : tg::Range{});
  }
  return tg::reshape(tg::slice(g, ranges), shape);
}

void check_sum(Check& check, const Answers& answers, const Shape& from, const Shape& to) {
  const Tensor g = check.draw(from);
  const double repeated = static_cast<double>(from.size()) / static_cast<double>(to.size());
  std::vector<Explanation> explanations = {
      {"this is the mean over the repeated axes: it must be the sum, as each copy has a part of its own in the loss",
       [=] { return tg::sum_to(g, to) / repeated; }},
      {"only the first slice along the repeated axes is taken: all are to be added up",
       [=] { return first_slice(g, to); }},
      {"only the last slice along the repeated axes is left: overwritten (=) where all must be added up (+=)",
       [=] { return last_slice(g, to); }}};
  for (int axis = 0; axis < g.rank(); ++axis) {
    // Sums along an axis less: the others are done.
    const int more = g.rank() - to.rank();
    const bool repeats = axis < more || to[axis - more] != from[axis];
    if (!repeats) continue;
    explanations.push_back(
        {fmt::format("axis {} of {} is not summed over: it was repeated, too", axis, from.str()), [=] {
           std::vector<int> axes;
           for (int d = 0; d < g.rank(); ++d)
             if (d != axis && (d < more || to[d - more] != from[d])) axes.push_back(d);
           const Tensor sum = axes.empty() ? g : tg::sum(g, axes, {.keepdims = true});
           return sum;
         }});
  }
  std::vector<int> squeezed;
  for (int d = 0; d < g.rank(); ++d) {
    const int more = g.rank() - to.rank();
    if (d < more || to[d - more] != from[d]) squeezed.push_back(d);
  }
  if (!squeezed.empty())
    explanations.push_back(
        {"the axes of size 1 are gone: the gradient must have exactly the shape that the tensor has, with "
         "its axes of size 1",
         [=] { return tg::sum(g, squeezed); }});
  check.context(fmt::format("g {}, shape {}", from.str(), to.str()));
  check.compare("the sum", answers.sum_to_shape(g, to), tg::sum_to(g, to), {.explanations = explanations});
}

struct Pair {
  Shape a, b;
};

}  // namespace

void check(Check& check, const Answers& answers) {
  check.part(
      "sum_to_shape",
      "the table in the text, read from its right end: which axes of g does the shape not have, and where does it have "
      "a 1? A loop over all entries of g, g.shape().position(k) gives the indices of entry k: drop the first ones that "
      "the shape has no axis for, put 0 where the shape has a 1, and add to that entry of the result.",
      [&] {
        const std::vector<Pair> all = {
            {{2, 3}, {2, 3}},       {{4, 3}, {3}},       {{4, 3}, {4, 1}},
            {{2, 4, 3}, {4, 1}},    {{2, 4, 3}, {1, 3}}, {{2, 5, 3, 4}, {2, 1, 1, 4}},
            {{2, 3, 2}, {1, 1, 1}}, {{3, 2}, {}},        {{3, 1, 2}, {1, 2}}};
        for (const Pair& p : all) check_sum(check, answers, p.a, p.b);
      });
  check.part(
      "product_backward",
      "without broadcasting: da = dy b, db = dy a. With it, dy has the shape of the result, and so has dy * b (the "
      "operator broadcasts): sum_to_shape brings it to a's shape.",
      [&] {
        const std::vector<Pair> all = {
            {{2, 3}, {2, 3}}, {{4, 3}, {3}}, {{4, 1}, {1, 3}}, {{2, 3, 4}, {3, 1}}, {{3}, {2, 4, 3}}};
        for (const Pair& p : all) {
          check.context(fmt::format("a {}, b {}", p.a.str(), p.b.str()));
          check.backward([](const Tensors& in) { return in[0] * in[1]; },
                         [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                           return answers.product_backward(in[0], in[1], dy);
                         },
                         {check.draw(p.a), check.draw(p.b)},
                         {.tolerance = 1e-10, .step = 1, .names = {"a", "b"}},
                         {{0, "a's gradient has the shape of the result: sum_to_shape() brings it to a's",
                           [](const Tensors& in, const Tensor&, const Tensor& dy) { return dy * in[1]; }},
                          {1, "b's gradient has the shape of the result: sum_to_shape() brings it to b's",
                           [](const Tensors& in, const Tensor&, const Tensor& dy) { return dy * in[0]; }}});
        }
      });
}

}  // namespace exercise_04
