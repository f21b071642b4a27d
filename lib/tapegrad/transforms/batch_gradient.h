#pragma once

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
  /// Samples that are worked on together: few enough for what the tape keeps of them to stay in a core's
  /// cache, and for all threads to have some. If it is not set, an eighth of the batch, from 4 to 16.
  std::optional<index_t> chunk = {};
  /// The loss is a mean over samples (otherwise a sum).
  bool mean = true;
};

struct BatchGradient {
  double loss = 0;      ///< of the whole batch
  Gradients gradients;  ///< one for each parameter
};

/// The gradients of a loss with respect to parameters, computed in chunks of the batch on several threads,
/// each chunk on a tape of its own: what a Tape around loss(batch) gives, to rounding, and faster, as nothing
/// leaves the cache between its forward and its backward pass. The results are the same bits for any number
/// of threads.
///
///   const auto [loss, gradients] = batch_gradient(
///       [&](const auto& part) { return mse_loss(net(part[0]), part[1]); }, {images, targets}, parameters);
///
/// The tensors of the batch have their samples along the first axis; loss is called with some of these at a
/// time, from several threads at once: it must not change anything but through the library's layers. It has
/// to treat each sample for itself, and return their mean (or sum) as one number; layers that mix samples
/// refuse. Throws as Tape::gradient does, and inside a recording tape.
BatchGradient batch_gradient(const TensorFunction& loss, const std::vector<Tensor>& batch,
                             const std::vector<Tensor>& parameters, const BatchGradientOptions& options = {});

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
