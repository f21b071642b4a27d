#include "tapegrad/gradcheck/gradcheck.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;

Tensor draw(const Shape& shape, std::uint64_t stream = 1) {
  Generator generator(21, stream);
  return uniform(shape, -1, 1, generator, DType::Float64);
}

// f's values with rules of our own: x's gradient is rule(g, x).
template <class F, class R>
TensorFunction with_rule(F f, R rule) {
  return [=](Inputs in) {
    const Tensor x = in[0];
    Tensor y;
    {
      const NoGrad no_grad;
      y = copy(f(x));
    }
    return record("planted", y, {{x, [rule, x = Saved(x)](const Tensor& g) { return rule(g, x()); }}});
  };
}

// The same for two inputs.
template <class F, class A, class B>
TensorFunction with_rules(F f, A rule_a, B rule_b) {
  return [=](Inputs in) {
    const Tensor a = in[0], b = in[1];
    Tensor y;
    {
      const NoGrad no_grad;
      y = copy(f(a, b));
    }
    return record("planted", y,
                  {{a, [=, a = Saved(a), b = Saved(b)](const Tensor& g) { return rule_a(g, a(), b()); }},
                   {b, [=, a = Saved(a), b = Saved(b)](const Tensor& g) { return rule_b(g, a(), b()); }}});
  };
}

struct Planted {
  std::string what;
  TensorFunction f;
  std::vector<Tensor> inputs;
};

const auto kProduct = [](const Tensor& a, const Tensor& b) { return matmul(a, b); };
const auto kProductA = [](const Tensor& g, const Tensor&, const Tensor& b) {
  return matmul(g, b, {.transpose_b = true});
};
const auto kProductB = [](const Tensor& g, const Tensor& a, const Tensor&) {
  return matmul(a, g, {.transpose_a = true});
};
const auto kSame = [](const Tensor& x, const Tensor& w) { return conv2d(x, w, {.padding = Padding::Same}); };
const auto kSameX = [](const Tensor& g, const Tensor& x, const Tensor& w) {
  return conv2d_backprop_input(x.shape(), w, g, {.padding = Padding::Same});
};
const auto kSameW = [](const Tensor& g, const Tensor& x, const Tensor& w) {
  return conv2d_backprop_filter(x, w.shape(), g, {.padding = Padding::Same});
};

std::vector<Planted> wrong_rules() {
  const Tensor x = draw({2, 3}), a = draw({3, 3}), b = draw({3, 3}, 2), image = draw({1, 4, 5, 1}),
               w = draw({3, 3, 1, 1}, 2);
  const auto cube = [](const Tensor& t) { return t * t * t; };
  return {
      {"a factor",
       with_rule([](const Tensor& t) { return square(t); },
                 [](const Tensor& g, const Tensor& t) { return g * t; }),
       {x}},
      {"a factor of 1.000001",
       with_rule(cube, [](const Tensor& g, const Tensor& t) { return g * (3.000003 * square(t)); }),
       {x}},
      {"the sign",
       with_rule([](const Tensor& t) { return cos(t); },
                 [](const Tensor& g, const Tensor& t) { return g * sin(t); }),
       {x}},
      {"the output gradient forgotten",
       with_rule([](const Tensor& t) { return sin(t); },
                 [](const Tensor&, const Tensor& t) { return cos(t); }),
       {x}},
      {"the output gradient summed",
       with_rule([](const Tensor& t) { return sin(t); },
                 [](const Tensor& g, const Tensor& t) { return sum(g) * cos(t); }),
       {x}},
      {"the input's values forgotten",
       with_rule([](const Tensor& t) { return exp(t); }, [](const Tensor& g, const Tensor&) { return g; }),
       {x}},
      {"no gradient at all",
       with_rule([](const Tensor& t) { return exp(t); },
                 [](const Tensor& g, const Tensor&) { return zeros_like(g); }),
       {x}},
      {"operands swapped",
       with_rules([](const Tensor& p, const Tensor& q) { return p * q; },
                  [](const Tensor& g, const Tensor& p, const Tensor&) { return g * p; },
                  [](const Tensor& g, const Tensor&, const Tensor& q) { return g * q; }),
       {a, b}},
      {"the rules of two inputs exchanged",
       with_rules([](const Tensor& p, const Tensor& q) { return p - q; },
                  [](const Tensor& g, const Tensor&, const Tensor&) { return -g; },
                  [](const Tensor& g, const Tensor&, const Tensor&) { return g; }),
       {a, b}},
      {"a transpose forgotten",
       with_rules(
           kProduct, [](const Tensor& g, const Tensor&, const Tensor& q) { return matmul(g, q); }, kProductB),
       {a, b}},
      {"the result transposed",
       with_rules(kProduct, kProductA,
                  [](const Tensor& g, const Tensor& p, const Tensor&) {
                    return transpose(matmul(p, g, {.transpose_a = true}));
                  }),
       {a, b}},
      {"the permutation instead of its inverse",
       with_rule(
           [](const Tensor& t) {
             return permute(t, {1, 2, 0});
           },
           [](const Tensor& g, const Tensor&) {
             return permute(g, {1, 2, 0});
           }),
       {draw({2, 2, 2})}},
      {"a flip forgotten",
       with_rule([](const Tensor& t) { return flip(t, {1}); },
                 [](const Tensor& g, const Tensor&) { return g; }),
       {x}},
      {"the filter not turned",
       with_rules(
           kSame,
           [](const Tensor& g, const Tensor&, const Tensor& q) {
             return conv2d(g, q, {.padding = Padding::Same});
           },
           kSameW),
       {image, w}},
      {"the filter's gradient turned",
       with_rules(kSame, kSameX,
                  [](const Tensor& g, const Tensor& p, const Tensor& q) { return rot180(kSameW(g, p, q)); }),
       {image, w}},
      {"one pixel off",
       with_rule(
           [](const Tensor& t) {
             return pad(t, {{0, 0}, {1, 1}});
           },
           [](const Tensor& g, const Tensor&) {
             return slice(g, {{}, {0, 3}});
           }),
       {x}},
      {"the mean's divisor forgotten",
       with_rule([](const Tensor& t) { return mean(t); },
                 [](const Tensor& g, const Tensor& t) { return broadcast_to(g, t.shape()); }),
       {x}},
      {"a stopped gradient", [](Inputs in) { return in[0] * stop_gradient(in[0]); }, {x}},
      {"computed outside of the tape",
       [](Inputs in) {
         const NoGrad no_grad;
         return copy(sin(in[0]));
       },
       {x}},
  };
}

TEST(Gradcheck, WrongRulesAreCaught) {
  for (const Planted& planted : wrong_rules()) {
    const GradcheckReport report = gradcheck(planted.f, planted.inputs);
    EXPECT_FALSE(report.passed) << planted.what << "\n" << report.str();
    EXPECT_TRUE(report.str().starts_with("gradcheck FAILED")) << report.str();
  }
}

// Rules whose values are right, but not as functions of the input or of the output gradient.
std::vector<Planted> wrong_second_rules() {
  const Tensor x = draw({2, 3}), a = draw({3, 3}), b = draw({3, 3}, 2), image = draw({1, 4, 5, 1}),
               w = draw({3, 3, 1, 1}, 2);
  const auto cube = [](const Tensor& t) { return t * t * t; };
  // 3 t^2 with a wrong derivative of its own.
  const auto three_squares = [](double factor) {
    return [factor](const Tensor& t) {
      Tensor y;
      {
        const NoGrad no_grad;
        y = copy(3.0 * square(t));
      }
      return record("planted", y,
                    {{t, [factor, t = Saved(t)](const Tensor& g) { return g * (factor * t()); }}});
    };
  };
  const auto half_right = three_squares(3), wrong_sign = three_squares(-6);
  return {
      {"a stopped factor",
       with_rule(cube, [](const Tensor& g, const Tensor& t) { return g * (3.0 * square(stop_gradient(t))); }),
       {x}},
      {"a factor in the derivative of the derivative",
       with_rule(cube, [=](const Tensor& g, const Tensor& t) { return g * half_right(t); }),
       {x}},
      {"a sign there",
       with_rule(cube, [=](const Tensor& g, const Tensor& t) { return g * wrong_sign(t); }),
       {x}},
      {"operands stopped",
       with_rules(
           kProduct,
           [](const Tensor& g, const Tensor& p, const Tensor& q) {
             return kProductA(g, p, stop_gradient(q));
           },
           kProductB),
       {a, b}},
      {"a filter stopped",
       with_rules(
           kSame,
           [](const Tensor& g, const Tensor& p, const Tensor& q) { return kSameX(g, p, stop_gradient(q)); },
           kSameW),
       {image, w}},
  };
}

TEST(Gradcheck, RulesThatAreWrongInTheSecondOrderOnly) {
  for (const Planted& planted : wrong_second_rules()) {
    const GradcheckReport first = gradcheck(planted.f, planted.inputs);
    EXPECT_TRUE(first.passed) << planted.what << "\n" << first.str();
    const GradcheckReport second = gradcheck_second_order(planted.f, planted.inputs);
    EXPECT_FALSE(second.passed) << planted.what << "\n" << second.str();
  }
}

// Such a rule has no derivative at all, and the tape knows.
TEST(Gradcheck, ARuleWrittenInLoopsHasNoSecondOrder) {
  const TensorFunction f =
      with_rule([](const Tensor& t) { return t * t * t; },
                [](const Tensor& g, const Tensor& t) {
                  Tensor result = zeros(t.shape(), DType::Float64);
                  double* to = result.mutable_data<double>();
                  for (index_t i = 0; i < t.size(); ++i)
                    to[i] = g.data<double>()[i] * 3 * t.data<double>()[i] * t.data<double>()[i];
                  return result;
                });
  EXPECT_TRUE(gradcheck(f, {draw({2, 3})}).passed);
  EXPECT_TRUE(refuses("planted", {"not made of differentiable ops"}, [&] {
    (void)gradcheck_second_order(f, {draw({2, 3})});
  }));
}

std::vector<Planted> right_functions() {
  const Tensor x = draw({2, 3});
  return {
      {"a composition",
       [](Inputs in) { return tanh(matmul(in[0], in[1])) * exp(in[2]); },
       {x, draw({3, 4}, 2), draw({4}, 3)}},
      {"linear", [](Inputs in) { return 3.0 * in[0] - 1.0; }, {x}},
      {"the identity", [](Inputs in) { return in[0]; }, {x}},
      {"an input used twice", [](Inputs in) { return in[0] * sin(in[0]); }, {x}},
      {"a parameter", [](Inputs in) { return sin(in[0]); }, {parameter(x)}},
      {"the identity of a parameter", [](Inputs in) { return in[0]; }, {parameter(x)}},
      {"large numbers", [](Inputs in) { return square(in[0]) * 1e6; }, {x * 1e5}},
      {"no elements",
       [](Inputs in) { return sum(in[0]) + sum(in[1]); },
       {zeros({0, 3}, DType::Float64), draw({2}, 2)}},
      {"our own rule", with_rules(kProduct, kProductA, kProductB), {draw({2, 3}), draw({3, 2}, 2)}},
      {"a gradient inside",
       [](Inputs in) {
         Tape tape;
         const Tensor y = tape.watch(in[0]);
         return square(tape.gradient(sum(y * y * y), y));
       },
       {x}},
  };
}

TEST(Gradcheck, RightFunctionsPass) {
  for (const Planted& right : right_functions()) {
    SCOPED_TRACE(right.what);
    const GradcheckReport first = gradcheck(right.f, right.inputs);
    EXPECT_TRUE(first.passed) << first.str();
    EXPECT_EQ(first.verdict, GradcheckVerdict::Pass);
    ASSERT_EQ(first.tensors.size(), right.inputs.size());
    EXPECT_TRUE(first.str().starts_with("gradcheck passed")) << first.str();
    const GradcheckReport second = gradcheck_second_order(right.f, right.inputs);
    EXPECT_TRUE(second.passed) << second.str();
    EXPECT_EQ(second.tensors.size(), right.inputs.size() + 1);  // and the output gradient
  }
}

TEST(Gradcheck, AComparisonOfZerosIsVacuous) {
  const Tensor x = draw({2, 3});
  const TensorFunction constant = [](Inputs) { return ones({2}, DType::Float64); };
  for (const auto& check : {gradcheck, gradcheck_second_order}) {
    const GradcheckReport report = check(constant, {x}, {});
    EXPECT_EQ(report.verdict, GradcheckVerdict::Vacuous) << report.str();
    EXPECT_FALSE(report.passed);
  }
  const TensorFunction one = [](Inputs in) { return square(sin(in[0])) + square(cos(in[0])); };
  EXPECT_EQ(gradcheck(one, {x}).verdict, GradcheckVerdict::Vacuous) << gradcheck(one, {x}).str();
  const TensorFunction bowl = [](Inputs in) { return square(in[0]); };
  EXPECT_EQ(gradcheck(bowl, {zeros({3}, DType::Float64)}).verdict, GradcheckVerdict::Vacuous);
  EXPECT_TRUE(gradcheck_second_order(bowl, {zeros({3}, DType::Float64)}).passed);
}

TEST(Gradcheck, TheReportNamesTheEntry) {
  // Right but for one entry of the second input, which is off by 0.5 times the output gradient.
  Tensor off = zeros({3, 4}, DType::Float64);
  off.set({2, 1}, 0.5);
  const TensorFunction f =
      with_rules([](const Tensor& p, const Tensor& q) { return p + q; },
                 [](const Tensor& g, const Tensor&, const Tensor&) { return g; },
                 [off](const Tensor& g, const Tensor&, const Tensor&) { return g + off; });
  const GradcheckReport report =
      gradcheck(f, {draw({3, 4}), draw({3, 4}, 2)}, {.tolerance = 1e-9, .step = 1});
  ASSERT_FALSE(report.passed);
  EXPECT_LT(report.tensors[0].largest_error, 1e-12);
  EXPECT_EQ(report.verdict, GradcheckVerdict::Fail);
  const GradcheckTensor& wrong = report.tensors[1];
  EXPECT_EQ(wrong.shape.str(), "[3, 4]");
  EXPECT_EQ(wrong.entries, 12);
  EXPECT_EQ(wrong.wrong, 1);
  EXPECT_NEAR(wrong.largest_error, 0.5, 1e-9);
  const GradcheckEntry& entry = wrong.worst.at(0);
  EXPECT_EQ(entry.index, (std::vector<index_t>{2, 1}));
  EXPECT_EQ(entry.behaviour, GradcheckBehaviour::Wrong);
  EXPECT_NEAR(entry.analytic - entry.numeric, 0.5, 1e-9);
  EXPECT_NEAR((entry.above - entry.below) / (2 * entry.step), entry.numeric, 1e-8);
  EXPECT_NE(wrong.worst.at(1).behaviour, GradcheckBehaviour::Wrong);
  const std::string text = report.str();
  for (const char* words :
       {"FAILED", "input 1  [3, 4]", "WRONG in 1 of 12", "[2, 1]: numeric", "f(x + h) = "})
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
}

// The tolerance is relative to the entry's gradient.
TEST(Gradcheck, ToleranceIsRelativeToTheEntry) {
  const auto off_by = [](double relative) {
    return with_rule([](const Tensor& t) { return 1000.0 * t; },
                     [=](const Tensor& g, const Tensor&) { return g * (1000 * (1 + relative)); });
  };
  const GradcheckOptions options{.tolerance = 1e-6, .step = 1};
  EXPECT_TRUE(gradcheck(off_by(0.5e-6), {draw({4})}, options).passed);
  EXPECT_FALSE(gradcheck(off_by(2e-6), {draw({4})}, options).passed);
}

TEST(Gradcheck, AKinkIsNamedAndNotCalledABug) {
  const GradcheckReport report =
      gradcheck([](Inputs in) { return relu(in[0]); }, {tensor({0, 1, -1, 0}, DType::Float64)});
  EXPECT_EQ(report.verdict, GradcheckVerdict::AtKink) << report.str();
  EXPECT_FALSE(report.passed);
  EXPECT_EQ(report.tensors[0].kinks, 2);
  EXPECT_NE(report.str().find("at a kink in 2 of 4"), std::string::npos) << report.str();
  // Between the two slopes any gradient will do, but none outside of them.
  const auto with_slope = [](double slope) {
    return with_rule([](const Tensor& t) { return relu(t); },
                     [=](const Tensor& g, const Tensor&) { return g * slope; });
  };
  const Tensor zero = zeros({3}, DType::Float64);
  EXPECT_EQ(gradcheck(with_slope(0.5), {zero}).verdict, GradcheckVerdict::Pass);
  EXPECT_EQ(gradcheck(with_slope(1), {zero}).verdict, GradcheckVerdict::AtKink);
  EXPECT_EQ(gradcheck(with_slope(0.3), {zero}).verdict, GradcheckVerdict::AtKink);
  EXPECT_EQ(gradcheck(with_slope(1.2), {zero}).verdict, GradcheckVerdict::Fail);
  EXPECT_EQ(gradcheck(with_slope(-1), {zero}).verdict, GradcheckVerdict::Fail);
}

TEST(Gradcheck, NotANumberFails) {
  const GradcheckReport nan = gradcheck(
      with_rule([](const Tensor& t) { return 2.0 * t; },
                [](const Tensor& g, const Tensor&) { return g * std::numeric_limits<double>::quiet_NaN(); }),
      {draw({3})});
  EXPECT_EQ(nan.verdict, GradcheckVerdict::Fail) << nan.str();
  EXPECT_TRUE(nan.has_hint("not-finite")) << nan.str();
  const GradcheckReport f = gradcheck([](Inputs in) { return log(in[0]); }, {zeros({3}, DType::Float64)});
  EXPECT_EQ(f.verdict, GradcheckVerdict::Suspicious) << f.str();
}

// Another seed draws another output gradient.
TEST(Gradcheck, TheSeedChoosesTheOutputGradient) {
  const auto largest = [](std::uint64_t seed) {
    return gradcheck([](Inputs in) { return in[0] * 1.0; }, {draw({5})}, {.seed = seed})
        .tensors[0]
        .largest_gradient;
  };
  EXPECT_EQ(largest(1), largest(1));
  EXPECT_NE(largest(1), largest(2));
}

TEST(Gradcheck, Float32IsRefusedWithTheWayOut) {
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  const Tensor single = ones({2, 3});
  for (const auto& check : {gradcheck, gradcheck_second_order}) {
    EXPECT_TRUE(refuses("gradcheck", {"input 0 is Float32 [2, 3]", "cast(x, DType::Float64)", "model.to("},
                        [&] { (void)check(f, {single}, {}); }));
    EXPECT_TRUE(
        refuses("gradcheck", {"input 0 is Float32"}, [&] { (void)check(f, {parameter(single)}, {}); }));
  }
  EXPECT_TRUE(refuses("gradcheck", {"the result is Float32 [3]"}, [&] {
    (void)gradcheck([](Inputs in) { return cast(in[0], DType::Float32); }, {draw({3})});
  }));
}

TEST(Gradcheck, WhatHasNoGradientIsRefusedWithTheWayOut) {
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  EXPECT_TRUE(refuses("gradcheck", {"input 1 is Int32 [4]", "capture"}, [&] {
    (void)gradcheck(f, {draw({3}), zeros({4}, DType::Int32)});
  }));
  EXPECT_TRUE(refuses("gradcheck", {"'labels' was never given a value"}, [&] {
    (void)gradcheck(f, {draw({3}), Tensor()}, {.names = {"x", "labels"}});
  }));
  EXPECT_TRUE(refuses("gradcheck", {"the result was never given a value"},
                      [&] { (void)gradcheck([](Inputs) { return Tensor(); }, {draw({3})}); }));
}

TEST(Gradcheck, OptionsMustMakeSense) {
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  const auto refused = [&](const char* word, const GradcheckOptions& options) {
    return refuses("gradcheck", {word}, [&] { (void)gradcheck(f, {draw({3})}, options); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = HUGE_VAL;
  for (const double bad : {-1.0, nan, infinite}) {
    EXPECT_TRUE(refused("options.tolerance", {.tolerance = bad}));
    EXPECT_TRUE(refused("options.step", {.step = bad}));
  }
  EXPECT_TRUE(refused("options.samples", {.mode = GradcheckMode::Sample, .samples = 0}));
  EXPECT_TRUE(refused("options.order", {.order = 3}));
  const auto twice = [](const Tensor& x) { return 2.0 * x; };
  EXPECT_TRUE(refuses("gradcheck", {"first order only"},
                      [&] { (void)gradcheck_adjoint(twice, twice, {3}, {.order = 2}); }));
}

TEST(Gradcheck, NonDeterministicFunctionsAreNamed) {
  Generator noise(1);
  const TensorFunction f = [&](Inputs in) { return in[0] * uniform({3}, 0, 1, noise, DType::Float64); };
  for (const auto& check : {gradcheck, gradcheck_second_order}) {
    const GradcheckReport report = check(f, {draw({3})}, {});
    EXPECT_EQ(report.verdict, GradcheckVerdict::NonDeterministic);
    EXPECT_FALSE(report.passed);
    EXPECT_NE(report.str().find("different results for the same inputs"), std::string::npos) << report.str();
  }
  // A rule that is, and a function that keeps something from call to call.
  const TensorFunction rule = with_rule(
      [](const Tensor& t) { return 2.0 * t; },
      [&](const Tensor& g, const Tensor&) { return g * uniform({3}, 1, 3, noise, DType::Float64); });
  EXPECT_EQ(gradcheck(rule, {draw({3})}).verdict, GradcheckVerdict::NonDeterministic);
  double seen = 0;
  const TensorFunction statistics = [&](Inputs in) {
    seen = std::max(seen, in[0].at({0}));
    return in[0] * seen;
  };
  EXPECT_EQ(gradcheck(statistics, {ones({3}, DType::Float64)}).verdict, GradcheckVerdict::NonDeterministic);
}

TEST(Gradcheck, InputsThatShareMemoryAreNamed) {
  const TensorFunction product = [](Inputs in) { return in[0] * in[1]; };
  const Tensor x = draw({4}), p = parameter(draw({6}));
  for (const std::vector<Tensor>& inputs :
       std::vector<std::vector<Tensor>>{{x, x},
                                        {p, p},
                                        {slice(p, {{0, 4}}), slice(p, {{2, 6}})},
                                        {reshape(x, {2, 2}), reshape(x, {2, 2})}}) {
    const GradcheckReport report = gradcheck(product, inputs);
    EXPECT_EQ(report.verdict, GradcheckVerdict::DependentInputs);
    EXPECT_FALSE(report.passed);
    EXPECT_NE(report.str().find("'input 0' and 'input 1' share memory"), std::string::npos) << report.str();
    EXPECT_EQ(gradcheck_second_order(product, inputs).verdict, GradcheckVerdict::DependentInputs);
  }
  EXPECT_TRUE(gradcheck(product, {slice(x, {{0, 2}}), slice(x, {{2, 4}})}).passed);
}

// Numbers that x + h - h would not give back.
Tensor delicate() {
  return tensor({0.1, -0.0, 1e-300, 5e-324, 1.0 / 3, 1e15 + 0.5, -1e-17}, DType::Float64);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data<double>(), b.data<double>(),
                                               static_cast<std::size_t>(a.size()) * sizeof(double)) == 0;
}

TEST(Gradcheck, InputsAreRestoredBitForBit) {
  const Tensor p = parameter(delicate()), x = delicate();
  const TensorFunction f = [&](Inputs in) { return sin(in[0]) * p + in[1]; };  // p as a module would use it
  (void)gradcheck(f, {x, p});
  (void)gradcheck_second_order(f, {x, p});
  EXPECT_TRUE(same_bits(p, delicate()));
  EXPECT_TRUE(same_bits(x, delicate()));
}

TEST(Gradcheck, InputsAreRestoredWhenTheFunctionThrows) {
  const Tensor p = parameter(delicate());
  for (int last = 1; last < 12; ++last) {
    int calls = 0;
    const TensorFunction f = [&](Inputs in) {
      if (++calls > last) throw std::runtime_error("enough");
      return square(in[0]);
    };
    EXPECT_THROW((void)gradcheck(f, {p}), std::runtime_error);
    ASSERT_TRUE(same_bits(p, delicate())) << "after " << last << " calls";
  }
}

TEST(Gradcheck, NothingIsRecordedOutside) {
  Tape tape;
  const Tensor x = tape.watch(draw({3}));
  const index_t before = tape.size();
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  EXPECT_TRUE(gradcheck(f, {x}).passed);
  EXPECT_TRUE(gradcheck_second_order(f, {x}).passed);
  EXPECT_EQ(tape.size(), before);
  EXPECT_TRUE(equal(tape.gradient(sum(square(x)), x), 2.0 * draw({3})));
}

TEST(Gradcheck, AModuleThroughItsParameters) {
  Generator generator(2);
  Sequential model(Dense({.in_features = 3, .units = 4, .activation = tanh}, generator),
                   Dense({.in_features = 4, .units = 2, .activation = sigmoid}, generator));
  model.to(DType::Float64);
  std::vector<Tensor> inputs = {draw({5, 3})};
  for (const Tensor& parameter : model.parameters()) inputs.push_back(parameter);
  const TensorFunction f = [&](Inputs in) { return model(in[0]); };
  const GradcheckReport first = gradcheck(f, inputs), second = gradcheck_second_order(f, inputs);
  EXPECT_TRUE(first.passed) << first.str();
  EXPECT_TRUE(second.passed) << second.str();
  for (const GradcheckTensor& tensor : first.tensors) EXPECT_GT(tensor.largest_gradient, 1e-3);
}

}  // namespace
}  // namespace tapegrad::testing
