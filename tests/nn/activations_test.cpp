#include "tapegrad/nn/activations.h"

#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/ops/activation.h"

namespace tapegrad::testing {
namespace {

TEST(Activations, LayersAreTheirOps) {
  Generator generator(1);
  const Tensor x = uniform({3, 4}, -2, 2, generator);
  EXPECT_TRUE(equal(ReLU()(x), relu(x)));
  EXPECT_TRUE(equal(LeakyReLU()(x), leaky_relu(x, 0.3)));
  EXPECT_TRUE(equal(LeakyReLU(0.01)(x), leaky_relu(x, 0.01)));
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

}  // namespace
}  // namespace tapegrad::testing
