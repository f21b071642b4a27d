#include "tapegrad/nn/activations.h"

#include <gtest/gtest.h>

#include <functional>
#include <type_traits>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/ops/activation.h"

namespace tapegrad::testing {
namespace {

TEST(Activations, LayersAreTheirOps) {
  Generator generator(1);
  const Tensor x = uniform({3, 4}, -2, 2, generator);
  EXPECT_TRUE(equal(ReLU()(x), relu(x)));
  EXPECT_TRUE(equal(LeakyReLU()(x), leaky_relu(x)));
  EXPECT_TRUE(equal(LeakyReLU(0.3)(x), leaky_relu(x, 0.3)));
  EXPECT_TRUE(equal(ELU()(x), elu(x, 1)));
  EXPECT_TRUE(equal(ELU(0.5)(x), elu(x, 0.5)));
  EXPECT_TRUE(equal(SELU()(x), selu(x)));
  EXPECT_TRUE(equal(GELU()(x), gelu(x)));
  EXPECT_TRUE(equal(GELU({.approximate = true})(x), gelu_tanh(x)));
  EXPECT_TRUE(equal(SiLU()(x), silu(x)));
  EXPECT_TRUE(equal(Sigmoid()(x), sigmoid(x)));
  EXPECT_TRUE(equal(Softplus()(x), softplus(x)));
  EXPECT_TRUE(equal(Tanh()(x), tanh(x)));
  EXPECT_TRUE(equal(Softmax()(x), softmax(x)));
  EXPECT_TRUE(equal(Softmax(0)(x), softmax(x, 0)));
}

TEST(Activations, LambdaIsAnyFunction) {
  Lambda twice([factor = 2.0](const Tensor& x) { return factor * x; });
  EXPECT_TRUE(equal(twice(tensor({1, 2})), tensor({2, 4})));
  EXPECT_TRUE(twice.state().tensors.empty());
  EXPECT_TRUE(refuses("Lambda", {"empty"}, [] { Lambda(nullptr); }));
}

TEST(Activations, AsAnOptionOfLayers) {
  Generator generator(2);
  Dense layer({.in_features = 3, .units = 2, .activation = gelu}, generator);
  Dense own({.in_features = 3, .units = 2, .activation = [](const Tensor& x) { return softmax(x, 0); }},
            generator);
  const Tensor x = uniform({4, 3}, -1, 1, generator);
  EXPECT_TRUE(equal(layer(x), gelu(matmul(x, layer.kernel) + layer.bias)));
  EXPECT_TRUE(equal(own(x), softmax(matmul(x, own.kernel) + own.bias, 0)));
}

// One slope, PyTorch's and JAX's, whether the layer or the function is used.
TEST(Activations, LeakyReluHasOneSlope) {
  EXPECT_TRUE(equal(LeakyReLU()(tensor({-100, 2})), tensor({-1, 2})));
  EXPECT_TRUE(equal(leaky_relu(tensor({-100, 2})), tensor({-1, 2})));
}

Tensor own_function(const Tensor& x) {
  return 3.0 * x;
}

TEST(Activations, AnyFunctionOfATensorIsOne) {
  const Tensor x = tensor({{-1, 2}, {0.5, -3}});
  const auto expect_is = [&](const Activation& activation, const Tensor& y) {
    EXPECT_TRUE(activation);
    EXPECT_TRUE(equal(activation(x), y));
  };
  expect_is(relu, relu(x));
  expect_is(tanh, tanh(x));
  expect_is(leaky_relu, leaky_relu(x, 0.01));
  expect_is(elu, elu(x, 1));
  expect_is(softmax, softmax(x, -1));
  expect_is(log_softmax, log_softmax(x, -1));
  expect_is(own_function, 3.0 * x);
  expect_is([](const Tensor& v) { return leaky_relu(v, 0.5); }, leaky_relu(x, 0.5));
  const double slope = 0.25;
  expect_is([slope](const Tensor& v) { return leaky_relu(v, slope); }, leaky_relu(x, 0.25));
  expect_is([](Tensor v) { return -v; }, -x);
  expect_is(std::function<Tensor(const Tensor&)>(own_function), 3.0 * x);
  expect_is(LeakyReLU(0.125), leaky_relu(x, 0.125));
  expect_is(Softmax(0), softmax(x, 0));
  EXPECT_FALSE(Activation());
  EXPECT_FALSE(Activation(nullptr));
  EXPECT_TRUE(equal(Activation()(x), x));
  EXPECT_TRUE(refuses("Activation", {"empty"}, [] { Activation(std::function<Tensor(const Tensor&)>()); }));
  static_assert(!std::is_constructible_v<Activation, int> && !std::is_constructible_v<Activation, Tensor>);
}

// relu is computed by the convolution, in whatever way it is given: one node, no second activation.
TEST(Activations, ReluIsFusedHoweverItIsGiven) {
  Generator generator(3);
  const Tensor image = uniform({1, 4, 4, 1}, -1, 1, generator);
  const auto nodes = [&](const Activation& activation) {
    Conv2D conv({.in_channels = 1, .filters = 2, .kernel_size = 3, .activation = activation}, generator);
    Tape tape;
    conv(image);
    return tape.graph().nodes.size();
  };
  const std::size_t without = nodes(nullptr);
  EXPECT_EQ(nodes(relu), without);
  EXPECT_EQ(nodes(ReLU()), without);
  EXPECT_EQ(nodes(Activation(Lambda(relu))), without);
  EXPECT_EQ(nodes(sigmoid), without + 1);
  EXPECT_FALSE(Activation(leaky_relu).is_relu());
}

}  // namespace
}  // namespace tapegrad::testing
