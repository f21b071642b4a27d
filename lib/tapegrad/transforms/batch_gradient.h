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
  /// after two chunks of that size, where the parameters are larger than what the tape kept of one. Parameters of 64 MB
  /// and more that outweigh what a tape would keep of the whole batch make it one chunk, after one forward pass of its
  /// first samples: a second set of gradients would take more memory.
  std::optional<index_t> chunk = {};
  /// The loss is a mean over samples (otherwise a sum).
  bool mean = true;
  /// Compute loss and gradients on one tape, too, and throw unless both agree to rounding: for trying a new loss, as it
  /// takes twice the time. If it is not set: in debug builds of the library (NDEBUG is not defined).
  std::optional<bool> check = {};
  /// As GradientOptions::all_parameters: throw when the loss depends on a parameter that is not among those given.
  bool all_parameters = false;
};

/// What batch_gradient() returns.
struct BatchGradient {
  double loss = 0;      ///< the loss of the whole batch
  Gradients gradients;  ///< one gradient for each parameter
};

/// The gradients of a loss with respect to parameters, computed in chunks of the batch on several threads, each chunk
/// on a tape of its own. The result is that of a Tape around loss(batch), to rounding, and comes faster where
/// activations take more memory than parameters, as a chunk stays in the cache between its forward and its backward
/// pass. The results are the same bits for any number of threads. Memory: besides the resulting gradients, about
/// log2(chunks) + threads further sets of gradients. A single chunk is computed like an ordinary tape: its ops use all
/// threads.
///
///   const auto [loss, gradients] = batch_gradient(
///       [&](const auto& part) { return mse_loss(net(part[0]), part[1]); }, {images, targets}, net.parameters());
///   adam.step(gradients);
///
/// All tensors of the batch have their samples along the first axis. loss is called with a few samples at a time, from
/// several threads at once: it must not change anything, except through the library's layers. loss has to treat each
/// sample by itself, and return the mean (or sum) over its samples as one number. Layers that mix samples throw, and so
/// do normal(), uniform() and dropout() with a generator: draw the noise of the whole batch before, and pass it as one
/// more tensor of the batch. (dropout() with a key takes the number of the first sample, which count_samples() tells; with
/// a constant in its place, every chunk has the same mask.) Other losses that cannot be computed in chunks (a masked mean,
/// a variance over the batch, a weight decay inside a sum) are noticed only with `check`. Throws as Tape::gradient() does,
/// and while a tape records.
[[nodiscard]] BatchGradient batch_gradient(const TensorFunction& loss, const std::vector<Tensor>& batch,
                                           const std::vector<Tensor>& parameters,
                                           const BatchGradientOptions& options = {});

namespace detail {

/// Chunks [first, end) of a batch: what one of several processes computes.
struct ChunkRange {
  index_t chunk = 0;    ///< samples in a chunk: chunk_size()
  index_t samples = 0;  ///< of the whole batch
  index_t first = 0, end = 0;
};
struct ChunkSums {
  std::vector<double> losses;  ///< of each chunk, weighted
  /// Of the gradients, in each of the largest subtrees of these chunks.
  std::vector<std::vector<Tensor>> sums;
  std::function<void()> store_counts;  ///< what layers have counted to; empty if none has
};
/// How many samples batch_gradient() puts in the first chunks.
[[nodiscard]] index_t chunk_size(index_t samples, const std::optional<index_t>& asked);
/// Of a batch that holds the samples of these chunks alone. batch_gradient() adds chunks in a fixed tree, which whoever
/// has the sums of all its subtrees can complete to the same bits. Throws as well where batch_gradient() would cut
/// chunks of other sizes, as it sees from the first chunk.
[[nodiscard]] ChunkSums chunk_sums(const TensorFunction& loss, const std::vector<Tensor>& batch,
                                   const std::vector<Tensor>& parameters, const BatchGradientOptions& options,
                                   const ChunkRange& range);

}  // namespace detail

}  // namespace v0
}  // namespace tapegrad
