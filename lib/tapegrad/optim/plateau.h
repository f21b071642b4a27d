#pragma once

// What depends on a validation loss: lower learning rates on a plateau, and early stopping.

#include <cstdint>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Whether a loss is watched, or something like an accuracy.
enum class Improvement { Min, Max };

/// When a value that is watched counts as an improvement on the best one so far.
struct ImprovementOptions {
  Improvement mode = Improvement::Min;  ///< whether lower or higher values are better
  /// By how much it must be better: times the best one's magnitude, and absolute.
  double relative = 0, absolute = 0;
};

/// The best value so far, and for how long there was none better.
class BestValue {
 public:
  explicit BestValue(const ImprovementOptions& options = {});

  /// Whether value is better than all before it, as the first one is. What is not finite never is.
  bool improves(double value);
  /// Throws when there was none that is finite.
  double best() const;
  /// Values since the best one.
  std::int64_t waited() const { return waited_; }
  void wait_again() { waited_ = 0; }

  [[nodiscard]] State state() const;
  /// Throws, and changes nothing, when a number is missing or impossible.
  void load_state(const State& state);

 private:
  ImprovementOptions options_;
  bool any_ = false;
  double best_ = 0;
  std::int64_t waited_ = 0;
};

struct ReduceOnPlateauOptions {
  double learning_rate = 1e-3;  ///< what it begins with
  double factor = 0.1;          ///< a reduction multiplies the learning rate with it, in (0, 1)
  /// Values without improvement that are put up with.
  std::int64_t patience = 10;
  /// Values after a reduction that are not counted.
  std::int64_t cooldown = 0;
  double min_learning_rate = 0;                         ///< it is not reduced below this
  ImprovementOptions improvement = {.relative = 1e-4};  ///< what counts as an improvement
};
/// A learning rate that is multiplied with a factor whenever a value, usually the validation loss, has not
/// improved more than `patience` times. As PyTorch's ReduceLROnPlateau.
class ReduceOnPlateau {
 public:
  /// Throws for options out of range.
  explicit ReduceOnPlateau(const ReduceOnPlateauOptions& options = {});

  /// Takes the value of an epoch; the learning rate for the next one.
  double step(double value);
  double learning_rate() const { return learning_rate_; }

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
  /// Values without improvement that are put up with.
  std::int64_t patience = 10;
  ImprovementOptions improvement = {};  ///< what counts as an improvement
};
/// Says when training no longer helps:
///
///   if (stopping.step(validation_loss)) break;
///   if (stopping.improved()) best = model.state();
class EarlyStopping {
 public:
  /// Throws for options out of range.
  explicit EarlyStopping(const EarlyStoppingOptions& options = {});

  /// Takes the value of an epoch; whether there were more than `patience` since the best one.
  bool step(double value);
  /// Whether the last value was the best so far.
  bool improved() const { return improved_; }
  /// Throws when there was no finite value.
  double best() const { return best_.best(); }

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
