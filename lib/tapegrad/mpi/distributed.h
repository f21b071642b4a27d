#pragma once

// distributed_batch_gradient(): the gradients of a batch, over all processes.

#include <functional>
#include <optional>
#include <vector>

#include "tapegrad/data/loader.h"
#include "tapegrad/mpi/communicator.h"
#include "tapegrad/transforms/batch_gradient.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// How the gradients of the processes are added.
enum class Adding {
  /// In the tree in which batch_gradient() adds those of its chunks: loss and gradients have its bits, whatever the
  /// number of processes and threads. Each process sends the sums of its complete subtrees: one if the numbers of
  /// chunks and of processes are powers of two, else up to twice the logarithm of its chunks.
  InTree,
  /// By MPI_Allreduce: each process sends one sum. Gives up the same bits: they depend on the number of processes, and
  /// on the MPI library, which may choose another order each time.
  ByAllreduce,
};

struct DistributedOptions {
  /// As BatchGradientOptions::chunk. If it is not set, an eighth of the batch, from 4 to 16 samples. Where
  /// batch_gradient() would go on with larger chunks, as the parameters outweigh activations, it must be set.
  std::optional<index_t> chunk = {};
  bool mean = true;                ///< the loss is a mean over samples (otherwise a sum)
  bool all_parameters = false;     ///< as GradientOptions::all_parameters
  Adding adding = Adding::InTree;  ///< how gradients are added
  /// Each process computes its share on one tape, not in chunks: for layers that mix samples, such as SyncBatchNorm.
  /// Needs Adding::ByAllreduce.
  bool one_tape = false;
  /// Which samples of the whole batch the tensors hold: Batch::part of a Loader with batch_part(world). If it is not
  /// set, the tensors hold the whole batch, which must be the same on all processes, and each takes its share.
  std::optional<BatchPart> part = {};
  /// Calls from one check that the parameters have the same bits on all processes to the next; 0: no checks.
  int check_every = 100;
};

/// What batch_gradient() returns, computed by all processes: each computes some of the chunks, on its threads, and gets
/// the loss and the gradients of the whole batch, the same bits on all. With Adding::InTree these are the bits of
/// batch_gradient() with the same chunk, for any number of processes and threads. Memory: beside what batch_gradient()
/// takes, twice the process' sums; it does not grow with the number of processes. By all. Throws on all what
/// batch_gradient() throws on any, naming the process; and when the batch, the model or an option differs.
[[nodiscard]] BatchGradient distributed_batch_gradient(Communicator& world, const TensorFunction& loss,
                                                       const std::vector<Tensor>& batch,
                                                       const std::vector<Tensor>& parameters,
                                                       const DistributedOptions& options = {});

/// This process' share of a batch of so many samples, as distributed_batch_gradient() has it: whole chunks, as many as
/// the others have or one less. chunk is that of DistributedOptions.
[[nodiscard]] BatchPart share_of(const Communicator& world, index_t samples,
                                 const std::optional<index_t>& chunk = {});
/// share_of(), for LoaderOptions::part. Does not refer to world afterwards.
[[nodiscard]] std::function<BatchPart(index_t samples)> batch_part(const Communicator& world,
                                                                   const std::optional<index_t>& chunk = {});

}  // namespace v0
}  // namespace tapegrad
