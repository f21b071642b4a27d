#include "tapegrad/nn/initializers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

Moments moments(const Tensor& x) {
  Moments found;
  const auto values = x.values<double>();
  const auto n = static_cast<double>(values.size());
  for (const double v : values) {
    found.mean += v / n;
    found.largest = std::max(found.largest, std::abs(v));
  }
  for (const double v : values) found.deviation += (v - found.mean) * (v - found.mean) / n;
  found.deviation = std::sqrt(found.deviation);
  return found;
}

// A filter of 3 x 2 taps, 20 channels to 30: fan-in 120, fan-out 180.
const Shape kFilter = {3, 2, 20, 30};

TEST(Initializers, UniformLimits) {
  const std::pair<Initializer, double> cases[] = {{glorot_uniform, std::sqrt(6.0 / 300)},
                                                  {he_uniform, std::sqrt(6.0 / 120)},
                                                  {lecun_uniform, std::sqrt(3.0 / 120)},
                                                  {uniform_initializer(0.5), 0.5}};
  Generator generator(1);
  for (const auto& [initializer, limit] : cases) {
    SCOPED_TRACE(limit);
    const Moments found = moments(initializer(kFilter, generator, DType::Float64));
    EXPECT_LE(found.largest, limit);
    EXPECT_GT(found.largest, 0.99 * limit);
    EXPECT_NEAR(found.deviation, limit / std::sqrt(3), 0.03 * limit);
    EXPECT_NEAR(found.mean, 0, 0.05 * limit);
  }
}

TEST(Initializers, NormalDeviations) {
  const std::pair<Initializer, double> cases[] = {{glorot_normal, std::sqrt(2.0 / 300)},
                                                  {he_normal, std::sqrt(2.0 / 120)},
                                                  {lecun_normal, std::sqrt(1.0 / 120)},
                                                  {normal_initializer(0.5), 0.5}};
  Generator generator(2);
  for (const auto& [initializer, deviation] : cases) {
    SCOPED_TRACE(deviation);
    const Moments found = moments(initializer(kFilter, generator, DType::Float64));
    EXPECT_NEAR(found.deviation, deviation, 0.04 * deviation);
    EXPECT_NEAR(found.mean, 0, 0.06 * deviation);
    EXPECT_GT(found.largest, 2.5 * deviation) << "it is not cut off";
  }
}

TEST(Initializers, FansOfAMatrix) {
  Generator generator(3);
  EXPECT_NEAR(moments(he_uniform({150, 7}, generator, DType::Float64)).largest, std::sqrt(6.0 / 150), 1e-3);
  EXPECT_NEAR(moments(lecun_uniform({150, 7}, generator, DType::Float64)).largest, std::sqrt(3.0 / 150),
              1e-3);
}

Tensor identity(index_t size) {
  Tensor one = zeros({size, size}, DType::Float64);
  for (index_t i = 0; i < size; ++i) one.set({i, i}, 1);
  return one;
}

TEST(Initializers, OrthogonalColumnsOrRows) {
  Generator generator(4);
  for (const Shape& shape : {Shape{5, 5}, Shape{40, 7}, Shape{3, 3, 4, 12}}) {
    const Tensor q = reshape(orthogonal(shape, generator, DType::Float64), {-1, shape[-1]});
    expect_close(matmul(q, q, {.transpose_a = true}), identity(shape[-1]), 1e-14, shape.str());
  }
  const Tensor wide = orthogonal({3, 8}, generator, DType::Float64);
  expect_close(matmul(wide, wide, {.transpose_b = true}), identity(3), 1e-14, "rows");
  EXPECT_EQ(orthogonal({3, 8}, generator).dtype(), DType::Float32);
  EXPECT_EQ(orthogonal({0, 8}, generator).shape().str(), "[0, 8]");
}

TEST(Initializers, OrthogonalHasNoPreferredSign) {
  Generator generator(5);
  int positive = 0;
  for (int i = 0; i < 200; ++i) positive += orthogonal({2, 2}, generator).at({0, 0}) > 0;
  EXPECT_GT(positive, 70);
  EXPECT_LT(positive, 130);
}

TEST(Initializers, Constant) {
  Generator generator(6);
  const auto before = generator.position();
  EXPECT_TRUE(equal(constant_initializer()({2, 3}, generator, DType::Float32), zeros({2, 3})));
  EXPECT_TRUE(
      equal(constant_initializer(0.25)({3}, generator, DType::Float64), full({3}, 0.25, DType::Float64)));
  EXPECT_EQ(generator.position(), before);
}

TEST(Initializers, FollowTheirGenerator) {
  for (const Initializer& initializer : {Initializer(glorot_uniform), Initializer(he_normal),
                                         Initializer(orthogonal), normal_initializer(1)}) {
    Generator first(7), same(7);
    const Tensor x = initializer({4, 4}, first, DType::Float32);
    EXPECT_TRUE(equal(x, initializer({4, 4}, same, DType::Float32)));
    EXPECT_FALSE(equal(x, initializer({4, 4}, first, DType::Float32)));
  }
}

TEST(Initializers, WrongArguments) {
  Generator generator(8);
  const std::pair<const char*, Initializer> cases[] = {
      {"glorot_uniform", glorot_uniform}, {"glorot_normal", glorot_normal}, {"he_uniform", he_uniform},
      {"he_normal", he_normal},           {"lecun_uniform", lecun_uniform}, {"lecun_normal", lecun_normal},
      {"orthogonal", orthogonal}};
  for (const auto& [name, initializer] : cases) {
    const Initializer& make = initializer;
    EXPECT_TRUE(refuses(name, {"[3]", "two axes"}, [&] { (void)make({3}, generator, DType::Float32); }));
  }
  const Tensor w = parameter(ones({2}));
  EXPECT_TRUE(refuses("orthogonal", {"batch_gradient"}, [&] {
    batch_gradient(
        [&](const auto& part) {
          return mean(part[0] * w) * sum(orthogonal({2, 2}, generator));
        },
        {ones({4, 2})}, {w}, {.chunk = 1});
  }));
  EXPECT_TRUE(refuses("orthogonal", {"Int32"}, [&] { (void)orthogonal({2, 2}, generator, DType::Int32); }));
  EXPECT_TRUE(refuses("uniform_initializer", {"-1"}, [] { uniform_initializer(-1); }));
  EXPECT_TRUE(refuses("normal_initializer", {"-1"}, [] { normal_initializer(-1); }));
}

TEST(Initializers, LayersTakeThem) {
  Generator generator(9);
  Dense dense({.in_features = 3, .units = 2, .kernel_initializer = constant_initializer(0.5)}, generator);
  EXPECT_TRUE(equal(dense.kernel, full({3, 2}, 0.5)));
  Conv2D conv({.in_channels = 2, .filters = 3, .kernel_size = 3, .kernel_initializer = orthogonal},
              generator);
  const Tensor q = reshape(stop_gradient(conv.kernel), {18, 3});
  EXPECT_NEAR(matmul(q, q, {.transpose_a = true}).at({1, 1}), 1, 1e-6);
  Conv2DTranspose transposed(
      {.in_channels = 2, .filters = 3, .kernel_size = 1, .kernel_initializer = constant_initializer(2)},
      generator);
  EXPECT_TRUE(equal(transposed.kernel, full({1, 1, 3, 2}, 2)));
  DepthwiseConv2D depthwise(
      {.in_channels = 2, .kernel_size = 1, .kernel_initializer = constant_initializer(3)}, generator);
  EXPECT_TRUE(equal(depthwise.kernel, full({1, 1, 2, 1}, 3)));
  const Initializer ones_own = [](const Shape&, Generator&, DType) { return ones({2}); };
  EXPECT_TRUE(refuses("Dense", {"kernel_initializer", "[2]", "[3, 2]"}, [&] {
    Dense({.in_features = 3, .units = 2, .kernel_initializer = ones_own}, generator);
  }));
  EXPECT_TRUE(refuses("Dense", {"kernel_initializer", "empty"}, [&] {
    Dense({.in_features = 3, .units = 2, .kernel_initializer = nullptr}, generator);
  }));
}

}  // namespace
}  // namespace tapegrad::testing
