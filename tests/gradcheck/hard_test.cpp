// Correct functions that are hard to differentiate numerically: none may be accused. And the same
// difficulties with a wrong gradient: none may slip through.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tapegrad/ops/pooling.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Verdict = GradcheckVerdict;

Tensor draw(const Shape& shape, double low = -1, double high = 1, std::uint64_t stream = 1) {
  Generator generator(77, stream);
  return uniform(shape, low, high, generator, DType::Float64);
}

struct Hard {
  std::string what;
  TensorFunction f;
  std::vector<Tensor> inputs;
  GradcheckOptions options = {};
  std::vector<Verdict> verdicts = {Verdict::Pass};
  bool second = false;
};

using Unary = std::function<Tensor(const Tensor&)>;
TensorFunction of(Unary f) {
  return [f = std::move(f)](Inputs in) { return f(in[0]); };
}

Tensor larger(const Tensor& a, const Tensor& b) {
  return b + relu(a - b);
}

// The largest of each 2 x 2 block of images [n, h, w, c].
Tensor pool(const Tensor& x) {
  const auto part = [&](index_t i, index_t j) {
    return slice(x, {{}, {i, Range::kToEnd, 2}, {j, Range::kToEnd, 2}});
  };
  return larger(larger(part(0, 0), part(0, 1)), larger(part(1, 0), part(1, 1)));
}

void add_scales(std::vector<Hard>& all) {
  for (int power = -12; power <= 12; ++power) {
    const double s = std::pow(10.0, power);
    const auto add = [&](const char* what, Unary f, Tensor x) {
      all.push_back({fmt::format("{} at 1e{}", what, power), of(std::move(f)), {std::move(x)}});
    };
    add(
        "results scaled", [=](const Tensor& x) { return tanh(2.0 * x) * s; }, draw({4}));
    add(
        "inputs scaled", [=](const Tensor& x) { return sin(3.0 * x / s); }, draw({4}) * s);
    add(
        "both scaled", [=](const Tensor& x) { return exp(x / s) * (s * s); }, draw({4}) * s);
    add(
        "both scaled the other way", [=](const Tensor& x) { return x * x * (1 / s); }, draw({4}) * s);
    all.push_back({fmt::format("a small and a large result, 1e{}", power),
                   [=](Inputs in) {
                     return sin(in[0]) * tensor({1, s, 1 / s, 1}, DType::Float64);
                   },
                   {draw({4})},
                   {.tolerance = 1e-6}});
    all.push_back({fmt::format("inputs of different scales, 1e{}", power),
                   [=](Inputs in) { return in[0] * sin(in[1] / s); },
                   {draw({4}) / s, draw({4}, -1, 1, 2) * s}});
    all.push_back({fmt::format("second order, scaled by 1e{}", power),
                   [=](Inputs in) { return tanh(in[0] / s) * s; },
                   {draw({4}) * s},
                   {},
                   {Verdict::Pass},
                   true});
  }
}

void add_kinks(std::vector<Hard>& all) {
  // Never "wrong"; and the kink's side is found as long as the distance is above rounding.
  const std::vector<Verdict> pass = {Verdict::Pass}, either = {Verdict::Pass, Verdict::AtKink};
  for (int power = -13; power <= -2; ++power) {
    const double delta = std::pow(10.0, power);
    const Tensor near = tensor({delta, -delta, 0.7, 3 * delta}, DType::Float64);
    const auto name = [&](const char* what) { return fmt::format("{}, 1e{} away", what, power); };
    all.push_back({name("relu"), of(relu), {near}});
    all.push_back({name("abs"), of([](const Tensor& x) { return abs(x); }), {near}});
    all.push_back({name("clamp"), of([](const Tensor& x) { return clamp(x, 0, 0.5); }), {near}});
    all.push_back({name("relu of a difference"),
                   of([](const Tensor& x) { return relu(x - 1.0) * x; }),
                   {near + 1.0},
                   {},
                   power > -8 ? pass : either});
    all.push_back({name("the sum of relus"),
                   of([](const Tensor& x) { return sum(relu(x)) + sum(x * x); }),
                   {near},
                   {},
                   power > -8 ? pass : either});
    all.push_back({name("a tie in a maximum"),
                   [](Inputs in) { return larger(in[0], in[1]); },
                   {draw({3}), draw({3}) + delta},
                   {.allow_untested = true},  // the smaller one has no effect
                   power > -8 ? pass : either});
  }
  const Tensor at = tensor({0, 0.5, -0.5, 0}, DType::Float64);
  const std::vector<Verdict> kink = {Verdict::AtKink};
  all.push_back({"relu at 0", of(relu), {at}, {}, kink});
  all.push_back({"clamp at both ends", of([](const Tensor& x) { return clamp(x, 0, 0.5); }), {at}, {}, kink});
  all.push_back({"relu of a bias at 0", of([](const Tensor& x) { return sum(relu(x)); }), {at}, {}, kink});
  all.push_back({"pooling of equal pixels", of(pool), {ones({1, 4, 4, 2}, DType::Float64)}, {}, kink});
  all.push_back({"abs at 0", of([](const Tensor& x) { return abs(x); }), {at}, {}, either});
  all.push_back({"a network on black images",
                 [](Inputs in) { return relu(conv2d(in[0], in[1], {.padding = Padding::Same}) + in[2]); },
                 {zeros({1, 4, 4, 1}, DType::Float64), draw({3, 3, 1, 2}), zeros({2}, DType::Float64)},
                 {},
                 kink});
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    all.push_back({fmt::format("relu network {}", seed),
                   [](Inputs in) { return matmul(relu(matmul(relu(matmul(in[0], in[1])), in[2])), in[3]); },
                   {draw({6, 5}, -1, 1, seed), draw({5, 8}, -1, 1, seed + 100),
                    draw({8, 8}, -1, 1, seed + 200), draw({8, 2}, -1, 1, seed + 300)}});
    all.push_back({fmt::format("convolution, relu and pooling {}", seed),
                   [](Inputs in) { return pool(relu(conv2d(in[0], in[1], {.padding = Padding::Same}))); },
                   {draw({1, 6, 6, 2}, -1, 1, seed), draw({3, 3, 2, 2}, -1, 1, seed + 100)}});
  }
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    all.push_back({fmt::format("max_pool2d of a convolution {}", seed),
                   [](Inputs in) { return max_pool2d(conv2d(in[0], in[1])); },
                   {draw({2, 8, 8, 1}, -1, 1, seed), draw({3, 3, 1, 3}, -1, 1, seed + 100)}});
    all.push_back({fmt::format("the largest of many {}", seed),
                   of([](const Tensor& x) { return max(x, {1}); }),
                   {draw({6, 30}, -1, 1, seed)}});
  }
  for (const GradcheckMode mode : {GradcheckMode::Sample, GradcheckMode::Direction})
    for (std::uint64_t seed = 1; seed <= 6; ++seed)
      all.push_back({fmt::format("many kinks, mode {}, {}", static_cast<int>(mode), seed),
                     of([](const Tensor& x) { return sum(abs(x), {1}); }),
                     {draw({20, 50}, -1, 1, seed)},
                     {.mode = mode}});
}

void add_noise(std::vector<Hard>& all) {
  for (const double offset : {1e2, 1e4, 1e6}) {
    all.push_back({fmt::format("behind an offset of {:g}", offset),
                   of([=](const Tensor& x) { return sin(x) + offset; }),
                   {draw({4})}});
    all.push_back({fmt::format("cancellation of {:g}", offset),
                   of([=](const Tensor& x) { return (sin(x) + offset) - offset; }),
                   {draw({4})}});
    all.push_back({fmt::format("squares that cancel, {:g}", offset),
                   of([=](const Tensor& x) { return square(x + std::sqrt(offset)) - offset; }),
                   {draw({4})}});
    all.push_back({fmt::format("a variance about {:g}", offset),
                   of([=](const Tensor& x) {
                     const Tensor y = x + std::sqrt(offset);
                     return mean(square(y)) - square(mean(y));
                   }),
                   {draw({8})}});
    all.push_back({fmt::format("a large frequency {:g}", offset),
                   of([=](const Tensor& x) { return sin(x * offset); }),
                   {draw({4})}});
    all.push_back({fmt::format("a large frequency at 0, {:g}", offset),
                   of([=](const Tensor& x) { return sin(x * offset); }),
                   {zeros({3}, DType::Float64)}});
    all.push_back({fmt::format("almost a kink, softplus({:g} x)", offset),
                   of([=](const Tensor& x) { return softplus(x * offset) / offset; }),
                   {draw({4}, -1e-3, 1e-3)}});
    all.push_back({fmt::format("almost a step, tanh({:g} x)", offset),
                   of([=](const Tensor& x) { return tanh(x * offset); }),
                   {draw({4}, -1, 1) / offset}});
    all.push_back({fmt::format("near the pole, 1/x at 1/{:g}", offset),
                   of([](const Tensor& x) { return 1.0 / x; }),
                   {draw({4}, 1, 2) / offset}});
    all.push_back({fmt::format("log at 1/{:g}", offset),
                   of([](const Tensor& x) { return log(x); }),
                   {draw({4}, 1, 2) / offset}});
    all.push_back({fmt::format("sqrt at 1/{:g}", offset),
                   of([](const Tensor& x) { return sqrt(x); }),
                   {draw({4}, 1, 2) / offset}});
    all.push_back({fmt::format("1 - cos at 1/{:g}", offset),
                   of([](const Tensor& x) { return 1.0 - cos(x); }),
                   {draw({4}, 1, 2) / offset}});
    all.push_back({fmt::format("x^2 + 1 at 1/{:g}", offset),
                   of([](const Tensor& x) { return square(x) + 1.0; }),
                   {draw({4}, 1, 2) / offset}});
  }
  for (const double k : {10.0, 50.0, 200.0, 600.0})
    all.push_back({fmt::format("exp({:g} x)", k),
                   of([=](const Tensor& x) { return exp(x * k); }),
                   {draw({3}, 0.5, 1)}});
  for (const double k : {5.0, 10.0, 20.0, 30.0})
    all.push_back({fmt::format("a saturated sigmoid at {:g}", k),
                   of(sigmoid),
                   {draw({3}, k, k + 1)},
                   {},
                   // 1 - 1e-13 has three digits left for the gradient
                   k < 25 ? std::vector{Verdict::Pass} : std::vector{Verdict::Pass, Verdict::Vacuous}});
  for (const double k : {5.0, 10.0, 20.0, 30.0})
    all.push_back({fmt::format("a saturated sigmoid at -{:g}", k), of(sigmoid), {draw({3}, -k - 1, -k)}});
  all.push_back({"log of exp", of([](const Tensor& x) { return log(exp(x)); }), {draw({4})}});
  all.push_back(
      {"the square root of a square", of([](const Tensor& x) { return sqrt(square(x)); }), {draw({4})}});
  all.push_back({"a rest of exp and 1 + x",
                 of([](const Tensor& x) { return exp(x) - (x + 1.0); }),
                 {draw({4}, 1e-3, 2e-3)}});
  all.push_back({"almost flat, x^9",
                 of([](const Tensor& x) { return square(square(square(x))) * x; }),
                 {draw({4}, 1e-2, 2e-2)}});
  const Tensor large = draw({50'000});
  const GradcheckOptions some{.mode = GradcheckMode::Sample, .samples = 5};
  all.push_back({"a large sum", of([](const Tensor& x) { return sum(sin(x)); }), {large}, some});
  all.push_back({"a large mean", of([](const Tensor& x) { return mean(square(x)); }), {large}, some});
  all.push_back(
      {"a large logarithm of a sum", of([](const Tensor& x) { return log(sum(exp(x))); }), {large}, some});
  all.push_back({"a large norm", of([](const Tensor& x) { return sqrt(sum(square(x))); }), {large}, some});
  all.push_back(
      {"a large softmax", of([](const Tensor& x) { return exp(x) / sum(exp(x)); }), {draw({5'000})}, some});
  all.push_back({"a large variance",
                 of([](const Tensor& x) { return mean(square(x - mean(x))); }),
                 {large + 100.0},
                 some});
  const GradcheckOptions direction{.mode = GradcheckMode::Direction};
  all.push_back(
      {"a direction of a large sum", of([](const Tensor& x) { return sum(sin(x)); }), {large}, direction});
  all.push_back({"a direction of a large softmax",
                 of([](const Tensor& x) { return exp(x) / sum(exp(x)); }),
                 {large},
                 direction});
  // One term that does not matter hides in a sum of large ones.
  all.push_back({"small beside large",
                 [](Inputs in) { return sum(in[0]) * 1e9 + sum(sin(in[1])); },
                 {draw({3}), draw({3}, -1, 1, 2)},
                 {.tolerance = 1e-5}});
}

// Zero gradients but for rounding: nothing was tested, and nobody is accused.
void add_zeros(std::vector<Hard>& all) {
  const std::vector<Verdict> nothing = {Verdict::Vacuous};
  for (const double s : {1e-6, 1.0, 1e6}) {
    all.push_back({fmt::format("the sum of a softmax, {:g}", s),
                   of([=](const Tensor& x) { return sum(exp(x) / sum(exp(x))) * s; }),
                   {draw({5})},
                   {},
                   nothing});
    all.push_back({fmt::format("sin^2 + cos^2, {:g}", s),
                   of([=](const Tensor& x) { return (square(sin(x)) + square(cos(x))) * s; }),
                   {draw({5})},
                   {},
                   nothing});
    all.push_back({fmt::format("a dead relu, {:g}", s),
                   of([=](const Tensor& x) { return relu(x) * s; }),
                   {draw({5}, -2, -1)},
                   {},
                   nothing});
    all.push_back({fmt::format("a constant {:g}", s),
                   of([=](const Tensor&) { return full({2}, s, DType::Float64); }),
                   {draw({5})},
                   {},
                   nothing});
  }
}

// Entries of very different sizes beside each other: each is judged by its own.
void add_small_entries(std::vector<Hard>& all) {
  Tensor sizes = zeros({6}, DType::Float64);
  for (index_t i = 0; i < 6; ++i) sizes.set({i}, std::pow(10.0, -2.0 * static_cast<double>(i)));
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto add = [&](const char* what, Unary f, const Tensor& x, const GradcheckOptions& options = {}) {
      all.push_back({fmt::format("{} {}", what, seed), of(std::move(f)), {x}, options});
    };
    add(
        "results of sizes 1 to 1e-10", [=](const Tensor& x) { return sin(x) * sizes; },
        draw({6}, -1, 1, seed));
    add(
        "their sum", [=](const Tensor& x) { return sum(sin(x) * sizes); }, draw({6}, -1, 1, seed));
    add(
        "a saturated softmax", [](const Tensor& x) { return softmax(20.0 * x, 1); },
        draw({3, 4}, -1, 1, seed));
    add(
        "the tail of a Gaussian", [](const Tensor& x) { return exp(-square(x)); }, draw({8}, 0, 5, seed));
    add(
        "a logarithm of a sum, its small terms", [](const Tensor& x) { return log(sum(exp(x * 15.0), {1})); },
        draw({3, 4}, -1, 1, seed));
  }
}

struct Stairs {
  std::string what;
  TensorFunction f;
  std::vector<Tensor> inputs;
};

Tensor as_numbers(const Tensor& mask) {
  return cast(mask, DType::Float64);
}

// Constant piece by piece in all of their inputs.
std::vector<Stairs> stairs(std::uint64_t seed) {
  std::vector<Stairs> all;
  const auto one = [&](const char* what, Unary f, const Shape& shape, double low = -3, double high = 3) {
    all.push_back({what, of(std::move(f)), {draw(shape, low, high, seed)}});
  };
  one("floor", floor, {5});
  one("ceil", ceil, {5});
  one("round", round, {5});
  one("trunc", trunc, {5});
  one("sign", sign, {5});
  one("floor of large numbers", floor, {5}, -1e3, 1e3);
  one("floor(1000 x)", [](const Tensor& x) { return floor(x * 1000.0); }, {5});
  one(
      "256 levels", [](const Tensor& x) { return round(x * 255.0) / 255.0; }, {5}, 0, 1);
  one("16 levels, clamped", [](const Tensor& x) { return clamp(round(x * 8.0), -8, 7) / 8.0; }, {5});
  for (const double s : {1e-12, 1e-6, 1e6, 1e12}) {
    one("scaled", [=](const Tensor& x) { return floor(x) * s; }, {5});
    if (s < 1e-6 || s > 1e6) continue;
    one(
        "scaled within", [=](const Tensor& x) { return floor(x / s); }, {5}, -3 * s, 3 * s);
    one("behind an offset", [=](const Tensor& x) { return floor(x) + s; }, {5});
  }
  one("floor of a sum", [](const Tensor& x) { return floor(sum(x)); }, {5});
  one("the sum of floors", [](const Tensor& x) { return sum(floor(x)); }, {300});
  one("a count", [](const Tensor& x) { return as_numbers(sum(greater(x, 0.5))); }, {20});
  one("a mask", [](const Tensor& x) { return as_numbers(less(x, 0.25)); }, {5});
  one("a step of a smooth function", [](const Tensor& x) { return as_numbers(greater(sin(x), 0.3)); }, {5});
  one("argmax", [](const Tensor& x) { return as_numbers(argmax(x, 1)); }, {4, 5});
  one("one_hot of argmax", [](const Tensor& x) { return one_hot(argmax(x, 1), 5, DType::Float64); }, {4, 5});
  one("an order", [](const Tensor& x) { return as_numbers(argsort(x, 0)); }, {6});
  one("exp of round", [](const Tensor& x) { return exp(round(x)); }, {5});
  one("softmax of ceil", [](const Tensor& x) { return softmax(ceil(x)); }, {5});
  one("a choice of constants", [](const Tensor& x) { return where(greater(x, 0), 2.0, full_like(x, -1)); },
      {5});
  one("stairs times 1 with noise",
      [](const Tensor& x) { return floor(x) * (square(sin(x)) + square(cos(x))); }, {5});
  all.push_back({"sign of a product",
                 [](Inputs in) { return sign(matmul(in[0], in[1])); },
                 {draw({3, 4}, -1, 1, seed), draw({4, 2}, -1, 1, seed + 100)}});
  all.push_back({"a comparison",
                 [](Inputs in) { return as_numbers(less(in[0], in[1])); },
                 {draw({5}, -1, 1, seed), draw({5}, -1, 1, seed + 100)}});
  return all;
}

void add_stairs(std::vector<Hard>& all) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (Stairs& s : stairs(seed))
      all.push_back(
          {fmt::format("{} {}", s.what, seed), std::move(s.f), std::move(s.inputs), {}, {Verdict::Vacuous}});
  const Tensor at = tensor({0, 1, -2}, DType::Float64);
  all.push_back({"sign at 0", of(sign), {at}, {}, {Verdict::AtKink}});
  all.push_back({"floor at steps", of(floor), {at}, {}, {Verdict::AtKink}});
  all.push_back({"the second derivative of abs at 0",
                 of([](const Tensor& x) { return abs(x); }),
                 {at},
                 {},
                 {Verdict::AtKink},
                 true});
  // Beside a stair: nothing, or at a kink where no step is small enough.
  for (int power = -13; power <= -2; ++power) {
    const double delta = std::pow(10.0, power);
    const Tensor beside = tensor({delta, -delta, 0.7, 3 * delta}, DType::Float64);
    const auto name = [&](const char* what) { return fmt::format("{}, 1e{} away", what, power); };
    const std::vector<Verdict> either = {Verdict::Vacuous, Verdict::AtKink};
    all.push_back({name("sign"), of(sign), {beside}, {}, either});
    all.push_back({name("floor"), of(floor), {beside + 2.0}, {}, either});
    all.push_back(
        {name("floor(1000 x)"), of([](const Tensor& x) { return floor(x * 1000.0); }), {beside}, {}, either});
    all.push_back({name("a fraction"),
                   of([](const Tensor& x) { return x - floor(x); }),
                   {beside},
                   {},
                   power > -8 ? std::vector{Verdict::Pass} : std::vector{Verdict::Pass, Verdict::AtKink}});
  }
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Tensor x = draw({5}, -3, 3, seed), y = draw({5}, -3, 3, seed + 100);
    const auto add = [&](const char* what, TensorFunction f, std::vector<Tensor> inputs,
                         const GradcheckOptions& options, bool second) {
      all.push_back({fmt::format("{} {}", what, seed),
                     std::move(f),
                     std::move(inputs),
                     options,
                     {Verdict::Pass},
                     second});
    };
    add(
        "stairs times another input", [](Inputs in) { return floor(in[0]) * sin(in[1]); }, {x, y},
        {.allow_untested = true}, false);
    for (const bool second : {false, true}) {
      add(
          "slopes that are stairs", [](Inputs in) { return (floor(in[0]) + 0.25) * in[0]; }, {x}, {}, second);
      add(
          "sign(x) x", [](Inputs in) { return sign(in[0]) * in[0]; }, {x}, {}, second);
      add(
          "round(x) exp(y)", [](Inputs in) { return (round(in[0]) + 0.25) * exp(in[1]) + in[0]; }, {x, y}, {},
          second);
    }
  }
}

std::vector<Hard> hard_functions() {
  std::vector<Hard> all;
  add_scales(all);
  add_kinks(all);
  add_noise(all);
  add_zeros(all);
  add_small_entries(all);
  add_stairs(all);
  return all;
}

TEST(GradcheckHard, NoCorrectFunctionIsAccused) {
  const std::vector<Hard> all = hard_functions();
  EXPECT_GE(all.size(), 200u);
  for (const Hard& hard : all) {
    const GradcheckReport report =
        (hard.second ? gradcheck_second_order : gradcheck)(hard.f, hard.inputs, hard.options);
    EXPECT_TRUE(std::ranges::find(hard.verdicts, report.verdict) != hard.verdicts.end())
        << hard.what << ": " << name(report.verdict) << "\n"
        << report.str();
  }
}

// Every function of the list that passes, with a gradient that is off by a few thousandths.
TEST(GradcheckHard, NoWrongGradientSlipsThrough) {
  int count = 0, explained = 0;
  for (const Hard& hard : hard_functions()) {
    if (hard.verdicts != std::vector{Verdict::Pass} || hard.second) continue;
    ++count;
    const TensorFunction wrong = [&](Inputs in) {
      const Tensor y = hard.f(in);
      return record("planted", stop_gradient(copy(y)), {{y, [](const Tensor& g) { return g * 1.003; }}});
    };
    const GradcheckReport report = gradcheck(wrong, hard.inputs, hard.options);
    EXPECT_EQ(report.verdict, Verdict::Fail) << hard.what << "\n" << report.str();
    explained += report.has_hint("ratio") ? 1 : 0;
  }
  EXPECT_GE(explained, 150);
  EXPECT_GE(count, 150);
}

// Smooth functions so flat that small steps see nothing, with the gradient 0.
TEST(GradcheckHard, NoGradientOfZeroSlipsThroughAtAFlatPlace) {
  struct Flat {
    std::string what;
    Unary f;
    Tensor x;
  };
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::vector<Flat> all;
    for (const double s : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
      const Tensor x = draw({4}, 1, 2, seed) * s;
      all.push_back({fmt::format("1 - cos at {:g}", s), [](const Tensor& t) { return 1.0 - cos(t); }, x});
      all.push_back({fmt::format("1 - cos at {:g}, scaled", s),
                     [](const Tensor& t) { return 1e-9 * (1.0 - cos(t)); }, x});
      all.push_back(
          {fmt::format("exp(x^2) - 1 at {:g}", s), [](const Tensor& t) { return exp(square(t)) - 1.0; }, x});
      all.push_back({fmt::format("x^4 at {:g}", s), [](const Tensor& t) { return square(square(t)); }, x});
      all.push_back({fmt::format("x^2 + 1 at {:g}", s), [](const Tensor& t) { return square(t) + 1.0; }, x});
    }
    for (const double k : {5.0, 20.0, 30.0}) {
      const Tensor x = draw({4}, -k - 1, -k, seed);
      all.push_back({fmt::format("softplus at -{:g}", k), softplus, x});
      all.push_back(
          {fmt::format("log(1 + exp) at -{:g}", k), [](const Tensor& t) { return log(1.0 + exp(t)); }, x});
      all.push_back({fmt::format("sigmoid at -{:g}", k), sigmoid, x});
      all.push_back({fmt::format("silu at -{:g}", k), silu, x});
    }
    all.push_back(
        {"the tail of a Gaussian", [](const Tensor& t) { return exp(-square(t)); }, draw({4}, 4, 6, seed)});
    for (const double offset : {1e2, 1e4, 1e6})
      all.push_back({fmt::format("behind {:g}", offset),
                     [=](const Tensor& t) { return (sin(t) + offset) - offset; }, draw({4}, -1, 1, seed)});
    for (const Flat& flat : all) {
      const TensorFunction wrong = [&](Inputs in) {
        const Tensor y = flat.f(in[0]);
        return record("planted", stop_gradient(copy(y)), {{y, [](const Tensor& g) { return g * 0.0; }}});
      };
      const GradcheckReport report = gradcheck(wrong, {flat.x});
      EXPECT_EQ(report.verdict, Verdict::Fail) << flat.what << "\n" << report.str();
    }
  }
}

// The gradient of x itself, "straight through", is not that of stairs. Seen from far they climb as it says, which is
// no reason to call it right.
TEST(GradcheckHard, NoGradientStraightThroughStairsIsAPass) {
  int count = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    for (const Unary& f : {Unary(floor), Unary(ceil), Unary(round), Unary(trunc), Unary(sign),
                           Unary([](const Tensor& x) { return floor(x * 1000.0) / 1000.0; }),
                           Unary([](const Tensor& x) { return round(x * 255.0) / 255.0; })}) {
      const TensorFunction straight = [&](Inputs in) {
        return record("planted", stop_gradient(f(in[0])), {{in[0], [](const Tensor& g) { return g; }}});
      };
      const Verdict verdict = gradcheck(straight, {draw({5}, -3, 3, seed)}).verdict;
      EXPECT_TRUE(verdict == Verdict::Fail || verdict == Verdict::Suspicious) << name(verdict);
      ++count;
    }
  EXPECT_EQ(count, 35);
}

// f may refuse a step that leaves its domain: it is not taken.
TEST(GradcheckHard, AStepThatFRefusesIsNotTaken) {
  const auto inside = [](const Tensor& p) {
    if (any(greater(p, 1)).item() != 0 || any(less(p, 0)).item() != 0) throw Error("mine", "not in [0, 1]");
    return floor(p * 10.0) / 10.0;
  };
  const GradcheckReport report = gradcheck(of(inside), {tensor({0.97, 0.55, 0.03}, DType::Float64)});
  EXPECT_EQ(report.verdict, Verdict::Vacuous) << report.str();
  const auto wrong = [](const Tensor& p) {
    if (any(greater(p, 1)).item() != 0) throw Error("mine", "not in [0, 1]");
    const Tensor y = square(p);
    return record("planted", stop_gradient(copy(y)), {{y, [](const Tensor& g) { return g * 1.01; }}});
  };
  EXPECT_EQ(gradcheck(of(wrong), {tensor({0.97, 0.55, 0.03}, DType::Float64)}).verdict, Verdict::Fail);
}

// What cannot be told is not called right.
TEST(GradcheckHard, NoiseThatHidesTheGradientIsNotAPass) {
  const GradcheckReport report =
      gradcheck([](Inputs in) { return (100.0 * sin(in[0]) + 1e16) - 1e16; }, {draw({4})});
  EXPECT_EQ(report.verdict, Verdict::Suspicious) << report.str();
}

TEST(GradcheckHard, WhatTheErrorDoesIsNamed) {
  const auto behaviour = [](Unary f, const Tensor& x, double step) {
    return gradcheck(of(std::move(f)), {x}, {.step = step}).tensors[0].worst.at(0).behaviour;
  };
  const Tensor x = draw({1}, 0.5, 1);
  EXPECT_EQ(behaviour([](const Tensor& t) { return sin(t); }, x, 0), GradcheckBehaviour::Right);
  EXPECT_EQ(behaviour([](const Tensor& t) { return sin(t); }, x, 0.1), GradcheckBehaviour::Truncation);
  EXPECT_EQ(behaviour([](const Tensor& t) { return sin(t); }, x, 1e-11), GradcheckBehaviour::Rounding);
  EXPECT_EQ(behaviour([](const Tensor& t) { return sin(stop_gradient(t)) + t; }, x, 0),
            GradcheckBehaviour::Wrong);
  EXPECT_EQ(behaviour([](const Tensor& t) { return relu(t); }, x * 0.0, 0), GradcheckBehaviour::Kink);
}

}  // namespace
}  // namespace tapegrad::testing
