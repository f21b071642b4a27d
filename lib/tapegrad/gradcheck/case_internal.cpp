#include "tapegrad/gradcheck/case_internal.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

Values values_of(const Tensor& x) {
  return {x.values<double>().begin(), x.values<double>().end()};
}

double largest(const Values& values) {
  double found = 0;
  for (const double v : values)
    if (std::isfinite(v)) found = std::max(found, std::abs(v));
  return found;
}

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

Case::Case(const Evidence& evidence)
    : e(evidence),
      me(evidence.tensors[evidence.k]),
      analytic(values_of(evidence.analytic[evidence.k])),
      numeric(values_of(me.numeric)),
      scale(largest(numeric)),
      tolerance(1e-5 * scale) {
  for (std::size_t i = 0; i < numeric.size(); ++i) {
    if (std::isnan(numeric[i])) continue;
    checked.push_back(i);
    (close(numeric[i], analytic[i]) ? right : wrong).push_back(i);
  }
  if (!e.second_order) result_ = e.problem.forward(e.xs)[0];
}

bool Case::explains(const Values& values) const {
  return values.size() == numeric.size() &&
         std::ranges::all_of(checked, [&](std::size_t i) { return close(numeric[i], values[i]); });
}

bool Case::within(const Values& values, double margin) const {
  if (values.size() != analytic.size() || values.empty()) return false;
  const double most = margin * std::max(largest(analytic), scale);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - analytic[i]) <= most)) return false;
  return true;
}

std::optional<Values> Case::backward(const Tensors& rs) const {
  try {
    return values_of(e.problem.backward(e.xs, rs)[e.k]);
  } catch (const Error&) {
    return std::nullopt;  // the inputs are none that the functions were made for
  }
}

std::optional<Values> Case::backward_with(const Tensor& y) const {
  if (!e.problem.backward_with) return std::nullopt;
  try {
    return values_of(e.problem.backward_with(e.xs, y, e.rs)[e.k]);
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool Case::linear() const {
  if (linear_) return *linear_;
  Tensor& x = e.xs[e.k];
  const Values before = values_of(x), &center = e.prober.center();
  Restored restored(x);
  std::vector<Values> seen;
  for (const double sign : {1.0, -1.0}) {
    Values moved = before;
    for (std::size_t i = 0; i < moved.size(); ++i)
      moved[i] += sign * (0.3 + 0.1 * static_cast<double>(i % 7));
    restored.set(moved);
    seen.push_back(e.prober.outputs());
  }
  double size = largest(center);
  for (const Values& values : seen) size = std::max(size, largest(values));
  linear_ = true;
  for (std::size_t j = 0; j < center.size(); ++j)
    if (!(std::abs(seen[0][j] + seen[1][j] - 2 * center[j]) <= 1e-10 * size)) linear_ = false;
  return *linear_;
}

std::string Case::where() const {
  std::string fixed;
  std::vector<std::size_t> rivals = right;  // right entries with the same indices
  for (int d = 0; d < me.shape.rank(); ++d) {
    const auto at = [&](std::size_t i) {
      return index_of(static_cast<index_t>(i), me.shape)[static_cast<std::size_t>(d)];
    };
    const index_t index = at(wrong[0]);
    if (me.shape[d] < 2 || !std::ranges::all_of(wrong, [&](std::size_t i) { return at(i) == index; }))
      continue;
    fixed += fmt::format("{}{} = {}{}", fixed.empty() ? "" : " and ", axis(d), index,
                         index == me.shape[d] - 1 ? ", the last one" : "");
    // Entries that are zero anyway do not speak against it.
    std::erase_if(rivals, [&](std::size_t i) { return at(i) != index || std::abs(numeric[i]) <= tolerance; });
  }
  if (!fixed.empty() && rivals.empty()) return fixed;
  for (int d = 0; d < me.shape.rank(); ++d) {
    const auto at = [&](std::size_t i) {
      return index_of(static_cast<index_t>(i), me.shape)[static_cast<std::size_t>(d)];
    };
    for (const index_t period : {2, 3, 4}) {
      if (period >= me.shape[d]) continue;
      const index_t rest = at(wrong[0]) % period;
      if (!std::ranges::all_of(wrong, [&](std::size_t i) { return at(i) % period == rest; })) continue;
      if (std::ranges::any_of(right, [&](std::size_t i) {
            return at(i) % period == rest && std::abs(numeric[i]) > tolerance;
          }))
        continue;
      return fmt::format("{} = {}, {}, ...", axis(d), rest, rest + period);
    }
  }
  return "";
}

std::string Case::border_place() const {
  for (const index_t depth : {1, 2}) {
    std::vector<int> axes;
    for (int d = 0; d < me.shape.rank(); ++d)
      if (me.shape[d] > 2 * depth) axes.push_back(d);
    // Channels and samples have no border.
    if (me.shape.rank() == 4 && !is_filter(me.axes))
      std::erase_if(axes, [](int d) { return d == 0 || d == 3; });
    if (me.shape.rank() == 4 && is_filter(me.axes)) std::erase_if(axes, [](int d) { return d > 1; });
    const auto sides = [&](std::size_t i) {
      int bits = 0;
      const std::vector<index_t> at = index_of(static_cast<index_t>(i), me.shape);
      for (const int d : axes) {
        if (at[static_cast<std::size_t>(d)] < depth) bits |= 1 << (2 * d);
        if (at[static_cast<std::size_t>(d)] >= me.shape[d] - depth) bits |= 2 << (2 * d);
      }
      return bits;
    };
    int touched = 0;
    for (const std::size_t i : wrong) {
      if (sides(i) == 0) {
        touched = 0;
        break;
      }
      touched |= sides(i);
    }
    const bool interior = std::ranges::any_of(right, [&](std::size_t i) { return sides(i) == 0; });
    if (touched == 0 || !interior) continue;
    int first = 0;  // the bits of all first sides
    for (const int d : axes) first |= 1 << (2 * d);
    const auto all_have = [&](int bits) {
      return std::ranges::all_of(wrong, [&](std::size_t i) { return (sides(i) & bits) != 0; });
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

std::vector<index_t> index_of(index_t element, const Shape& shape) {
  std::vector<index_t> index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank(); axis-- > 0; element /= shape[axis])
    index[static_cast<std::size_t>(axis)] = element % shape[axis];
  return index;
}

}  // namespace tapegrad::inline v0::detail
