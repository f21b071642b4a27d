#pragma once

#include <cstdint>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct ExponentialMovingAverageOptions {
  double decay = 0.999;
  /// While there were few updates (n), decay is at most (1 + n) / (10 + n): the beginning is forgotten
  /// sooner.
  bool warm_up = false;
};
/// The exponential moving average of parameters, which often generalizes better than the parameters
/// themselves. It begins with their values; every update does average = decay average + (1 - decay)
/// parameter.
///
///   adam.step(gradients);
///   average.update();
///   ...
///   { const AveragedWeights averaged(average);  evaluate(model); }
class ExponentialMovingAverage {
 public:
  /// Throws unless all are Float32 or Float64 and decay is in [0, 1).
  explicit ExponentialMovingAverage(const std::vector<Tensor>& parameters,
                                    const ExponentialMovingAverageOptions& options = {});

  /// Throws while the averages are swapped in.
  void update();
  /// Exchanges the parameters' values with the averages, in place. A second time undoes it.
  void swap();
  bool swapped() const { return swapped_; }
  /// Copies the averages to the parameters, for good. Throws while they are swapped in.
  void apply();

  /// The averages and the number of updates. Throws while they are swapped in.
  State state() const;
  /// Throws, and changes nothing, when a tensor or number is missing or has another shape or dtype, and while
  /// the averages are swapped in.
  void load_state(const State& state);

 private:
  void require_not_swapped(const char* what) const;
  ExponentialMovingAverageOptions options_;
  std::vector<Tensor> parameters_, averages_;
  std::int64_t updates_ = 0;
  bool swapped_ = false;
};

/// The averages take the parameters' place until the end of the scope.
class AveragedWeights {
 public:
  /// Throws when they are already swapped in. average must outlive this.
  explicit AveragedWeights(ExponentialMovingAverage& average);
  ~AveragedWeights() { average_.swap(); }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  ExponentialMovingAverage& average_;
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
