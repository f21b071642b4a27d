// What a check says, and on what grounds: independent of how its inputs were drawn, of each entry's own size, and
// nothing about what it could not see.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Gradients = std::vector<Tensor>;
using Verdict = GradcheckVerdict;

Tensor normal_data(const Shape& shape, std::uint64_t seed, std::uint64_t stream = 0) {
  Generator generator(seed, stream);
  return normal(shape, 0, 1, generator, DType::Float64);
}

Tensor uniform_data(const Shape& shape, std::uint64_t stream = 1) {
  Generator generator(41, stream);
  return uniform(shape, -1, 1, generator, DType::Float64);
}

using Rule = std::function<Tensor(const Tensor& g, const Tensor& x)>;

TensorFunction planted(std::function<Tensor(const Tensor&)> f, Rule rule) {
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

// ---- The output gradient is nobody else's

// Each confuses x and dy, or forgets dy and multiplies by x: right where x and dy are the same numbers.
struct Confused {
  std::string what;
  TensorFunction f;
};
std::vector<Confused> confused_rules() {
  const auto relu_of = [](const Tensor& t) { return relu(t); };
  const auto square_of = [](const Tensor& t) { return square(t); };
  return {
      {"relu(dy)", planted(relu_of, [](const Tensor& g, const Tensor&) { return relu(g); })},
      {"relu: y", planted(relu_of, [](const Tensor&, const Tensor& x) { return relu(x); })},
      {"square: 2 x x", planted(square_of, [](const Tensor&, const Tensor& x) { return 2.0 * x * x; })},
      {"square: 2 dy dy", planted(square_of, [](const Tensor& g, const Tensor&) { return 2.0 * g * g; })},
      {"tanh: dy (1 - tanh(dy)^2)",
       planted([](const Tensor& t) { return tanh(t); },
               [](const Tensor& g, const Tensor&) { return g * (1.0 - square(tanh(g))); })},
      {"3 x: 3 x", planted([](const Tensor& t) { return 3.0 * t; },
                           [](const Tensor&, const Tensor& x) { return 3.0 * x; })},
      {"cube: g (3 g g)", planted([](const Tensor& t) { return t * t * t; },
                                  [](const Tensor& g, const Tensor&) { return g * (3.0 * g * g); })},
  };
}

TEST(GradcheckVerdict, IsIndependentOfHowTheInputsWereDrawn) {
  for (std::uint64_t seed = 0; seed <= 5; ++seed)
    for (std::uint64_t stream = 0; stream <= 3; ++stream)
      for (const Confused& rule : confused_rules()) {
        const Tensor x = normal_data({3, 4}, seed, stream);
        for (const GradcheckOptions& options : {GradcheckOptions{}, GradcheckOptions{.seed = seed}}) {
          const GradcheckReport first = gradcheck(rule.f, {x}, options);
          EXPECT_EQ(first.verdict, Verdict::Fail) << rule.what << " seed " << seed << "\n" << first.str();
          const GradcheckReport second = gradcheck_second_order(rule.f, {x}, options);
          EXPECT_EQ(second.verdict, Verdict::Fail) << rule.what << " seed " << seed << "\n" << second.str();
        }
      }
}

// The numbers that a check draws are those of no generator that a user has.
TEST(GradcheckVerdict, DrawsNumbersOfItsOwn) {
  for (const std::uint64_t seed : std::initializer_list<std::uint64_t>{0, 1, 2, 77}) {
    std::vector<double> drawn;
    (void)gradcheck_backward([](Inputs in) { return in[0] * 1.0; },
                             [&](Inputs, const Tensor&, const Tensor& dy) {
                               drawn.insert(drawn.end(), dy.values<double>().begin(),
                                            dy.values<double>().end());
                               return Gradients{dy};
                             },
                             {uniform_data({20})}, {.seed = seed});
    ASSERT_GE(drawn.size(), 40u);
    for (std::uint64_t stream = 0; stream < 12; ++stream)
      for (int child = -1; child < 8; ++child) {
        const Generator parent(seed, stream);
        const auto generator = [&] {
          return child < 0 ? parent : parent.child(static_cast<std::uint64_t>(child));
        };
        Generator a = generator(), b = generator();
        for (int i = 0; i < 40; ++i) {
          const double n = a.normal(), u = b.uniform();
          for (const double v : drawn)
            ASSERT_TRUE(v != n && v != u && v != 0.5 + 1.5 * u) << "seed " << seed << ", stream " << stream;
        }
      }
    for (const double v : drawn) ASSERT_GE(std::abs(v), 0.5);  // where a mistake would not show
  }
}

// Right for the output gradient it is first asked with, and wrong for others.
TEST(GradcheckVerdict, AsksWithMoreThanOneOutputGradient) {
  const TensorFunction forward = [](Inputs in) { return square(in[0]); };
  const Tensor x = uniform_data({6});
  const BackwardFunction clipped = [](Inputs in, const Tensor&, const Tensor& dy) {
    return Gradients{clamp(dy, -2.5, 2.5) * 2.0 * in[0]};
  };
  const GradcheckReport report = gradcheck_backward(forward, clipped, {x});
  EXPECT_EQ(report.verdict, Verdict::Fail) << report.str();
  EXPECT_FALSE(report.tensors[0].linear);
  EXPECT_TRUE(report.has_hint("output-gradient-part")) << report.str();
  EXPECT_NE(report.str().find("not linear in the output gradient"), std::string::npos) << report.str();

  Tensor kept;
  const BackwardFunction first_kept = [&](Inputs in, const Tensor&, const Tensor& dy) {
    if (!kept.defined()) kept = copy(dy);
    return Gradients{kept * 2.0 * in[0]};
  };
  EXPECT_EQ(gradcheck_backward(forward, first_kept, {x}).verdict, Verdict::Fail);
  // Right for one pattern of signs in dy only: the second output gradient has another one.
  const Tensor many = uniform_data({30});
  Tensor signs;
  const BackwardFunction one_pattern = [&](Inputs in, const Tensor&, const Tensor& dy) {
    if (!signs.defined()) signs = dy / abs(dy);
    const double same = sum(dy * signs).item(), all = sum(abs(dy)).item();
    return Gradients{std::abs(std::abs(same) - all) < 1e-9 ? dy * 2.0 * in[0] : 3.0 * dy * in[0]};
  };
  EXPECT_EQ(gradcheck_backward(forward, one_pattern, {many}).verdict, Verdict::Fail);
  const BackwardFunction right = [](Inputs in, const Tensor&, const Tensor& dy) {
    return Gradients{dy * 2.0 * in[0]};
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    EXPECT_EQ(gradcheck_backward(forward, right, {x}, {.seed = seed}).verdict, Verdict::Pass);
}

// ---- Sums that cancel

struct Cancelling {
  std::string what;
  Shape shape;
  std::function<Tensor(const Tensor&)> f;
};
std::vector<Cancelling> cancelling() {
  return {
      {"layer_norm", {5, 3}, [](const Tensor& x) { return sum(layer_norm(x, 1)); }},
      {"its mean", {5, 3}, [](const Tensor& x) { return mean(layer_norm(x, 1)); }},
      {"group_norm",
       {2, 3, 4},
       [](const Tensor& x) {
         return sum(group_norm(x, 2, full({4}, 1.0, DType::Float64), zeros({4}, DType::Float64)));
       }},
      {"batch_norm",
       {5, 3},
       [](const Tensor& x) {
         return sum(batch_norm(x, full({3}, 1.0, DType::Float64), zeros({3}, DType::Float64)).y);
       }},
      {"x - mean(x)", {5, 3}, [](const Tensor& x) { return sum(x - mean(x)); }},
      {"softmax", {5, 3}, [](const Tensor& x) { return sum(softmax(x, 1)); }},
      {"exp(log_softmax)", {5, 3}, [](const Tensor& x) { return sum(exp(log_softmax(x, 1))); }},
      {"layer_norm about 1000", {5, 3}, [](const Tensor& x) { return sum(layer_norm(x + 1000.0, 1)); }},
      {"layer_norm about 1e6", {5, 3}, [](const Tensor& x) { return sum(layer_norm(x + 1e6, 1)); }},
  };
}

TEST(GradcheckVerdict, GradientsThatCancelAreVacuous) {
  int rounded = 0;
  for (const Cancelling& c : cancelling())
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const GradcheckReport report =
          gradcheck([&](Inputs in) { return c.f(in[0]); }, {normal_data(c.shape, seed)});
      // By chance both sides may be exactly 0, or equal, in some entries; not in all.
      ASSERT_EQ(report.verdict, Verdict::Vacuous) << c.what << ", seed " << seed << "\n" << report.str();
      ASSERT_FALSE(report.passed);
      // One sum may be the same number wherever it is looked at; most are not.
      rounded += report.tensors[0].why.find("but for rounding") != std::string::npos ? 1 : 0;
    }
  EXPECT_GE(rounded, 1300);
}

// So they are at any scale, and so are gradients of gradients.
TEST(GradcheckVerdict, GradientsThatCancelAtAnyScaleAreVacuous) {
  for (const double scale : {1e5, 1e6, 1e-6})
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      const GradcheckReport report = gradcheck([&](Inputs in) { return sum(layer_norm(in[0], 1)) * scale; },
                                               {normal_data({3, 5}, seed)});
      ASSERT_EQ(report.verdict, Verdict::Vacuous) << scale << ", seed " << seed << "\n" << report.str();
    }
}

TEST(GradcheckVerdict, GradientsThatCancelAreVacuousInTheSecondOrder) {
  std::vector<Cancelling> all = cancelling();
  all.push_back({"each softmax", {3, 5}, [](const Tensor& x) { return sum(softmax(x), 1); }});
  all.push_back({"the mean of softmax", {3, 5}, [](const Tensor& x) { return mean(softmax(x)); }});
  all.push_back({"each x - mean(x)", {3, 5}, [](const Tensor& x) {
                   return sum(x - mean(x, 1, {.keepdims = true}), 1);
                 }});
  all.push_back(
      {"sin^2 + cos^2", {3, 5}, [](const Tensor& x) { return sum(square(sin(x)) + square(cos(x))); }});
  for (const Cancelling& c : all)
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      const GradcheckReport report = gradcheck_second_order([&](Inputs in) { return c.f(in[0]); },
                                                            {normal_data(c.shape, seed)}, {.seed = seed});
      ASSERT_EQ(report.verdict, Verdict::Vacuous) << c.what << ", seed " << seed << "\n" << report.str();
    }
}

// A gradient that is nothing, and a second derivative that claims to be more.
TEST(GradcheckVerdict, ASecondDerivativeJustAboveTheRoundingFails) {
  for (const double size : {1e-9, 1e-6, 1e-3}) {
    const TensorFunction wrong = [&](Inputs in) {
      const auto rule = [size, x = Saved(in[0])](const Tensor& g) {
        const auto claim = [=](const Tensor& h) { return h * size * x(); };
        return record("claimed", zeros(x().shape(), DType::Float64),
                      {{x(), claim}, {g, [=](const Tensor&) { return zeros({}, DType::Float64); }}});
      };
      return record("planted", full({}, 3.0, DType::Float64), {{in[0], rule}});
    };
    const GradcheckReport report = gradcheck_second_order(wrong, {normal_data({3, 5}, 1)});
    EXPECT_EQ(report.verdict, Verdict::Fail) << size << "\n" << report.str();
  }
}

// A rule that is wrong by little more than that rounding is still wrong.
TEST(GradcheckVerdict, ARuleJustAboveTheRoundingFails) {
  for (const Cancelling& c : cancelling())
    for (const double size : {1e-9, 1e-6, 1e-3}) {
      if (c.what == "layer_norm about 1000" && size < 1e-8)
        continue;  // 1e-13 * 1000 of rounding in each value
      if (c.what == "layer_norm about 1e6" && size < 1e-4) continue;  // 1e-10 * 1e6
      const TensorFunction wrong = [&](Inputs in) {
        const Tensor x = in[0];
        Tensor y;
        {
          const NoGrad no_grad;
          y = copy(c.f(x));
        }
        return record("planted", y, {{x, [size, x = Saved(x)](const Tensor& g) { return g * size * x(); }}});
      };
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const GradcheckReport report = gradcheck(wrong, {normal_data(c.shape, seed)});
        EXPECT_EQ(report.verdict, Verdict::Fail) << c.what << " " << size << "\n" << report.str();
      }
    }
}

// Beside a probability that is 1 but for rounding, others change by 1e-20, and it does not change at all.
TEST(GradcheckVerdict, SaturatedFunctionsAreNotAccused) {
  const auto times = [](Inputs in) { return matmul(in[0], in[1]); };
  const Tensor target = softmax(normal_data({4, 3}, 99));
  const std::vector<std::pair<std::string, TensorFunction>> functions = {
      {"softmax", [&](Inputs in) { return softmax(times(in)); }},
      {"tanh", [&](Inputs in) { return tanh(times(in)); }},
      {"sigmoid", [&](Inputs in) { return sigmoid(times(in)); }},
      {"cross_entropy", [&](Inputs in) { return cross_entropy(times(in), target); }},
  };
  for (const auto& [what, f] : functions)
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      const std::vector<Tensor> inputs = {normal_data({4, 3}, seed), 10.0 * normal_data({3, 3}, seed, 2)};
      const GradcheckReport first = gradcheck(f, inputs, {.seed = seed});
      ASSERT_EQ(first.verdict, Verdict::Pass) << what << ", seed " << seed << "\n" << first.str();
      const GradcheckReport second = gradcheck_second_order(f, inputs, {.seed = seed});
      ASSERT_EQ(second.verdict, Verdict::Pass) << what << ", seed " << seed << "\n" << second.str();
    }
  const GradcheckReport alone =
      gradcheck([](Inputs in) { return softmax(in[0]); }, {tensor({{0, 40}}, DType::Float64)});
  EXPECT_EQ(alone.verdict, Verdict::Vacuous) << alone.str();
}

// ---- What the backward pass itself rounds, wherever its inputs are moved: 1 - y, where y is nearly 1

struct Rounded {
  std::string what;
  TensorFunction f;
  std::vector<Tensor> (*inputs)(std::uint64_t seed);
  int seeds;
};

std::vector<Tensor> factors(std::uint64_t seed) {
  return {normal_data({4, 3}, seed), 10.0 * normal_data({3, 3}, seed, 2)};
}
std::vector<Tensor> large(std::uint64_t seed) {
  return {10.0 * normal_data({4, 3}, seed)};
}
std::vector<Tensor> far_away(std::uint64_t seed) {
  return {normal_data({6, 3}, seed) + 1e6};
}
std::vector<Tensor> two(std::uint64_t seed) {
  return {normal_data({3}, seed), normal_data({3}, seed, 1)};
}

std::vector<Rounded> rounded_inside() {
  const auto times = [](Inputs in) { return matmul(in[0], in[1]); };
  const auto logistic = [](Inputs in) { return 1.0 / (1.0 + exp(-1.0 * in[0])); };
  return {
      {"softmax", [=](Inputs in) { return softmax(times(in)); }, factors, 40},
      {"gelu", [=](Inputs in) { return gelu(times(in)); }, factors, 20},
      {"y (1 - y)", [=](Inputs in) { return logistic(in) * (1.0 - logistic(in)); }, large, 20},
      {"1 - tanh^2", [](Inputs in) { return 1.0 - square(tanh(in[0])); }, large, 20},
      {"entropy", [](Inputs in) { return -1.0 * sum(softmax(in[0]) * log_softmax(in[0]), {1}); }, large, 20},
      {"layer_norm", [](Inputs in) { return layer_norm(in[0], 1); }, far_away, 10},
      {"tanh of batch_norm",
       [](Inputs in) {
         return tanh(batch_norm(in[0], full({3}, 1.0, DType::Float64), zeros({3}, DType::Float64)).y);
       },
       far_away, 10},
      {"a small term beside a large one", [](Inputs in) { return 1e8 * exp(in[0]) + 1e-4 * in[1]; }, two, 20},
      {"their sums", [](Inputs in) { return sum(1e8 * exp(in[0])) + sum(1e-4 * in[1]); }, two, 20},
  };
}

// The same values, and gradients whose own gradients are off by a factor.
TensorFunction off_in_second_order(const TensorFunction& f, double factor) {
  return [=](Inputs in) {
    Gradients inputs;
    for (const Tensor& x : in)
      inputs.push_back(record("planted", stop_gradient(copy(x)),
                              {{x, [factor](const Tensor& g) {
                                  return record("planted", stop_gradient(copy(g)),
                                                {{g, [factor](const Tensor& h) { return h * factor; }}});
                                }}}));
    return f(inputs);
  };
}

TEST(GradcheckVerdict, WhatTheBackwardPassRoundsIsNotAccused) {
  for (const Rounded& r : rounded_inside())
    for (int n = 0; n < r.seeds; ++n) {
      const auto seed = static_cast<std::uint64_t>(n);
      const std::vector<Tensor> inputs = r.inputs(seed);
      const GradcheckReport first = gradcheck(r.f, inputs, {.seed = seed});
      ASSERT_EQ(first.verdict, Verdict::Pass) << r.what << ", seed " << seed << "\n" << first.str();
      const GradcheckReport second = gradcheck_second_order(r.f, inputs, {.seed = seed});
      ASSERT_EQ(second.verdict, Verdict::Pass) << r.what << ", seed " << seed << "\n" << second.str();
    }
}

TEST(GradcheckVerdict, WhatIsWrongBesideSuchRoundingFails) {
  for (const Rounded& r : rounded_inside())
    for (std::uint64_t seed = 0; seed < 5; ++seed)
      for (const double factor : {1.003, -1.0}) {
        const std::vector<Tensor> inputs = r.inputs(seed);
        const TensorFunction wrong = [&](Inputs in) {
          const Tensor y = r.f(in);
          return record("planted", stop_gradient(copy(y)),
                        {{y, [factor](const Tensor& g) { return g * factor; }}});
        };
        const GradcheckReport first = gradcheck(wrong, inputs, {.seed = seed});
        EXPECT_EQ(first.verdict, Verdict::Fail) << r.what << ", seed " << seed << "\n" << first.str();
        const GradcheckReport second =
            gradcheck_second_order(off_in_second_order(r.f, factor), inputs, {.seed = seed});
        EXPECT_EQ(second.verdict, Verdict::Fail) << r.what << ", seed " << seed << "\n" << second.str();
      }
}

// All of it hidden: nothing was tested, and the report says why.
TEST(GradcheckVerdict, WhatRoundingHidesIsVacuous) {
  const GradcheckReport report = gradcheck([](Inputs in) { return 1e8 * exp(in[0]) + 1e-4 * sin(in[1]); },
                                           {normal_data({3}, 1), normal_data({3}, 1, 1)});
  EXPECT_EQ(report.verdict, Verdict::Vacuous) << report.str();
  EXPECT_EQ(report.tensors[0].verdict, Verdict::Pass) << report.str();
  EXPECT_NE(report.tensors[1].why.find("lost in"), std::string::npos) << report.str();
}

TEST(GradcheckVerdict, ABiasBeforeABatchNorm) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Generator generator(seed);
    Sequential dense(Dense({.in_features = 3, .units = 4}, generator), BatchNorm({.channels = 4}), ReLU(),
                     Dense({.in_features = 4, .units = 2}, generator));
    dense.to(DType::Float64);
    const Tensor x = normal_data({6, 3}, seed, 9);
    Sequential images(Conv2D({.in_channels = 1, .filters = 2, .kernel_size = 3}, generator),
                      BatchNorm({.channels = 2}));
    images.to(DType::Float64);
    const Tensor image = normal_data({2, 5, 5, 1}, seed, 9);
    for (const GradcheckReport& report :
         {gradcheck_parameters([&] { return dense(x); }, dense.state_view(), {.allow_untested = true}),
          gradcheck_parameters([&] { return images(image); }, images.state_view(),
                               {.allow_untested = true})}) {
      ASSERT_EQ(report.verdict, Verdict::Pass) << "seed " << seed << "\n" << report.str();
      ASSERT_EQ(report.tensors[1].verdict, Verdict::Vacuous) << report.str();  // the bias
      ASSERT_NE(report.tensors[1].why.find("but for rounding"), std::string::npos) << report.str();
      for (std::size_t k = 0; k < report.tensors.size(); ++k)
        if (k != 1) {
          ASSERT_EQ(report.tensors[k].verdict, Verdict::Pass) << report.str();
        }
    }
  }
}

// ---- Each entry is judged by its own size

TEST(GradcheckVerdict, EachEntryIsJudgedByItsOwnSize) {
  // 0 and -5 times the truth beside an entry 10^8 times larger.
  const Tensor scales = tensor({1e8, 1, 1}, DType::Float64), wrong = tensor({1e8, 0, -5}, DType::Float64);
  const TensorFunction scaled =
      planted([=](const Tensor& x) { return square(x) * scales; },
              [=](const Tensor& g, const Tensor& x) { return g * 2.0 * x * wrong; });
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Tensor x = normal_data({3}, seed) + 2.0;
    const GradcheckReport report = gradcheck(scaled, {x});
    EXPECT_EQ(report.verdict, Verdict::Fail) << report.str();
    EXPECT_EQ(report.tensors[0].wrong, 2) << report.str();
  }
  // 0 for 5 of 6 entries beside one 10^12 times larger, result by result and in one sum.
  const Tensor factors = tensor({1e12, 1, 1, 1, 1, 1}, DType::Float64),
               first = tensor({1e12, 0, 0, 0, 0, 0}, DType::Float64);
  const auto rule = [=](const Tensor& g, const Tensor& x) { return g * 2.0 * x * first; };
  const Tensor x = uniform_data({6}) + 2.0;
  for (const TensorFunction& f : {planted([=](const Tensor& t) { return square(t) * factors; }, rule),
                                  planted([=](const Tensor& t) { return sum(square(t) * factors); }, rule)}) {
    const GradcheckReport report = gradcheck(f, {x});
    EXPECT_EQ(report.verdict, Verdict::Fail) << report.str();
    EXPECT_GE(report.tensors[0].wrong, 1) << report.str();
  }
}

// What no step can show is counted, and not called right.
TEST(GradcheckVerdict, EntriesBelowTheNoiseAreCounted) {
  const Tensor factors = tensor({1e18, 1, 1, 1}, DType::Float64);
  const GradcheckReport report =
      gradcheck([=](Inputs in) { return sum(sin(in[0]) * factors); }, {uniform_data({4})});
  EXPECT_EQ(report.verdict, Verdict::Pass) << report.str();
  EXPECT_EQ(report.tensors[0].below_noise, 3) << report.str();
  EXPECT_NE(report.str().find("3 entries lie below the noise: not tested"), std::string::npos)
      << report.str();
}

// Nothing tells a gradient of 0 from the right one where a change as large as the value is lost in the sum.
TEST(GradcheckVerdict, AGradientOfZeroThatASumHidesIsNotTested) {
  const Tensor first = tensor({1, 0, 0, 0}, DType::Float64);
  const TensorFunction f = planted([](const Tensor& x) { return sum(square(x)); },
                                   [=](const Tensor& g, const Tensor& x) { return g * 2.0 * x * first; });
  for (const double large : {1e10, 1e12}) {
    const GradcheckReport report = gradcheck(f, {tensor({large, 1, 2, 3}, DType::Float64)});
    EXPECT_EQ(report.tensors[0].below_noise, 3) << report.str();
    EXPECT_NE(report.str().find("3 entries lie below the noise: not tested"), std::string::npos)
        << report.str();
  }
  for (const double large : {1e3, 1e6})
    EXPECT_EQ(gradcheck(f, {tensor({large, 1, 2, 3}, DType::Float64)}).verdict, Verdict::Fail);
  // What has no effect on numbers of the usual size is tested.
  const GradcheckReport gated =
      gradcheck([](Inputs in) { return sum(square(relu(in[0]))); }, {tensor({5, -1, 2, -3}, DType::Float64)});
  EXPECT_EQ(gated.verdict, Verdict::Pass);
  EXPECT_EQ(gated.tensors[0].below_noise, 0) << gated.str();
}

// ---- What was not tested

TEST(GradcheckVerdict, AForgottenBiasIsNotAPass) {
  const Tensor x = uniform_data({4, 3});
  const TensorFunction forgotten = [x](Inputs in) { return tanh(matmul(x, in[0])); };
  const std::vector<Tensor> inputs = {uniform_data({3, 2}, 2), uniform_data({2}, 3)};
  const GradcheckReport report = gradcheck(forgotten, inputs, {.names = {"w", "bias"}});
  EXPECT_EQ(report.verdict, Verdict::Vacuous) << report.str();
  EXPECT_FALSE(report.passed);
  EXPECT_EQ(report.tensors[0].verdict, Verdict::Pass);
  EXPECT_NE(report.str().find("NOT TESTED: 'bias'"), std::string::npos) << report.str();
  EXPECT_NE(report.str().find("the function does not change with it"), std::string::npos) << report.str();
  const GradcheckReport allowed =
      gradcheck(forgotten, inputs, {.names = {"w", "bias"}, .allow_untested = true});
  EXPECT_TRUE(allowed.passed) << allowed.str();
  EXPECT_NE(allowed.str().find("NOT TESTED: 'bias'"), std::string::npos) << allowed.str();
  // Nothing at all was tested: allowed or not.
  EXPECT_EQ(gradcheck([](Inputs in) { return relu(in[0] - 5.0); }, {x}, {.allow_untested = true}).verdict,
            Verdict::Vacuous);
  // A backward pass that forgets it where the forward pass does not is wrong.
  const TensorFunction with_bias = [x](Inputs in) { return tanh(matmul(x, in[0]) + in[1]); };
  const TensorFunction stopped = [x](Inputs in) { return tanh(matmul(x, in[0]) + stop_gradient(in[1])); };
  EXPECT_TRUE(gradcheck(with_bias, inputs).passed);
  EXPECT_EQ(gradcheck(stopped, inputs).tensors[1].verdict, Verdict::Fail);
}

TEST(GradcheckVerdict, AParameterThatTheStateDoesNotShowIsNamed) {
  const Tensor w = parameter(uniform_data({3, 2})), forgotten = parameter(uniform_data({2}, 2)),
               x = uniform_data({4, 3}, 3);
  const auto loss = [&] { return tanh(matmul(x, w) + forgotten); };
  EXPECT_TRUE(refuses("gradcheck", {"does not show", "shape [2]", "visit()"}, [&] {
    (void)gradcheck_parameters(loss, State{.tensors = {{"w", w}}});
  }));
  EXPECT_TRUE(gradcheck_parameters(loss, State{.tensors = {{"w", w}}}, {.allow_untested = true}).passed);
  EXPECT_TRUE(gradcheck_parameters(loss, State{.tensors = {{"w", w}, {"b", forgotten}}}).passed);
}

// ---- What is said

TEST(GradcheckVerdict, WhatWasNotJudgedIsNotCalledWrong) {
  // 10 of 40 wrong; 12 others need other steps and are right.
  const Tensor off = concat({full({10}, 1.0, DType::Float64), zeros({30}, DType::Float64)}, 0);
  const Tensor noisy = concat({zeros({28}, DType::Float64), full({12}, 1e6, DType::Float64)}, 0);
  const auto f = [=](const Tensor& x) { return (sin(x) + noisy) - noisy; };
  const Tensor x = uniform_data({40});
  const auto check = [&](double wrong) {
    return gradcheck(planted(f, [=](const Tensor& g, const Tensor& t) { return g * (cos(t) + off * wrong); }),
                     {x});
  };
  EXPECT_TRUE(check(0).passed) << check(0).str();
  const GradcheckReport report = check(0.5);
  EXPECT_EQ(report.tensors[0].wrong, 8) << report.str();
  EXPECT_EQ(report.tensors[0].not_judged, 14) << report.str();
  EXPECT_NE(report.str().find("WRONG in at least 8 of 40; 14 more not judged"), std::string::npos)
      << report.str();
}

TEST(GradcheckVerdict, AnErrorAboveTheToleranceIsNotOk) {
  const TensorFunction rounded = [](Inputs in) {
    Tensor y;
    {
      const NoGrad no_grad;
      y = cast(cast(sin(in[0]), DType::Float32), DType::Float64);
    }
    return record("rounded", copy(y),
                  {{in[0], [x = Saved(in[0])](const Tensor& g) { return g * cos(x()); }}});
  };
  const GradcheckReport report = gradcheck(rounded, {uniform_data({20})});
  EXPECT_EQ(report.verdict, Verdict::Pass) << report.str();
  EXPECT_GT(report.tensors[0].largest_relative_error, 1e-7);
  EXPECT_EQ(report.str().find("  ok"), std::string::npos) << report.str();
  EXPECT_NE(report.str().find("the rounding of f hides more"), std::string::npos) << report.str();
}

TEST(GradcheckVerdict, TheAdjointsToleranceIsItsOwn) {
  const auto twice = [](const Tensor& x) { return 2.0 * x; };
  const auto nearly = [](const Tensor& x) { return 2.0 * (1 + 1e-9) * x; };
  for (const GradcheckOptions& options :
       {GradcheckOptions{}, GradcheckOptions{.seed = 5}, GradcheckOptions{.names = {"x"}}}) {
    EXPECT_FALSE(gradcheck_adjoint(twice, nearly, {4}, options).passed);
    EXPECT_TRUE(gradcheck_adjoint(twice, twice, {4}, options).passed);
    EXPECT_EQ(gradcheck_adjoint(twice, twice, {4}, options).options.tolerance, 1e-12);
  }
  EXPECT_TRUE(gradcheck_adjoint(twice, nearly, {4}, {.tolerance = 1e-6}).passed);
}

TEST(GradcheckVerdict, AnyNameGivesJson) {
  const std::string name = "na\xffme \xc3\x28";
  const GradcheckReport report =
      gradcheck([](Inputs in) { return square(in[0]); }, {uniform_data({3})}, {.names = {name}});
  const nlohmann::json json = nlohmann::json::parse(report.json());
  EXPECT_EQ(json["tensors"][0]["name"], "na\xef\xbf\xbdme \xef\xbf\xbd(");
  EXPECT_EQ(json["tolerance"], 1e-7);
}

TEST(GradcheckVerdict, AnEmptyFunctionIsRefused) {
  const Tensor x = uniform_data({3});
  const auto same = [](const Tensor& t) { return t * 1.0; };
  EXPECT_TRUE(refuses("gradcheck", {"the function is empty"}, [&] { (void)gradcheck({}, {x}); }));
  EXPECT_TRUE(
      refuses("gradcheck", {"the function is empty"}, [&] { (void)gradcheck_second_order({}, {x}); }));
  EXPECT_TRUE(
      refuses("gradcheck", {"the function is empty"}, [&] { (void)gradcheck_parameters({}, State{}); }));
  EXPECT_TRUE(refuses("gradcheck", {"the backward pass is empty"},
                      [&] { (void)gradcheck_backward([](Inputs in) { return in[0] * 1.0; }, {}, {x}); }));
  EXPECT_TRUE(refuses("gradcheck", {"the transposed function is empty"},
                      [&] { (void)gradcheck_adjoint(same, {}, {3}); }));
}

// What comes after a NaN does not take its place in the report.
TEST(GradcheckVerdict, TheLargestErrorKeepsANaN) {
  const Tensor x = tensor({1, 2, 3, 4}, DType::Float64);
  for (const index_t at : {0, 1, 3}) {
    const auto f = [at](const std::vector<Tensor>& in) {
      return record("twice", stop_gradient(2.0 * in[0]),
                    {{in[0], [at](const Tensor& g) {
                        Tensor wrong = copy(2.0 * g);
                        wrong.set({at}, std::numeric_limits<double>::quiet_NaN());
                        return wrong;
                      }}});
    };
    const GradcheckReport report = gradcheck(f, {x});
    EXPECT_FALSE(report.passed);
    EXPECT_TRUE(std::isnan(report.tensors[0].largest_error)) << at;
    EXPECT_TRUE(std::isnan(report.tensors[0].largest_relative_error)) << at;
    EXPECT_TRUE(std::isnan(report.tensors[0].largest_gradient)) << at;
  }
}

}  // namespace
}  // namespace tapegrad::testing
