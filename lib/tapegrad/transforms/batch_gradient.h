#pragma once

// batch_gradient(): the gradients of a batch, in chunks on several threads.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct BatchGradientOptions {
  /// The number of samples in a chunk: few enough for what the tape keeps of them to stay in a core's cache, and for
  /// all threads to have some. If it is not set, an eighth of the batch, from 4 to 16; and more, up to all the others,
  /// after a first chunk of that size, where the parameters are larger than what the tape kept of it.
  std::optional<index_t> chunk = {};
  /// The loss is a mean over samples (otherwise a sum).
  bool mean = true;
  /// Compute loss and gradients on one tape, too, and throw unless both agree to rounding: for trying a new loss, as it
  /// takes twice the time. If it is not set: in debug builds of the library (NDEBUG is not defined).
  std::optional<bool> check = {};
};

struct BatchGradient {
  double loss = 0;      ///< of the whole batch
  Gradients gradients;  ///< one for each parameter
};

/// The gradients of a loss with respect to parameters, computed in chunks of the batch on several threads,
/// each chunk on a tape of its own: what a Tape around loss(batch) gives, to rounding, and faster where activations
/// outweigh parameters, as nothing leaves the cache between its forward and its backward pass. The results are the
/// same bits for any number of threads. Beside the gradients of the result, those of about log2(chunks) + threads
/// chunks are in memory at a time. A single chunk is an ordinary tape, whose ops use all threads.
///
///   const auto [loss, gradients] = batch_gradient(
///       [&](const auto& part) { return mse_loss(net(part[0]), part[1]); }, {images, targets}, net.parameters());
///   adam.step(gradients);
///
/// The tensors of the batch have their samples along the first axis; loss is called with some of these at a
/// time, from several threads at once: it must not change anything but through the library's layers. It has
/// to treat each sample for itself, and return their mean (or sum) as one number. Layers that mix samples refuse, and
/// so do normal(), uniform() and dropout() with a generator: draw the noise of the whole batch before, and give it as
/// one more tensor of the batch. Other losses that a chunk cannot compute (a masked mean, a variance over the batch,
/// weight decay in a sum) are found by `check` only. Throws as Tape::gradient does, and inside a recording tape.
[[nodiscard]] BatchGradient batch_gradient(const TensorFunction& loss, const std::vector<Tensor>& batch,
                                           const std::vector<Tensor>& parameters,
                                           const BatchGradientOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
