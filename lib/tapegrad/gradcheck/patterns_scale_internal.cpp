// The gradient is a multiple of what it should be.

#include <algorithm>
#include <cmath>
#include <map>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

/// What a mean may divide by, and what that is: the number of entries along some axes of a tensor.
std::map<index_t, std::string> divisors(const Case& c) {
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
  for (std::size_t o = 0; o < c.e.rs.size(); ++o)
    add(c.e.rs[o].shape(), plain_words(c.e.rs[o].shape()), "the " + c.e.result_names[o]);
  for (const GradcheckTensor& x : c.e.tensors) add(x.shape, x.axes, "'" + x.name + "'");
  return found;
}

// The factor in analytic = factor * numeric. margin: for factors so near 1 that the entries do not count as wrong.
std::optional<double> ratio(const Case& c, double margin) {
  double products = 0, squares = 0;
  for (const std::size_t i : c.checked) {
    products += c.analytic[i] / c.scale * (c.numeric[i] / c.scale);
    squares += c.numeric[i] / c.scale * (c.numeric[i] / c.scale);
  }
  const double factor = products / squares;
  if (!std::isfinite(factor) || factor == 0) return std::nullopt;
  const double allowed =
      margin > 0 ? margin * std::abs(factor - 1) * c.scale : c.tolerance * std::max(1.0, std::abs(factor));
  for (const std::size_t i : c.checked)
    if (!(std::abs(c.analytic[i] - factor * c.numeric[i]) <= std::max(allowed, 1e-11 * c.scale)))
      return std::nullopt;
  if (margin > 0 && std::abs(factor - 1) * margin < 1e-10) return std::nullopt;
  return factor;
}

// 2 and 1/2 have two explanations. Where f is linear in the input there is no square whose 2 could be forgotten.
std::string two_text(const Case& c, double factor, const std::map<index_t, std::string>& sizes) {
  const bool divisor = sizes.contains(2);
  if (factor == 2) {
    std::string text =
        "the gradient is 2 times what it should be: a term counted twice, or a forgotten factor 1/2";
    return divisor ? text + fmt::format(" (or a mean's divisor: 2 is {})", sizes.at(2)) : text;
  }
  if (divisor && !c.e.second_order && c.linear())
    return fmt::format(
        "the gradient is 1/2 of what it should be, and 2 is {}: divided by it where the forward pass "
        "does not, or twice",
        sizes.at(2));
  if (!c.e.second_order && c.linear())
    return "the gradient is 1/2 of what it should be: divided by 2 where the forward pass does not, or one of two equal "
           "terms is missing";
  std::string text = "the gradient is 1/2 of what it should be: a forgotten factor 2, as in (x^2)' = 2x";
  return divisor ? text + fmt::format(" (or a mean's divisor: 2 is {})", sizes.at(2)) : text;
}

// A factor in words.
Hint named_ratio(const Case& c, double factor) {
  const auto is = [&](double value) { return std::abs(factor - value) <= 1e-4 * std::abs(value); };
  if (is(-1)) return GradcheckHint{"sign", "the sign is wrong: the gradient is -1 times what it should be"};
  const std::map<index_t, std::string> sizes = divisors(c);
  if (is(2)) return GradcheckHint{"", two_text(c, 2, sizes)};
  if (is(0.5)) return GradcheckHint{"", two_text(c, 0.5, sizes)};
  for (const auto& [size, what] : sizes) {
    const auto n = static_cast<double>(size);
    if (is(n))
      return GradcheckHint{
          "", fmt::format("the gradient is {0} times what it should be, and {0} is {1}: the divisor "
                          "1/{0} of a mean is forgotten",
                          size, what)};
    if (is(1 / n))
      return GradcheckHint{
          "", fmt::format("the gradient is 1/{0} of what it should be, and {0} is {1}: divided by it "
                          "where the forward pass does not, or twice",
                          size, what)};
  }
  std::size_t count = 0;
  for (const std::size_t i : c.checked) count += std::abs(c.numeric[i]) > 1e-3 * c.scale ? 1 : 0;
  if (count < 2) return std::nullopt;  // any single number is some multiple of another one
  return GradcheckHint{
      "", fmt::format("the gradient is {:.10g} times what it should be, in every entry", factor)};
}

Hint multiple(const Case& c) {
  const auto factor = ratio(c, 0);
  return factor ? named_ratio(c, *factor) : std::nullopt;
}

// Off by less than a mistake in another pattern would make.
Hint nearly_one(const Case& c) {
  const auto factor = ratio(c, 1e-3);
  return factor ? named_ratio(c, *factor) : std::nullopt;
}

bool none_far_off(const Case& c) {
  return c.wrong.empty();
}

constexpr Pattern kScalePatterns[] = {
    {"ratio", Strength::Exact, some_wrong, multiple},
    {"ratio", Strength::Exact, none_far_off, nearly_one},
};

}  // namespace

std::span<const Pattern> scale_patterns() {
  return kScalePatterns;
}

}  // namespace tapegrad::inline v0::detail
