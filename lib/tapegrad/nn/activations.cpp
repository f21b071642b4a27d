#include "tapegrad/nn/activations.h"

#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/elementwise.h"

namespace tapegrad::inline v0 {

Activation::Activation(const Lambda& layer) : Activation(layer.function_) {}

void Activation::refuse_empty() {
  fail("Activation", "the function must not be empty: leave the activation out for none");
}

Lambda::Lambda(Activation function) : function_(std::move(function)) {
  if (!function_) fail("Lambda", "the function must not be empty");
}

ReLU::ReLU() : Lambda(relu) {}
LeakyReLU::LeakyReLU(double negative_slope)
    : Lambda([negative_slope](const Tensor& x) { return leaky_relu(x, negative_slope); }) {}
ELU::ELU(double alpha) : Lambda([alpha](const Tensor& x) { return elu(x, alpha); }) {}
SELU::SELU() : Lambda(selu) {}
GELU::GELU(const GELUOptions& options) : Lambda(options.approximate ? gelu_tanh : gelu) {}
SiLU::SiLU() : Lambda(silu) {}
Sigmoid::Sigmoid() : Lambda(sigmoid) {}
Softplus::Softplus() : Lambda(softplus) {}
Tanh::Tanh() : Lambda(static_cast<Tensor (*)(const Tensor&)>(tanh)) {}
Softmax::Softmax(int axis) : Lambda([axis](const Tensor& x) { return softmax(x, axis); }) {}

}  // namespace tapegrad::inline v0
