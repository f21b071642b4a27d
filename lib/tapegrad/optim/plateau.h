#pragma once

// What depends on a validation loss: lower learning rates on a plateau, and early stopping.

#include <cstdint>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Whether smaller values are better (a loss) or larger ones (an accuracy).
enum class Improvement { Min, Max };

/// When a value counts as an improvement on the best value so far.
struct ImprovementOptions {
  Improvement mode = Improvement::Min;  ///< whether lower or higher values are better
  double min_delta = 0;                 ///< the least improvement, 0 or more
  bool min_delta_is_relative = false;   ///< whether min_delta is multiplied by the best value's magnitude
};

/// The best value so far, and the number of values since then.
class BestValue {
 public:
  explicit BestValue(const ImprovementOptions& options = {});

  /// Takes a value; whether it is better than all before it. The first finite value is; a value that is not finite
  /// never is.
  [[nodiscard]] bool improves(double value);
  /// The best value. Throws when there was no finite value.
  [[nodiscard]] double best() const;
  /// The number of values since the best one.
  std::int64_t waited() const { return waited_; }

  [[nodiscard]] State state() const;
  /// Throws, and changes nothing, when a number is missing or impossible.
  void load_state(const State& state);

 private:
  friend class ReduceOnPlateau;
  friend class EarlyStopping;
  void wait_again() { waited_ = 0; }
  BestValue(const char* owner, const ImprovementOptions& options);  // owner: whom errors name, and the state

  const char* owner_;
  ImprovementOptions options_;
  bool any_ = false;
  double best_ = 0;
  std::int64_t waited_ = 0;
};

struct ReduceOnPlateauOptions {
  double learning_rate = 1e-3;  ///< the initial learning rate
  double factor = 0.1;          ///< factor of the learning rate in a reduction, in [0, 1)
  /// Number of values without improvement to tolerate.
  std::int64_t patience = 10;
  /// Number of values after a reduction that do not count.
  std::int64_t cooldown = 0;
  double min_learning_rate = 0;  ///< the learning rate is never reduced below this
  /// What counts as an improvement.
  ImprovementOptions improvement = {.min_delta = 1e-4, .min_delta_is_relative = true};
};
/// A learning rate that is multiplied by a factor whenever a value, usually the validation loss, has not improved for
/// more than `patience` values. As PyTorch's ReduceLROnPlateau.
class ReduceOnPlateau {
 public:
  /// Throws for options out of range.
  explicit ReduceOnPlateau(const ReduceOnPlateauOptions& options = {});

  /// Takes the value of an epoch and returns the learning rate for the next epoch.
  [[nodiscard]] double step(double value);
  [[nodiscard]] double learning_rate() const { return learning_rate_; }

  [[nodiscard]] State state() const;
  /// Throws, and changes nothing, when a number is missing or impossible.
  void load_state(const State& state);

 private:
  ReduceOnPlateauOptions options_;
  BestValue best_;
  double learning_rate_;
  std::int64_t cooling_ = 0;
};

struct EarlyStoppingOptions {
  /// Number of values without improvement to tolerate.
  std::int64_t patience = 10;
  ImprovementOptions improvement = {};  ///< what counts as an improvement
};
/// Decides when to stop training, as the validation loss no longer improves:
///
///   if (stopping.step(validation_loss)) break;
///   if (stopping.improved()) best = model.state();
class EarlyStopping {
 public:
  /// Throws for options out of range.
  explicit EarlyStopping(const EarlyStoppingOptions& options = {});

  /// Takes the value of an epoch; returns whether to stop: more than `patience` values came after the best one.
  [[nodiscard]] bool step(double value);
  /// Whether the last value was the best so far.
  bool improved() const { return improved_; }
  /// Throws when there was no finite value.
  [[nodiscard]] double best() const { return best_.best(); }

  [[nodiscard]] State state() const;
  /// Throws, and changes nothing, when a number is missing or impossible.
  void load_state(const State& state);

 private:
  EarlyStoppingOptions options_;
  BestValue best_;
  bool improved_ = false;
};

}  // namespace v0
}  // namespace tapegrad
