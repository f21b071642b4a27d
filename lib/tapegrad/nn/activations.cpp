#include "tapegrad/nn/activations.h"

#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/nn/layer_internal.h"
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

Lambda::Lambda(const char* name, Activation function) : function_(std::move(function)), name_(name) {}

Tensor Lambda::forward(const Tensor& x) {
  return name_ == nullptr ? function_(x) : detail::as_layer(name_, [&] { return function_(x); });
}

ReLU::ReLU() : Lambda("ReLU", relu) {}
LeakyReLU::LeakyReLU(double negative_slope)
    : Lambda("LeakyReLU", [negative_slope](const Tensor& x) { return leaky_relu(x, negative_slope); }) {
  detail::require_finite("LeakyReLU", "negative_slope", negative_slope);
}
ELU::ELU(double alpha) : Lambda("ELU", [alpha](const Tensor& x) { return elu(x, alpha); }) {
  detail::require_finite("ELU", "alpha", alpha);
}
SELU::SELU() : Lambda("SELU", selu) {}
GELU::GELU(const GELUOptions& options) : Lambda("GELU", options.approximate ? gelu_tanh : gelu) {}
SiLU::SiLU() : Lambda("SiLU", silu) {}
Sigmoid::Sigmoid() : Lambda("Sigmoid", sigmoid) {}
Softplus::Softplus() : Lambda("Softplus", softplus) {}
Tanh::Tanh() : Lambda("Tanh", static_cast<Tensor (*)(const Tensor&)>(tanh)) {}
Softmax::Softmax(int axis) : Lambda("Softmax", [axis](const Tensor& x) { return softmax(x, axis); }) {
  if (axis < -Shape::kMaxRank || axis >= Shape::kMaxRank)
    fail("Softmax", "axis must be in {} to {}, got {}", -Shape::kMaxRank, Shape::kMaxRank - 1, axis);
}

Tensor ReLU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor LeakyReLU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor ELU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor SELU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor GELU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor SiLU::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor Sigmoid::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor Softplus::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor Tanh::forward(const Tensor& x) {
  return Lambda::forward(x);
}
Tensor Softmax::forward(const Tensor& x) {
  return Lambda::forward(x);
}

}  // namespace tapegrad::inline v0
