#pragma once

#include <functional>

#include "tapegrad/nn/module.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Any function of a tensor as a layer: Lambda(relu), Lambda([](const Tensor& x) { return 2.0 * x; }).
class Lambda : public Module {
 public:
  /// Throws when the function is empty.
  explicit Lambda(std::function<Tensor(const Tensor&)> function);
  Tensor forward(const Tensor& x) override { return function_(x); }

 private:
  std::function<Tensor(const Tensor&)> function_;
};

// Activations as layers of their own; what they compute is said in ops/. Layers with parameters take one as
// an option too.

struct ReLU : Lambda {
  ReLU();
};
struct LeakyReLU : Lambda {
  explicit LeakyReLU(double negative_slope = 0.3);
};
struct ELU : Lambda {
  explicit ELU(double alpha = 1);
};
struct SELU : Lambda {
  SELU();
};
struct GELUOptions {
  /// Compute gelu_tanh, the approximation by tanh.
  bool approximate = false;
};
struct GELU : Lambda {
  explicit GELU(const GELUOptions& options = {});
};
struct SiLU : Lambda {
  SiLU();
};
struct Sigmoid : Lambda {
  Sigmoid();
};
struct Softplus : Lambda {
  Softplus();
};
struct Tanh : Lambda {
  Tanh();
};
struct Softmax : Lambda {
  explicit Softmax(int axis = -1);
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
