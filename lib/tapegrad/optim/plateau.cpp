#include "tapegrad/optim/plateau.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/optim/options_internal.h"

namespace tapegrad::inline v0 {
using detail::require, detail::require_not_negative;

BestValue::BestValue(const ImprovementOptions& options) : options_(options) {
  require_not_negative("improvement", "relative", options.relative);
  require_not_negative("improvement", "absolute", options.absolute);
}

bool BestValue::improves(double value) {
  const double margin = options_.relative * std::abs(best_) + options_.absolute;
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
  if (!any_) fail("improvement", "best() was called, but there is no finite value yet");
  return best_;
}

State BestValue::state() const {
  State state;
  state.numbers["waited"] = static_cast<double>(waited_);
  if (any_) state.numbers["best"] = best_;
  return state;
}

void BestValue::load_state(const State& state) {
  const std::int64_t waited = state.count("improvement", "waited");
  const bool any = state.numbers.contains("best");
  const double best = any ? state.numbers.at("best") : 0;
  require("improvement", std::isfinite(best), "the state's best value", best, "finite");
  any_ = any;
  best_ = best;
  waited_ = waited;
}

ReduceOnPlateau::ReduceOnPlateau(const ReduceOnPlateauOptions& options)
    : options_(options), best_(options.improvement), learning_rate_(options.learning_rate) {
  constexpr const char* kName = "ReduceOnPlateau";
  require_not_negative(kName, "learning_rate", options.learning_rate);
  require_not_negative(kName, "min_learning_rate", options.min_learning_rate);
  require(kName, options.factor >= 0 && options.factor < 1, "factor", options.factor, "in [0, 1)");
  require_not_negative(kName, "patience", static_cast<double>(options.patience));
  require_not_negative(kName, "cooldown", static_cast<double>(options.cooldown));
}

double ReduceOnPlateau::step(double value) {
  best_.improves(value);
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
  const double rate = state.number("ReduceOnPlateau", "learning_rate");
  require_not_negative("ReduceOnPlateau", "learning_rate", rate);
  const std::int64_t cooling = state.count("ReduceOnPlateau", "cooling");
  best_.load_state(state);
  learning_rate_ = rate;
  cooling_ = cooling;
}

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options)
    : options_(options), best_(options.improvement) {
  require_not_negative("EarlyStopping", "patience", static_cast<double>(options.patience));
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
  const bool improved = state.count("EarlyStopping", "improved") != 0;
  best_.load_state(state);
  improved_ = improved;
}

}  // namespace tapegrad::inline v0
