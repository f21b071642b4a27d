#include "checks/01_central_differences.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace exercise_01 {
namespace {

void check_slope(Check& check, const Answers& answers) {
  check.context("f(x) = x^3, x = 1.5, h = 0.25");
  const Function cube = [](double x) { return x * x * x; };
  const double x = 1.5, h = 0.25, right = 3 * x * x + h * h;
  check.number(
      "slope(f, x, h)", answers.slope(cube, x, h), right, 1e-12,
      {{3 * x * x + 3 * x * h + h * h,
        "the difference is one-sided, (f(x + h) - f(x)) / h: its error shrinks with h only. Take f(x + h) and "
        "f(x - h)"},
       {3 * x * x - 3 * x * h + h * h,
        "the difference is one-sided, (f(x) - f(x - h)) / h: its error shrinks with h only. Take f(x + h) and "
        "f(x - h)"},
       {2 * right, "twice as much: x + h and x - h lie 2h apart, so divide by 2 h"},
       {right * h * h, "multiplied by h: a / 2 * h is (a / 2) h. Write a / (2 * h)"},
       {-right, "the sign is wrong: it is f(x + h) minus f(x - h)"}});
  check.context("f(x) = sin(x), x = 0.3, h = 1e-4");
  check.number("slope(f, x, h)", answers.slope([](double v) { return std::sin(v); }, 0.3, 1e-4),
               std::cos(0.3), 1e-8);
}

void check_step(Check& check, const Answers& answers) {
  const double epsilon = std::numeric_limits<double>::epsilon();
  for (const double x : {0.7, -20.0, 3e5}) {
    check.context(fmt::format("x = {}", x));
    const double scale = std::max(1.0, std::abs(x)), h = answers.good_step(x);
    const auto near = [&](double value) { return h > value / 5 && h < value * 5; };
    std::string hint;
    if (h <= 0)
      hint = "a step must be positive: take |x|";
    else if (near(std::sqrt(epsilon) * scale))
      hint =
          "the square root of epsilon is the best step of a one-sided difference. A central difference errs by h^2, "
          "so the cube root is best";
    else if (near(std::cbrt(static_cast<double>(std::numeric_limits<float>::epsilon())) * scale))
      hint = "this is the step for float: double has numeric_limits<double>::epsilon()";
    else if (std::abs(x) > 1 && near(std::cbrt(epsilon)))
      hint =
          "the step does not grow with x: x + h and x - h are rounded to the precision of x, so h must be "
          "proportional to |x| where that is large";
    else if (std::abs(x) < 1 && near(std::cbrt(epsilon) * std::abs(x)))
      hint = "the step shrinks to 0 with x: near 0 keep the scale at 1";
    else if (h < std::cbrt(epsilon) * scale)
      hint =
          "too small: f(x + h) and f(x - h) agree in so many digits that their difference is mostly rounding";
    else
      hint = "too large: the slope itself changes between x - h and x + h";
    check.expect(
        near(std::cbrt(epsilon) * scale),
        fmt::format("good_step({}) is {:.3g}, and must be about {:.3g}", x, h, std::cbrt(epsilon) * scale),
        hint);
  }
}

void check_gradient(Check& check, const Answers& answers) {
  const Tensor x = check.draw({3, 4}), c = check.draw({3, 4}), before = tg::copy(x);
  // Quadratic: central differences are exact at any distance. Neighbours are multiplied, so that it matters whether an
  // entry was put back before the next one was moved.
  const TensorToNumber f = [&](const Tensor& v) {
    double sum = 0;
    for (index_t i = 0; i < 12; ++i) {
      const double a = v.at({i / 4, i % 4}), b = v.at({(i + 1) % 12 / 4, (i + 1) % 4});
      sum += c.at({i / 4, i % 4}) * a * a + a * b;
    }
    return sum;
  };
  const double h = 0.125;
  Tensor right = new_tensor({3, 4}), one_sided = new_tensor({3, 4}), not_restored = new_tensor({3, 4});
  double all = 0;
  for (index_t i = 0; i < 12; ++i) {
    const auto at = [&](index_t k) { return before.at({(k + 12) % 12 / 4, (k + 12) % 4}); };
    const double slope = 2 * c.at({i / 4, i % 4}) * at(i) + at(i - 1) + at(i + 1);
    right.set({i / 4, i % 4}, slope);
    one_sided.set({i / 4, i % 4}, slope + c.at({i / 4, i % 4}) * h);
    all += slope;
    // x - h was left in all entries before this one; the last entry's right neighbour is the first.
    const double moved = (i > 0 ? -h : 0) + (i == 11 ? -h : 0);
    not_restored.set({i / 4, i % 4}, slope + moved);
  }
  check.context("a quadratic f of x [3, 4], h = 0.125");
  check.compare(
      "the gradient", answers.numeric_gradient(f, x, h), right,
      {.axes = "i j",
       .tolerance = 1e-12,
       .explanations = {
           {"the differences are one-sided: move each entry to both sides", [=] { return one_sided; }},
           {"all entries are moved together, so that each slope is the sum of all: move one entry, and put it "
            "back before the next",
            [=] {
              return tg::full({3, 4}, all, tg::DType::Float64);
            }},
           {"an entry is not put back before the next one is moved: every slope is taken at another place",
            [=] { return not_restored; }},
           {"twice as much: x + h and x - h lie 2h apart", [=] { return right * 2.0; }},
       }});
  check.expect(
      tg::equal(x, before), "after the call x is not what it was",
      "an entry is not put back as it was. Keep its value and write that one: x + h - 2h + h is not x, but "
      "rounded three times");
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check.part(
      "slope",
      "the straight line through the two points (x - h, f(x - h)) and (x + h, f(x + h)): how far does it rise, "
      "and how far apart are they?",
      [&] { check_slope(check, answers); });
  check.part(
      "good_step",
      "the table in the text: where is the error of the central difference smallest, and what is the cube root "
      "of 2.2e-16? Then imagine x = 1e6: which numbers lie next to it?",
      [&] { check_step(check, answers); });
  check.part(
      "numeric_gradient",
      "a loop over all entries: keep the value of the entry, write value + h and call f, write value - h and "
      "call f, write the value back.",
      [&] { check_gradient(check, answers); });
}

}  // namespace exercise_01
