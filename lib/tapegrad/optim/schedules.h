#pragma once

// Learning-rate schedules.

#include <cstdint>
#include <functional>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A learning rate that changes with time. A schedule does not know an optimizer: the caller sets the rate, and decides
/// whether a step of the schedule is an update or an epoch:
///
///   Schedule schedule = cosine_decay({.learning_rate = 1e-3, .steps = 1000});
///   ...
///   adam.set_learning_rate(schedule.learning_rate());
///   adam.step(gradients);
///   schedule.step();
class Schedule {
 public:
  /// Returns the learning rate of a step, given the number of steps before it.
  using Function = std::function<double(std::int64_t step)>;
  explicit Schedule(Function function) : function_(std::move(function)) {}

  /// The learning rate of a step, counted from 0. Throws for a negative step.
  [[nodiscard]] double at(std::int64_t step) const;
  /// The learning rate of the next step.
  [[nodiscard]] double learning_rate() const { return at(steps_); }
  void step() { ++steps_; }
  std::int64_t steps() const { return steps_; }

  /// The number of steps. The function is not saved: make the schedule again before load_state().
  [[nodiscard]] State state() const;
  /// Throws, and changes nothing, when the state does not hold a number of steps.
  void load_state(const State& state);

 private:
  Function function_;
  std::int64_t steps_ = 0;
};

// All throw for learning rates that are negative or not finite, and for options out of range.

/// learning_rate factor^floor(step / every), as PyTorch's StepLR.
struct StepDecayOptions {
  double learning_rate = 1e-3;  ///< learning rate of the first step
  std::int64_t every = 1;       ///< steps from one reduction to the next
  double factor = 0.1;          ///< factor of the learning rate in each reduction
};
[[nodiscard]] Schedule step_decay(const StepDecayOptions& options);

/// learning_rate factor^step, as PyTorch's ExponentialLR.
struct ExponentialDecayOptions {
  double learning_rate = 1e-3;  ///< learning rate of the first step
  double factor = 0.9;          ///< factor of the learning rate from one step to the next
};
[[nodiscard]] Schedule exponential_decay(const ExponentialDecayOptions& options);

/// Half a cosine from learning_rate down to min_learning_rate, which is reached after `steps` steps and kept
/// (Loshchilov and Hutter 2017, without restarts): min_learning_rate + (learning_rate - min_learning_rate) (1 + cos(pi
/// step / steps)) / 2.
struct CosineDecayOptions {
  double learning_rate = 1e-3;   ///< learning rate of the first step
  std::int64_t steps = 1;        ///< number of steps until min_learning_rate is reached
  double min_learning_rate = 0;  ///< learning rate after the last step
};
[[nodiscard]] Schedule cosine_decay(const CosineDecayOptions& options);

/// A linear increase over `steps` steps, from start_factor times the first learning rate of `then` up to that rate;
/// after that `then`, from its beginning. As PyTorch's LinearLR followed by another schedule.
struct WarmUpOptions {
  std::int64_t steps = 1;         ///< number of steps of the warm-up
  double start_factor = 1.0 / 3;  ///< the learning rate of the first step, divided by that after the warm-up
};
[[nodiscard]] Schedule warm_up(const WarmUpOptions& options, const Schedule& then);

/// One cycle of `steps` steps (Smith and Topin 2018, in the form of PyTorch's OneCycleLR): half a cosine from
/// max_learning_rate / div_factor up to max_learning_rate, over warm_up_fraction of the steps, then half a cosine down
/// to max_learning_rate / div_factor / final_div_factor, which is kept.
struct OneCycleOptions {
  double max_learning_rate = 1e-2;  ///< the highest learning rate
  std::int64_t steps = 2;           ///< number of steps of the whole cycle
  double warm_up_fraction = 0.3;    ///< fraction of the steps in which the rate increases, in [0, 1]
  double div_factor = 25;           ///< the highest learning rate divided by the first one
  double final_div_factor = 1e4;    ///< the first learning rate divided by the last one
};
[[nodiscard]] Schedule one_cycle(const OneCycleOptions& options);

}  // namespace v0
}  // namespace tapegrad
