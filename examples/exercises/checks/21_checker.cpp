#include "checks/21_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace exercise_21 {
namespace {

std::uint64_t drawn = 0;

Tensor normal(const Shape& shape, std::uint64_t stream) {
  tg::Generator generator(21, stream);
  return tg::normal(shape, 0, 1, generator, tg::DType::Float64);
}

/// A pair to be judged.
struct Subject {
  std::string title;
  bool right;
  Function f;
  Backward backward;
  Tensor x;
  std::string hint;  ///< what an answer does that judges it wrongly
};

const char* const kStep =
    "no single h fits all: let h grow and shrink with |x| (and be something for x = 0), and try several, such as 1e-2 to 1e-7 of it";
const char* const kNoise =
    "the function is large and its rounding with it: (f(x + h) - f(x - h)) / 2h has noise of 1e-16 |L| / h, so try larger steps "
    "as well";
const char* const kZero =
    "entries are 0 on both sides, or nothing but rounding: compare an entry also with 1e-7 of the largest entry's size, not only "
    "with its own";
const char* const kOnes = "dy is 1 everywhere, or always the same: draw it at random";
const char* const kEach =
    "not every entry is compared by itself: a mean, a sum or the first entry hides the others";
const char* const kCoarse =
    "the tolerance is too large: rounding and truncation at a good step are far below a thousandth";
const char* const kAbsolute =
    "the tolerance is absolute, and this gradient is smaller than it: compare with the size of the gradient";
const char* const kNan = "NaN passes: every comparison with NaN is false, so ask !(error <= tolerance)";

std::vector<Subject> right_ones() {
  const Tensor m = normal({4, 3}, 1), x = normal({5}, 2), many = normal({40}, 9);
  const Tensor tiny = tg::abs(normal({5}, 3)) * 1e-5 + 1e-5;
  const Tensor weights = tg::tensor({1, 1e-2, 1e-4, 1, 0}, tg::DType::Float64);
  const auto square_back = [](const Tensor& at, const Tensor& dy) { return 2.0 * at * dy; };
  return {
      {"a matrix times x", true, [=](const Tensor& at) { return tg::matmul(m, at); },
       [=](const Tensor&, const Tensor& dy) { return tg::matmul(tg::transpose(m), dy); }, normal({3, 2}, 4),
       kStep},
      {"softmax", true, [](const Tensor& at) { return tg::softmax(at, 0); },
       [](const Tensor& at, const Tensor& dy) {
         const Tensor y = tg::softmax(at, 0);
         return y * (dy - tg::sum(y * dy));
       },
       x, kStep},
      {"exp(20 x), which is steep", true, [](const Tensor& at) { return tg::exp(20.0 * at); },
       [](const Tensor& at, const Tensor& dy) { return 20.0 * tg::exp(20.0 * at) * dy; }, 0.1 * x, kStep},
      {"x^2 for x around a million", true, [](const Tensor& at) { return at * at; }, square_back,
       1e6 * x + 1e6, kStep},
      {"log(x) for x around 1e-5", true, [](const Tensor& at) { return tg::log(at); },
       [](const Tensor& at, const Tensor& dy) { return dy / at; }, tiny, kStep},
      {"sin(x) at x = 0", true, [](const Tensor& at) { return tg::sin(at); },
       [](const Tensor& at, const Tensor& dy) { return tg::cos(at) * dy; }, new_tensor({3}), kStep},
      {"x^2 + 1000000", true, [](const Tensor& at) { return at * at + 1e6; }, square_back, x, kNoise},
      {"relu 0.0001 beside its kink", true, [](const Tensor& at) { return tg::relu(at); },
       [](const Tensor& at, const Tensor& dy) {
         return dy * tg::cast(tg::greater(at, 0.0), tg::DType::Float64);
       },
       tg::tensor({1e-4, -1e-4, 2.0}, tg::DType::Float64), kStep},
      {"weights of 1, 0.01, 0.0001 and 0", true, [=](const Tensor& at) { return weights * at; },
       [=](const Tensor&, const Tensor& dy) { return weights * dy; }, x, kZero},
      {"the first entry of five, squared, plus a sum that cancels: 3.3 s - 2.2 s - 1.1 s", true,
       [=](const Tensor& at) {
         const Tensor s = tg::sum(at) * many;
         return tg::square(tg::slice(at, {{0, 1}})) + (3.3 * s - 2.2 * s - 1.1 * s);
       },
       [](const Tensor& at, const Tensor& dy) {
         Tensor dx = new_tensor(at.shape());
         dx.set({0}, 2 * at.at({0}) * tg::sum(dy).item());
         return dx;
       },
       x, kZero},
      {"1e-12 x^2, which is tiny", true, [](const Tensor& at) { return 1e-12 * at * at; },
       [](const Tensor& at, const Tensor& dy) { return 2e-12 * at * dy; }, x, kAbsolute},
      {"1e12 x^2, which is huge", true, [](const Tensor& at) { return 1e12 * at * at; },
       [](const Tensor& at, const Tensor& dy) { return 2e12 * at * dy; }, x,
       "the allowed difference does not grow with the gradient: compare with its size"},
  };
}

std::vector<Subject> wrong_ones() {
  const Tensor x = normal({5}, 5), m = normal({3, 3}, 6);
  const Function square = [](const Tensor& at) { return at * at; };
  const auto wrong = [&](const char* title, const Function& f, Backward backward, const Tensor& at,
                         const char* hint) {
    return Subject{title, false, f, std::move(backward), at, hint};
  };
  const auto changed = [](Tensor dx, index_t at, double by) {
    dx.set({at}, dx.at({at}) * by);
    return dx;
  };
  const Tensor weights = tg::tensor({1, 1e-4, 0.5, 1, 0.1}, tg::DType::Float64);
  const Tensor same_sign = tg::abs(x) + 0.5;
  return {
      wrong(
          "x^2 without the 2", square, [](const Tensor& at, const Tensor& dy) { return at * dy; }, x,
          "it compares a number with itself, or nothing at all"),
      wrong(
          "x^2, the last entry wrong", square,
          [=](const Tensor& at, const Tensor& dy) { return changed(2.0 * at * dy, 4, 1.5); }, x, kEach),
      wrong(
          "x^2, everything wrong by a thousandth", square,
          [](const Tensor& at, const Tensor& dy) { return 2.002 * at * dy; }, x, kCoarse),
      wrong(
          "an entry that is small beside the others, wrong by a factor of 2",
          [=](const Tensor& at) { return weights * at; },
          [=](const Tensor&, const Tensor& dy) { return changed(weights * dy, 1, 2); }, x, kCoarse),
      wrong(
          "x^2, dy not used", square, [](const Tensor& at, const Tensor&) { return 2.0 * at; }, x, kOnes),
      wrong(
          "x^2, dy squared", square, [](const Tensor& at, const Tensor& dy) { return 2.0 * at * dy * dy; }, x,
          kOnes),
      wrong(
          "x^2, the largest of 0 and dy", square,
          [](const Tensor& at, const Tensor& dy) { return 2.0 * at * tg::relu(dy); }, x, kOnes),
      wrong(
          "a sum with weights, its entries exchanged", [=](const Tensor& at) { return tg::matmul(m, at); },
          [=](const Tensor&, const Tensor& dy) {
            const Tensor right = tg::matmul(tg::transpose(m), dy);
            return tg::concat({tg::slice(right, {{1, 3}}), tg::slice(right, {{0, 1}})}, 0);
          },
          normal({3, 1}, 7), kEach),
      wrong(
          "a matrix that is not transposed", [=](const Tensor& at) { return tg::matmul(m, at); },
          [=](const Tensor&, const Tensor& dy) { return tg::matmul(m, dy); }, normal({3, 1}, 8), kEach),
      wrong(
          "1e-12 x^2, a gradient of 0", [](const Tensor& at) { return 1e-12 * at * at; },
          [](const Tensor& at, const Tensor&) { return new_tensor(at.shape()); }, x, kAbsolute),
      wrong(
          "NaN in one entry", square,
          [=](const Tensor& at, const Tensor& dy) {
            return changed(2.0 * at * dy, 2, std::numeric_limits<double>::quiet_NaN());
          },
          x, kNan),
      wrong(
          "|x|, right for positive numbers only", [](const Tensor& at) { return tg::abs(at); },
          [](const Tensor&, const Tensor& dy) { return dy * 1.0; },
          tg::tensor({1.0, 2.0, -1.5}, tg::DType::Float64), kEach),
      wrong(
          "softmax without its cross terms", [](const Tensor& at) { return tg::softmax(at, 0); },
          [](const Tensor& at, const Tensor& dy) {
            const Tensor y = tg::softmax(at, 0);
            return y * (1.0 - y) * dy;
          },
          same_sign, kEach),
  };
}

}  // namespace

Tensor random(const Shape& shape) {
  return normal(shape, 100 + ++drawn);
}

void check(Check& check, const Answers& answers) {
  drawn = 0;
  check.part(
      "is_right",
      "write it for one h and x^2 first. Then for the first function that is accused print, for one entry, the analytic number "
      "and the numeric ones for h = 1e-1, 1e-2, ... 1e-10: where is the valley of the picture?",
      [&] {
        int escaped = 0, accused = 0, wrong = 0, right = 0;
        bool drawn_dy = false, plain_accused = false;
        Finding finding{.tensors = {"is_right"}};
        std::string list;
        std::vector<Subject> all = right_ones();
        for (Subject& s : wrong_ones()) all.push_back(std::move(s));
        for (const Subject& s : all) {
          (s.right ? right : wrong) += 1;
          const Backward watched = [&](const Tensor& x, const Tensor& dy) {
            const auto values = dy.values<double>();
            drawn_dy = drawn_dy || std::ranges::any_of(values, [&](double v) { return v != values[0]; });
            return s.backward(x, dy);
          };
          const bool says = answers.is_right(s.f, watched, tg::copy(s.x));
          if (says == s.right) continue;
          (s.right ? accused : escaped) += 1;
          plain_accused = plain_accused || &s == &all.front();  // the plainest of the right ones
          if (escaped + accused <= 5)
            list += fmt::format("\n  {}: {}", s.right ? "accused, and right" : "passed, and wrong", s.title);
          if (std::ranges::find(finding.hints, s.hint) == finding.hints.end())
            finding.hints.push_back(s.hint);
        }
        if (escaped + accused == 0) {
          for (std::size_t k = 0; k < all.size(); ++k) check.expect(true, "");
          return;
        }
        // The step is to blame for what nothing else explains. With dy = 1 some gradients are 0, which looks like that.
        std::stable_partition(finding.hints.begin(), finding.hints.end(),
                              [](const std::string& h) { return h != kStep && h != kNoise; });
        if (!drawn_dy)
          finding.hints = {kOnes};
        else if (plain_accused)
          finding.hints = {kStep};
        if (finding.hints.size() > 2) finding.hints.resize(2);
        finding.text =
            fmt::format("of {} wrong backward passes {} were found, and of {} right ones {} accused{}{}",
                        wrong, wrong - escaped, right, accused, list, escaped + accused > 5 ? "\n  ..." : "");
        check.fail(std::move(finding));
      });
}

}  // namespace exercise_21
