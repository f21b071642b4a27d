#pragma once

// Reductions: sums, means, extremes and their like over one axis, several axes, or all elements; and the
// broadcasting that undoes them. Names of functions that Windows' headers define as macros (max, min) stand in
// parentheses.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The sum over these axes, which are dropped, or kept with size 1 if options.keepdims is set. Accurate: sums
/// are kept in double. The sum of whole numbers, also of UInt8 and of what comparisons return, is Int32. Throws
/// for an axis that x does not have, or that is named twice, and for a sum that Int32 does not hold.
[[nodiscard]] Tensor sum(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
/// The sum of all elements, a scalar.
[[nodiscard]] Tensor sum(const Tensor& x);
/// The mean over these axes, rounded once from a sum in double; the mean of whole numbers is Float32. Throws as
/// sum, and when a mean would be one of nothing.
[[nodiscard]] Tensor mean(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor mean(const Tensor& x);
/// The product; 1 of nothing. Its derivatives are right where elements are 0 too. Float32 or Float64.
[[nodiscard]] Tensor prod(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor prod(const Tensor& x);

struct VarOptions {
  /// Keep the reduced axes, with size 1.
  bool keepdims = false;
  /// What is subtracted from the number of elements before dividing by it (NumPy's ddof): 0 gives the biased
  /// variance, 1 the unbiased one, which is PyTorch's default.
  double correction = 0;
};
/// The variance, the mean square distance from the mean: the sum of squares divided by the number of elements
/// less options.correction. Float32 or Float64.
[[nodiscard]] Tensor var(const Tensor& x, const Axes& axes, const VarOptions& options = {});
[[nodiscard]] Tensor var(const Tensor& x);
/// The standard deviation, sqrt(var(x, axes, options)): NumPy's and PyTorch's std, which is a namespace in C++.
/// Where it is 0 its derivative is that of norm().
[[nodiscard]] Tensor stddev(const Tensor& x, const Axes& axes, const VarOptions& options = {});
[[nodiscard]] Tensor stddev(const Tensor& x);
/// The largest and the smallest element; NaN if there is one. Elements that share the extreme share the
/// gradient equally; the second derivative by them is NaN. (maximum() and minimum() of two tensors choose the
/// first operand instead, max_pool2d() the first pixel.) Throws when there is nothing to choose from.
[[nodiscard]] Tensor(max)(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor(max)(const Tensor& x);
[[nodiscard]] Tensor(min)(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor(min)(const Tensor& x);
/// log(sum(exp(x))), without overflow for any x. Float32 or Float64. Where all x are -infinity, so is the result,
/// and its gradient is 0.
[[nodiscard]] Tensor logsumexp(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor logsumexp(const Tensor& x);
/// The Euclidean length sqrt(sum(x^2)) along these axes (the second argument is no order p), also where squares are
/// too large or too small for the dtype. Where it is 0 its derivative is 0 and its second derivative NaN: take
/// sum(square(x)) for the square of a length. Float32 or Float64.
[[nodiscard]] Tensor norm(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor norm(const Tensor& x);

struct CumsumOptions {
  bool reverse = false;    ///< sum from the last element on
  bool exclusive = false;  ///< leave out the element itself: the first sum is 0
};
/// The sums of the first 1, 2, ... elements along the axis. Float32 or Float64.
[[nodiscard]] Tensor cumsum(const Tensor& x, int axis, const CumsumOptions& options = {});

/// Where the largest and the smallest element along the axis is, the first one of equals (NaN is both), as
/// Int32. The axis is dropped, or kept with size 1. A constant for a tape. Throws when there is nothing to
/// choose from.
[[nodiscard]] Tensor argmax(const Tensor& x, int axis, const ReduceOptions& options = {});
[[nodiscard]] Tensor argmin(const Tensor& x, int axis, const ReduceOptions& options = {});

/// Whether any, and whether all elements along these axes are not 0, as UInt8: 0 and 1 of nothing. For any
/// dtype; constants for a tape.
[[nodiscard]] Tensor any(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor any(const Tensor& x);
[[nodiscard]] Tensor all(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor all(const Tensor& x);

/// x stretched to shape by NumPy's rule, in memory of its own. Throws when it does not fit.
[[nodiscard]] Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// The adjoint of broadcast_to: the sum over all axes along which `shape` would be stretched to x's.
[[nodiscard]] Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace v0
}  // namespace tapegrad
