#pragma once

// Normalization over a batch, a layer, or groups of channels; the layers are in nn/normalization.h.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// All compute gamma (x - mean) / sqrt(variance + epsilon) + beta with the biased variance (the mean of the squared
// deviations). Float32 or Float64, of any finite magnitude: where squares would leave the range of the dtype, the
// elements are scaled first. Elements that are all equal give 0; with an epsilon of 0 they give NaN (0 / 0). All throw
// when shapes or dtypes do not fit, and for a negative epsilon; batch_norm() of a training step also when there are no
// elements to average. Otherwise x without elements gives a result without elements.

/// What batch_norm() of a training step returns: the result, and the mean and variance of the batch, for running
/// averages.
struct BatchNormResult {
  Tensor y;
  /// Of each channel, [c]; constants for a tape, and in memory of their own. A variance beyond the range of the dtype is
  /// infinite, though y is right.
  Tensor mean, variance;
  /// The number of elements of a channel: variance * count / (count - 1) is the unbiased variance.
  index_t count = 0;
};

/// x with each channel (index of the last axis) normalized over all other axes (Ioffe and Szegedy, 2015). gamma and
/// beta have the shape [c].
[[nodiscard]] BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                         double epsilon = 1e-3);
/// Batch normalization with a given mean and variance, [c], as in evaluation after training. Differentiable in all
/// arguments.
[[nodiscard]] Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                                const Tensor& variance, double epsilon = 1e-3);

/// x normalized over its last axes (as many as gamma and beta have), each sample by itself (Ba et al., 2016).
[[nodiscard]] Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                double epsilon = 1e-3);
/// x normalized over its last `axes` axes, without gamma and beta.
[[nodiscard]] Tensor layer_norm(const Tensor& x, int axes, double epsilon = 1e-3);

/// x [n, ..., c] with its c channels split into groups, each sample's group normalized over its channels and all axes
/// between (Wu and He, 2018). gamma and beta have the shape [c]. Throws when c is not a multiple of groups.
[[nodiscard]] Tensor group_norm(const Tensor& x, index_t groups, const Tensor& gamma, const Tensor& beta,
                                double epsilon = 1e-3);

}  // namespace v0
}  // namespace tapegrad
