#include "tapegrad/optim/optimizers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tapegrad/autograd/gradients_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/optim/class_internal.h"
#include "tapegrad/tensor/distinct_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::require, detail::require_not_negative;

void require_fraction(const char* optimizer, const char* option, double value) {
  require(optimizer, value >= 0 && value < 1, option, value, "in [0, 1)");
}

// g[0] is the gradient of p[begin].
template <class T, class F>
[[gnu::noinline]] void update_range(index_t begin, index_t end, T* p, const T* g, F update) {
  for (index_t i = begin; i < end; ++i) update(i, p[i], g[i - begin]);
}

// Calls f(i, p, g) with references to every element of a parameter and its gradient, in one pass over the
// memory. f's third argument is the gradient as the optimizer sees it: with decay times the parameter added, which is
// written out for a block at a time.
template <class T, class F>
void for_elements(Tensor& parameter, const Tensor& gradient, double weight_decay, F f) {
  T* p = parameter.mutable_data<T>();
  const T* g = gradient.data<T>();
  const T decay = static_cast<T>(weight_decay);
  parallel_for(parameter.size(), kernels::kElementwisePiece, [=](index_t begin, index_t end) {
    if (decay == 0) return update_range(begin, end, p, g + begin, f);
    constexpr index_t kBlock = 512;
    T decayed[kBlock];
    for (index_t i = begin; i < end; i += kBlock) {
      const index_t stop = std::min(end, i + kBlock);
      for (index_t k = i; k < stop; ++k) decayed[k - i] = g[k] + decay * p[k];
      update_range(i, stop, p, decayed, f);
    }
  });
}

// With 0 a gradient of 0 would be divided by 0.
void require_epsilon(const char* optimizer, const ParameterList& parameters, double epsilon) {
  require(optimizer, epsilon > 0 && std::isfinite(epsilon), "epsilon", epsilon, "positive");
  for (const Tensor& p : parameters.tensors())
    if (p.defined() && p.dtype() == DType::Float32 && static_cast<float>(epsilon) == 0)
      fail(optimizer, "epsilon must be positive, got {}, which is 0 as a Float32", epsilon);
}

// A finite gradient whose square would leave T's range counts as one whose square does not: a mean of squares that is
// infinite once never lets the parameter move again. What is not finite stays so, to be noticed.
template <class T>
T squarable(T g) {
  constexpr T largest = std::numeric_limits<T>::max(),
              bound = std::is_same_v<T, float> ? T(0x1p63) : T(0x1p511);
  return std::abs(g) <= largest ? std::clamp(g, -bound, bound) : g;
}

template <class T>
T* memory_at(std::vector<Tensor>& memory, std::size_t at) {
  return at < memory.size() ? memory[at].mutable_data<T>() : nullptr;
}

}  // namespace

Optimizer::~Optimizer() = default;

void Optimizer::add_group(const ParameterList& parameters, double learning_rate,
                          std::vector<const char*> memories, double initial) {
  require_not_negative(name_, "learning_rate", learning_rate);
  if (ratios_.empty()) {
    learning_rate_ = learning_rate;
    ratios_.push_back(1);
  } else {
    if (learning_rate_ == 0 && learning_rate != 0)
      fail(
          name_,
          "the first group's learning_rate must not be 0 if another group's is {}, as the groups keep the ratio of their "
          "rates: put a group with a learning_rate above 0 first",
          learning_rate);
    ratios_.push_back(learning_rate == learning_rate_ ? 1 : learning_rate / learning_rate_);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& p = parameters.tensors()[i];
    const std::size_t number = parameters_.size();
    if (!p.defined()) fail(name_, "tensor {} was never given a value", number);
    if (!p.is_parameter())
      fail(name_, "tensor {} (shape {}) must be a parameter(): no tape would compute its gradient", number,
           p.shape());
    if (p.is_stopped())
      fail(
          name_,
          "tensor {} (shape {}) is frozen (stop_gradient(), freeze()), so it would not be trained: leave it out, or "
          "unfreeze() it",
          number, p.shape());
    parameters_.push_back(p);
    names_.push_back(parameters.names()[i]);
    group_of_.push_back(ratios_.size() - 1);
    auto& memory = memory_.emplace_back();
    for (std::size_t k = 0; k < memories.size(); ++k) memory.push_back(full(p.shape(), initial, p.dtype()));
  }
  memories_.push_back(std::move(memories));
  detail::require_distinct(name_, parameters_, "it would be trained twice");
  std::set<std::string> keys;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!keys.insert(key(i)).second)
      fail(name_, "two parameters are called '{}': each must have a name of its own, or none (parameters())",
           key(i));
}

std::string Optimizer::key(std::size_t parameter) const {
  return names_[parameter].empty() ? fmt::format("{}", parameter) : names_[parameter];
}

std::string Optimizer::described(std::size_t parameter) const {
  const Shape& shape = parameters_[parameter].shape();
  return names_[parameter].empty()
             ? fmt::format("parameter {} (shape {})", parameter, shape)
             : fmt::format("parameter {} '{}' (shape {})", parameter, names_[parameter], shape);
}

double Optimizer::learning_rate(std::size_t group) const {
  if (group >= ratios_.size())
    fail(name_, "group must be less than {}, the number of groups, got {}", ratios_.size(), group);
  return learning_rate_ * ratios_[group];
}

void Optimizer::set_learning_rate(double learning_rate) {
  require_not_negative(name_, "learning_rate", learning_rate);
  learning_rate_ = learning_rate;
}

// For each parameter, which of the gradients is its own.
void Optimizer::find_gradient_of_each(const Gradients& gradients) {
  const auto trained = detail::positions_of(gradients.parameters(), parameters_);
  std::vector<std::size_t>& gradient_of = gradient_of_;
  gradient_of.assign(parameters_.size(), detail::kNotFound);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Tensor &p = gradients.parameters()[i], &g = gradients[i];
    if (trained[i] == detail::kNotFound)
      fail(
          name_,
          "gradient {} (shape {}) belongs to a tensor that this optimizer does not train{}. It trains {} parameters "
          "as they were when it was made: after a model was replaced (clone(), a move, to()) or unfrozen make a new "
          "optimizer, or bring back other weights with load_state()",
          i, p.shape(), i < parameters_.size() ? ", in the place of " + described(i) : "",
          parameters_.size());
    if (g.shape() != p.shape() || g.dtype() != p.dtype())
      fail(name_, "gradient {} is {} {} but {} is {} {}", i, g.dtype(), g.shape(), described(trained[i]),
           p.dtype(), p.shape());
    if (gradient_of[trained[i]] != detail::kNotFound)
      fail(name_, "gradients {} and {} both belong to {}: add them up", gradient_of[trained[i]], i,
           described(trained[i]));
    gradient_of[trained[i]] = i;
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (gradient_of[i] == detail::kNotFound)
      fail(
          name_,
          "{} gradients were given for {} parameters, and none for {}: ask for the gradients of all of them, or make "
          "an optimizer of those that are trained",
          gradients.size(), parameters_.size(), described(i));
}

void Optimizer::step(const Gradients& gradients) {
  if (parameters_.empty())
    fail(name_,
         "there is nothing to train: parameters() leaves out what is frozen, and what visit() does not show");
  find_gradient_of_each(gradients);
  ++steps_;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    update(group_of_[i], parameters_[i], gradients[gradient_of_[i]], memory_[i]);
}

std::string Optimizer::memory_name(std::size_t parameter, std::size_t memory) const {
  return fmt::format("{}.{}", key(parameter), memories_[group_of_[parameter]][memory]);
}

// Of which a state has memories.
NamedTensors Optimizer::unnamed() const {
  NamedTensors found;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (names_[i].empty() && !memory_[i].empty()) found.emplace_back(key(i), parameters_[i]);
  return found;
}

State Optimizer::state_view() const {
  State state;
  for (std::size_t i = 0; i < memory_.size(); ++i)
    for (std::size_t k = 0; k < memory_[i].size(); ++k)
      state.tensors.emplace_back(memory_name(i, k), memory_[i][k]);
  state.numbers = {{"steps", static_cast<double>(steps_)}, {"learning_rate", learning_rate_}};
  detail::mark_class(state, name_);
  detail::mark_values(state, unnamed());
  return state;
}

void Optimizer::load_state(const State& state) {
  const State own = state_view();
  detail::require_class(state, name_);
  state.require_names_once(name_);
  const std::int64_t steps = state.count(name_, "steps");
  const double learning_rate = state.number(name_, "learning_rate");
  require_not_negative(name_, "learning_rate", learning_rate);
  constexpr const char* kOther =
      "was it made with other options (momentum, amsgrad, centered, the convention)?";
  if (state.tensors.size() != own.tensors.size())
    fail(name_, "the state has {} tensors but this optimizer {}: {}", state.tensors.size(),
         own.tensors.size(), kOther);
  for (const auto& [key, tensor] : own.tensors) {
    const Tensor* given = state.find(key);
    if (given == nullptr) fail(name_, "the state has no tensor '{}': {}", key, kOther);
    if (given->shape() != tensor.shape() || given->dtype() != tensor.dtype())
      fail(name_, "'{}' is {} {} in the state but {} {} in the optimizer", key, given->dtype(),
           given->shape(), tensor.dtype(), tensor.shape());
  }
  detail::require_same_places(state, name_, unnamed(), steps_ != 0);
  auto loaded = memory_;
  for (std::size_t i = 0; i < memory_.size(); ++i)
    for (std::size_t k = 0; k < memory_[i].size(); ++k)
      loaded[i][k] = TensorAccess::clone(*state.find(memory_name(i, k)));
  learning_rate_ = learning_rate;
  steps_ = steps;
  memory_ = std::move(loaded);
}

SGD::SGD(const std::vector<Group>& groups) : Optimizer("SGD") {
  for (const auto& [parameters, options] : groups) {
    require_fraction("SGD", "momentum", options.momentum);
    require_not_negative("SGD", "weight_decay", options.weight_decay);
    if (options.nesterov && options.momentum == 0)
      fail("SGD", "momentum must be above 0 if nesterov is set, got 0");
    options_.push_back(options);
    std::vector<const char*> memories;
    if (options.momentum != 0) memories.push_back("velocity");
    add_group(parameters, options.learning_rate, std::move(memories));
  }
}

void SGD::update(std::size_t group, Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) {
  const SGDOptions& o = options_[group];
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* velocity = memory_at<T>(memory, 0);
    const T rate = static_cast<T>(learning_rate(group)), momentum = static_cast<T>(o.momentum);
    for_elements<T>(parameter, gradient, o.weight_decay,
                    [=, nesterov = o.nesterov](index_t i, T& p, const T g) {
                      T direction = g;
                      if (velocity != nullptr) {
                        velocity[i] = momentum * velocity[i] + g;
                        direction = nesterov ? g + momentum * velocity[i] : velocity[i];
                      }
                      p -= rate * direction;
                    });
  });
}

Adam::Adam(const char* name, const std::vector<Group>& groups, bool decoupled)
    : Optimizer(name), decoupled_(decoupled) {
  for (const auto& [parameters, options] : groups) {
    require_fraction(name, "beta1", options.beta1);
    require_fraction(name, "beta2", options.beta2);
    require_epsilon(name, parameters, options.epsilon);
    require_not_negative(name, "weight_decay", options.weight_decay);
    options_.push_back(options);
    std::vector<const char*> memories = {"mean", "mean_square"};
    if (options.amsgrad) memories.push_back("largest_mean_square");
    add_group(parameters, options.learning_rate, std::move(memories));
  }
}

void Adam::update(std::size_t group, Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& memory) {
  const AdamOptions& o = options_[group];
  const auto t = static_cast<double>(steps());
  const bool keras = o.epsilon_convention == EpsilonConvention::Keras;
  const double correction = std::sqrt(1 - std::pow(o.beta2, t));
  const double rate = learning_rate(group) / (1 - std::pow(o.beta1, t)) * (keras ? correction : 1);
  const double shrink = decoupled_ ? 1 - learning_rate(group) * o.weight_decay : 1;
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* m = memory_at<T>(memory, 0);
    T* v = memory_at<T>(memory, 1);
    T* largest = memory_at<T>(memory, 2);
    const T b1 = static_cast<T>(o.beta1), b2 = static_cast<T>(o.beta2), eps = static_cast<T>(o.epsilon);
    const T new1 = static_cast<T>(1 - o.beta1), new2 = static_cast<T>(1 - o.beta2);
    const T scale = static_cast<T>(rate), root = static_cast<T>(keras ? 1 : correction);
    for_elements<T>(parameter, gradient, decoupled_ ? 0 : o.weight_decay,
                    [=, kept = static_cast<T>(shrink)](index_t i, T& p, const T given) {
                      const T g = squarable(given);
                      m[i] = b1 * m[i] + new1 * g;
                      v[i] = b2 * v[i] + new2 * g * g;
                      T second = v[i];
                      if (largest != nullptr) second = largest[i] = std::max(largest[i], second);
                      p = kept * p - scale * m[i] / (std::sqrt(second) / root + eps);
                    });
  });
}

static std::vector<Adam::Group> adam_groups(const std::vector<AdamW::Group>& groups) {
  std::vector<Adam::Group> converted;
  for (const auto& [parameters, o] : groups)
    converted.push_back({parameters,
                         {.learning_rate = o.learning_rate,
                          .beta1 = o.beta1,
                          .beta2 = o.beta2,
                          .epsilon = o.epsilon,
                          .weight_decay = o.weight_decay,
                          .amsgrad = o.amsgrad,
                          .epsilon_convention = o.epsilon_convention}});
  return converted;
}

AdamW::AdamW(const std::vector<Group>& groups) : Adam("AdamW", adam_groups(groups), true) {}

void AdamW::update(std::size_t group, Tensor& parameter, const Tensor& gradient,
                   std::vector<Tensor>& memory) {
  Adam::update(group, parameter, gradient, memory);
}

RMSprop::RMSprop(const std::vector<Group>& groups) : Optimizer("RMSprop") {
  for (const auto& [parameters, options] : groups) {
    require_fraction("RMSprop", "rho", options.rho);
    require_fraction("RMSprop", "momentum", options.momentum);
    require_epsilon("RMSprop", parameters, options.epsilon);
    require_not_negative("RMSprop", "weight_decay", options.weight_decay);
    options_.push_back(options);
    std::vector<const char*> memories = {"mean_square"};
    if (options.centered) memories.push_back("mean");
    const bool keras = options.epsilon_convention == EpsilonConvention::Keras;
    if (options.momentum != 0) memories.push_back(keras ? "velocity_times_learning_rate" : "velocity");
    add_group(parameters, options.learning_rate, std::move(memories));
  }
}

void RMSprop::update(std::size_t group, Tensor& parameter, const Tensor& gradient,
                     std::vector<Tensor>& memory) {
  const RMSpropOptions& o = options_[group];
  const bool keras = o.epsilon_convention == EpsilonConvention::Keras;
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* v = memory_at<T>(memory, 0);
    T* average = o.centered ? memory_at<T>(memory, 1) : nullptr;
    T* velocity = o.momentum != 0 ? memory_at<T>(memory, o.centered ? 2 : 1) : nullptr;
    const T rho = static_cast<T>(o.rho), fresh = static_cast<T>(1 - o.rho);
    const T momentum = static_cast<T>(o.momentum), rate = static_cast<T>(learning_rate(group));
    const T inside = static_cast<T>(keras ? o.epsilon : 0), outside = static_cast<T>(keras ? 0 : o.epsilon);
    for_elements<T>(parameter, gradient, o.weight_decay, [=](index_t i, T& p, const T given) {
      const T g = squarable(given);
      v[i] = rho * v[i] + fresh * g * g;
      T spread = v[i];
      if (average != nullptr) {
        average[i] = rho * average[i] + fresh * g;
        // Rounding must not make it negative.
        spread = std::max(spread - average[i] * average[i], T{0});
      }
      const T direction = g / (std::sqrt(spread + inside) + outside);
      if (velocity == nullptr) {
        p -= rate * direction;
      } else {
        velocity[i] = momentum * velocity[i] + (keras ? rate * direction : direction);
        p -= keras ? velocity[i] : rate * velocity[i];
      }
    });
  });
}

Adagrad::Adagrad(const std::vector<Group>& groups) : Optimizer("Adagrad") {
  for (const auto& [parameters, options] : groups) {
    require_epsilon("Adagrad", parameters, options.epsilon);
    require_not_negative("Adagrad", "initial_accumulator", options.initial_accumulator);
    require_not_negative("Adagrad", "weight_decay", options.weight_decay);
    options_.push_back(options);
    add_group(parameters, options.learning_rate, {"sum_of_squares"}, options.initial_accumulator);
  }
}

void Adagrad::update(std::size_t group, Tensor& parameter, const Tensor& gradient,
                     std::vector<Tensor>& memory) {
  const AdagradOptions& o = options_[group];
  const bool keras = o.epsilon_convention == EpsilonConvention::Keras;
  dispatch_floating(parameter.dtype(), [&]<class T>(std::type_identity<T>) {
    T* v = memory_at<T>(memory, 0);
    const T rate = static_cast<T>(learning_rate(group));
    const T inside = static_cast<T>(keras ? o.epsilon : 0), outside = static_cast<T>(keras ? 0 : o.epsilon);
    for_elements<T>(parameter, gradient, o.weight_decay, [=](index_t i, T& p, const T given) {
      const T g = squarable(given);
      v[i] = std::min(v[i] + g * g, std::numeric_limits<T>::max());  // NaN stays NaN
      p -= rate * g / (std::sqrt(v[i] + inside) + outside);
    });
  });
}

}  // namespace tapegrad::inline v0
