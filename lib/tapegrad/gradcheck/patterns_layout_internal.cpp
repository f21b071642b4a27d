// Right values in the wrong order: turned, transposed, exchanged, in the wrong slice.

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"
#include "tapegrad/ops/layout.h"
namespace tapegrad::inline v0::detail {
namespace {

/// A rearrangement of a tensor that keeps its shape.
struct Rearrangement {
  std::string pattern, what;  // "what" completes: the gradient is right if ... is
  std::function<Tensor(const Tensor&)> apply;
  /// The other way round, where that is no rearrangement of this list: what a rule sees that reads an operand so.
  std::function<Tensor(const Tensor&)> undo = {};
};

// Reversed along up to two axes; a filter turned first of all.
std::vector<Rearrangement> flips(const Shape& shape, const std::vector<std::string>& words) {
  std::vector<std::vector<int>> choices;
  const int rank = shape.rank();
  for (int a = 0; a < rank; ++a) {
    choices.push_back({a});
    for (int b = a + 1; b < rank; ++b) choices.push_back({a, b});
  }
  std::vector<Rearrangement> found;
  for (const std::vector<int>& axes : choices) {
    if (std::ranges::any_of(axes, [&](int axis) { return shape[axis] < 2; })) continue;
    const bool turned =
        (is_filter(words) && axes.back() < 2) || words[static_cast<std::size_t>(axes[0])] == "k";
    const std::string& word = words[static_cast<std::size_t>(axes[0])];
    const bool channel = axes.size() == 1 && (word == "c" || word == "in" || word == "out");
    const std::string list = axis_list(axes, words);
    const Rearrangement flip_axes{turned    ? "rotated"
                                  : channel ? "channels"
                                            : "flipped",
                                  turned && axes.size() == 2 ? "turned by 180 degrees (along kh and kw)"
                                  : channel ? fmt::format("given its channels ({}) in reverse order", list)
                                            : "reversed along " + list,
                                  [axes](const Tensor& x) { return flip(x, axes); }};
    found.insert(turned && axes.size() == 2 ? found.begin() : found.end(), flip_axes);
  }
  return found;
}

// Axes in another order: of equal sizes, or with the elements read as if the tensor had the permuted shape.
std::vector<Rearrangement> permutations(const Shape& shape, const std::vector<std::string>& words) {
  std::vector<Rearrangement> found;
  if (shape.rank() < 2 || shape.rank() > 5) return found;
  std::vector<int> order(static_cast<std::size_t>(shape.rank()));
  std::iota(order.begin(), order.end(), 0);
  while (std::next_permutation(order.begin(), order.end())) {
    std::vector<index_t> sizes;
    std::vector<int> moved;
    for (std::size_t axis = 0; axis < order.size(); ++axis) {
      sizes.push_back(shape[order[axis]]);
      if (order[axis] != static_cast<int>(axis)) moved.push_back(static_cast<int>(axis));
    }
    std::vector<int> inverse(order.size());
    for (std::size_t axis = 0; axis < order.size(); ++axis)
      inverse[static_cast<std::size_t>(order[axis])] = static_cast<int>(axis);
    const bool same_sizes = Shape(sizes) == shape;
    found.push_back(
        {"axes",
         same_sizes && moved.size() == 2 ? fmt::format("transposed: {} exchanged", axis_list(moved, words))
         : same_sizes ? fmt::format("permuted: axes {} in another order", axis_list(moved, words))
                      : fmt::format("read as {} and permuted back: its elements lie in another order of "
                                    "the axes {}",
                                    Shape(sizes).str(), axis_list(moved, words)),
         [sizes, inverse](const Tensor& x) { return permute(reshape(x, sizes), inverse); }});
    if (!same_sizes)
      found.back().undo = [order](const Tensor& x) { return reshape(permute(x, order), x.shape()); };
  }
  // Two axes exchanged explain more than three do.
  std::ranges::stable_sort(found, {}, [](const Rearrangement& r) { return r.what.size(); });
  return found;
}

std::vector<Rearrangement> rearrangements(const Shape& shape, const std::vector<std::string>& words) {
  std::vector<Rearrangement> all = flips(shape, words);
  for (Rearrangement& other : permutations(shape, words)) all.push_back(std::move(other));
  return all;
}

// Of a concatenation of equal pieces.
std::vector<Rearrangement> halves(const Shape& shape) {
  std::vector<Rearrangement> found;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const index_t half = shape[axis] / 2;
    if (shape[axis] % 2 != 0 || half == 0) continue;
    found.push_back({"pieces", fmt::format("taken with its two halves along axis {} exchanged", axis),
                     [axis, half](const Tensor& x) {
                       std::vector<Range> first(static_cast<std::size_t>(axis)), second = first;
                       first.push_back({0, half}), second.push_back({half, 2 * half});
                       return concat({slice(x, second), slice(x, first)}, axis);
                     }});
  }
  return found;
}

Hint rearranged(const Case& c) {
  if (c.checked.size() < 2) return std::nullopt;
  for (const Rearrangement& r : rearrangements(c.me.shape, c.me.axes))
    if (c.explains(values_of(r.apply(c.e.analytic[c.e.k]))))
      return GradcheckHint{r.pattern, fmt::format("the gradient would be right if it were {}", r.what)};
  return std::nullopt;
}

// The rules of two inputs have changed places.
Hint exchanged(const Case& c) {
  for (std::size_t m = 0; m < c.e.xs.size(); ++m)
    if (m != c.e.k && c.e.xs[m].shape() == c.me.shape && c.explains(values_of(c.e.analytic[m])))
      return GradcheckHint{
          "exchanged",
          fmt::format("this is right in the place of '{}': the gradients of two inputs are exchanged",
                      c.e.tensors[m].name)};
  return std::nullopt;
}

// The rule uses another operand, or the output gradient, the wrong way round.
Hint operands(const Case& c) {
  for (std::size_t m = 0; m < c.e.xs.size(); ++m) {
    if (m == c.e.k) continue;
    const GradcheckTensor& other = c.e.tensors[m];
    if (other.shape.size() < 2) continue;
    Restored restored(c.e.xs[m]);
    const Tensor before = TensorAccess::clone(c.e.xs[m]);
    if (other.shape == c.me.shape) {
      Restored mine(c.e.xs[c.e.k]);
      const Values values = values_of(c.e.xs[c.e.k]);
      mine.set(before.values<double>());
      restored.set(values);
      if (const auto found = c.backward(c.e.rs); found && c.explains(*found))
        return GradcheckHint{
            "operands", fmt::format("the gradient would be right with '{}' and '{}' in each other's place: "
                                    "the rule uses the wrong operand",
                                    c.me.name, other.name)};
    }
    for (const Rearrangement& r : rearrangements(other.shape, other.axes)) {
      for (const auto& change : {r.apply, r.undo}) {
        if (!change) continue;
        restored.set(change(before).values<double>());
        if (const auto found = c.backward(c.e.rs); found && c.explains(*found))
          return GradcheckHint{r.pattern,
                               fmt::format("the gradient would be right if '{}' were {} in the backward pass",
                                           other.name, r.what)};
      }
    }
  }
  for (std::size_t o = 0; o < c.e.rs.size(); ++o) {
    std::vector<Rearrangement> all = rearrangements(c.e.rs[o].shape(), plain_words(c.e.rs[o].shape()));
    for (Rearrangement& other : halves(c.e.rs[o].shape())) all.push_back(std::move(other));
    for (const Rearrangement& r : all) {
      Tensors rs = c.e.rs;
      rs[o] = r.apply(c.e.rs[o]);
      if (const auto found = c.backward(rs); found && c.explains(*found))
        return GradcheckHint{
            r.pattern, fmt::format("the gradient would be right if the output gradient were {}", r.what)};
    }
  }
  return std::nullopt;
}

// The slices along one axis are right, but in another order.
Hint channels(const Case& c) {
  if (c.checked.size() != c.numeric.size() || c.checked.size() < 2) return std::nullopt;
  for (int d = c.me.shape.rank(); d-- > 0;) {
    const index_t size = c.me.shape[d];
    if (size < 2 || size > 64) continue;
    index_t inner = 1;
    for (int after = d + 1; after < c.me.shape.rank(); ++after) inner *= c.me.shape[after];
    const auto same = [&](index_t slice, index_t from) {
      for (std::size_t i = 0; i < c.numeric.size(); ++i) {
        const auto at = static_cast<index_t>(i);
        if (at / inner % size == slice &&
            !c.close(c.numeric[i], c.analytic[static_cast<std::size_t>(at + (from - slice) * inner)]))
          return false;
      }
      return true;
    };
    // Slices of zeros may stand anywhere: they tell no order.
    std::vector<bool> telling(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < c.numeric.size(); ++i)
      if (std::abs(c.numeric[i]) > c.tolerance)
        telling[static_cast<std::size_t>(static_cast<index_t>(i) / inner % size)] = true;
    if (std::ranges::find(telling, false) != telling.end()) continue;
    std::set<index_t> used;
    std::vector<index_t> order;
    for (index_t slice = 0; slice < size; ++slice)
      for (index_t from = 0; from < size; ++from)
        if (!used.contains(from) && same(slice, from)) {
          used.insert(from);
          order.push_back(from);
          break;
        }
    if (static_cast<index_t>(order.size()) == size)
      return GradcheckHint{
          "channels",
          fmt::format("the entries along {} are in the wrong order: 0, 1, ... should be those now at {}",
                      c.axis(d), join(order, ", "))};
  }
  return std::nullopt;
}

// All of an axis added up, and put into one index of it or into all.
Hint gathered(const Case& c) {
  const int rank = c.me.shape.rank();
  for (int d = 0; d < rank; ++d) {
    const index_t size = c.me.shape[d];
    if (size < 2) continue;
    index_t inner = 1;
    for (int after = d + 1; after < rank; ++after) inner *= c.me.shape[after];
    Values sums(c.numeric.size(), 0);
    const auto first = [&](std::size_t i) {
      const auto at = static_cast<index_t>(i);
      return static_cast<std::size_t>(at - at / inner % size * inner);
    };
    for (std::size_t i = 0; i < sums.size(); ++i) sums[first(i)] += c.numeric[i];
    const auto is_put = [&](auto&& into) {
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const index_t at = static_cast<index_t>(i) / inner % size;
        if (!(std::abs(c.analytic[i] - (into(at) ? sums[first(i)] : 0)) <=
              4 * static_cast<double>(size) * c.tolerance))
          return false;
      }
      return true;
    };
    for (const index_t only : {index_t{0}, size - 1})
      if (is_put([&](index_t at) { return at == only; }))
        return GradcheckHint{
            "", fmt::format("the gradients of all {0} are added up in {0} = {1}: the index along {0} is "
                            "left out where the gradient is written",
                            c.axis(d), only)};
    // Entries that have the same gradient are multiplied by their number rather than added up.
    bool same = true;
    for (std::size_t i = 0; i < sums.size(); ++i) same = same && c.close(c.numeric[i], c.numeric[first(i)]);
    if (!same && is_put([](index_t) { return true; }))
      return GradcheckHint{
          "", fmt::format("every entry along {} has the sum over all of them: each has a gradient of its "
                          "own",
                          c.axis(d))};
  }
  return std::nullopt;
}

// Shifted by a few places along one axis, or along the two axes of images and filters together.
Hint shifted(const Case& c) {
  const int rank = c.me.shape.rank();
  const auto fits = [&](const std::vector<index_t>& by) {
    std::size_t compared = 0, telling = 0;
    for (const std::size_t i : c.checked) {
      std::vector<index_t> at = index_of(static_cast<index_t>(i), c.me.shape);
      index_t from = 0;
      bool inside = true;
      for (int d = 0; d < rank; ++d) {
        const index_t moved = at[static_cast<std::size_t>(d)] + by[static_cast<std::size_t>(d)];
        inside = inside && moved >= 0 && moved < c.me.shape[d];
        from = from * c.me.shape[d] + moved;
      }
      if (!inside) continue;
      if (!c.close(c.numeric[i], c.analytic[static_cast<std::size_t>(from)])) return false;
      ++compared;
      // A gradient that is the same at both places is copied, not shifted.
      if (std::abs(c.numeric[i]) > 1e-2 * c.scale &&
          !c.close(c.analytic[i], c.analytic[static_cast<std::size_t>(from)]))
        ++telling;
    }
    return telling >= 2 && 4 * compared >= c.checked.size();
  };
  for (const index_t distance : {1, -1, 2, -2, 3, -3, 4, -4}) {
    for (int a = 0; a < rank; ++a) {
      for (int b = a; b < rank; ++b) {
        for (const index_t other : {distance, -distance}) {
          std::vector<index_t> by(static_cast<std::size_t>(rank), 0);
          by[static_cast<std::size_t>(a)] = distance;
          if (b != a) by[static_cast<std::size_t>(b)] = other;
          if (!fits(by)) continue;
          return GradcheckHint{
              "shifted",
              fmt::format(
                  "the gradient is shifted by {} along {}: off by one index, one stride or the padding",
                  std::abs(distance), axis_list(a == b ? std::vector{a} : std::vector{a, b}, c.me.axes))};
        }
      }
    }
  }
  return std::nullopt;
}

bool all_known(const Case& c) {
  return !c.wrong.empty() && c.complete() && c.checked.size() > 1;
}

constexpr Pattern kLayoutPatterns[] = {
    {"axes", Strength::Exact, some_wrong, rearranged},
    {"exchanged", Strength::Exact, some_wrong, exchanged},
    {"operands", Strength::Exact, some_wrong, operands, true},
    {"channels", Strength::Exact, all_known, channels},
    {"gathered", Strength::Exact, all_known, gathered},
    {"shifted", Strength::Likely, some_wrong, shifted},
};

}  // namespace

std::span<const Pattern> layout_patterns() {
  return kLayoutPatterns;
}

}  // namespace tapegrad::inline v0::detail
