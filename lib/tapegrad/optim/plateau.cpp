#include "tapegrad/optim/plateau.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/optim/class_internal.h"

namespace tapegrad::inline v0 {
using detail::require, detail::require_not_negative;

namespace {

constexpr const char *kBestValue = "BestValue", *kPlateau = "ReduceOnPlateau", *kStopping = "EarlyStopping";

}  // namespace

BestValue::BestValue(const ImprovementOptions& options) : BestValue(kBestValue, options) {}

BestValue::BestValue(const char* owner, const ImprovementOptions& options)
    : owner_(owner), options_(options) {
  require_not_negative(owner, "min_delta", options.min_delta);
}

bool BestValue::improves(double value) {
  const double margin = options_.min_delta * (options_.min_delta_is_relative ? std::abs(best_) : 1);
  const bool beyond = options_.mode == Improvement::Min ? value < best_ - margin : value > best_ + margin;
  const bool improved = std::isfinite(value) && (!any_ || beyond);
  if (improved) {
    any_ = true;
    best_ = value;
    waited_ = 0;
  } else {
    ++waited_;
  }
  return improved;
}

double BestValue::best() const {
  if (!any_) fail(owner_, "best() was called, but there is no finite value yet");
  return best_;
}

State BestValue::state() const {
  State state;
  state.numbers["waited"] = static_cast<double>(waited_);
  if (any_) state.numbers["best"] = best_;
  detail::mark_class(state, owner_);
  return state;
}

void BestValue::load_state(const State& state) {
  detail::require_class(state, owner_);
  const std::int64_t waited = state.count(owner_, "waited");
  const bool any = state.numbers.contains("best");
  const double best = any ? state.numbers.at("best") : 0;
  require(owner_, std::isfinite(best), "the state's best value", best, "finite");
  any_ = any;
  best_ = best;
  waited_ = waited;
}

ReduceOnPlateau::ReduceOnPlateau(const ReduceOnPlateauOptions& options)
    : options_(options), best_(kPlateau, options.improvement), learning_rate_(options.learning_rate) {
  require_not_negative(kPlateau, "learning_rate", options.learning_rate);
  require_not_negative(kPlateau, "min_learning_rate", options.min_learning_rate);
  require(kPlateau, options.factor >= 0 && options.factor < 1, "factor", options.factor, "in [0, 1)");
  require_not_negative(kPlateau, "patience", static_cast<double>(options.patience));
  require_not_negative(kPlateau, "cooldown", static_cast<double>(options.cooldown));
}

double ReduceOnPlateau::step(double value) {
  (void)best_.improves(value);
  if (cooling_ > 0) {
    --cooling_;
    best_.wait_again();
  }
  if (best_.waited() > options_.patience) {
    learning_rate_ =
        std::min(learning_rate_, std::max(learning_rate_ * options_.factor, options_.min_learning_rate));
    cooling_ = options_.cooldown;
    best_.wait_again();
  }
  return learning_rate_;
}

State ReduceOnPlateau::state() const {
  State state = best_.state();
  state.numbers["learning_rate"] = learning_rate_;
  state.numbers["cooling"] = static_cast<double>(cooling_);
  return state;
}

void ReduceOnPlateau::load_state(const State& state) {
  detail::require_class(state, kPlateau);
  const double rate = state.number(kPlateau, "learning_rate");
  require_not_negative(kPlateau, "learning_rate", rate);
  const std::int64_t cooling = state.count(kPlateau, "cooling");
  best_.load_state(state);
  learning_rate_ = rate;
  cooling_ = cooling;
}

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options)
    : options_(options), best_(kStopping, options.improvement) {
  require_not_negative(kStopping, "patience", static_cast<double>(options.patience));
}

bool EarlyStopping::step(double value) {
  improved_ = best_.improves(value);
  return best_.waited() > options_.patience;
}

State EarlyStopping::state() const {
  State state = best_.state();
  state.numbers["improved"] = improved_ ? 1 : 0;
  return state;
}

void EarlyStopping::load_state(const State& state) {
  detail::require_class(state, kStopping);
  const bool improved = state.count(kStopping, "improved") != 0;
  best_.load_state(state);
  improved_ = improved;
}

}  // namespace tapegrad::inline v0
