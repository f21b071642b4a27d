#include "tapegrad/nn/pooling.h"

#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/ops/resize.h"

namespace tapegrad::testing {
namespace {

TEST(PoolingOracle, TensorFlowJs) {
  std::map<std::string, int> run;
  for (const OracleCase& c : read_oracle("tfjs_layers")) {
    if (c.has("kernel")) continue;  // convolutions
    ++run[c.op];
    for (const DType dtype : {DType::Float32, DType::Float64}) {
      const Tensor x = c.tensor("x", dtype);
      Tensor y;
      if (c.op == "layer_upsampling2d") {
        ASSERT_EQ(c.text("interpolation"), "nearest");
        y = UpSampling2D({.size = size_attribute(c, "size")})(x);
      } else {
        const Pool2DOptions options = {
            .pool_size = size_attribute(c, "pool"),
            .strides = size_attribute(c, "strides"),
            .padding = c.text("padding") == "SAME" ? Padding::Same : Padding::Valid};
        y = c.op == "layer_max_pooling2d" ? MaxPooling2D(options)(x) : AveragePooling2D(options)(x);
      }
      expect_close(y, c, "y", 1e-6);
    }
  }
  const std::map<std::string, int> expected = {
      {"layer_average_pooling2d", 8}, {"layer_max_pooling2d", 8}, {"layer_upsampling2d", 2}};
  EXPECT_EQ(run, expected);
}

TEST(Pooling, Defaults) {
  Generator generator(1);
  const Tensor x = uniform({2, 5, 7, 3}, -1, 1, generator);
  EXPECT_EQ(MaxPooling2D()(x).shape().str(), "[2, 2, 3, 3]");
  EXPECT_EQ(AveragePooling2D()(x).shape().str(), "[2, 2, 3, 3]");
  EXPECT_EQ(UpSampling2D()(x).shape().str(), "[2, 10, 14, 3]");
}

TEST(Pooling, Global) {
  Generator generator(1);
  const Tensor x = uniform({2, 5, 7, 3}, -1, 1, generator);
  EXPECT_TRUE(equal(GlobalAveragePooling2D()(x), mean(x, {1, 2})));
  EXPECT_TRUE(equal(GlobalAveragePooling2D({.keepdims = true})(x), mean(x, {1, 2}, {.keepdims = true})));
  EXPECT_TRUE(equal(GlobalMaxPooling2D()(x), max(x, {1, 2})));
  EXPECT_TRUE(equal(GlobalMaxPooling2D({.keepdims = true})(x), max(x, {1, 2}, {.keepdims = true})));
}

TEST(Pooling, Bilinear) {
  Generator generator(1);
  const Tensor x = uniform({2, 3, 4, 3}, -1, 1, generator);
  UpSampling2D layer({.size = {3, 2}, .interpolation = Interpolation::Bilinear});
  EXPECT_TRUE(equal(layer(x), upsample_bilinear(x, {3, 2})));
  EXPECT_FALSE(equal(layer(x), UpSampling2D({.size = {3, 2}})(x)));
}

// <max_pool(x), g> and <avg_pool(x), g> move with x as the gradients say.
TEST(Pooling, Gradients) {
  Generator generator(2);
  const Tensor x = uniform({2, 5, 6, 2}, -1, 1, generator, DType::Float64);
  const Pool2DOptions options = {.pool_size = 3, .strides = Size2D(2, 1), .padding = Padding::Same};
  MaxPooling2D largest(options);
  AveragePooling2D average(options);
  UpSampling2D nearest, bilinear({.interpolation = Interpolation::Bilinear});
  for (Module* layer : {static_cast<Module*>(&largest), static_cast<Module*>(&average),
                        static_cast<Module*>(&nearest), static_cast<Module*>(&bilinear)}) {
    const GradcheckReport report = gradcheck([&](const auto& in) { return (*layer)(in[0]); }, {x});
    EXPECT_TRUE(report.passed) << report.str();
  }
}

}  // namespace
}  // namespace tapegrad::testing
