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

TEST(Pooling, ErrorsSpeakOfTheWindow) {
  const Tensor x = ones({1, 2, 5, 1});
  const auto each = [&](const Pool2DOptions& options, std::initializer_list<std::string_view> words) {
    const auto refused = [&](const char* op, auto f) {
      EXPECT_TRUE(refuses(op, words, f));
      try {
        f();
      } catch (const Error& error) {
        EXPECT_EQ(error.message().find("filter"), std::string::npos) << error.what();
      }
    };
    refused("max_pool2d", [&] { (void)max_pool2d(x, options); });
    refused("avg_pool2d", [&] { (void)avg_pool2d(x, options); });
    refused("MaxPooling2D", [&] { (void)MaxPooling2D(options)(x); });
  };
  each({.pool_size = 3}, {"window of 3 x 3", "[1, 2, 5, 1]", "VALID", "smaller window", "pad more"});
  each({.pool_size = {2, 9}, .padding = Padding::Explicit(0, 0, 1, 2)}, {"2 x 9", "EXPLICIT{0,0,1,2}"});
  each({.pool_size = {2, index_t{1} << 40}, .padding = Padding::Same}, {"pool_size", "1099511627776"});
  each({.strides = Size2D(index_t{1} << 40, 1)}, {"strides", "1099511627776"});
  EXPECT_EQ(max_pool2d(x, {.pool_size = {3, 8}, .padding = Padding::Explicit(1, 0, 1, 2)}).shape().str(),
            "[1, 1, 1, 1]");
  EXPECT_EQ(max_pool2d(x, {.pool_size = 2, .strides = 1, .padding = Padding::Full}).shape().str(),
            "[1, 3, 6, 1]");
}

}  // namespace
}  // namespace tapegrad::testing
