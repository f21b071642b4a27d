#pragma once

// Normalizations over a batch, a layer or groups of channels; nn/normalization.h has the layers.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Each subtracts a mean and divides by the root of a variance plus epsilon; the variance is the biased one,
// divided by the number of elements. gamma scales the result and beta is added to it. Float32 or Float64, of any
// finite size: where squares leave the range of the dtype, the elements are scaled first. Elements that are all
// equal give 0; with an epsilon of 0 they give 0 / 0, NaN. All throw when shapes or dtypes do not fit, when a mean
// would be one of nothing, and for a negative epsilon.

/// What batch_norm of a training step gives: beside the result what it was normalized by, for running
/// averages.
struct BatchNormResult {
  Tensor y;
  Tensor mean, variance;  ///< of each channel [c]; constants for a tape
  /// The number of elements of a channel: variance * count / (count - 1) is the unbiased one.
  index_t count = 0;
};

/// Each channel, the last axis of x, normalized over all other axes (Ioffe and Szegedy, 2015). gamma and beta
/// are [c].
[[nodiscard]] BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                         double epsilon = 1e-3);
/// The same with a given mean and variance [c]: what is done once training is over. Differentiable in all of
/// them.
[[nodiscard]] Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                                const Tensor& variance, double epsilon = 1e-3);

/// The last axes of x, those of gamma and beta, normalized together, each sample by itself (Ba et al., 2016).
[[nodiscard]] Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                double epsilon = 1e-3);
/// The last `axes` axes of x, neither scaled nor shifted.
[[nodiscard]] Tensor layer_norm(const Tensor& x, int axes, double epsilon = 1e-3);

/// The channels [c] of x [n, ..., c] in this number of groups, each normalized over itself and all axes
/// between (Wu and He, 2018). gamma and beta are [c]. Throws when c is not a multiple of groups.
[[nodiscard]] Tensor group_norm(const Tensor& x, index_t groups, const Tensor& gamma, const Tensor& beta,
                                double epsilon = 1e-3);

}  // namespace v0
}  // namespace tapegrad
