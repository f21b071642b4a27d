#pragma once

// Optimizers: SGD, Adam, AdamW, RMSprop, Adagrad.

#include <cstdint>
#include <string>
#include <vector>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/optim/parameter_list.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A group of parameters with options of its own:
///
///   Adam adam({{encoder.parameters(), {.learning_rate = 1e-4}}, {head.parameters(), {.learning_rate = 1e-3}}});
template <class Options>
struct ParameterGroup {
  ParameterList parameters = {};  ///< the tensors that are trained with these options
  Options options = {};           ///< of this group, as for an optimizer without groups
};

/// Where epsilon is added: as in PyTorch or as in Keras. The formulas of each optimizer show the difference. epsilon
/// must be positive, also after rounding to the parameters' dtype, as it keeps a gradient of 0 from being divided by 0.
enum class EpsilonConvention { PyTorch, Keras };

/// Changes parameters in place, given their gradients.
///
/// An optimizer trains the tensors that its constructor got: when the model is replaced (clone(), a move, to()), or
/// other layers are unfrozen, make a new optimizer.
///
/// Optimizers that keep squares of gradients (all but SGD) clamp finite elements of gradients whose squares would
/// overflow (beyond 2^63 in Float32, 2^511 in Float64), so that later steps still change the parameter. Infinity and
/// NaN are not clamped.
class Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// The parameters that are trained, group after group.
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// One update. gradients must hold one gradient for each parameter, in any order. Throws, and changes nothing, when a
  /// gradient belongs to a tensor that this optimizer does not train, or when a parameter has no gradient.
  void step(const Gradients& gradients);
  /// Plain tensors do not know their parameters: call step(Gradients(parameters, tensors)).
  void step(const std::vector<Tensor>& gradients) = delete;

  /// The learning rate of the first group, or of another one. Throws when there is no such group.
  [[nodiscard]] double learning_rate(std::size_t group = 0) const;
  /// Sets the learning rate of the first group. The rates of other groups keep their initial ratio to it, so that one
  /// schedule serves all groups; groups that all began with 0 have the ratio 1. Throws when the rate is negative or not
  /// finite.
  void set_learning_rate(double learning_rate);
  std::int64_t steps() const { return steps_; }

  /// The class of the optimizer, the number of steps, the learning rate, and the running averages of each parameter
  /// ("0.mean_square" for the first parameter; with named parameters "encoder.kernel.mean_square").
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// As state(), but with the tensors themselves, which the next step changes.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes nothing, when the state comes from an optimizer of another class or with other options, and
  /// when a tensor or number is missing or has another shape or dtype. Memories of parameters without names are told by
  /// their order alone: where their values show that some have changed places, it throws as well. Load the weights first:
  /// parameters that do not yet have the values of the state cannot show it, nor can those of an optimizer that has
  /// already made a step. Parameters with names (named_parameters()) need no such check.
  void load_state(const State& state);

 protected:
  explicit Optimizer(const char* name) : name_(name) {}
  /// memories: the names of the tensors that are kept for each parameter, of its shape, filled with `initial` at first.
  /// Throws unless all tensors are parameters, not frozen, and share no elements with each other or with those of
  /// earlier groups.
  void add_group(const ParameterList& parameters, double learning_rate, std::vector<const char*> memories,
                 double initial = 0);
  virtual void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
                      std::vector<Tensor>& memory) = 0;

 private:
  std::string key(std::size_t parameter) const;
  std::string described(std::size_t parameter) const;
  std::string memory_name(std::size_t parameter, std::size_t memory) const;
  [[nodiscard]] NamedTensors unnamed() const;
  void find_gradient_of_each(const Gradients& gradients);

  const char* name_;
  std::vector<Tensor> parameters_;
  std::vector<std::string> names_;                  // of each parameter; empty where it is not known
  std::vector<std::size_t> group_of_;               // of each parameter
  std::vector<std::size_t> gradient_of_;            // of each parameter, among those of the last step
  std::vector<std::vector<Tensor>> memory_;         // of each parameter
  std::vector<std::vector<const char*>> memories_;  // of each group: their names
  std::vector<double> ratios_;                      // of each group's learning rate to the first one's
  double learning_rate_ = 0;
  std::int64_t steps_ = 0;
};

// In all optimizers but AdamW, weight decay adds weight_decay p to the gradient g (an L2 penalty).

struct SGDOptions {
  double learning_rate = 1e-2;  ///< factor of the velocity in a step
  double momentum = 0;          ///< decay factor of the velocity, in [0, 1); 0: no velocity is kept
  bool nesterov = false;        ///< Nesterov's momentum; needs momentum above 0
  double weight_decay = 0;      ///< factor of the L2 penalty
};
/// Gradient descent: velocity = momentum velocity + g; p -= learning_rate velocity. With Nesterov's momentum,
/// which looks one step ahead, p -= learning_rate (g + momentum velocity).
class SGD : public Optimizer {
 public:
  using Group = ParameterGroup<SGDOptions>;
  /// As all optimizers, throws unless every tensor is a parameter and given once, and when an option is out of range.
  explicit SGD(const std::vector<Group>& groups);
  explicit SGD(const ParameterList& parameters, const SGDOptions& options = {})
      : SGD({Group{parameters, options}}) {}

 private:
  void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
              std::vector<Tensor>& memory) override;
  std::vector<SGDOptions> options_;
};

struct AdamOptions {
  double learning_rate = 1e-3;  ///< approximate size of a step
  /// Decay factors of the running means of the gradient and of its square, in [0, 1).
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;    ///< added to the divisor; positive
  double weight_decay = 0;  ///< factor of the L2 penalty
  bool amsgrad = false;     ///< AMSGrad: divide by the root of the largest mean square so far
  EpsilonConvention epsilon_convention = EpsilonConvention::PyTorch;  ///< where epsilon is added
};
/// Kingma and Ba 2015: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// p -= learning_rate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon). In Keras' convention
/// p -= learning_rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon): the same epsilon has more effect in
/// the first steps. AMSGrad (Reddi et al. 2018) divides by the largest v so far.
class Adam : public Optimizer {
 public:
  using Group = ParameterGroup<AdamOptions>;
  explicit Adam(const std::vector<Group>& groups) : Adam("Adam", groups, false) {}
  explicit Adam(const ParameterList& parameters, const AdamOptions& options = {})
      : Adam({Group{parameters, options}}) {}

 protected:
  Adam(const char* name, const std::vector<Group>& groups, bool decoupled);
  void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
              std::vector<Tensor>& memory) override;

 private:
  std::vector<AdamOptions> options_;
  bool decoupled_;  // the weight decay from the gradient
};

struct AdamWOptions {
  double learning_rate = 1e-3;  ///< approximate size of a step
  /// Decay factors of the running means of the gradient and of its square, in [0, 1).
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;       ///< added to the divisor; positive
  double weight_decay = 1e-2;  ///< factor of the decoupled weight decay
  bool amsgrad = false;        ///< AMSGrad: divide by the root of the largest mean square so far
  EpsilonConvention epsilon_convention = EpsilonConvention::PyTorch;  ///< where epsilon is added
};
/// Loshchilov and Hutter 2019: p *= 1 - learning_rate weight_decay, followed by a step of Adam; the gradient itself is
/// not changed by weight decay.
class AdamW : public Adam {
 public:
  using Group = ParameterGroup<AdamWOptions>;
  explicit AdamW(const std::vector<Group>& groups);
  explicit AdamW(const ParameterList& parameters, const AdamWOptions& options = {})
      : AdamW({Group{parameters, options}}) {}

 private:
  void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
              std::vector<Tensor>& memory) override;
};

struct RMSpropOptions {
  double learning_rate = 1e-2;  ///< approximate size of a step
  double rho = 0.99;            ///< decay factor of the running mean of the gradient's square, in [0, 1)
  double epsilon = 1e-8;        ///< added to the divisor; positive
  double momentum = 0;          ///< decay factor of the velocity, in [0, 1); 0: no velocity is kept
  bool centered = false;        ///< divide by the standard deviation instead of the root of the mean square
  double weight_decay = 0;      ///< factor of the L2 penalty
  EpsilonConvention epsilon_convention = EpsilonConvention::PyTorch;  ///< where epsilon is added
};
/// Hinton's lecture of 2012: v = rho v + (1 - rho) g^2; s = g / (sqrt(v) + epsilon); p -= learning_rate s.
/// If centered is set (Graves 2013), v is replaced by v minus the square of a running mean of g. With momentum,
/// velocity = momentum velocity + s; p -= learning_rate velocity. In Keras' convention s = g / sqrt(v + epsilon), and
/// the velocity sums learning_rate s, with the rate of each step. A state with the velocity of one convention cannot be
/// loaded into the other.
class RMSprop : public Optimizer {
 public:
  using Group = ParameterGroup<RMSpropOptions>;
  explicit RMSprop(const std::vector<Group>& groups);
  explicit RMSprop(const ParameterList& parameters, const RMSpropOptions& options = {})
      : RMSprop({Group{parameters, options}}) {}

 private:
  void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
              std::vector<Tensor>& memory) override;
  std::vector<RMSpropOptions> options_;
};

struct AdagradOptions {
  double learning_rate = 1e-2;     ///< approximate size of the first step
  double epsilon = 1e-10;          ///< added to the divisor; positive
  double initial_accumulator = 0;  ///< initial value of the sum of squares, 0 or more
  double weight_decay = 0;         ///< factor of the L2 penalty
  EpsilonConvention epsilon_convention = EpsilonConvention::PyTorch;  ///< where epsilon is added
};
/// Duchi, Hazan and Singer 2011: v += g^2; p -= learning_rate g / (sqrt(v) + epsilon), and in Keras'
/// convention p -= learning_rate g / sqrt(v + epsilon). v begins with initial_accumulator (0.1 in Keras).
class Adagrad : public Optimizer {
 public:
  using Group = ParameterGroup<AdagradOptions>;
  explicit Adagrad(const std::vector<Group>& groups);
  explicit Adagrad(const ParameterList& parameters, const AdagradOptions& options = {})
      : Adagrad({Group{parameters, options}}) {}

 private:
  void update(std::size_t group, Tensor& parameter, const Tensor& gradient,
              std::vector<Tensor>& memory) override;
  std::vector<AdagradOptions> options_;
};

}  // namespace v0
}  // namespace tapegrad
