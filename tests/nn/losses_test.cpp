#include "tapegrad/nn/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

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

}  // namespace
}  // namespace tapegrad::testing
