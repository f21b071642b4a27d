#include "tapegrad/nn/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/index.h"

namespace tapegrad::testing {
namespace {

TEST(Losses, MeanSquaredError) {
  const Tensor prediction = tensor({{1, 2}, {3, 4}}), target = tensor({{1, 0}, {6, 4}});
  const Tensor loss = mse_loss(prediction, target);
  EXPECT_EQ(loss.shape().str(), "[]");
  EXPECT_EQ(loss.item(), (4 + 9) / 4.0);
}

TEST(Losses, BinaryCrossEntropy) {
  const Tensor p = tensor({0.25, 0.5, 0.875}, DType::Float64), t = tensor({1, 0.25, 0}, DType::Float64);
  const double by_hand =
      -(std::log(0.25) + 0.25 * std::log(0.5) + 0.75 * std::log(0.5) + std::log(0.125)) / 3;
  EXPECT_NEAR(binary_cross_entropy(p, t).item(), by_hand, 1e-15);
}

// Where p is 0 or 1 the loss is large but a number, and so is its gradient.
TEST(Losses, BinaryCrossEntropyAtTheEnds) {
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    Tape tape;
    const Tensor p = tape.watch(tensor({0, 1, 0, 1}, dtype)), t = tensor({0, 1, 1, 0}, dtype);
    const Tensor loss = binary_cross_entropy(p, t);
    EXPECT_NEAR(loss.item(), -2 * std::log(1e-37) / 4, 1e-4);
    const Tensor gradient = tape.gradient(loss, p);
    for (index_t i = 0; i < 4; ++i) EXPECT_TRUE(std::isfinite(gradient.at({i}))) << i << ", " << gradient;
  }
}

// The minimum over p is at p = t.
TEST(Losses, BinaryCrossEntropyIsFlatAtItsTarget) {
  Tape tape;
  const Tensor p = tape.watch(tensor({0.25, 0.625}, DType::Float64));
  const Tensor gradient = tape.gradient(binary_cross_entropy(p, tensor({0.25, 0.625}, DType::Float64)), p);
  for (index_t i = 0; i < 2; ++i) EXPECT_NEAR(gradient.at({i}), 0, 1e-15);
}

// [n, 1] against [n] would be broadcast to [n, n].
TEST(Losses, ShapesMustBeEqual) {
  const Tensor column = ones({3, 1}), row = ones({3});
  EXPECT_TRUE(refuses("mse_loss", {"[3, 1]", "[3]"}, [&] { mse_loss(column, row); }));
  EXPECT_TRUE(refuses("binary_cross_entropy", {"[3, 1]", "[3]"}, [&] { binary_cross_entropy(column, row); }));
}

TEST(Losses, DTypesMustBeEqual) {
  const Tensor a = ones({3}), b = ones({3}, DType::Float64);
  EXPECT_THROW((void)mse_loss(a, b), Error);
  EXPECT_THROW((void)binary_cross_entropy(a, b), Error);
}

TEST(Losses, ThereMustBeSomethingToAverage) {
  EXPECT_THROW((void)mse_loss(ones({0, 3}), ones({0, 3})), Error);
}

class LossesTest : public ::testing::Test {
 protected:
  Tensor draw(const Shape& shape, double low = -1, double high = 1) {
    return uniform(shape, low, high, generator, DType::Float64);
  }
  Tensor distributions(const Shape& shape) { return softmax(draw(shape)); }
  void check(const TensorFunction& f, const std::vector<Tensor>& inputs) {
    const GradcheckReport first = gradcheck(f, inputs);
    EXPECT_TRUE(first.passed) << first.str();
    const GradcheckReport second = gradcheck_second_order(f, inputs);
    EXPECT_TRUE(second.passed) << second.str();
  }
  Generator generator{11};
};

TEST_F(LossesTest, ReductionsOfAll) {
  const Tensor x = draw({4, 3}, 0.1, 0.9), t = draw({4, 3}, 0.1, 0.9);
  const Tensor labels = tensor({0, 2, 1, 1}, DType::Int32);
  using Loss = std::function<Tensor(Reduction)>;
  const std::vector<std::pair<Loss, Shape>> losses = {
      {[&](Reduction r) { return mse_loss(x, t, {r}); }, {4, 3}},
      {[&](Reduction r) { return mae_loss(x, t, {r}); }, {4, 3}},
      {[&](Reduction r) { return huber_loss(x, t, {.delta = 0.25, .reduction = r}); }, {4, 3}},
      {[&](Reduction r) { return binary_cross_entropy(x, t, {r}); }, {4, 3}},
      {[&](Reduction r) { return binary_cross_entropy_with_logits(x, t, {r}); }, {4, 3}},
      {[&](Reduction r) { return cross_entropy(x, labels, {.reduction = r}); }, {4}},
      {[&](Reduction r) { return cross_entropy(x, t, {.label_smoothing = 0.1, .reduction = r}); }, {4}},
      {[&](Reduction r) { return kl_divergence(log(x), t, {r}); }, {4}},
      {[&](Reduction r) { return kl_to_standard_normal(x, t, {r}); }, {4}}};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    SCOPED_TRACE(i);
    const auto& [loss, shape] = losses[i];
    const Tensor single = loss(Reduction::PerElement);
    EXPECT_EQ(single.shape().str(), shape.str());
    double total = 0;
    for (const double value : single.values<double>()) total += value;
    EXPECT_NEAR(loss(Reduction::Sum).item(), total, 1e-13);
    EXPECT_NEAR(loss(Reduction::Mean).item(), total / static_cast<double>(single.size()), 1e-14);
  }
}

TEST_F(LossesTest, MeanAbsoluteError) {
  EXPECT_EQ(mae_loss(tensor({{1, 2}, {3, 4}}), tensor({{1, 0}, {6, 4}})).item(), 5 / 4.0);
  check([](const auto& in) { return mae_loss(in[0], in[1]); }, {draw({2, 3}, 1, 2), draw({2, 3}, 3, 4)});
}

TEST_F(LossesTest, Huber) {
  const Tensor d = tensor({-3, -1, -0.5, 0, 0.5, 1, 3}, DType::Float64);
  const Tensor expected = tensor({2.5, 0.5, 0.125, 0, 0.125, 0.5, 2.5}, DType::Float64);
  const HuberOptions each = {.reduction = Reduction::PerElement};
  EXPECT_TRUE(equal(huber_loss(d, zeros_like(d), each), expected));
  EXPECT_TRUE(equal(huber_loss(zeros_like(d), 2.0 * d, {.delta = 2, .reduction = Reduction::PerElement}),
                    4.0 * expected));
  Tape tape;
  const Tensor x = tape.watch(d);
  EXPECT_TRUE(
      equal(tape.gradient(huber_loss(x, zeros_like(d), {.reduction = Reduction::Sum}), x), clamp(d, -1, 1)));
  check([](const auto& in) { return huber_loss(in[0], in[1], {.delta = 0.5}); },
        {draw({2, 3}, 0, 0.2), draw({2, 3}, 0.25, 0.45)});
  check([](const auto& in) { return huber_loss(in[0], in[1], {.delta = 0.5}); },
        {draw({2, 3}, 0, 1), draw({2, 3}, 2, 3)});
}

TEST_F(LossesTest, BinaryCrossEntropyWithLogitsIsThatOfSigmoids) {
  const Tensor x = draw({4, 3}, -3, 3), t = draw({4, 3}, 0, 1);
  EXPECT_NEAR(binary_cross_entropy_with_logits(x, t).item(), binary_cross_entropy(sigmoid(x), t).item(),
              1e-14);
  check([](const auto& in) { return binary_cross_entropy_with_logits(in[0], in[1]); }, {x, t});
}

// Small losses keep their digits: -log sigmoid(x) is exp(-x) for large x.
TEST_F(LossesTest, BinaryCrossEntropyWithLogitsIsAccurate) {
  const LossOptions each = {Reduction::PerElement};
  const Tensor x = tensor({-40, 40, -1000, 1000}), t = tensor({0, 1, 1, 0});
  const Tensor y = binary_cross_entropy_with_logits(x, t, each);
  EXPECT_NEAR(y.at({0}) / std::exp(-40), 1, 1e-6);
  EXPECT_NEAR(y.at({1}) / std::exp(-40), 1, 1e-6);
  EXPECT_EQ(y.at({2}), 1000);
  EXPECT_EQ(y.at({3}), 1000);
}

TEST_F(LossesTest, CrossEntropyOfLabelsIsThatOfOneHots) {
  const Tensor x = draw({2, 3, 4}), labels = tensor({{0, 3, 1}, {2, 2, 0}}, DType::Int32);
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    const CrossEntropyOptions options = {.label_smoothing = smoothing, .reduction = Reduction::PerElement};
    const Tensor dense = cross_entropy(x, one_hot(labels, 4, DType::Float64), options);
    expect_close(cross_entropy(x, labels, options), dense, 1e-14, "smoothing " + std::to_string(smoothing));
    const Tensor smooth = (1 - smoothing) * one_hot(labels, 4, DType::Float64) + smoothing / 4;
    expect_close(dense, cross_entropy(x, smooth, {.reduction = Reduction::PerElement}), 1e-14,
                 "smoothed by hand");
  }
}

TEST_F(LossesTest, CrossEntropyGradients) {
  const Tensor x = draw({5, 4}), labels = tensor({0, 3, 1, 1, 2}, DType::Int32);
  check([&](const auto& in) { return cross_entropy(in[0], labels); }, {x});
  check([&](const auto& in) { return cross_entropy(in[0], labels, {.label_smoothing = 0.25}); }, {x});
  check([](const auto& in) { return cross_entropy(in[0], in[1], {.label_smoothing = 0.25}); },
        {x, distributions({5, 4})});
  Tape tape;
  const Tensor watched = tape.watch(x);
  const Tensor gradient =
      tape.gradient(cross_entropy(watched, labels, {.reduction = Reduction::Sum}), watched);
  expect_close(gradient, softmax(x) - one_hot(labels, 4, DType::Float64), 1e-14, "softmax - one_hot");
}

TEST_F(LossesTest, CrossEntropyOfExtremeLogits) {
  constexpr double kNoEnd = std::numeric_limits<double>::infinity();
  const Tensor labels = tensor({0, 0, 1}, DType::Int32);
  Tape tape;
  const Tensor x = tape.watch(tensor({{1e4, -1e4}, {-1e4, 1e4}, {-kNoEnd, 3}}));
  const Tensor y = cross_entropy(x, labels, {.reduction = Reduction::PerElement});
  EXPECT_TRUE(equal(y, tensor({0, 2e4, 0}))) << y;
  const Tensor gradient = tape.gradient(sum(y), x);
  EXPECT_TRUE(equal(gradient, tensor({{0, 0}, {-1, 1}, {0, 0}}))) << gradient;
}

TEST_F(LossesTest, BinaryCrossEntropyOfExtremeLogits) {
  constexpr double kNoEnd = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    Tape tape;
    const Tensor x = tape.watch(tensor({-kNoEnd, kNoEnd, 1e30, -1e30, 60, -60, NAN}, dtype));
    const Tensor t = tensor({0.5, 0.5, 0, 0.25, 1, 0, 1}, dtype);
    const Tensor y = binary_cross_entropy_with_logits(x, t, {Reduction::PerElement});
    const Tensor gradient = tape.gradient(y, x, {.output_gradient = ones_like(y)});
    const double losses[] = {kNoEnd, kNoEnd, 1e30, 0.25e30}, slopes[] = {-0.5, 0.5, 1, -0.25};
    for (index_t i = 0; i < 4; ++i) {
      EXPECT_EQ(y.at({i}), tensor({losses[i]}, dtype).at({0})) << i;
      EXPECT_EQ(gradient.at({i}), slopes[i]) << i;
    }
    const double small = std::exp(-60);  // where the sigmoid less the target would be 0
    for (const index_t i : {4, 5}) EXPECT_NEAR(y.at({i}) / small, 1, 1e-6) << i;
    for (const index_t i : {4, 5}) EXPECT_NEAR(gradient.at({i}) / small, i == 4 ? -1 : 1, 1e-6) << i;
    EXPECT_TRUE(std::isnan(y.at({6})) && std::isnan(gradient.at({6})));
  }
}

TEST_F(LossesTest, ANaNReachesItsOwnLossOnly) {
  Tape tape;
  const Tensor x = tape.watch(tensor({{0, NAN, 1}, {NAN, 0, 1}, {0, 0, 0}}));
  const Tensor y = cross_entropy(x, tensor({0, 1, 2}, DType::Int32), {.reduction = Reduction::PerElement});
  const Tensor gradient = tape.gradient(y, x, {.output_gradient = ones_like(y)});
  for (index_t row = 0; row < 3; ++row) {
    EXPECT_EQ(std::isnan(y.at({row})), row < 2) << row;
    for (index_t c = 0; c < 3; ++c) EXPECT_EQ(std::isnan(gradient.at({row, c})), row < 2) << row << ", " << c;
  }
}

// What computes its losses and their derivatives together, on large inputs: as written in ordinary ops.
struct FusedLoss {
  std::string name;
  Shape shape;
  std::function<Tensor(const Tensor& x, const Tensor& t, Reduction)> loss;
  std::function<Tensor(const Tensor& x, const Tensor& t)> each;
};

std::vector<FusedLoss> fused_losses() {
  std::vector<FusedLoss> losses = {
      {"mse",
       {37, 1001},
       [](auto& x, auto& t, Reduction r) { return mse_loss(x, t, {r}); },
       [](auto& x, auto& t) { return square(x - t); }},
      {"binary cross-entropy",
       {37, 1001},
       [](auto& x, auto& t, Reduction r) { return binary_cross_entropy_with_logits(x, t, {r}); },
       [](auto& x, auto& t) { return t * softplus(-x) + (1.0 - t) * softplus(x); }}};
  for (const Shape& shape : {Shape{61, 90, 4}, Shape{9, 5000}, Shape{5000, 1}}) {
    const index_t classes = shape[-1];
    const Tensor labels =
        cast(cumsum(ones(Shape(std::span(shape.begin(), shape.end() - 1)), DType::Float64), 0) * 0.37 *
                 static_cast<double>(classes),
             DType::Int32);
    Tensor wrapped = copy(labels);
    for (auto& label : wrapped.mutable_values<std::int32_t>()) label %= static_cast<std::int32_t>(classes);
    losses.push_back(
        {"cross-entropy " + shape.str(), shape,
         [=](auto& x, auto&, Reduction r) { return cross_entropy(x, wrapped, {.reduction = r}); },
         [=](auto& x, auto&) { return -sum(one_hot(wrapped, classes, x.dtype()) * log_softmax(x), {-1}); }});
  }
  return losses;
}

Tensor reduced(const Tensor& losses, Reduction reduction) {
  return reduction == Reduction::PerElement ? losses
         : reduction == Reduction::Sum      ? sum(losses)
                                            : mean(losses);
}

TEST_F(LossesTest, FusedOnesAreWhatOrdinaryOpsMakeOfLargeInputs) {
  for (const FusedLoss& fused : fused_losses())
    for (const Reduction reduction : {Reduction::PerElement, Reduction::Sum, Reduction::Mean})
      for (const bool create_graph : {false, true}) {
        SCOPED_TRACE(fused.name + (create_graph ? ", recorded" : ""));
        const Tensor t = draw(fused.shape, 0, 1);
        Tape tape;
        const Tensor x = tape.watch(draw(fused.shape, -4, 4));
        const Tensor y = fused.loss(x, t, reduction), expected = reduced(fused.each(x, t), reduction);
        const double size = reduction == Reduction::Sum ? static_cast<double>(x.size()) : 1;
        expect_close(y / size, expected / size, 1e-13, "loss");
        const Tensor g = draw(y.shape(), 0.5, 2);
        const Tensor plain = tape.gradient(expected, x, {.create_graph = true, .output_gradient = g});
        const Tensor found = tape.gradient(y, x, {.create_graph = create_graph, .output_gradient = g});
        const double scale = reduction == Reduction::Mean ? static_cast<double>(expected.size()) : 1;
        expect_close(scale * found, scale * plain, 1e-12, "gradient");
      }
}

TEST_F(LossesTest, FusedOnesAreTheSameBitsForAnyNumberOfThreads) {
  for (const FusedLoss& fused : fused_losses())
    for (const DType dtype : {DType::Float32, DType::Float64})
      for (const Reduction reduction : {Reduction::PerElement, Reduction::Sum, Reduction::Mean}) {
        const Tensor values = cast(draw(fused.shape, -4, 4), dtype), t = cast(draw(fused.shape, 0, 1), dtype);
        Tensor loss, gradient;
        for (const int threads : {1, 2, 3, 8}) {
          const ThreadCountScope scope(threads);
          Tape tape;
          const Tensor x = tape.watch(values), y = fused.loss(x, t, reduction);
          const Tensor g = tape.gradient(y, x, {.output_gradient = full(y.shape(), 0.7, dtype)});
          if (threads == 1) loss = stop_gradient(y), gradient = g;
          EXPECT_TRUE(equal(loss, stop_gradient(y)) && equal(gradient, g)) << fused.name << ", " << threads;
        }
      }
}

TEST_F(LossesTest, FusedOnesGiveTheirGradientAsOftenAsItIsAskedFor) {
  const Tensor t = draw({4, 3}, 0, 1);
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(draw({4, 3}));
  const Tensor y = binary_cross_entropy_with_logits(x, t);
  Tensor first = tape.gradient(y, x);
  const Tensor copied = copy(first);
  first.set({0, 0}, 100);  // the caller's own
  EXPECT_TRUE(equal(tape.gradient(y, x), copied));
  // Nothing was computed that nobody wants: without a tape it is the same loss.
  NoGrad no_grad;
  EXPECT_EQ(binary_cross_entropy_with_logits(stop_gradient(x), t).item(), y.item());
}

TEST_F(LossesTest, CrossEntropyNamesTheWrongLabel) {
  const Tensor x = draw({2, 3, 4});
  const auto with = [&](double label) {
    Tensor labels = zeros({2, 3}, DType::Int32);
    labels.set({1, 2}, label);
    return [=] { (void)cross_entropy(x, labels); };
  };
  EXPECT_TRUE(refuses("cross_entropy", {"[1, 2]", "is 4", "4 classes", "[2, 3, 4]"}, with(4)));
  EXPECT_TRUE(refuses("cross_entropy", {"[1, 2]", "is -1"}, with(-1)));
  EXPECT_TRUE(refuses("cross_entropy", {"is 2147483647"}, with(2147483647)));
  EXPECT_NO_THROW(with(3)());
}

TEST_F(LossesTest, CrossEntropyWrongArguments) {
  const Tensor x = draw({2, 4}), labels = zeros({2}, DType::Int32);
  EXPECT_TRUE(
      refuses("cross_entropy", {"[3]", "[2, 4]"}, [&] { cross_entropy(x, zeros({3}, DType::Int32)); }));
  EXPECT_TRUE(refuses("cross_entropy", {"[2, 4]", "[2, 4]"}, [&] {
    cross_entropy(x, zeros({2, 4}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("cross_entropy", {"[2, 4]", "[4]"}, [&] { cross_entropy(x, draw({4})); }));
  EXPECT_TRUE(refuses("cross_entropy", {"Float64", "Float32"}, [&] { cross_entropy(x, ones({2, 4})); }));
  EXPECT_TRUE(refuses("cross_entropy", {"label_smoothing", "1.5"},
                      [&] { cross_entropy(x, labels, {.label_smoothing = 1.5}); }));
  EXPECT_TRUE(refuses("cross_entropy", {"no classes", "[]"}, [&] { cross_entropy(draw({}), labels); }));
  EXPECT_TRUE(refuses("cross_entropy", {"Int32"}, [&] { cross_entropy(labels, labels); }));
  EXPECT_TRUE(refuses("cross_entropy", {"elements to average"}, [&] {
    cross_entropy(draw({0, 4}), zeros({0}, DType::Int32));
  }));
}

TEST_F(LossesTest, KullbackLeibler) {
  const Tensor p = tensor({{0.25, 0.75, 0}}, DType::Float64), q = tensor({{0.5, 0.25, 0.25}}, DType::Float64);
  EXPECT_NEAR(kl_divergence(log(q), p).item(), 0.25 * std::log(0.5) + 0.75 * std::log(3), 1e-15);
  EXPECT_NEAR(kl_divergence(log(q), q).item(), 0, 1e-16);
  // It is the cross-entropy less the entropy.
  const Tensor x = draw({5, 4}), t = distributions({5, 4});
  EXPECT_NEAR(kl_divergence(log_softmax(x), t).item(),
              cross_entropy(x, t).item() + mean(sum(t * log(t), {-1})).item(), 1e-14);
  check([](const auto& in) { return kl_divergence(log_softmax(in[0]), in[1]); }, {x, t});
  Tape tape;
  const Tensor watched = tape.watch(p);
  const Tensor gradient = tape.gradient(kl_divergence(log(q), watched), watched);
  for (index_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isfinite(gradient.at({0, i}))) << gradient;
}

TEST_F(LossesTest, KullbackLeiblerToTheStandardNormal) {
  EXPECT_EQ(kl_to_standard_normal(zeros({3, 2}), zeros({3, 2})).item(), 0);
  const Tensor mean = tensor({{1, -2}}, DType::Float64), log_variance = tensor({{0, 0.5}}, DType::Float64);
  EXPECT_NEAR(kl_to_standard_normal(mean, log_variance).item(), (1 + 4 + std::exp(0.5) - 1.5) / 2, 1e-15);
  check([](const auto& in) { return kl_to_standard_normal(in[0], in[1]); }, {draw({2, 3}), draw({2, 3})});
}

TEST_F(LossesTest, WrongArgumentsOfTheOthers) {
  const Tensor column = ones({3, 1}), row = ones({3}), wide = ones({3}, DType::Float64);
  using Loss = std::function<void(const Tensor&, const Tensor&)>;
  const std::vector<std::pair<std::string, Loss>> losses = {
      {"mae_loss", [](auto& a, auto& b) { (void)mae_loss(a, b); }},
      {"huber_loss", [](auto& a, auto& b) { (void)huber_loss(a, b); }},
      {"binary_cross_entropy_with_logits",
       [](auto& a, auto& b) { (void)binary_cross_entropy_with_logits(a, b); }},
      {"kl_divergence", [](auto& a, auto& b) { (void)kl_divergence(a, b); }},
      {"kl_to_standard_normal", [](auto& a, auto& b) { (void)kl_to_standard_normal(a, b); }}};
  for (const auto& [name, loss] : losses) {
    const Loss& call = loss;
    EXPECT_TRUE(refuses(name, {"[3, 1]", "[3]"}, [&] { call(column, row); }));
    EXPECT_TRUE(refuses(name, {"Float32", "Float64"}, [&] { call(row, wide); }));
    EXPECT_TRUE(refuses(name, {"Int32"}, [&] { call(zeros({3}, DType::Int32), row); }));
  }
  EXPECT_TRUE(
      refuses("smooth_l1_loss", {"elements to average"}, [] { smooth_l1_loss(ones({0}), ones({0})); }));
  EXPECT_TRUE(refuses("huber_loss", {"delta", "0"}, [&] { huber_loss(row, row, {.delta = 0}); }));
}

}  // namespace
}  // namespace tapegrad::testing
