#include "tapegrad/optim/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/optim/class_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kSchedule = "Schedule";

using detail::require, detail::require_not_negative;

void require_steps(const char* schedule, const char* option, std::int64_t steps, std::int64_t least = 1) {
  if (steps < least) fail(schedule, "{} must be at least {}, got {}", option, least, steps);
}

// From `from`, where part is 0, to `to`, where it is 1.
double half_cosine(double from, double to, double part) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

}  // namespace

double Schedule::at(std::int64_t step) const {
  if (step < 0) fail(kSchedule, "the step must be at least 0, got {}", step);
  if (!function_) fail(kSchedule, "the schedule's function must not be empty");
  return function_(step);
}

State Schedule::state() const {
  State state;
  state.numbers["steps"] = static_cast<double>(steps_);
  detail::mark_class(state, kSchedule);
  return state;
}

void Schedule::load_state(const State& state) {
  detail::require_class(state, kSchedule);
  steps_ = state.count(kSchedule, "steps");
}

Schedule step_decay(const StepDecayOptions& options) {
  require_not_negative("step_decay", "learning_rate", options.learning_rate);
  require_steps("step_decay", "every", options.every);
  require_not_negative("step_decay", "factor", options.factor);
  return Schedule([o = options](std::int64_t step) {
    const std::int64_t decays = step / o.every;
    return o.learning_rate * std::pow(o.factor, static_cast<double>(decays));
  });
}

Schedule exponential_decay(const ExponentialDecayOptions& options) {
  require_not_negative("exponential_decay", "learning_rate", options.learning_rate);
  require_not_negative("exponential_decay", "factor", options.factor);
  return Schedule([o = options](std::int64_t step) {
    return o.learning_rate * std::pow(o.factor, static_cast<double>(step));
  });
}

Schedule cosine_decay(const CosineDecayOptions& options) {
  require_not_negative("cosine_decay", "learning_rate", options.learning_rate);
  require_not_negative("cosine_decay", "min_learning_rate", options.min_learning_rate);
  require_steps("cosine_decay", "steps", options.steps);
  return Schedule([o = options](std::int64_t step) {
    const double part = static_cast<double>(std::min(step, o.steps)) / static_cast<double>(o.steps);
    return half_cosine(o.learning_rate, o.min_learning_rate, part);
  });
}

Schedule warm_up(const WarmUpOptions& options, const Schedule& then) {
  require_steps("warm_up", "steps", options.steps);
  require_not_negative("warm_up", "start_factor", options.start_factor);
  return Schedule([o = options, then](std::int64_t step) {
    if (step >= o.steps) return then.at(step - o.steps);
    const double part = static_cast<double>(step) / static_cast<double>(o.steps);
    return then.at(0) * (o.start_factor + (1 - o.start_factor) * part);
  });
}

Schedule one_cycle(const OneCycleOptions& options) {
  require_not_negative("one_cycle", "max_learning_rate", options.max_learning_rate);
  require_steps("one_cycle", "steps", options.steps, 2);
  require("one_cycle", options.warm_up_fraction >= 0 && options.warm_up_fraction <= 1, "warm_up_fraction",
          options.warm_up_fraction, "in [0, 1]");
  const auto require_divisor = [](const char* option, double value) {
    require("one_cycle", value >= 1 && std::isfinite(value), option, value, "finite and at least 1");
  };
  require_divisor("div_factor", options.div_factor);
  require_divisor("final_div_factor", options.final_div_factor);
  return Schedule([o = options](std::int64_t step) {
    const double first = o.max_learning_rate / o.div_factor, last = first / o.final_div_factor;
    // The first and the last step are exactly at the ends. Less than one step of warm-up is none.
    const double end = static_cast<double>(o.steps - 1),
                 top = std::max(0.0, o.warm_up_fraction * static_cast<double>(o.steps) - 1);
    const double now = std::min(static_cast<double>(step), end);
    if (now <= top && top > 0) return half_cosine(first, o.max_learning_rate, now / top);
    return half_cosine(o.max_learning_rate, last, (now - top) / (end - top));
  });
}

}  // namespace tapegrad::inline v0
