#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/nn/losses.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/index.h"

// Losses at the ends of their domains: logarithms of 0, weights of 0, arguments that cannot be meant.

namespace tapegrad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr DType kBoth[] = {DType::Float32, DType::Float64};
constexpr LossOptions kEach = {Reduction::PerElement};
using Function = std::function<Tensor(const Tensor&)>;

Tensor gradient_of(const Function& f, const Tensor& at) {
  Tape tape;
  const Tensor x = tape.watch(at);
  return tape.gradient(sum(f(x)), x, {.zeros_for_unreached = true});
}

Tensor second_of(const Function& f, const Tensor& at) {
  Tape tape;
  const Tensor x = tape.watch(at);
  const Tensor g = tape.gradient(sum(f(x)), x, {.create_graph = true, .zeros_for_unreached = true});
  return tape.gradient(sum(g), x, {.zeros_for_unreached = true});
}

TEST(LossesAtTheEnds, BinaryCrossEntropyPullsTheWorstBackHardest) {
  for (const DType dtype : kBoth) {
    const Tensor t = tensor({1, 0, 1, 0, 1}, dtype);
    const Function loss = [&](const Tensor& p) { return binary_cross_entropy(p, t, kEach); };
    const Tensor p = tensor({0, 1, 1e-40, 1, 1e-30}, dtype), g = gradient_of(loss, p);
    for (const index_t i : {0, 2, 4}) EXPECT_LT(g.at({i}), -1e29) << g;
    for (const index_t i : {1, 3}) EXPECT_EQ(g.at({i}), dtype == DType::Float32 ? 0x1p24 : 0x1p53) << g;
    for (index_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isfinite(g.at({i}))) << g;
    if (dtype == DType::Float64) {
      EXPECT_NEAR(g.at({2}) / -1e40, 1, 1e-14);
    }
    EXPECT_NEAR(g.at({4}) / -1e30, 1, 1e-6);
    EXPECT_NEAR(loss(p).at({0}), -std::log(1e-37), 1e-5);
    EXPECT_NEAR(loss(p).at({1}), -std::log(1e-37), 1e-5);
  }
}

// The slope of a saturated sigmoid is tiny, and exact; that of the loss must not make it larger than the right one, 1.
TEST(LossesAtTheEnds, BinaryCrossEntropyOfASaturatedSigmoid) {
  for (const DType dtype : kBoth)
    for (const double z : {5, 10, 15, 16, 17, 18, 20, 36, 37, 40, 80, 100, 700}) {
      const Tensor no = zeros({1}, dtype), yes = ones({1}, dtype);
      const auto slope = [&](const Tensor& target, double at) {
        return gradient_of([&](const Tensor& x) { return binary_cross_entropy(sigmoid(x), target, kEach); },
                           tensor({at}, dtype))
            .item();
      };
      const double rounded = dtype == DType::Float32 ? 16 : 36;  // beyond this, sigmoid(z) may be 1
      EXPECT_LE(slope(no, z), 1.5) << z;
      EXPECT_GE(slope(no, z), z <= rounded ? 0.6 : 0) << z;
      EXPECT_LE(std::abs(slope(yes, -z)), 1.5) << z;
      const double by_softmax =
          gradient_of(
              [&](const Tensor& x) { return binary_cross_entropy(softmax(x), zeros({2}, dtype), kEach); },
              tensor({z, 0}, dtype))
              .at({0});
      EXPECT_LE(std::abs(by_softmax), 1.5) << z;
    }
}

TEST(LossesAtTheEnds, BinaryCrossEntropyOfCertainPredictionsThatAreRight) {
  for (const DType dtype : kBoth) {
    const Tensor p = tensor({0, 1}, dtype), t = tensor({0, 1}, dtype);
    const Function loss = [&](const Tensor& x) { return binary_cross_entropy(x, t, kEach); };
    EXPECT_TRUE(equal(loss(p), zeros({2}, dtype)));
    EXPECT_TRUE(equal(gradient_of(loss, p), tensor({1, -1}, dtype))) << gradient_of(loss, p);
    EXPECT_TRUE(equal(second_of(loss, p), tensor({1, 1}, dtype))) << second_of(loss, p);
    // By the target: log(1 - p) - log p.
    const Tensor by_target =
        gradient_of([&](const Tensor& x) { return binary_cross_entropy(p, x, kEach); }, t);
    EXPECT_NEAR(by_target.at({0}), -std::log(1e-37), 1e-5);
    EXPECT_NEAR(by_target.at({1}), std::log(1e-37), 1e-5);
  }
  // Small probabilities keep their loss: -log(1 - p) is p.
  EXPECT_NEAR(binary_cross_entropy(tensor({1e-20}), tensor({0})).item() / 1e-20, 1, 1e-6);
}

TEST(LossesAtTheEnds, BinaryCrossEntropyWithLogitsTwiceDifferentiated) {
  const Function loss = [](const Tensor& x) {
    return binary_cross_entropy_with_logits(x, ones_like(x), kEach);
  };
  for (const double at : {17.0, -17.0, 30.0, -30.0}) {
    const double exact = std::exp(-std::abs(at)) / std::pow(1 + std::exp(-std::abs(at)), 2);
    EXPECT_NEAR(second_of(loss, tensor({at})).at({0}) / exact, 1, 2e-6) << at;
    EXPECT_NEAR(second_of(loss, tensor({at}, DType::Float64)).at({0}) / exact, 1, 1e-13) << at;
  }
}

// A logit of infinity is a probability of 0 or 1.
TEST(LossesAtTheEnds, BinaryCrossEntropyOfInfiniteLogits) {
  for (const DType dtype : kBoth) {
    const Tensor logits = tensor({-kInfinity, kInfinity, -kInfinity, kInfinity, kInfinity}, dtype);
    const Tensor targets = tensor({0, 1, 1, 0, 0.5}, dtype);
    const Function loss = [&](const Tensor& x) {
      return binary_cross_entropy_with_logits(x, targets, kEach);
    };
    EXPECT_TRUE(equal(loss(logits), tensor({0, 0, kInfinity, kInfinity, kInfinity}, dtype))) << loss(logits);
    EXPECT_TRUE(equal(gradient_of(loss, logits), tensor({0, 0, -1, 1, 0.5}, dtype)))
        << gradient_of(loss, logits);
    EXPECT_TRUE(equal(second_of(loss, logits), zeros({5}, dtype))) << second_of(loss, logits);
    EXPECT_TRUE(std::isnan(
        binary_cross_entropy_with_logits(tensor({std::nan("")}, dtype), tensor({0}, dtype)).item()));
  }
}

TEST(LossesAtTheEnds, WhatHasNoWeightDoesNotCount) {
  for (const DType dtype : kBoth) {
    const auto x = [&](const Literal& values) { return tensor(values, dtype); };
    const double log2 = std::log(2.0);
    struct Case {
      Tensor logits, target;
      double loss;
    };
    for (const auto& [logits, target, expected] :
         {Case{x({{-kInfinity, 0}}), x({{0, 1}}), 0}, Case{x({{0, 0, -kInfinity}}), x({{0.5, 0.5, 0}}), log2},
          Case{x({{0, 0, -kInfinity}}), x({{1, 0, 0}}), log2},
          Case{x({{0, 0, -kInfinity}}), x({{0.3, 0.3, 0.4}}), kInfinity}}) {
      const Function loss = [&, t = target](const Tensor& v) { return cross_entropy(v, t); };
      const double found = loss(logits).item();
      EXPECT_TRUE(found == expected || std::abs(found - expected) < 1e-6)
          << found << ", right is " << expected;
      if (std::isinf(expected)) continue;
      const Tensor p = softmax(logits), g = gradient_of(loss, logits);
      expect_close(g, p - target, 1e-7, "gradient");
      const Tensor second = second_of(loss, logits);
      for (index_t i = 0; i < second.size(); ++i) EXPECT_NEAR(second.at({0, i}), 0, 1e-7) << second;
    }
    const auto kl = [&](const Literal& l, const Literal& t) { return kl_divergence(x(l), x(t)).item(); };
    EXPECT_EQ(kl({{0, -kInfinity}}, {{1, 0}}), 0);
    EXPECT_NEAR(kl_divergence(log(x({{0.5, 0.5, 0}})), x({{0.5, 0.5, 0}})).item(), 0, 1e-7);
    EXPECT_EQ(kl({{0, -kInfinity}}, {{0.5, 0.5}}), kInfinity);
    const Function of_logs = [&](const Tensor& l) { return kl_divergence(l, x({{1, 0}})); };
    EXPECT_TRUE(equal(gradient_of(of_logs, x({{0, -kInfinity}})), x({{-1, 0}})));
    // Through a softmax as well.
    const Function of_logits = [&](const Tensor& l) { return kl_divergence(log_softmax(l), x({{1, 0}})); };
    EXPECT_TRUE(equal(gradient_of(of_logits, x({{0, -kInfinity}})), x({{0, 0}})));
    EXPECT_TRUE(equal(second_of(of_logits, x({{0, -kInfinity}})), x({{0, 0}})));
  }
}

TEST(LossesAtTheEnds, LabelsOfInfiniteLogits) {
  for (const DType dtype : kBoth) {
    const Tensor x = tensor({{-kInfinity, 0, 1}, {kInfinity, 0, 1}, {kInfinity, 0, kInfinity}}, dtype);
    const Tensor labels = tensor({1, 0, 2}, DType::Int32);
    const Function loss = [&](const Tensor& v) {
      return cross_entropy(v, labels, {.reduction = Reduction::PerElement});
    };
    const double rest = std::log1p(std::exp(1.0)), p = 1 / (1 + std::exp(1.0));
    expect_close(loss(x), tensor({rest, 0, std::log(2.0)}, dtype), 1e-7, "loss");
    expect_close(gradient_of(loss, x), tensor({{0, p - 1, 1 - p}, {0, 0, 0}, {0.5, 0, -0.5}}, dtype), 1e-7,
                 "gradient");
    expect_close(loss(x), cross_entropy(x, one_hot(labels, 3, dtype), {.reduction = Reduction::PerElement}),
                 1e-7, "one-hot");
    EXPECT_EQ(cross_entropy(tensor({{-kInfinity, 0}}, dtype), tensor({0}, DType::Int32)).item(), kInfinity);
    // All of the target is spread: the label does not count, the class that is ruled out does.
    for (const double label : {0.0, 1.0})
      EXPECT_EQ(cross_entropy(tensor({{-kInfinity, 0}}, dtype), tensor({label}, DType::Int32),
                              {.label_smoothing = 1})
                    .item(),
                kInfinity);
  }
}

// What is right is nearly certain: losses and gradients are small numbers, not 0.
TEST(LossesAtTheEnds, SmallLossesOfLabelsKeepTheirDigits) {
  for (const DType dtype : kBoth)
    for (const bool create_graph : {false, true})
      for (const bool dense : {false, true}) {
        const double far = dtype == DType::Float32 ? 20 : 40, rest = std::exp(-far);
        const double tolerance = dtype == DType::Float32 ? 2e-6 : 1e-14;
        Tape tape;
        const Tensor x = tape.watch(tensor({{0, far, 0}}, dtype)), label = tensor({1}, DType::Int32);
        const Tensor loss = cross_entropy(x, dense ? one_hot(label, 3, dtype) : label);
        EXPECT_NEAR(loss.item() / (2 * rest), 1, tolerance);
        const Tensor g = tape.gradient(loss, x, {.create_graph = create_graph});
        EXPECT_NEAR(g.at({0, 0}) / rest, 1, tolerance);
        EXPECT_NEAR(g.at({0, 1}) / (-2 * rest), 1, tolerance) << dense << create_graph;
      }
}

// exp(v) - 1 - v and its slope exp(v) - 1 for logarithms of variances near 0.
TEST(LossesAtTheEnds, DivergencesFromTheStandardNormalKeepTheirDigits) {
  const Function loss = [](const Tensor& v) { return kl_to_standard_normal(zeros_like(v), v, kEach); };
  for (const DType dtype : kBoth)
    for (double size = 1e-12; size < 60; size *= 1.7)
      for (const double sign : {1.0, -1.0}) {
        const Tensor v = tensor({{sign * size}}, dtype);
        const auto at = static_cast<long double>(v.item());
        long double series = 0, term = at;
        for (int k = 2; k < 300; ++k) series += term *= at / static_cast<long double>(k);
        const long double value = std::abs(at) < 1 ? series : std::expm1(at) - at;
        const double tolerance = dtype == DType::Float32 ? 2e-7 : 1e-15;
        EXPECT_NEAR(loss(v).item() / static_cast<double>(value / 2), 1, tolerance) << sign * size;
        EXPECT_NEAR(gradient_of(loss, v).item() / static_cast<double>(std::expm1(at) / 2), 1, tolerance)
            << sign * size;
        EXPECT_NEAR(second_of(loss, v).item() / static_cast<double>(std::exp(at) / 2), 1, 4 * tolerance)
            << sign * size;
      }
  const Tensor ends = tensor({{-kInfinity, kInfinity}});
  EXPECT_EQ(loss(ends).item(), kInfinity);
  EXPECT_TRUE(std::isnan(loss(tensor({{kNaN}})).item()));
}

// What is small or large on the way is not so in the result.
TEST(LossesAtTheEnds, ScalesThatLeaveTheRange) {
  for (const DType dtype : kBoth) {
    const double tiny = dtype == DType::Float32 ? 1e-40 : 1e-310, tolerance = 1e-4;
    const Function loss = [&](const Tensor& d) {
      return smooth_l1_loss(d, zeros_like(d), {.beta = tiny, .reduction = Reduction::PerElement});
    };
    const Tensor d = tensor({1e-3, -1e-20, 5}, dtype);
    expect_close(loss(d) / abs(d), ones({3}, dtype), tolerance, "smooth_l1_loss");
    expect_close(gradient_of(loss, d), sign(d), tolerance, "its gradient");
    const double large = dtype == DType::Float32 ? 4e19 : 4e154;
    Tensor one = zeros({100}, dtype);
    one.set({3}, large);
    const double mean_square = large / 100 * large;
    EXPECT_NEAR(mse_loss(one, zeros_like(one)).item() / mean_square, 1, 1e-6);
    EXPECT_NEAR(mse_loss(zeros_like(one), one).item() / mean_square, 1, 1e-6);
    const Function mse = [](const Tensor& x) { return mse_loss(x, zeros_like(x)); };
    EXPECT_NEAR(gradient_of(mse, one).at({3}) / (large / 50), 1, 1e-6);
    EXPECT_EQ(mse(tensor({kInfinity, 1}, dtype)).item(), kInfinity);
    EXPECT_EQ(mse(full({2}, large, dtype)).item(), kInfinity);
  }
  for (const DType dtype : kBoth)
    for (const double none : {0.0, -1.0, 1e-46}) {
      const Tensor x = ones({2}, dtype);
      if (none > 0 && dtype == DType::Float64) continue;
      const std::string words = "positive as " + to_string(dtype);
      EXPECT_TRUE(refuses("huber_loss", {"delta", words}, [&] { (void)huber_loss(x, x, {.delta = none}); }));
      EXPECT_TRUE(
          refuses("smooth_l1_loss", {"beta", words}, [&] { (void)smooth_l1_loss(x, x, {.beta = none}); }));
    }
}

TEST(LossesAtTheEnds, TheMeanOfLossesIsDivided) {
  EXPECT_EQ(mae_loss(full({2}, 3e38), zeros({2})).item(), static_cast<double>(3e38F));
  for (index_t n = 1; n < 100; ++n) EXPECT_EQ(mse_loss(full({n}, 1.5), zeros({n})).item(), 2.25) << n;
}

TEST(LossesAtTheEnds, ImpossibleArgumentsAreErrors) {
  using Loss = std::function<void(const Tensor&, const Tensor&)>;
  struct Domain {
    const char* name;
    Loss call;
    Tensor right, wrong;  // predictions; wrong is undefined where there are none
  };
  for (const DType dtype : kBoth) {
    const Tensor half = full({2, 3}, 0.5, dtype), logs = full({2, 3}, -1, dtype);
    const auto with = [](const Tensor& x, double v) {
      Tensor y = copy(x);
      y.set({1, 2}, v);
      return y;
    };
    const Domain domains[] = {
        {"binary_cross_entropy", [](auto& p, auto& t) { (void)binary_cross_entropy(p, t); }, half,
         with(half, 1.125)},
        {"binary_cross_entropy", [](auto& p, auto& t) { (void)binary_cross_entropy(p, t); }, half,
         with(half, -2)},
        {"binary_cross_entropy_with_logits",
         [](auto& p, auto& t) { (void)binary_cross_entropy_with_logits(p, t); }, 8.0 * half, Tensor()},
        {"cross_entropy", [](auto& p, auto& t) { (void)cross_entropy(p, t); }, 8.0 * half, Tensor()},
        {"kl_divergence", [](auto& p, auto& t) { (void)kl_divergence(p, t); }, logs, with(logs, 0.75)}};
    for (const Domain& domain : domains) {
      const char* name = domain.name;
      const Loss& call = domain.call;
      const Tensor &right = domain.right, &wrong = domain.wrong;
      EXPECT_NO_THROW(call(right, half)) << name;
      EXPECT_NO_THROW(call(with(right, kNaN), half)) << name;
      EXPECT_NO_THROW(call(right, with(half, 1))) << name;
      EXPECT_NO_THROW(call(right, with(half, 0))) << name;
      EXPECT_TRUE(refuses(name, {"target", "[0, 1]", "got 1.5 at [1, 2]", "[2, 3]"},
                          [&] { call(right, with(half, 1.5)); }));
      EXPECT_TRUE(refuses(name, {"target", "got -0.25"}, [&] { call(right, with(half, -0.25)); }));
      EXPECT_TRUE(refuses(name, {"target", "inf"}, [&] { call(right, with(half, kInfinity)); }));
      if (wrong.defined()) {
        EXPECT_TRUE(refuses(name, {"must be in", "at [1, 2]", "logits"}, [&] { call(wrong, half); }));
      }
    }
  }
  // A forgotten sigmoid, and probabilities for their logarithms.
  EXPECT_TRUE(refuses("binary_cross_entropy", {"got 3 at [0]", "binary_cross_entropy_with_logits"}, [] {
    (void)binary_cross_entropy(tensor({3, -2}), tensor({1, 0}));
  }));
  EXPECT_TRUE(refuses("nll_loss", {"logarithm", "got 3 at [0, 0]", "log_softmax()"}, [] {
    (void)nll_loss(tensor({{3, 1}}), tensor({0}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("kl_divergence", {"log_softmax()"}, [] {
    (void)kl_divergence(tensor({{0.5, 0.5}}), tensor({{0.25, 0.75}}));
  }));
}

TEST(LossesAtTheEnds, MessagesNameTheWayOut) {
  const Tensor x = ones({32, 1}), logits = ones({2, 4});
  EXPECT_TRUE(refuses("mse_loss", {"[32, 1]", "[32]", "reshape()"}, [&] { (void)mse_loss(x, ones({32})); }));
  EXPECT_TRUE(refuses("mse_loss", {"never given a value"}, [&] { (void)mse_loss(x, Tensor()); }));
  EXPECT_TRUE(refuses("cross_entropy", {"labels must be Int32", "Float32 [2]", "cast()"},
                      [&] { (void)cross_entropy(logits, ones({2})); }));
  EXPECT_TRUE(refuses("cross_entropy", {"Int32", "[2, 4]", "one axis less", "cast()"}, [&] {
    (void)cross_entropy(logits, ones({2, 4}, DType::Int32));
  }));
}

// A model that has diverged does not guess label 0.
TEST(LossesAtTheEnds, AccuracyOfScoresThatAreNotNumbers) {
  const Tensor scores = tensor({{kNaN, kNaN}, {1, kNaN}, {kInfinity, 0}, {0, -kInfinity}});
  EXPECT_EQ(accuracy(scores, zeros({4}, DType::Int32)), 0.5);
  EXPECT_EQ(accuracy(scores, ones({4}, DType::Int32)), 0);
}

// What a loss is called with has the name that its header gives it.
TEST(LossesAtTheEnds, MessagesNameTheArguments) {
  const Tensor x = full({2, 4}, -2), wide = zeros({2, 4}, DType::Float64), three = full({3, 4}, -2);
  const Tensor labels = zeros({2}, DType::Int32);
  EXPECT_TRUE(refuses("nll_loss", {"shape of log_probability without", "got [3]", "[2, 4]"},
                      [&] { (void)nll_loss(x, zeros({3}, DType::Int32)); }));
  EXPECT_TRUE(refuses("nll_loss", {"log_probability", "[2, 4]", "kl_divergence()"}, [&] {
    (void)nll_loss(x, zeros({2, 4}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("nll_loss", {"kl_divergence()"}, [&] { (void)nll_loss(x, x); }));
  EXPECT_TRUE(refuses("nll_loss", {"at [0] is 7", "4 classes of log_probability"},
                      [&] { (void)nll_loss(x, full({2}, 7, DType::Int32)); }));
  EXPECT_TRUE(refuses("cross_entropy", {"4 classes of logits"},
                      [&] { (void)cross_entropy(x, full({2}, 7, DType::Int32)); }));
  using Loss = std::function<Tensor(const Tensor&, const Tensor&)>;
  const std::vector<std::tuple<const char*, const char*, Loss>> all = {
      {"mse_loss", "prediction and target", [](auto& a, auto& b) { return mse_loss(a, b); }},
      {"mae_loss", "prediction and target", [](auto& a, auto& b) { return mae_loss(a, b); }},
      {"huber_loss", "prediction and target", [](auto& a, auto& b) { return huber_loss(a, b); }},
      {"smooth_l1_loss", "prediction and target", [](auto& a, auto& b) { return smooth_l1_loss(a, b); }},
      {"binary_cross_entropy", "probability and target",
       [](auto& a, auto& b) { return binary_cross_entropy(a, b); }},
      {"binary_cross_entropy_with_logits", "logits and target",
       [](auto& a, auto& b) { return binary_cross_entropy_with_logits(a, b); }},
      {"cross_entropy", "logits and target", [](auto& a, auto& b) { return cross_entropy(a, b); }},
      {"kl_divergence", "log_probability and target", [](auto& a, auto& b) { return kl_divergence(a, b); }},
      {"kl_to_standard_normal", "mean and log_variance",
       [](auto& a, auto& b) { return kl_to_standard_normal(a, b); }}};
  for (const auto& [op, names, loss] : all) {
    const Loss& call = loss;
    EXPECT_TRUE(refuses(op, {names, "[2, 4]", "[3, 4]"}, [&] { (void)call(x, three); }));
    EXPECT_TRUE(refuses(op, {names, "Float32", "Float64", "[2, 4]"}, [&] { (void)call(x, wide); }));
  }
}

// A square or a power that leaves the range where its half does not.
TEST(LossesAtTheEnds, DivergencesFromTheStandardNormalAtTheEndOfTheRange) {
  const Function by_mean = [](const Tensor& v) { return kl_to_standard_normal(v, zeros_like(v), kEach); };
  const Function by_variance = [](const Tensor& v) { return kl_to_standard_normal(zeros_like(v), v, kEach); };
  for (const auto& [dtype, mean, log_variance] :
       {std::tuple{DType::Float32, 2.4e19, 89.0}, std::tuple{DType::Float64, 1.5e154, 710.0}}) {
    const double tolerance = dtype == DType::Float32 ? 1e-6 : 1e-12;
    const Tensor m = tensor({{mean}}, dtype), v = tensor({{log_variance}}, dtype);
    const double half = mean / 2 * mean;
    EXPECT_NEAR(by_mean(m).item() / half, 1, tolerance);
    EXPECT_NEAR(gradient_of(by_mean, m).item() / mean, 1, tolerance);
    EXPECT_EQ(second_of(by_mean, m).item(), 1);
    const double root = std::exp(log_variance / 2), right = root / 2 * root;
    for (const double found :
         {by_variance(v).item(), gradient_of(by_variance, v).item(), second_of(by_variance, v).item()})
      EXPECT_NEAR(found / right, 1, tolerance);
  }
  const double least = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(gradient_of(by_mean, tensor({{least}}, DType::Float64)).item(), least);
}

// The target's gradient is log t + 1 - log p, and log t is that of the target itself.
TEST(LossesAtTheEnds, TheDivergenceOfATinyTargetHasItsOwnSlope) {
  for (const auto& [dtype, tiny] : {std::pair{DType::Float64, 1e-300}, std::pair{DType::Float32, 1e-40}}) {
    const Tensor log_p = log(full({1, 2}, 0.5, DType::Float64)), logs = cast(log_p, dtype);
    Tape tape;
    const Tensor t = tape.watch(tensor({{tiny, 1 - tiny}}, dtype));
    const Tensor slope = tape.gradient(kl_divergence(logs, t), t);
    const double right = std::log(t.at({0, 0})) + 1 + std::log(2.0);
    EXPECT_NEAR(slope.at({0, 0}), right, 1e-2) << to_string(dtype);
  }
}

}  // namespace
}  // namespace tapegrad::testing
