#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tapegrad/tapegrad.h"

// What people who know NumPy or PyTorch reach for: the values that these give (NumPy's where they differ).

namespace tapegrad::testing {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(),
                 kInfinity = std::numeric_limits<double>::infinity();

TEST(Everyday, OneNumberIsAShape) {
  EXPECT_EQ(zeros(5).shape(), Shape({5}));
  EXPECT_EQ(ones(std::size_t{2}).shape(), Shape({2}));
  EXPECT_TRUE(equal(full(3, 0.5), tensor({0.5, 0.5, 0.5})));
  Generator generator(1);
  EXPECT_EQ(uniform(4, 0, 1, generator).shape(), Shape({4}));
  EXPECT_TRUE(equal(tensor(std::vector<float>{1, 2}, 2), tensor({1, 2})));
  EXPECT_EQ(zeros({5}).shape(), Shape({5}));
  EXPECT_EQ(zeros({}).shape(), Shape());
  EXPECT_THROW((void)zeros(-1), Error);
}

TEST(Everyday, ExclusiveSums) {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  EXPECT_TRUE(equal(cumsum(x, 1, {.exclusive = true}), tensor({{0, 1, 3}, {0, 4, 9}})));
  EXPECT_TRUE(equal(cumsum(x, 1, {.reverse = true, .exclusive = true}), tensor({{5, 3, 0}, {11, 6, 0}})));
  EXPECT_TRUE(equal(cumsum(x, 0, {.exclusive = true}), tensor({{0, 0, 0}, {1, 2, 3}})));
}

TEST(Everyday, WholeNumbersHaveAMaximum) {
  const Tensor a = tensor({{-3, 2}, {2147483647, 0}}, DType::Int32), b = tensor({1, 1}, DType::Int32);
  EXPECT_TRUE(equal(maximum(a, b), tensor({{1, 2}, {2147483647, 1}}, DType::Int32)));
  EXPECT_TRUE(equal(minimum(a, b), tensor({{-3, 1}, {1, 0}}, DType::Int32)));
  EXPECT_TRUE(equal(maximum(a, 2), tensor({{2, 2}, {2147483647, 2}}, DType::Int32)));
  EXPECT_TRUE(equal(minimum(2, a), tensor({{-3, 2}, {2, 0}}, DType::Int32)));
  const Tensor bytes = tensor({0, 200, 255}, DType::UInt8);
  EXPECT_TRUE(equal(maximum(bytes, 100), tensor({100, 200, 255}, DType::UInt8)));
  Tape tape;
  const Tensor y = maximum(a, b);
  EXPECT_EQ(tape.size(), 0) << "a constant";
}

TEST(Everyday, Median) {
  const Tensor x = tensor({{5, 1, 4}, {2, 2, kNaN}, {-1, kInfinity, 3}});
  const Tensor y = median(x, 1);
  EXPECT_EQ(y.shape(), Shape({3}));
  EXPECT_EQ(y.at({0}), 4);
  EXPECT_TRUE(std::isnan(y.at({1})));
  EXPECT_EQ(y.at({2}), 3);
  EXPECT_TRUE(
      equal(median(tensor({{4, 1}, {2, 9}, {3, 5}, {7, 0}}), 0, {.keepdims = true}), tensor({{3.5, 3}})));
  EXPECT_EQ(median(tensor({{4, 1}, {2, 9}})).item(), 3);
  EXPECT_EQ(median(tensor(6)).item(), 6);
  EXPECT_EQ(median(tensor({3e38, 3e38})).item(), static_cast<double>(3e38F)) << "their sum is no Float32";
  EXPECT_EQ(median(zeros({0, 3}), 1).shape(), Shape({0}));
}

TEST(Everyday, MedianPassesTheGradientOn) {
  Tape tape;
  const Tensor x = tape.watch(tensor({{4, 1, 3}, {2, 9, 5}}));
  const Tensor y = sum(median(x, 1) * tensor({1, 10})) + 100.0 * median(x);
  EXPECT_TRUE(equal(tape.gradient(y, x), tensor({{50, 0, 51}, {0, 0, 10}})));
}

TEST(Everyday, Roll) {
  const Tensor x = tensor({{0, 1, 2, 3}, {4, 5, 6, 7}});
  EXPECT_TRUE(equal(roll(x, 1, 1), tensor({{3, 0, 1, 2}, {7, 4, 5, 6}})));
  EXPECT_TRUE(equal(roll(x, -1, -1), tensor({{1, 2, 3, 0}, {5, 6, 7, 4}})));
  EXPECT_TRUE(equal(roll(x, 6, 1), roll(x, 2, 1)));
  EXPECT_TRUE(equal(roll(x, 1, 0), tensor({{4, 5, 6, 7}, {0, 1, 2, 3}})));
  EXPECT_TRUE(equal(roll(x, 0, 0), x));
  EXPECT_TRUE(equal(roll(x, std::numeric_limits<index_t>::min(), 1), x));
  EXPECT_EQ(roll(zeros({2, 0}), 1, 1).shape(), Shape({2, 0}));
  EXPECT_EQ(roll(tensor({1, 2, 3}, DType::UInt8), 1, 0).dtype(), DType::UInt8);
}

TEST(Everyday, Diag) {
  const Tensor x = tensor({{0, 1, 2}, {3, 4, 5}});
  EXPECT_TRUE(equal(diag(x), tensor({0, 4})));
  EXPECT_TRUE(equal(diag(x, 1), tensor({1, 5})));
  EXPECT_TRUE(equal(diag(x, 2), tensor({2})));
  EXPECT_TRUE(equal(diag(x, -1), tensor({3})));
  EXPECT_TRUE(equal(diag(tensor({1, 2})), tensor({{1, 0}, {0, 2}})));
  EXPECT_TRUE(equal(diag(tensor({1, 2}), 1), tensor({{0, 1, 0}, {0, 0, 2}, {0, 0, 0}})));
  EXPECT_TRUE(equal(diag(tensor({1, 2}), -1), tensor({{0, 0, 0}, {1, 0, 0}, {0, 2, 0}})));
  EXPECT_TRUE(equal(diag(tensor({1, 2}, DType::Int32)), tensor({{1, 0}, {0, 2}}, DType::Int32)));
  EXPECT_TRUE(equal(diag(diag(tensor({1, 2, 3}), 2), 2), tensor({1, 2, 3})));
  for (const Shape& empty : {Shape{4, 0}, Shape{0, 4}, Shape{0, 0}})  // each has a main diagonal
    EXPECT_EQ(diag(zeros(empty)).shape(), Shape({0}));
}

TEST(Everyday, Close) {
  const Tensor a = tensor({1, 1, 1, 0, 1e10, kInfinity, kInfinity, kNaN}, DType::Float64),
               b = tensor({1, 1 + 9e-6, 1 + 2e-5, 9e-9, kInfinity, kInfinity, -kInfinity, kNaN},
                          DType::Float64);
  EXPECT_TRUE(equal(isclose(a, b), tensor({1, 1, 0, 1, 0, 1, 0, 0}, DType::UInt8)));
  EXPECT_TRUE(equal(isclose(a, b, {.rtol = 1e-4, .equal_nan = true}),
                    tensor({1, 1, 1, 1, 0, 1, 0, 1}, DType::UInt8)));
  EXPECT_EQ(isclose(tensor({0}), tensor({2e-8})).item(), 0);
  EXPECT_EQ(isclose(tensor({0}), tensor({2e-8}), {.atol = 1e-7}).item(), 1);
  EXPECT_TRUE(allclose(tensor({{1, 2}, {1, 2}}), tensor({1, 2.00001})));
  EXPECT_FALSE(allclose(tensor({1, 2}), tensor({1, 2.001})));
  EXPECT_TRUE(allclose(zeros({0, 2}), zeros({0, 2})));
  EXPECT_TRUE(allclose(tensor({1, 2}, DType::Int32), tensor({1, 2}, DType::Int32)));
  // The difference of the Int32s themselves overflows.
  EXPECT_FALSE(allclose(tensor(-2147483647, DType::Int32), tensor(2147483647, DType::Int32)));
  Tape tape;
  const Tensor mask = isclose(tape.watch(tensor({1, 2})), tensor({1, 2}));
  EXPECT_EQ(tape.size(), 1) << "a constant";
}

TEST(Everyday, Angles) {
  const Tensor y = tensor({0, 1, 0, -1, 1, -0.0}, DType::Float64),
               x = tensor({1, 0, -1, 0, -1, -1}, DType::Float64);
  const double pi = 3.14159265358979323846;
  EXPECT_TRUE(allclose(atan2(y, x), tensor({0, pi / 2, pi, -pi / 2, 3 * pi / 4, -pi}, DType::Float64),
                       {.rtol = 1e-15, .atol = 0}));
  EXPECT_TRUE(allclose(tan(tensor({0, 1, -2}, DType::Float64)),
                       tensor({0, 1.5574077246549022305, 2.1850398632615189916}, DType::Float64),
                       {.rtol = 1e-15}));
}

// Squares of these leave Float32's range.
TEST(Everyday, AnglesOfFarAndNearPoints) {
  for (const double size : {1e-30, 1e30}) {
    Tape tape;
    const Tensor y = tape.watch(tensor({3 * size})), x = tape.watch(tensor({4 * size}));
    const Gradients gradients = tape.gradient(atan2(y, x), {y, x});
    EXPECT_NEAR(gradients[0].item() * size, 4.0 / 25, 1e-6);
    EXPECT_NEAR(gradients[1].item() * size, -3.0 / 25, 1e-6);
  }
  Tape tape;
  const Tensor y = tape.watch(tensor({0}));
  EXPECT_TRUE(std::isnan(tape.gradient(atan2(y, tensor({0})), y).item()));
}

TEST(Everyday, Logarithms) {
  EXPECT_TRUE(equal(log2(tensor({1, 8, 0.25})), tensor({0, 3, -2})));
  EXPECT_TRUE(allclose(log10(tensor({1, 1000, 0.01})), tensor({0, 3, -2}), {.rtol = 1e-7}));
  EXPECT_TRUE(std::isinf(log2(tensor({0})).item()));
}

TEST(Everyday, NegativeLogLikelihood) {
  const Tensor logits = tensor({{1, 2, 3}, {0, -1, 4}, {2, 2, 2}}), labels = tensor({2, 0, 1}, DType::Int32);
  const Tensor logs = log_softmax(logits);
  EXPECT_TRUE(equal(nll_loss(logs, labels, {Reduction::PerElement}),
                    tensor({-logs.at({0, 2}), -logs.at({1, 0}), -logs.at({2, 1})})));
  EXPECT_NEAR(nll_loss(logs, labels).item(), cross_entropy(logits, labels).item(), 1e-6);
  EXPECT_NEAR(nll_loss(logs, labels, {Reduction::Sum}).item(), 3 * nll_loss(logs, labels).item(), 1e-6);
  EXPECT_THROW((void)nll_loss(logs, tensor({2, 0, 3}, DType::Int32)), Error);
  EXPECT_THROW((void)nll_loss(logs, tensor({2, 0, 1})), Error);
  EXPECT_THROW((void)nll_loss(logs, tensor({{2, 0, 1}}, DType::Int32)), Error);
}

}  // namespace
}  // namespace tapegrad::testing
