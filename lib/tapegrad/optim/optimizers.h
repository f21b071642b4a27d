#pragma once

#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

/// Changes parameters in place, given their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// One update; gradients in the order of the parameters. Throws, and changes nothing, when their number, a
  /// shape or a dtype differs.
  void step(const std::vector<Tensor>& gradients);

  double learning_rate() const { return learning_rate_; }
  /// Throws when it is negative or not finite.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const { return steps_; }

  /// The number of steps, the learning rate, and what is remembered of the gradients.
  State state() const;
  /// Throws, and changes nothing, when a tensor or number is missing or has another shape or dtype.
  void load_state(const State& state);

 protected:
  /// memories: how many tensors of a parameter's shape are remembered for each parameter, all 0 at first.
  Optimizer(const char* name, std::vector<Tensor> parameters, double learning_rate, int memories);
  virtual void update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) = 0;

 private:
  const char* name_;
  std::vector<Tensor> parameters_;
  std::vector<std::vector<Tensor>> memory_;
  double learning_rate_ = 0;
  std::int64_t steps_ = 0;
};

struct SGDOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
};
/// Gradient descent: velocity = momentum velocity + g; p -= learning_rate velocity.
class SGD : public Optimizer {
 public:
  /// Throws unless all are parameters, and when an option is out of range.
  explicit SGD(std::vector<Tensor> parameters, const SGDOptions& options = {});

 private:
  void update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) override;
  double momentum_;
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
};
/// Kingma and Ba 2015, in PyTorch's form: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// p -= learning_rate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon).
class Adam : public Optimizer {
 public:
  /// Throws unless all are parameters, and when an option is out of range.
  explicit Adam(std::vector<Tensor> parameters, const AdamOptions& options = {});

 private:
  void update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) override;
  double beta1_, beta2_, epsilon_;
};

}  // namespace tapegrad
