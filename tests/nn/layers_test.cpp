#include "tapegrad/nn/layers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/nn/activations.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/nn/pooling.h"

namespace tapegrad::testing {
namespace {

class Layers : public ::testing::Test {
 protected:
  Tensor draw(const Shape& shape) { return uniform(shape, -1, 1, generator); }
  Generator generator{9};
};

TEST_F(Layers, DenseIsItsSums) {
  Dense layer({.in_features = 3, .units = 2, .activation = sigmoid}, generator);
  layer.bias.set({1}, 0.5);
  const Tensor x = draw({4, 3}), y = layer(x);
  ASSERT_EQ(y.shape().str(), "[4, 2]");
  for (index_t n = 0; n < 4; ++n)
    for (index_t u = 0; u < 2; ++u) {
      double total = layer.bias.at({u});
      for (index_t k = 0; k < 3; ++k) total += x.at({n, k}) * layer.kernel.at({k, u});
      EXPECT_NEAR(y.at({n, u}), 1 / (1 + std::exp(-total)), 1e-6);
    }
}

TEST_F(Layers, WithoutBiasThereIsNone) {
  Dense dense({.in_features = 3, .units = 2, .use_bias = false}, generator);
  Conv2D conv({.in_channels = 1, .filters = 2, .kernel_size = 1, .use_bias = false}, generator);
  Conv2DTranspose transposed({.in_channels = 1, .filters = 2, .kernel_size = 1, .use_bias = false},
                             generator);
  DepthwiseConv2D depthwise({.in_channels = 2, .kernel_size = 1, .use_bias = false}, generator);
  for (Module* module : std::initializer_list<Module*>{&dense, &conv, &transposed, &depthwise}) {
    ASSERT_EQ(module->state().tensors.size(), 1u);
    EXPECT_EQ(module->state().tensors[0].first, "kernel");
  }
  const Tensor x = draw({4, 3});
  EXPECT_TRUE(equal(dense(x), matmul(x, dense.kernel)));
}

TEST_F(Layers, ConvolutionsHandTheirOptionsOn) {
  const Tensor x = draw({2, 7, 6, 4});
  Conv2D conv({.in_channels = 4,
               .filters = 6,
               .kernel_size = {3, 2},
               .strides = {2, 1},
               .padding = Padding::Explicit(1, 0, 2, 1),
               .dilations = {1, 2},
               .groups = 2,
               .activation = tanh},
              generator);
  EXPECT_EQ(conv.kernel.shape().str(), "[3, 2, 2, 6]");
  conv.bias.set({3}, 0.75);
  const Conv2DOptions options = {
      .strides = {2, 1}, .padding = Padding::Explicit(1, 0, 2, 1), .dilations = {1, 2}, .groups = 2};
  expect_close(conv(x), tanh(conv2d(x, conv.kernel, options) + conv.bias), 1e-6, "conv");

  Conv2DTranspose transposed({.in_channels = 4,
                              .filters = 6,
                              .kernel_size = {3, 2},
                              .strides = {3, 2},
                              .padding = Padding::Same,
                              .output_padding = Size2D(1, 0),
                              .dilations = {1, 2},
                              .groups = 2,
                              .activation = relu},
                             generator);
  EXPECT_EQ(transposed.kernel.shape().str(), "[3, 2, 3, 4]");
  transposed.bias.set({5}, -0.25);
  const Conv2DTransposeOptions back = {.strides = {3, 2},
                                       .padding = Padding::Same,
                                       .dilations = {1, 2},
                                       .groups = 2,
                                       .output_padding = Size2D(1, 0)};
  expect_close(transposed(x), relu(conv2d_transpose(x, transposed.kernel, back) + transposed.bias), 1e-6,
               "transposed");
}

TEST_F(Layers, DepthwiseConvolvesEveryChannelAlone) {
  constexpr index_t kChannels = 3, kMultiplier = 2;
  DepthwiseConv2D layer({.in_channels = kChannels,
                         .kernel_size = {3, 2},
                         .strides = {1, 2},
                         .padding = Padding::Same,
                         .depth_multiplier = kMultiplier,
                         .dilations = {2, 1}},
                        generator);
  ASSERT_EQ(layer.kernel.shape().str(), "[3, 2, 3, 2]");
  ASSERT_EQ(layer.bias.shape().str(), "[6]");
  layer.bias.set({4}, 0.5);
  const Tensor x = draw({2, 5, 6, kChannels}), y = layer(x);
  for (index_t c = 0; c < kChannels; ++c)
    for (index_t m = 0; m < kMultiplier; ++m) {
      const Tensor channel = slice(x, {{}, {}, {}, {c, c + 1}});
      const Tensor filter = slice(layer.kernel, {{}, {}, {c, c + 1}, {m, m + 1}});
      const Tensor alone =
          conv2d(channel, filter, {.strides = {1, 2}, .padding = Padding::Same, .dilations = {2, 1}});
      const index_t at = c * kMultiplier + m;
      expect_close(slice(y, {{}, {}, {}, {at, at + 1}}), alone + layer.bias.at({at}), 1e-6,
                   "channel " + std::to_string(c) + ", filter " + std::to_string(m));
    }
}

TEST_F(Layers, FlattenAndReshapeKeepTheBatch) {
  const Tensor x = draw({2, 3, 4, 5});
  EXPECT_TRUE(equal(Flatten()(x), reshape(x, {2, 60})));
  EXPECT_EQ(Flatten()(draw({3})).shape().str(), "[3, 1]");
  EXPECT_EQ(Flatten()(draw({0, 3, 4})).shape().str(), "[0, 12]");
  EXPECT_TRUE(equal(Reshape({5, 12})(x), reshape(x, {2, 5, 12})));
  EXPECT_EQ(Reshape({-1, 6})(x).shape().str(), "[2, 10, 6]");
  EXPECT_EQ(Reshape({})(draw({3, 1})).shape().str(), "[3]");
  EXPECT_EQ(Reshape({-1})(draw({0, 5, 5, 3})).shape().str(), "[0, 75]");  // of no samples as of one
  EXPECT_EQ(Reshape({5, -1})(draw({0, 5, 5, 3})).shape().str(), "[0, 5, 15]");
  EXPECT_TRUE(refuses("Reshape", {"[0, 5, 3]", "[0, 7, -1]"}, [&] { Reshape({7, -1})(draw({0, 5, 3})); }));
  EXPECT_TRUE(refuses("Reshape", {"[2, 7]"}, [&] { Reshape({7})(x); }));
  EXPECT_TRUE(refuses("Flatten", {"batch"}, [&] { Flatten()(draw({})); }));
  EXPECT_TRUE(refuses("Reshape", {"batch"}, [&] { Reshape({1})(draw({})); }));
}

// Glorot and Bengio's limit sqrt(6 / (fan in + fan out)): all values within, and near both ends of it.
TEST_F(Layers, GlorotLimits) {
  struct Case {
    Tensor kernel;
    double fans;
  };
  const Case cases[] = {
      {Dense({.in_features = 40, .units = 30}, generator).kernel, 70},
      {Conv2D({.in_channels = 8, .filters = 12, .kernel_size = {3, 5}}, generator).kernel, 15 * 20},
      {Conv2DTranspose({.in_channels = 8, .filters = 12, .kernel_size = {3, 5}}, generator).kernel, 15 * 20},
      {DepthwiseConv2D({.in_channels = 32, .kernel_size = 3, .depth_multiplier = 4}, generator).kernel,
       9 * 36},
      {glorot_uniform({40, 30}, generator, DType::Float64), 70}};
  for (const auto& [kernel, fans] : cases) {
    const double limit = std::sqrt(6 / fans);
    double lowest = 0, highest = 0, total = 0;
    const Tensor wide = cast(stop_gradient(kernel), DType::Float64);
    for (const double value : wide.values<double>()) {
      lowest = std::min(lowest, value);
      highest = std::max(highest, value);
      total += value;
    }
    SCOPED_TRACE(kernel.shape().str());
    EXPECT_GE(lowest, -limit);
    EXPECT_LE(highest, limit);
    EXPECT_LT(lowest, -0.98 * limit);
    EXPECT_GT(highest, 0.98 * limit);
    EXPECT_NEAR(total / static_cast<double>(wide.size()), 0, 0.1 * limit);
  }
  EXPECT_TRUE(refuses("glorot_uniform", {"[3]", "two axes"}, [&] { (void)glorot_uniform({3}, generator); }));
}

TEST_F(Layers, NewLayersAreParametersWithZeroBias) {
  Conv2D layer({.in_channels = 2, .filters = 3, .kernel_size = 3}, generator);
  EXPECT_TRUE(layer.kernel.is_parameter());
  EXPECT_TRUE(layer.bias.is_parameter());
  EXPECT_EQ(layer.kernel.dtype(), DType::Float32);
  EXPECT_TRUE(equal(layer.bias, zeros({3})));
  Generator again(9), same(9);
  EXPECT_TRUE(equal(Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 1}, again).kernel,
                    Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 1}, same).kernel));
}

TEST_F(Layers, WrongOptions) {
  EXPECT_TRUE(
      refuses("Dense", {"in_features must be at least 1", "got 0"}, [&] { Dense({.units = 2}, generator); }));
  EXPECT_TRUE(refuses("Dense", {"units", "got 0"}, [&] { Dense({.in_features = 2}, generator); }));
  EXPECT_TRUE(refuses("Conv2D", {"in_channels", "got 0"}, [&] { Conv2D({.filters = 2}, generator); }));
  EXPECT_TRUE(refuses("Conv2D", {"filters", "got -1"},
                      [&] { Conv2D({.in_channels = 1, .filters = -1}, generator); }));
  EXPECT_TRUE(refuses("Conv2D", {"in_channels", "groups (2)", "got 3"},
                      [&] { Conv2D({.in_channels = 3, .filters = 2, .groups = 2}, generator); }));
  EXPECT_TRUE(refuses("Conv2D", {"groups", "got 0"},
                      [&] { Conv2D({.in_channels = 3, .filters = 2, .groups = 0}, generator); }));
  EXPECT_TRUE(refuses("Conv2DTranspose", {"filters", "groups (2)", "got 3"},
                      [&] { Conv2DTranspose({.in_channels = 2, .filters = 3, .groups = 2}, generator); }));
  EXPECT_TRUE(refuses("DepthwiseConv2D", {"depth_multiplier", "got 0"},
                      [&] { DepthwiseConv2D({.in_channels = 2, .depth_multiplier = 0}, generator); }));
}

// What would leave no taps, or no pixel to step to, is a mistake in the layer, found when it is made.
TEST_F(Layers, WrongSizesAreFoundWhenTheLayerIsMade) {
  EXPECT_TRUE(refuses("Conv2D", {"kernel_size", "at least 1"}, [&] {
    Conv2D({.in_channels = 1, .filters = 1, .kernel_size = {0, 3}}, generator);
  }));
  EXPECT_TRUE(refuses("Conv2DTranspose", {"kernel_size", "at least 1"}, [&] {
    Conv2DTranspose({.in_channels = 1, .filters = 1, .kernel_size = -1}, generator);
  }));
  EXPECT_TRUE(refuses("DepthwiseConv2D", {"kernel_size", "at least 1"}, [&] {
    DepthwiseConv2D({.in_channels = 1, .kernel_size = {3, 0}}, generator);
  }));
}

// A filter of 1 x 1 by default would be a convolution that sees no neighbour, without a word.
TEST_F(Layers, KernelSizeMustBeGiven) {
  EXPECT_TRUE(refuses("Conv2D", {"kernel_size must be given"},
                      [&] { Conv2D({.in_channels = 1, .filters = 2}, generator); }));
  EXPECT_TRUE(refuses("Conv2DTranspose", {"kernel_size must be given"},
                      [&] { Conv2DTranspose({.in_channels = 1, .filters = 2}, generator); }));
  EXPECT_TRUE(refuses("DepthwiseConv2D", {"kernel_size must be given"},
                      [&] { DepthwiseConv2D({.in_channels = 1}, generator); }));
}

TEST_F(Layers, DenseWorksAlongTheLastAxis) {
  Dense dense({.in_features = 3, .units = 2, .activation = softmax}, generator);
  const Tensor x = draw({2, 4, 5, 3}), y = dense(x);
  ASSERT_EQ(y.shape().str(), "[2, 4, 5, 2]");
  expect_close(y, reshape(dense(reshape(x, {40, 3})), {2, 4, 5, 2}), 0, "rows");
  EXPECT_TRUE(equal(dense(reshape(slice(x, 0, 1), {20, 3})), reshape(slice(y, 0, 1), {20, 2})));
  const Tensor vector = draw({3});
  EXPECT_TRUE(equal(dense(vector), reshape(dense(reshape(vector, {1, 3})), 2)));
  EXPECT_EQ(dense(zeros({0, 3})).shape().str(), "[0, 2]");
  EXPECT_EQ(dense(zeros({2, 0, 3})).shape().str(), "[2, 0, 2]");
}

TEST_F(Layers, BiasesBeginAsTheirInitializerSays) {
  Dense dense({.in_features = 3, .units = 2, .bias_initializer = constant_initializer(0.5)}, generator);
  EXPECT_TRUE(equal(dense.bias, tensor({0.5, 0.5})));
  EXPECT_TRUE(dense.bias.is_parameter());
  const Initializer drawn = normal_initializer(1);
  Conv2D conv({.in_channels = 1, .filters = 2, .kernel_size = 1, .bias_initializer = drawn}, generator);
  Conv2DTranspose transposed({.in_channels = 1, .filters = 2, .kernel_size = 1, .bias_initializer = drawn},
                             generator);
  DepthwiseConv2D depthwise({.in_channels = 2, .kernel_size = 1, .bias_initializer = drawn}, generator);
  for (const Tensor& bias : {conv.bias, transposed.bias, depthwise.bias})
    EXPECT_NE(bias.at({0}), bias.at({1}));
  EXPECT_TRUE(refuses("Dense", {"initializer"}, [&] {
    Dense({.in_features = 3, .units = 2, .bias_initializer = nullptr}, generator);
  }));
}

// 368 x 489 from stride 8 (Keras issue 13231): neither the natural size nor one that output_padding reaches.
TEST_F(Layers, TransposedConvolutionsTakeAnOutputShape) {
  Conv2DTranspose layer({.in_channels = 2,
                         .filters = 1,
                         .kernel_size = 16,
                         .strides = 8,
                         .padding = Padding::Same,
                         .output_shape = std::vector<index_t>{368, 489}},
                        generator);
  const Tensor x = draw({1, 46, 62, 2}), y = layer(x);
  EXPECT_EQ(y.shape().str(), "[1, 368, 489, 1]");
  expect_close(y,
               conv2d_transpose(
                   x, layer.kernel,
                   {.strides = 8, .padding = Padding::Same, .output_shape = std::vector<index_t>{368, 489}}) +
                   layer.bias,
               1e-6, "result");
  Conv2DTranspose wrong({.in_channels = 2,
                         .filters = 1,
                         .kernel_size = 16,
                         .strides = 8,
                         .padding = Padding::Same,
                         .output_shape = std::vector<index_t>{360, 489}},
                        generator);
  EXPECT_TRUE(refuses("Conv2DTranspose", {"360", "361 to 368"}, [&] { wrong(x); }));
}

TEST_F(Layers, WrongInputs) {
  Dense dense({.in_features = 3, .units = 2}, generator), flat({.in_features = 12, .units = 2}, generator);
  EXPECT_TRUE(refuses("Dense", {"[..., 3]", "[4, 5]"}, [&] { dense(ones({4, 5})); }));
  EXPECT_TRUE(refuses("Dense", {"[..., 12]", "[5, 2, 2, 3]", "Flatten"}, [&] { flat(ones({5, 2, 2, 3})); }));
  EXPECT_TRUE(refuses("Dense", {"[]"}, [&] { dense(ones({})); }));
  // A Flatten would help only where it makes the right size.
  EXPECT_FALSE(refuses("Dense", {"Flatten"}, [&] { dense(ones({5, 2, 2, 4})); }));
  EXPECT_TRUE(refuses("Dense", {"[5, 2, 2, 4]"}, [&] { dense(ones({5, 2, 2, 4})); }));
  Conv2D conv({.in_channels = 3, .filters = 2, .kernel_size = 3}, generator);
  EXPECT_TRUE(refuses("Conv2D", {"nchw_to_nhwc(x)"}, [&] { conv(ones({1, 3, 7, 7})); }));
  Conv2DTranspose transposed({.in_channels = 3, .filters = 2, .kernel_size = 3}, generator);
  EXPECT_TRUE(refuses("Conv2DTranspose", {"[1, 5, 5, 2], NHWC"}, [&] { transposed(ones({1, 5, 5, 2})); }));
  EXPECT_TRUE(refuses("Conv2DTranspose", {"output_padding", "2 x 2", "output_shape"}, [&] {
    Conv2DTranspose({.in_channels = 3, .filters = 2, .kernel_size = 2, .strides = 2, .output_padding = 2},
                    generator);
  }));
  DepthwiseConv2D depthwise({.in_channels = 3, .kernel_size = 3}, generator);
  EXPECT_TRUE(refuses("DepthwiseConv2D", {"[1, 5, 5, 2], NHWC"}, [&] { depthwise(ones({1, 5, 5, 2})); }));
  EXPECT_TRUE(refuses("DepthwiseConv2D", {"nchw_to_nhwc(x)"}, [&] { depthwise(ones({1, 3, 7, 7})); }));
}

// An error is that of the layer that was called, whatever op it calls.
TEST_F(Layers, ErrorsNameTheLayer) {
  const Tensor flat = ones({4, 5}), whole = ones({1, 5, 5, 2}, DType::Int32), image = ones({1, 5, 5, 2});
  const auto expect_named = [](const char* name, Module& layer, const Tensor& x) {
    EXPECT_TRUE(refuses(name, {x.shape().str()}, [&] { layer(x); }));
  };
  Dense dense({.in_features = 2, .units = 3}, generator);
  expect_named("Dense", dense, whole);
  Conv2D conv({.in_channels = 3, .filters = 2, .kernel_size = 3}, generator);
  expect_named("Conv2D", conv, image);
  EXPECT_TRUE(refuses("Conv2D", {"NHWC", "[3, 3, 3, 2], HWIO"}, [&] { conv(image); }));
  Conv2DTranspose transposed({.in_channels = 3, .filters = 2, .kernel_size = 3}, generator);
  expect_named("Conv2DTranspose", transposed, image);
  DepthwiseConv2D depthwise({.in_channels = 3, .kernel_size = 3}, generator);
  expect_named("DepthwiseConv2D", depthwise, image);
  Reshape reshaped({7});
  EXPECT_TRUE(refuses("Reshape", {"[4, 5]"}, [&] { reshaped(flat); }));
  Embedding embedding({.input_dim = 5, .output_dim = 2}, generator);
  expect_named("Embedding", embedding, flat);
  Dropout dropout(0.5, generator);
  expect_named("Dropout", dropout, whole);
  BatchNorm batch({.channels = 3});
  expect_named("BatchNorm", batch, flat);
  batch.eval();
  expect_named("BatchNorm", batch, flat);
  LayerNorm layer({.shape = {3}});
  expect_named("LayerNorm", layer, flat);
  GroupNorm group({.groups = 1, .channels = 3});
  expect_named("GroupNorm", group, flat);
  MaxPooling2D max_pooling;
  expect_named("MaxPooling2D", max_pooling, flat);
  AveragePooling2D average_pooling;
  expect_named("AveragePooling2D", average_pooling, flat);
  GlobalMaxPooling2D global_max;
  expect_named("GlobalMaxPooling2D", global_max, flat);
  GlobalAveragePooling2D global_average;
  expect_named("GlobalAveragePooling2D", global_average, flat);
  UpSampling2D up;
  expect_named("UpSampling2D", up, flat);
  const auto activation = [&](const char* name, auto&& made) { expect_named(name, made, whole); };
  activation("ReLU", ReLU());
  activation("LeakyReLU", LeakyReLU());
  activation("ELU", ELU());
  activation("SELU", SELU());
  activation("GELU", GELU());
  activation("SiLU", SiLU());
  activation("Sigmoid", Sigmoid());
  activation("Softplus", Softplus());
  activation("Tanh", Tanh());
  activation("Softmax", Softmax());
  ReLU original;
  expect_named("ReLU", *std::make_unique<ReLU>(clone(original)), whole);
  // What a function of the user's own throws is the user's.
  Lambda own([](const Tensor& x) { return relu(x); });
  EXPECT_TRUE(refuses("relu", {"Int32"}, [&] { own(whole); }));
}

}  // namespace
}  // namespace tapegrad::testing
