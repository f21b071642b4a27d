#pragma once

#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

/// The sum over these axes (negative ones count from the end), which are dropped, or kept with size 1 if
/// keep_dims is set. Accurate: sums are kept in double. Throws for an axis that x does not have, or that is
/// named twice.
Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
/// The sum of all elements, a scalar.
Tensor sum(const Tensor& x);
/// The mean over these axes; Float32 or Float64. Throws as sum, and when there is nothing to average.
Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor mean(const Tensor& x);

/// x stretched to shape by NumPy's rule. Throws when it does not fit.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// The adjoint of broadcast_to: the sum over all axes along which `shape` would be stretched to x's.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace tapegrad
