#pragma once

// Norms, clipping and accumulation of gradients, between tape.gradient() and optimizer.step().

#include <string>
#include <vector>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/optim/parameter_list.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The Euclidean norm of all elements together, computed in double without overflow or underflow of squares: infinite
/// only if an element, or the norm itself, is infinite.
[[nodiscard]] double global_norm(const std::vector<Tensor>& gradients);

/// Scales all gradients by the same factor, in place, so that their global norm is at most max_norm. Returns the norm
/// before clipping. Throws, and changes nothing, when max_norm is not positive, when a gradient has elements that are
/// not finite, and when two gradients share elements.
double clip_by_norm(std::vector<Tensor>& gradients, double max_norm);
double clip_by_norm(Gradients& gradients, double max_norm);

/// Clamps every element to [-limit, limit], in place. NaN stays NaN. Throws, and changes nothing, unless limit is
/// positive.
void clip_by_value(std::vector<Tensor>& gradients, double limit);
void clip_by_value(Gradients& gradients, double limit);

/// The gradient of a batch that does not fit into memory, computed in parts:
///
///   for (const auto& part : parts) accumulator.add(part_gradients(part), part_size);
///   adam.step(accumulator.take());
class GradientAccumulator {
 public:
  /// Takes the parameters from the first add().
  GradientAccumulator() = default;
  /// Takes the gradients of these parameters only. Then take() may also be called right after load_state(), and the
  /// parameters' names, where they have some, are those of the state.
  [[nodiscard]] explicit GradientAccumulator(const ParameterList& parameters);

  /// Adds gradients with a weight, such as the number of samples that the loss is the mean of. Throws, and changes
  /// nothing, when the gradients do not belong to the same parameters as before (in any order), or weight is not
  /// positive.
  void add(const Gradients& gradients, double weight = 1);
  /// The weights added so far.
  double weight() const { return weight_; }
  /// Returns the weighted mean of the gradients and resets the accumulator. Throws when nothing was added.
  [[nodiscard]] Gradients take();

  /// The mean so far and its weight.
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// As state(), but with the mean itself, which the next add() changes.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes nothing, when the state is not that of an accumulator, does not fit the parameters, or, where
  /// these have no names, their values show that some have changed places (as Optimizer::load_state() does: load the
  /// weights first). Of parameters that the first add() will tell that add() checks the latter.
  void load_state(const State& state);

 private:
  std::string key(std::size_t parameter) const;
  [[nodiscard]] NamedTensors unnamed(const std::vector<Tensor>& parameters) const;
  std::vector<Tensor> parameters_;  // whose means they are; unknown before the first add(), unless given
  std::vector<std::string> names_;  // of given parameters, empty where one has none
  std::vector<Tensor> means_;       // empty while the weight is 0
  State loaded_;                    // what the state said of the parameters
  double weight_ = 0;
  bool fixed_ = false;  // the parameters were given
};

}  // namespace v0
}  // namespace tapegrad
