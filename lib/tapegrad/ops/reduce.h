#pragma once

#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The sum over these axes (negative ones count from the end), which are dropped, or kept with size 1 if
/// keep_dims is set. Accurate: sums are kept in double. Throws for an axis that x does not have, or that is
/// named twice, and for a sum that Int32 or UInt8 does not hold.
Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
/// The sum of all elements, a scalar.
Tensor sum(const Tensor& x);
/// The mean over these axes; Float32 or Float64. Throws as sum, and when there is nothing to average.
Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor mean(const Tensor& x);
/// The product; 1 of nothing. Its derivatives are right where elements are 0 too. Float32 or Float64.
Tensor prod(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor prod(const Tensor& x);
/// The mean square distance from the mean: the sum of squares divided by the number of elements less
/// correction (0: biased, as in NumPy; 1: unbiased). Float32 or Float64.
Tensor var(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false, double correction = 0);
Tensor var(const Tensor& x);
/// The largest and the smallest element; NaN if there is one. Elements that share the extreme share the
/// gradient equally. Throws when there is nothing to choose from.
Tensor max(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor max(const Tensor& x);
Tensor min(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor min(const Tensor& x);
/// log(sum(exp(x))), without overflow for any x. Float32 or Float64.
Tensor logsumexp(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor logsumexp(const Tensor& x);
/// The Euclidean length sqrt(sum(x^2)); the derivative where it is 0 is 0. Float32 or Float64.
Tensor norm(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor norm(const Tensor& x);

/// The sums of the first 1, 2, ... elements along the axis; of the last ones if from_end is set. Float32 or
/// Float64.
Tensor cumsum(const Tensor& x, int axis, bool from_end = false);

/// Where the largest and the smallest element along the axis is, the first one of equals (NaN is both), as
/// Int32. The axis is dropped, or kept with size 1. A constant for a tape. Throws when there is nothing to
/// choose from.
Tensor argmax(const Tensor& x, int axis, bool keep_dims = false);
Tensor argmin(const Tensor& x, int axis, bool keep_dims = false);

/// Whether any, and whether all elements along these axes are not 0, as UInt8: 0 and 1 of nothing. For any
/// dtype; constants for a tape.
Tensor any(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor any(const Tensor& x);
Tensor all(const Tensor& x, const std::vector<int>& axes, bool keep_dims = false);
Tensor all(const Tensor& x);

/// x stretched to shape by NumPy's rule. Throws when it does not fit.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// The adjoint of broadcast_to: the sum over all axes along which `shape` would be stretched to x's.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
