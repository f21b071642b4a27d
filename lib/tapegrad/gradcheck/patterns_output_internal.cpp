// Mistakes with the output gradient, and gradients that are no numbers.

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

Hint not_finite(const Case& c) {
  const auto bad = std::ranges::count_if(c.analytic, [](double v) { return !std::isfinite(v); });
  if (bad == 0) return std::nullopt;
  return GradcheckHint{
      "not-finite", fmt::format("{} of {} entries of the gradient are NaN or infinite, where f is finite on "
                                "both sides: look for a division by zero or a logarithm in the backward pass",
                                bad, c.analytic.size())};
}

Hint nothing(const Case& c) {
  if (std::ranges::any_of(c.analytic, [](double a) { return a != 0; })) return std::nullopt;
  return GradcheckHint{
      "zero", c.e.second_order
                  ? "the gradient is zero everywhere: a rule takes something for a constant that is none "
                    "(stop_gradient, or computed without the tape)"
                  : "the gradient is zero everywhere: it is never written, or the computation is not "
                    "recorded (stop_gradient, elements computed outside of ops)"};
}

// A backward pass is linear in the output gradient: twice the one, twice the other.
Hint nonlinear(const Case& c) {
  Tensors doubled;
  for (const Tensor& r : c.e.rs) {
    Tensor twice = TensorAccess::clone(r);
    for (double& v : twice.mutable_values<double>()) v *= 2;
    doubled.push_back(twice);
  }
  const auto found = c.backward(doubled);
  if (!found) return std::nullopt;
  const double margin = 1e-9 * largest(c.analytic);
  const auto is_times = [&](double factor) {
    for (std::size_t i = 0; i < c.analytic.size(); ++i)
      if (!(std::abs((*found)[i] - factor * c.analytic[i]) <= margin)) return false;
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
  if (!is_times(2) || (!c.me.linear && !c.e.second_order))
    return GradcheckHint{
        "output-gradient-part",
        "the backward pass is not linear in the output gradient: a part of it ignores it or uses it twice, "
        "or it is compared with something"};
  return std::nullopt;
}

// The mask of a rectifier is the input's, and was made of the output gradient's sign.
Hint mask_of_output_gradient(const Case& c) {
  const Values r = values_of(c.output_gradient());
  if (r.size() != c.analytic.size() || r.size() < 2) return std::nullopt;  // one number may be so by chance
  Values masked;
  for (const double v : r) masked.push_back(std::max(v, 0.0));
  if (!c.is(masked)) return std::nullopt;
  return GradcheckHint{
      "",
      "the gradient is max(dy, 0): the sign of the output gradient is asked, where that of the "
      "input decides"};
}

// The derivative itself is checked here; that it should be linear is the first order's business.
Hint not_linear_before(const Case& c) {
  if (c.me.linear) return std::nullopt;
  return GradcheckHint{
      "",
      "the gradient that is differentiated is not linear in the output gradient: its rule forgets "
      "it or uses it twice; the check of the first order says more"};
}

bool has_wrong_entries(const Case& c) {
  return !c.wrong.empty();
}
bool wrong_or_nonlinear(const Case& c) {
  return !c.wrong.empty() || !c.me.linear;
}

Hint output_gradient_sum(const Case& c) {
  if (c.e.rs[0].size() < 2) return std::nullopt;
  Tensor other = TensorAccess::clone(c.e.rs[0]);
  std::ranges::reverse(other.mutable_values<double>());
  other.mutable_values<double>()[0] += 1;
  other.mutable_values<double>()[1] -= 1;  // another output gradient with the same sum
  const auto found = c.backward({other});
  if (!found) return std::nullopt;
  for (std::size_t i = 0; i < c.analytic.size(); ++i)
    if (!(std::abs((*found)[i] - c.analytic[i]) <= 1e-9 * largest(c.analytic))) return std::nullopt;
  return GradcheckHint{
      "output-gradient-sum",
      "only the sum (or mean) of the output gradient enters: each entry of it belongs to its own result"};
}

bool masks(const Case& c) {
  return first_order(c) && wrong_or_nonlinear(c);
}
bool sums(const Case& c) {
  return first_order(c) && has_wrong_entries(c);
}
bool nonlinear_before(const Case& c) {
  return c.e.second_order && !c.me.linear;
}

constexpr Pattern kOutputPatterns[] = {
    {"not-finite", Strength::Certain, has_wrong_entries, not_finite},
    {"zero", Strength::Certain, has_wrong_entries, nothing},
    {"output-gradient-mask", Strength::Certain, masks, mask_of_output_gradient},
    {"output-gradient", Strength::Certain, wrong_or_nonlinear, nonlinear},
    {"output-gradient-part", Strength::Certain, nonlinear_before, not_linear_before},
    {"output-gradient-sum", Strength::Certain, sums, output_gradient_sum, true},
};

}  // namespace

std::span<const Pattern> output_patterns() {
  return kOutputPatterns;
}

}  // namespace tapegrad::inline v0::detail
