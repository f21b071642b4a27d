#include "tapegrad/gradcheck/hints_internal.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::detail {
namespace {

using Values = std::vector<double>;
using Hint = std::optional<GradcheckHint>;

Values values_of(const Tensor& x) {
  return {x.values<double>().begin(), x.values<double>().end()};
}

double largest(const Values& values) {
  double found = 0;
  for (const double v : values)
    if (std::isfinite(v)) found = std::max(found, std::abs(v));
  return found;
}

/// A rearrangement of a tensor that keeps its shape.
struct Rearrangement {
  std::string pattern, what;  // "what" completes: the gradient is right if ... is
  std::function<Tensor(const Tensor&)> apply;
};

std::string axis_list(const std::vector<int>& axes, const std::vector<std::string>& words) {
  std::string text;
  for (const int axis : axes) {
    if (!text.empty()) text += " and ";
    text += words[static_cast<std::size_t>(axis)];
  }
  return text;
}

std::vector<std::string> plain_words(const Shape& shape) {
  std::vector<std::string> words;
  for (int d = 0; d < shape.rank(); ++d) words.push_back(fmt::format("axis {}", d));
  return words;
}

bool is_filter(const std::vector<std::string>& words) {
  return words.size() >= 2 && words[0] == "kh" && words[1] == "kw";
}

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
  }
  // Two axes exchanged explain more than three do.
  std::ranges::stable_sort(found, {}, [](const Rearrangement& r) { return r.what.size(); });
  return found;
}

class Detective {
 public:
  explicit Detective(const Evidence& evidence)
      : e_(evidence),
        me_(evidence.tensors[evidence.k]),
        analytic_(values_of(evidence.analytic[evidence.k])),
        numeric_(values_of(me_.numeric)),
        scale_(largest(numeric_)),
        tolerance_(1e-5 * scale_) {
    for (std::size_t i = 0; i < numeric_.size(); ++i) {
      if (std::isnan(numeric_[i])) continue;
      checked_.push_back(i);
      (close(numeric_[i], analytic_[i]) ? right_ : wrong_).push_back(i);
    }
  }

  std::vector<GradcheckHint> find() {
    std::vector<GradcheckHint> found;
    if (wrong_.empty()) {  // off by less than a mistake in the pattern would make
      if (const Hint hint = ratio(1e-3)) found.push_back(*hint);
      return found;
    }
    using Search = Hint (Detective::*)();
    for (const Search search :
         {&Detective::not_finite, &Detective::nothing, &Detective::output_gradient, &Detective::known_ratio,
          &Detective::output_gradient_sum, &Detective::rearranged, &Detective::exchanged,
          &Detective::operands, &Detective::channels, &Detective::unwritten, &Detective::terms,
          &Detective::shifted, &Detective::border, &Detective::place}) {
      if (const Hint hint = (this->*search)()) {
        found.push_back(*hint);
        break;
      }
    }
    return found;
  }

 private:
  bool close(double a, double b) const { return std::abs(a - b) <= tolerance_; }

  /// Whether these values, in place of the analytic gradient, would be right.
  bool explains(const Values& values) const {
    return std::ranges::all_of(checked_, [&](std::size_t i) { return close(numeric_[i], values[i]); });
  }
  const std::string& axis(int k) const { return me_.axes[static_cast<std::size_t>(k)]; }

  /// What backward gives for input k with other values of the inputs or output gradients.
  std::optional<Values> backward(const Tensors& rs) const {
    try {
      return values_of(e_.problem.backward(e_.xs, rs)[e_.k]);
    } catch (const Error&) {
      return std::nullopt;  // the inputs are none that the functions were made for
    }
  }

  Hint not_finite() {
    const auto bad = std::ranges::count_if(analytic_, [](double v) { return !std::isfinite(v); });
    if (bad == 0) return std::nullopt;
    return GradcheckHint{
        "not-finite",
        fmt::format("{} of {} entries of the gradient are NaN or infinite, where f is finite on "
                    "both sides: look for a division by zero or a logarithm in the backward pass",
                    bad, analytic_.size())};
  }

  Hint nothing() {
    if (largest(analytic_) != 0) return std::nullopt;
    return GradcheckHint{
        "zero", e_.second_order
                    ? "the gradient is zero everywhere: a rule takes something for a constant that is none "
                      "(stop_gradient, or computed without the tape)"
                    : "the gradient is zero everywhere: it is never written, or the computation is not "
                      "recorded (stop_gradient, elements computed outside of ops)"};
  }

  // A backward pass is linear in the output gradient: twice the one, twice the other.
  Hint output_gradient() {
    Tensors doubled;
    for (const Tensor& r : e_.rs) {
      Tensor twice = TensorAccess::clone(r);
      for (double& v : twice.mutable_values<double>()) v *= 2;
      doubled.push_back(twice);
    }
    const auto found = backward(doubled);
    if (!found) return std::nullopt;
    const double margin = 1e-9 * largest(analytic_);
    const auto is_times = [&](double factor) {
      for (std::size_t i = 0; i < analytic_.size(); ++i)
        if (!(std::abs((*found)[i] - factor * analytic_[i]) <= margin)) return false;
      return true;
    };
    if (is_times(1))
      return GradcheckHint{"output-gradient",
                           "the output gradient is forgotten: the result does not change with it. Multiply "
                           "by it (chain rule)"};
    if (is_times(4))
      return GradcheckHint{
          "output-gradient-squared",
          "the output gradient enters twice: with a doubled one the result is four times as large"};
    if (!is_times(2))
      return GradcheckHint{
          "output-gradient-part",
          "the backward pass is not linear in the output gradient: a part of it ignores it or uses it twice"};
    return std::nullopt;
  }

  Hint known_ratio() { return ratio(0); }

  // analytic = factor * numeric. margin: for factors so near 1 that the entries do not count as wrong.
  Hint ratio(double margin) {
    double products = 0, squares = 0;
    std::size_t count = 0;
    for (const std::size_t i : checked_) {
      products += analytic_[i] / scale_ * (numeric_[i] / scale_);
      squares += numeric_[i] / scale_ * (numeric_[i] / scale_);
      count += std::abs(numeric_[i]) > 1e-3 * scale_ ? 1 : 0;
    }
    const double factor = products / squares;
    if (!std::isfinite(factor) || factor == 0) return std::nullopt;
    const double allowed =
        margin > 0 ? margin * std::abs(factor - 1) * scale_ : tolerance_ * std::max(1.0, std::abs(factor));
    for (const std::size_t i : checked_)
      if (!(std::abs(analytic_[i] - factor * numeric_[i]) <= std::max(allowed, 1e-11 * scale_)))
        return std::nullopt;
    if (margin > 0 && std::abs(factor - 1) * margin < 1e-10) return std::nullopt;

    const auto is = [&](double value) { return std::abs(factor - value) <= 1e-4 * std::abs(value); };
    if (is(-1)) return GradcheckHint{"sign", "the sign is wrong: the gradient is -1 times what it should be"};
    const std::map<index_t, std::string> sizes = divisors();
    const std::string two =
        sizes.contains(2) ? fmt::format(" (or a mean's divisor: 2 is {})", sizes.at(2)) : "";
    if (is(2))
      return GradcheckHint{"ratio",
                           "the gradient is 2 times what it should be: a term counted twice, or a forgotten "
                           "factor 1/2" +
                               two};
    if (is(0.5))
      return GradcheckHint{
          "ratio", "the gradient is 1/2 of what it should be: a forgotten factor 2, as in (x^2)' = 2x" + two};
    for (const auto& [size, what] : sizes) {
      const auto n = static_cast<double>(size);
      if (is(n))
        return GradcheckHint{
            "ratio", fmt::format("the gradient is {0} times what it should be, and {0} is {1}: the divisor "
                                 "1/{0} of a mean is forgotten",
                                 size, what)};
      if (is(1 / n))
        return GradcheckHint{
            "ratio", fmt::format("the gradient is 1/{0} of what it should be, and {0} is {1}: divided by it "
                                 "where the forward pass does not, or twice",
                                 size, what)};
    }
    if (count < 2) return std::nullopt;  // any single number is some multiple of another one
    return GradcheckHint{
        "ratio", fmt::format("the gradient is {:.10g} times what it should be, in every entry", factor)};
  }

  /// What a mean may divide by, and what that is: the number of entries along some axes of a tensor.
  std::map<index_t, std::string> divisors() const {
    std::map<index_t, std::string> found;
    const auto add = [&](const Shape& shape, const std::vector<std::string>& words, const std::string& name) {
      for (unsigned chosen = 1; chosen < 1u << shape.rank(); ++chosen) {
        index_t size = 1;
        std::string axes;
        for (int d = 0; d < shape.rank(); ++d) {
          if ((chosen >> d & 1u) == 0 || shape[d] == 1) continue;
          size *= shape[d];
          axes += (axes.empty() ? "" : " * ") + words[static_cast<std::size_t>(d)];
        }
        if (size > 1) found.try_emplace(size, fmt::format("{} of {}", axes, name));
      }
    };
    for (std::size_t o = 0; o < e_.rs.size(); ++o)
      add(e_.rs[o].shape(), plain_words(e_.rs[o].shape()), "the " + e_.result_names[o]);
    for (const GradcheckTensor& x : e_.tensors) add(x.shape, x.axes, "'" + x.name + "'");
    return found;
  }

  Hint output_gradient_sum() {
    if (e_.second_order || e_.rs[0].size() < 2) return std::nullopt;
    Tensor other = TensorAccess::clone(e_.rs[0]);
    std::ranges::reverse(other.mutable_values<double>());
    other.mutable_values<double>()[0] += 1;
    other.mutable_values<double>()[1] -= 1;  // another output gradient with the same sum
    const auto found = backward({other});
    if (!found) return std::nullopt;
    for (std::size_t i = 0; i < analytic_.size(); ++i)
      if (!(std::abs((*found)[i] - analytic_[i]) <= 1e-9 * largest(analytic_))) return std::nullopt;
    return GradcheckHint{
        "output-gradient-sum",
        "only the sum (or mean) of the output gradient enters: each entry of it belongs to its own result"};
  }

  std::vector<Rearrangement> rearrangements(const Shape& shape, const std::vector<std::string>& words) const {
    std::vector<Rearrangement> all = flips(shape, words);
    for (Rearrangement& other : permutations(shape, words)) all.push_back(std::move(other));
    return all;
  }

  Hint rearranged() {
    if (checked_.size() < 2) return std::nullopt;
    for (const Rearrangement& r : rearrangements(me_.shape, me_.axes))
      if (explains(values_of(r.apply(e_.analytic[e_.k]))))
        return GradcheckHint{r.pattern, fmt::format("the gradient would be right if it were {}", r.what)};
    return std::nullopt;
  }

  // The rules of two inputs have changed places.
  Hint exchanged() {
    for (std::size_t m = 0; m < e_.xs.size(); ++m)
      if (m != e_.k && e_.xs[m].shape() == me_.shape && explains(values_of(e_.analytic[m])))
        return GradcheckHint{
            "exchanged",
            fmt::format("this is right in the place of '{}': the gradients of two inputs are exchanged",
                        e_.tensors[m].name)};
    return std::nullopt;
  }

  // The rule uses another operand, or the output gradient, the wrong way round.
  Hint operands() {
    for (std::size_t m = 0; m < e_.xs.size(); ++m) {
      if (m == e_.k) continue;
      const GradcheckTensor& other = e_.tensors[m];
      if (other.shape.size() < 2) continue;
      Restored restored(e_.xs[m]);
      const Tensor before = TensorAccess::clone(e_.xs[m]);
      if (other.shape == me_.shape) {
        Restored mine(e_.xs[e_.k]);
        const Values values = values_of(e_.xs[e_.k]);
        mine.set(before.values<double>());
        restored.set(values);
        if (const auto found = backward(e_.rs); found && explains(*found))
          return GradcheckHint{
              "operands", fmt::format("the gradient would be right with '{}' and '{}' in each other's place: "
                                      "the rule uses the wrong operand",
                                      me_.name, other.name)};
      }
      for (const Rearrangement& r : rearrangements(other.shape, other.axes)) {
        restored.set(r.apply(before).values<double>());
        if (const auto found = backward(e_.rs); found && explains(*found))
          return GradcheckHint{r.pattern,
                               fmt::format("the gradient would be right if '{}' were {} in the backward pass",
                                           other.name, r.what)};
      }
    }
    for (std::size_t o = 0; o < e_.rs.size(); ++o) {
      for (const Rearrangement& r : rearrangements(e_.rs[o].shape(), plain_words(e_.rs[o].shape()))) {
        Tensors rs = e_.rs;
        rs[o] = r.apply(e_.rs[o]);
        if (const auto found = backward(rs); found && explains(*found))
          return GradcheckHint{
              r.pattern, fmt::format("the gradient would be right if the output gradient were {}", r.what)};
      }
    }
    return std::nullopt;
  }

  // The slices along one axis are right, but in another order.
  Hint channels() {
    if (checked_.size() != numeric_.size() || checked_.size() < 2) return std::nullopt;
    for (int d = me_.shape.rank(); d-- > 0;) {
      const index_t size = me_.shape[d];
      if (size < 2 || size > 64) continue;
      index_t inner = 1;
      for (int after = d + 1; after < me_.shape.rank(); ++after) inner *= me_.shape[after];
      const auto same = [&](index_t c, index_t from) {
        for (std::size_t i = 0; i < numeric_.size(); ++i) {
          const auto at = static_cast<index_t>(i);
          if (at / inner % size == c &&
              !close(numeric_[i], analytic_[static_cast<std::size_t>(at + (from - c) * inner)]))
            return false;
        }
        return true;
      };
      std::set<index_t> used;
      std::vector<index_t> order;
      for (index_t c = 0; c < size; ++c)
        for (index_t from = 0; from < size; ++from)
          if (!used.contains(from) && same(c, from)) {
            used.insert(from);
            order.push_back(from);
            break;
          }
      if (static_cast<index_t>(order.size()) == size)
        return GradcheckHint{
            "channels",
            fmt::format("the entries along {} are in the wrong order: 0, 1, ... should be those now at {}",
                        axis(d), join(order, ", "))};
    }
    return std::nullopt;
  }

  // Shifted by a few places along one axis, or along the two axes of images and filters together.
  Hint shifted() {
    const int rank = me_.shape.rank();
    const auto fits = [&](const std::vector<index_t>& by) {
      std::size_t compared = 0, telling = 0;
      for (const std::size_t i : checked_) {
        std::vector<index_t> at = index_of(static_cast<index_t>(i), me_.shape);
        index_t from = 0;
        bool inside = true;
        for (int d = 0; d < rank; ++d) {
          const index_t moved = at[static_cast<std::size_t>(d)] + by[static_cast<std::size_t>(d)];
          inside = inside && moved >= 0 && moved < me_.shape[d];
          from = from * me_.shape[d] + moved;
        }
        if (!inside) continue;
        if (!close(numeric_[i], analytic_[static_cast<std::size_t>(from)])) return false;
        ++compared;
        if (std::abs(numeric_[i]) > 1e-2 * scale_) ++telling;
      }
      return telling >= 2 && 4 * compared >= checked_.size();
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
                    std::abs(distance), axis_list(a == b ? std::vector{a} : std::vector{a, b}, me_.axes))};
          }
        }
      }
    }
    return std::nullopt;
  }

  /// "h = 3" if the wrong entries are all those with these indices, or a regular pattern of them.
  std::string where() const {
    std::string fixed;
    std::vector<std::size_t> rivals = right_;  // right entries with the same indices
    for (int d = 0; d < me_.shape.rank(); ++d) {
      const auto at = [&](std::size_t i) {
        return index_of(static_cast<index_t>(i), me_.shape)[static_cast<std::size_t>(d)];
      };
      const index_t index = at(wrong_[0]);
      if (me_.shape[d] < 2 || !std::ranges::all_of(wrong_, [&](std::size_t i) { return at(i) == index; }))
        continue;
      fixed += fmt::format("{}{} = {}{}", fixed.empty() ? "" : " and ", axis(d), index,
                           index == me_.shape[d] - 1 ? ", the last one" : "");
      // Entries that are zero anyway do not speak against it.
      std::erase_if(rivals,
                    [&](std::size_t i) { return at(i) != index || std::abs(numeric_[i]) <= tolerance_; });
    }
    if (!fixed.empty() && rivals.empty()) return fixed;
    for (int d = 0; d < me_.shape.rank(); ++d) {
      const auto at = [&](std::size_t i) {
        return index_of(static_cast<index_t>(i), me_.shape)[static_cast<std::size_t>(d)];
      };
      for (const index_t period : {2, 3, 4}) {
        if (period >= me_.shape[d]) continue;
        const index_t rest = at(wrong_[0]) % period;
        if (!std::ranges::all_of(wrong_, [&](std::size_t i) { return at(i) % period == rest; })) continue;
        if (std::ranges::any_of(right_, [&](std::size_t i) {
              return at(i) % period == rest && std::abs(numeric_[i]) > tolerance_;
            }))
          continue;
        return fmt::format("{} = {}, {}, ...", axis(d), rest, rest + period);
      }
    }
    return "";
  }

  Hint unwritten() {
    if (right_.empty() || !std::ranges::all_of(wrong_, [&](std::size_t i) { return analytic_[i] == 0; }))
      return std::nullopt;
    std::string place = where();
    if (place.empty()) place = border_place();
    return GradcheckHint{
        "unwritten",
        fmt::format("{} of {} entries are never written (the gradient is exactly 0 there){}{}", wrong_.size(),
                    checked_.size(), place.empty() ? "" : ": those with ", place)};
  }

  // A gradient is a sum over the results that the entry reaches. Which of these terms arrived?
  Hint terms() {
    std::size_t outputs = 0;
    for (const Tensor& r : e_.rs) outputs += static_cast<std::size_t>(r.size());
    if (outputs < 2) return std::nullopt;
    const std::size_t room = std::clamp<std::size_t>(4'000'000 / outputs, 4, 48);
    std::vector<std::size_t> picked;
    for (std::size_t n = 0; n < std::min(wrong_.size(), room); ++n)
      picked.push_back(wrong_[n * wrong_.size() / std::min(wrong_.size(), room)]);
    const std::size_t wrong_ones = picked.size();
    for (std::size_t n = 0; n < std::min(right_.size(), room / 2); ++n)
      picked.push_back(right_[n * right_.size() / std::min(right_.size(), room / 2)]);
    std::vector<Values> parts;
    for (const std::size_t i : picked) {
      Line line(e_.xs[e_.k], {{static_cast<index_t>(i), 1.0}});
      parts.push_back(e_.prober.contributions(line, e_.steps[i]));
    }
    // Would the entries be what they are if only these results counted?
    const auto only = [&](const std::function<bool(std::size_t)>& counts) {
      for (std::size_t n = 0; n < picked.size(); ++n) {
        double sum = 0;
        for (std::size_t j = 0; j < outputs; ++j)
          if (counts(j)) sum += parts[n][j];
        if (!close(sum, analytic_[picked[n]])) return false;
      }
      return true;
    };
    std::size_t begin = 0;
    for (std::size_t o = 0; o < e_.rs.size(); ++o) {
      const Shape& shape = e_.rs[o].shape();
      const std::size_t end = begin + static_cast<std::size_t>(shape.size());
      const auto elsewhere = [begin, end](std::size_t j) { return j < begin || j >= end; };
      if (e_.rs.size() > 1 && only(elsewhere))
        return GradcheckHint{
            "missing-term",
            fmt::format("the part that comes through the {} is missing: a rule takes something for "
                        "a constant that is none",
                        e_.result_names[o])};
      for (int d = 0; d < shape.rank(); ++d) {
        const index_t size = shape[d];
        if (size < 2) continue;
        index_t inner = 1;
        for (int after = d + 1; after < shape.rank(); ++after) inner *= shape[after];
        const auto at = [&](std::size_t j) { return static_cast<index_t>(j - begin) / inner % size; };
        const std::string which = fmt::format("axis {} of the {} (size {})", d, e_.result_names[o], size);
        if (only([&](std::size_t j) { return elsewhere(j) || at(j) == size - 1; }))
          return GradcheckHint{
              "overwritten",
              fmt::format(
                  "overwritten instead of accumulated (= in place of +=): only the last index of {} counts",
                  which)};
        if (size > 2 && only([&](std::size_t j) { return elsewhere(j) || at(j) == 0; }))
          return GradcheckHint{"overwritten",
                               fmt::format("not accumulated: only the first index of {} counts", which)};
        if (only([&](std::size_t j) { return elsewhere(j) || at(j) != size - 1; }))
          return GradcheckHint{
              "missing-term",
              fmt::format("the last term is missing: the last index of {} is left out of the sum", which)};
        if (only([&](std::size_t j) { return elsewhere(j) || at(j) != 0; }))
          return GradcheckHint{
              "missing-term",
              fmt::format("the first term is missing: index 0 of {} is left out of the sum", which)};
      }
      if (shape.rank() == 4 && std::min(shape[1], shape[2]) > 2) {
        const auto inside = [&](std::size_t j, int d) {
          const index_t at = index_of(static_cast<index_t>(j - begin), shape)[static_cast<std::size_t>(d)];
          return at > 0 && at < shape[d] - 1;
        };
        if (only([&](std::size_t j) { return elsewhere(j) || (inside(j, 1) && inside(j, 2)); }))
          return GradcheckHint{
              "border",
              fmt::format("the border of the {} (its first and last rows and columns) is left out of "
                          "the sum: look at padding and at the bounds of loops",
                          e_.result_names[o])};
      }
      begin = end;
    }
    picked.resize(wrong_ones);
    if (const Hint found = one_term(picked, parts)) return found;
    if (e_.rs.size() > 1) return std::nullopt;
    const Shape& shape = e_.rs[0].shape();
    for (int d = 0; d < shape.rank(); ++d) {
      std::vector<Values> sums;
      for (const Values& part : parts) sums.push_back(summed(part, shape, d));
      if (Hint found = one_term(picked, sums)) {
        found->text += fmt::format(" (a term is here a sum along axis {} of the result)", d);
        return found;
      }
    }
    return std::nullopt;
  }

  /// Values of this shape, added up along an axis.
  static Values summed(const Values& values, const Shape& shape, int axis) {
    std::size_t inner = 1;
    for (int after = axis + 1; after < shape.rank(); ++after) inner *= static_cast<std::size_t>(shape[after]);
    const std::size_t slice = inner * static_cast<std::size_t>(shape[axis]);
    Values sums(values.size() / slice * inner, 0);
    for (std::size_t j = 0; j < values.size(); ++j) sums[j / slice * inner + j % inner] += values[j];
    return sums;
  }

  // One single term, or all but one, whichever it is: parts holds the terms of these wrong entries.
  Hint one_term(const std::vector<std::size_t>& entries, const std::vector<Values>& parts) const {
    bool single = true, all_but_one = true;
    std::size_t most = 0;
    for (std::size_t n = 0; n < entries.size(); ++n) {
      const std::size_t i = entries[n];
      bool is_one = false, lacks_one = false;
      std::size_t count = 0;
      for (const double part : parts[n]) {
        count += std::abs(part) > tolerance_ ? 1 : 0;
        is_one = is_one || (part != 0 && close(part, analytic_[i]));
        lacks_one = lacks_one || (part != 0 && close(part, numeric_[i] - analytic_[i]));
      }
      single = single && is_one;
      all_but_one = all_but_one && lacks_one;
      most = std::max(most, count);
    }
    if (most < 2) return std::nullopt;
    if (entries.size() < 2 && most > 100) return std::nullopt;  // one of many numbers is near by chance
    if (single)
      return GradcheckHint{"overwritten", fmt::format("overwritten instead of accumulated (= in place of "
                                                      "+=): one single term of a sum of up to {} is left",
                                                      most)};
    if (all_but_one)
      return GradcheckHint{
          "missing-term",
          fmt::format(
              "one term of each sum (of up to {}) is missing: a loop that ends too early or begins too late",
              most)};
    return std::nullopt;
  }

  /// "the first index of h or w" if all wrong entries are there, and right ones elsewhere.
  std::string border_place() const {
    for (const index_t depth : {1, 2}) {
      std::vector<int> axes;
      for (int d = 0; d < me_.shape.rank(); ++d)
        if (me_.shape[d] > 2 * depth) axes.push_back(d);
      // Channels and samples have no border.
      if (me_.shape.rank() == 4 && !is_filter(me_.axes))
        std::erase_if(axes, [](int d) { return d == 0 || d == 3; });
      if (me_.shape.rank() == 4 && is_filter(me_.axes)) std::erase_if(axes, [](int d) { return d > 1; });
      const auto sides = [&](std::size_t i) {
        int bits = 0;
        const std::vector<index_t> at = index_of(static_cast<index_t>(i), me_.shape);
        for (const int d : axes) {
          if (at[static_cast<std::size_t>(d)] < depth) bits |= 1 << (2 * d);
          if (at[static_cast<std::size_t>(d)] >= me_.shape[d] - depth) bits |= 2 << (2 * d);
        }
        return bits;
      };
      int touched = 0;
      for (const std::size_t i : wrong_) {
        if (sides(i) == 0) {
          touched = 0;
          break;
        }
        touched |= sides(i);
      }
      const bool interior = std::ranges::any_of(right_, [&](std::size_t i) { return sides(i) == 0; });
      if (touched == 0 || !interior) continue;
      int first = 0;  // the bits of all first sides
      for (const int d : axes) first |= 1 << (2 * d);
      const auto all_have = [&](int bits) {
        return std::ranges::all_of(wrong_, [&](std::size_t i) { return (sides(i) & bits) != 0; });
      };
      const bool only_first = all_have(first), only_last = !only_first && all_have(2 * first);
      const int kept = touched & (only_first ? first : only_last ? 2 * first : 3 * first);
      std::string list;
      for (const int d : axes)
        if ((kept >> (2 * d) & 3) != 0) list += (list.empty() ? "" : " or ") + axis(d);
      return fmt::format("the {} {} of {}",
                         only_first  ? "first"
                         : only_last ? "last"
                                     : "first or last",
                         depth == 1 ? "index" : "two indices", list);
    }
    return "";
  }

  Hint border() {
    const std::string place = border_place();
    if (place.empty()) return std::nullopt;
    return GradcheckHint{
        "border",
        fmt::format("wrong only at the border ({}): look at padding and at the bounds of loops", place)};
  }

  Hint place() {
    const std::string found = right_.empty() ? "" : where();
    if (found.empty()) return std::nullopt;
    return GradcheckHint{"place", "wrong only in entries with " + found};
  }

  const Evidence& e_;
  const GradcheckTensor& me_;
  const Values analytic_, numeric_;
  const double scale_, tolerance_;
  std::vector<std::size_t> checked_, right_, wrong_;
};

}  // namespace

std::vector<index_t> index_of(index_t element, const Shape& shape) {
  std::vector<index_t> index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank(); axis-- > 0; element /= shape[axis])
    index[static_cast<std::size_t>(axis)] = element % shape[axis];
  return index;
}

std::vector<double> scales(const Tensor& x) {
  double squares = 0, top = 0;
  for (const double v : x.values<double>()) top = std::max(top, std::isfinite(v) ? std::abs(v) : 0);
  if (top == 0) top = 1;
  for (const double v : x.values<double>())
    if (std::isfinite(v)) squares += v / top * (v / top);
  const double mean = squares == 0 ? 1 : top * std::sqrt(squares / static_cast<double>(x.size()));
  std::vector<double> found;
  for (const double v : x.values<double>())
    found.push_back(std::max(std::isfinite(v) ? std::abs(v) : 0, std::min(mean, 1.0)));
  return found;
}

std::vector<GradcheckHint> find_hints(const Evidence& evidence) {
  return Detective(evidence).find();
}

}  // namespace tapegrad::inline v0::detail
