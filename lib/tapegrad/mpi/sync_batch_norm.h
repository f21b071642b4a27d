#pragma once

// SyncBatchNorm: batch normalization over the samples of all processes.

#include "tapegrad/mpi/communicator.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// BatchNorm, with the mean and the variance of the whole batch in training mode, of which each process holds some
/// samples. For distributed_batch_gradient() with one_tape, which gives the gradients of one process with BatchNorm and
/// the whole batch, to rounding. Its state is that of BatchNorm. Calls in training mode are by all processes.
class SyncBatchNorm : public Module {
 public:
  /// world must outlive the layer. Throws as BatchNorm.
  SyncBatchNorm(Communicator& world, const BatchNormOptions& options);
  SyncBatchNorm(const SyncBatchNorm& other, Cloning cloning)
      : gamma(other.gamma),
        beta(other.beta),
        moving_mean(other.moving_mean),
        moving_variance(other.moving_variance),
        options_(other.options_),
        world_(other.world_) {
    (void)cloning;
  }
  /// In training mode throws inside batch_gradient(), and where no process holds a sample.
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor gamma, beta;                   ///< [channels]
  Tensor moving_mean, moving_variance;  ///< [channels], buffers

 private:
  BatchNormOptions options_;
  Communicator* world_;
};

}  // namespace v0
}  // namespace tapegrad
