#pragma once

// Norms, clipping and accumulation of gradients: what is done between tape.gradient() and optimizer.step().

#include <vector>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// What is done with gradients between tape.gradient() and optimizer.step().

/// The root of the sum of the squares of all elements, in double. It is infinite only when the norm itself is, or an
/// element; squares that leave the range of double do no harm.
[[nodiscard]] double global_norm(const std::vector<Tensor>& gradients);

/// Scales all gradients, in place, so that their global norm is at most max_norm; their direction stays. Returns the
/// norm before clipping. Throws, and changes nothing, when max_norm is not positive, when a gradient has elements that
/// are not finite (it has no direction), and when two gradients share elements.
double clip_by_norm(std::vector<Tensor>& gradients, double max_norm);
double clip_by_norm(Gradients& gradients, double max_norm);

/// Cuts every element, in place, off at -limit and limit. NaN stays NaN. Throws, and changes nothing, unless
/// limit is positive.
void clip_by_value(std::vector<Tensor>& gradients, double limit);
void clip_by_value(Gradients& gradients, double limit);

/// The gradient of a batch that does not fit into memory, computed in parts:
///
///   for (const auto& part : parts) accumulator.add(part_gradients(part), part_size);
///   adam.step(accumulator.take());
class GradientAccumulator {
 public:
  /// The parameters become known with the first add().
  GradientAccumulator() = default;
  /// Takes the gradients of these parameters only. So made, take() works right after load_state(), too.
  [[nodiscard]] explicit GradientAccumulator(std::vector<Tensor> parameters);

  /// weight: what the gradients stand for, such as the number of samples that their loss is the mean of.
  /// Throws, and changes nothing, when the gradients are not those of the same parameters as before (in any order),
  /// or weight is not positive.
  void add(const Gradients& gradients, double weight = 1);
  /// The weights added so far.
  double weight() const { return weight_; }
  /// The weighted mean; begins anew. Throws when nothing was added.
  Gradients take();

  /// The mean so far and its weight.
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// The same with the mean itself, which the next add() changes.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes nothing, when the state is not that of an accumulator, or does not fit the parameters.
  void load_state(const State& state);

 private:
  std::vector<Tensor> parameters_;  // whose means they are; unknown before the first add(), unless given
  std::vector<Tensor> means_;       // empty while the weight is 0
  double weight_ = 0;
  bool fixed_ = false;  // the parameters were given
};

}  // namespace v0
}  // namespace tapegrad
