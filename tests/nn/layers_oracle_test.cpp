#include <gtest/gtest.h>

#include "oracle.h"

namespace tapegrad::testing {
namespace {

Activation activation(const OracleCase& c) {
  const std::string name = c.text("activation");
  if (name == "none") return nullptr;
  if (name == "relu") return relu;
  if (name == "sigmoid") return sigmoid;
  if (name == "tanh") return tanh;
  throw std::runtime_error(c.name + ": activation " + name);
}

Tensor run(Module& layer, const OracleCase& c, DType dtype) {
  layer.to(dtype);
  State weights;
  weights.tensors = {{"kernel", c.tensor("kernel")}, {"bias", c.tensor("bias")}};
  layer.load_state(weights);
  return layer(c.tensor("x", dtype));
}

// The size of the result is the layer's choice here.
TEST(LayersOracle, TensorFlowJs) {
  int run_cases[2] = {};
  Generator generator(1);
  for (const OracleCase& c : read_oracle("tfjs_layers")) {
    if (!c.has("kernel")) continue;  // pooling and upsampling
    const Conv2DOptions o = conv_options(c);
    const Shape kernel = c.tensor("kernel").shape();
    for (const DType dtype : {DType::Float32, DType::Float64}) {
      Tensor y;
      if (c.op == "layer_conv2d") {
        Conv2D layer({.in_channels = kernel[2],
                      .filters = kernel[3],
                      .kernel_size = {kernel[0], kernel[1]},
                      .strides = o.strides,
                      .padding = o.padding,
                      .dilations = o.dilations,
                      .activation = activation(c)},
                     generator);
        y = run(layer, c, dtype);
      } else {
        ASSERT_EQ(c.op, "layer_conv2d_transpose");
        Conv2DTranspose layer({.in_channels = kernel[3],
                               .filters = kernel[2],
                               .kernel_size = {kernel[0], kernel[1]},
                               .strides = o.strides,
                               .padding = o.padding,
                               .activation = activation(c)},
                              generator);
        y = run(layer, c, dtype);
      }
      expect_close(y, c, "y", 1e-6);
    }
    ++run_cases[c.op == "layer_conv2d_transpose"];
  }
  EXPECT_EQ(run_cases[0], 7);
  EXPECT_EQ(run_cases[1], 10);
}

}  // namespace
}  // namespace tapegrad::testing
