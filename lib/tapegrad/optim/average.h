#pragma once

// The exponential moving average of parameters.

#include <cstdint>
#include <string>
#include <vector>

#include "tapegrad/optim/parameter_list.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct ExponentialMovingAverageOptions {
  double decay = 0.999;  ///< decay factor of the average, in [0, 1)
  /// Limit decay to (1 + n) / (10 + n) after n updates, so that the average forgets the first values sooner.
  bool warm_up = false;
};
/// The exponential moving average (EMA) of parameters, which often generalizes better than the parameters themselves.
/// The average begins with the parameters' values; every update sets average = decay average + (1 - decay) parameter.
///
///   ExponentialMovingAverage average(net.parameters());
///   ...
///   adam.step(gradients);
///   average.update();
///   ...
///   { const AveragedWeights averaged(average);  evaluate(model); }
///
/// The average follows the tensors that it was given, as an optimizer does: when the model is replaced, make a new
/// average; update(net.parameters()) throws otherwise. To average the buffers of BatchNorm as well, pass
/// net.state_view().tensors.
class ExponentialMovingAverage {
 public:
  /// Tied weights, the same elements given several times, are averaged once. Throws unless all are Float32 or Float64
  /// and decay is in [0, 1), and when two tensors share some of their elements only.
  explicit ExponentialMovingAverage(const ParameterList& tensors,
                                    const ExponentialMovingAverageOptions& options = {});

  /// Throws while the averages are swapped in.
  void update();
  /// As update(); throws as well when one of these parameters is not among the averaged ones, as happens when the model
  /// was replaced after the average was made.
  void update(const std::vector<Tensor>& parameters);
  /// Exchanges the parameters' values with the averages, in place. A second call undoes the exchange. Throws, and
  /// changes nothing, when a parameter cannot be written.
  void swap();
  bool swapped() const { return swapped_; }
  /// Copies the averages to the parameters, for good. Throws while the averages are swapped in.
  void apply();

  /// The averages ("0", "1", ... or the parameters' names) and the number of updates. Throws while the averages are
  /// swapped in.
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// As state(), but with the averages themselves, which the next update changes.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes nothing, when a tensor or number is missing or has another shape or dtype, when the values of
  /// parameters without names show that some have changed places (as Optimizer::load_state() does: load the weights
  /// first), and while the averages are swapped in.
  void load_state(const State& state);

 private:
  void require_not_swapped(const char* what) const;
  [[nodiscard]] NamedTensors unnamed() const;
  ExponentialMovingAverageOptions options_;
  std::vector<Tensor> parameters_, averages_;
  std::vector<std::string> names_;  // in the state
  std::int64_t updates_ = 0;
  bool swapped_ = false;
};

/// Swaps the averages in until the end of the scope.
class [[nodiscard]] AveragedWeights {
 public:
  /// Throws when the averages are already swapped in. average must outlive this object.
  [[nodiscard]] explicit AveragedWeights(ExponentialMovingAverage& average);
  ~AveragedWeights() { average_.swap(); }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  ExponentialMovingAverage& average_;
};

}  // namespace v0
}  // namespace tapegrad
