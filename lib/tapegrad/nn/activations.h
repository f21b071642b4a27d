#pragma once

// Activation, an option of Dense and the convolutions, and activations as layers of their own (ReLU, GELU, ...).

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "tapegrad/nn/module.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Lambda;

/// The function that a layer applies to its result; none by default. Any function of one tensor: a name (relu,
/// leaky_relu, softmax; of an overloaded function the overload that takes a tensor alone), a lambda with or without
/// captures, a std::function, or one of the layers below (LeakyReLU(0.1)). Convolutions compute relu and ReLU() in the
/// same pass as the convolution.
class Activation {
 public:
  Activation() = default;
  Activation(std::nullptr_t) {}
  Activation(Tensor (*function)(const Tensor&))
      : function_(function), is_relu_(function == static_cast<Tensor (*)(const Tensor&)>(relu)) {}
  /// Throws when the function is empty.
  template <class F>
  requires(!std::same_as<F, Activation> && !std::derived_from<F, Module> && std::copy_constructible<F> &&
           std::is_invocable_r_v<Tensor, F&, const Tensor&>) Activation(F function)
      : function_(std::move(function)) {
    if (!function_) refuse_empty();
  }
  Activation(const Lambda& layer);

  /// Whether there is an activation.
  explicit operator bool() const { return static_cast<bool>(function_); }
  bool is_relu() const { return is_relu_; }
  /// The activation of x; x itself if there is no activation.
  [[nodiscard]] Tensor operator()(const Tensor& x) const { return function_ ? function_(x) : x; }

 private:
  [[noreturn]] static void refuse_empty();

  std::function<Tensor(const Tensor&)> function_;
  bool is_relu_ = false;
};

/// Any function of a tensor as a layer: Lambda(relu), Lambda([](const Tensor& x) { return 2.0 * x; }).
class Lambda : public Module {
 public:
  /// Throws when the function is empty.
  explicit Lambda(Activation function);
  Lambda(const Lambda& other, Cloning) : function_(other.function_), name_(other.name_) {}
  Tensor forward(const Tensor& x) override;

 protected:
  /// A layer of this name, which errors name.
  Lambda(const char* name, Activation function);

 private:
  friend class Activation;
  Activation function_;
  const char* name_ = nullptr;
};

// Activations as layers. ops/elementwise.h and ops/activation.h define the functions that they compute. Each declares
// forward() anew, so that its virtual table is the library's, with RTTI, also for programs without.

struct ReLU : Lambda {
  ReLU();
  ReLU(const ReLU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct LeakyReLU : Lambda {
  explicit LeakyReLU(double negative_slope = kNegativeSlope);
  LeakyReLU(const LeakyReLU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct ELU : Lambda {
  explicit ELU(double alpha = 1);
  ELU(const ELU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct SELU : Lambda {
  SELU();
  SELU(const SELU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct GELUOptions {
  /// Compute gelu_tanh, the approximation by tanh.
  bool approximate = false;
};
struct GELU : Lambda {
  explicit GELU(const GELUOptions& options = {});
  GELU(const GELU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct SiLU : Lambda {
  SiLU();
  SiLU(const SiLU& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct Sigmoid : Lambda {
  Sigmoid();
  Sigmoid(const Sigmoid& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct Softplus : Lambda {
  Softplus();
  Softplus(const Softplus& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct Tanh : Lambda {
  Tanh();
  Tanh(const Tanh& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};
struct Softmax : Lambda {
  explicit Softmax(int axis = -1);
  Softmax(const Softmax& other, Cloning cloning) : Lambda(other, cloning) {}
  Tensor forward(const Tensor& x) override;
};

}  // namespace v0
}  // namespace tapegrad
