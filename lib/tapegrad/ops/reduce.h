#pragma once

// Reductions (sums, means, extremes and others) over one axis, several axes, or all elements; broadcast_to and sum_to.
// The names max and min stand in parentheses, as headers of Windows define macros of these names.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The sum over these axes, which are dropped, or kept with size 1 if options.keepdims is set. The accumulator is a
/// double. The sum of whole numbers, including UInt8 masks of comparisons, is Int32. Throws for an axis that x does not
/// have or that is named twice, and for a sum that Int32 cannot hold.
[[nodiscard]] Tensor sum(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
/// The sum of all elements, a scalar.
[[nodiscard]] Tensor sum(const Tensor& x);
/// The mean over these axes, rounded once from a sum in double; the mean of whole numbers is Float32. Throws as sum(),
/// and when there are no elements to average.
[[nodiscard]] Tensor mean(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor mean(const Tensor& x);
/// The product over these axes; 1 if there are no elements. Derivatives are right also where elements are 0; where the
/// product itself is too large or too small for Float64, they may be infinite, NaN or 0. Float32 or Float64: there is no
/// dtype that holds products of many whole numbers. Of masks, all() and any() say what a product would.
[[nodiscard]] Tensor prod(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor prod(const Tensor& x);

/// The options of var() and stddev().
struct VarOptions {
  /// Keep the reduced axes, with size 1.
  bool keepdims = false;
  /// The sum of squared deviations is divided by the number of elements minus this (NumPy's ddof): 0 gives the biased
  /// variance, 1 the unbiased one, which is PyTorch's default.
  double correction = 0;
};
/// The variance over these axes: the sum of the squared deviations from the mean, divided by the number of elements
/// minus options.correction. Float32 or Float64.
[[nodiscard]] Tensor var(const Tensor& x, const Axes& axes, const VarOptions& options = {});
[[nodiscard]] Tensor var(const Tensor& x);
/// The standard deviation sqrt(var(x, axes, options)). NumPy and PyTorch call it std, which is a namespace in C++.
/// Where the standard deviation is 0 its derivative is 0 and its second derivative NaN.
[[nodiscard]] Tensor stddev(const Tensor& x, const Axes& axes, const VarOptions& options = {});
[[nodiscard]] Tensor stddev(const Tensor& x);
/// The maximum and the minimum over these axes; NaN if one of the elements is NaN. Where several elements are the
/// maximum (or minimum), they share the gradient equally, and second derivatives with respect to them are NaN.
/// (maximum() and minimum() of two tensors choose the first operand instead, max_pool2d() the first pixel.) Throws when
/// there are no elements to choose from.
[[nodiscard]] Tensor(max)(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor(max)(const Tensor& x);
[[nodiscard]] Tensor(min)(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor(min)(const Tensor& x);
/// log(sum(exp(x))) over these axes, without overflow for any x. Float32 or Float64. Where all elements are -infinity
/// the result is -infinity, and its gradient 0. Where the result is near 0 its error is that of a number near 1 (of
/// {-17, 0} in Float32 it is 0); the gradient, log_softmax() and the losses are accurate there.
[[nodiscard]] Tensor logsumexp(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor logsumexp(const Tensor& x);
/// The Euclidean norm sqrt(sum(x^2)) over these axes (the second argument is not an order p), accurate also where
/// squares are too large or too small for the dtype. Where the norm is 0 its derivative is 0 and its second derivative
/// NaN: use sum(square(x)) for a squared norm. The derivative is x / norm(x) also where elements are infinite: these
/// count as equally large, as for atan2(). Float32 or Float64.
[[nodiscard]] Tensor norm(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor norm(const Tensor& x);

/// The options of cumsum().
struct CumsumOptions {
  bool reverse = false;    ///< sum from the last element on
  bool exclusive = false;  ///< leave out the element itself: the first sum is 0
};
/// The cumulative sums along the axis: element i is the sum of elements 0 to i. Float32 or Float64: cast whole numbers
/// and masks first. In Float64 counts are exact.
[[nodiscard]] Tensor cumsum(const Tensor& x, int axis, const CumsumOptions& options = {});

/// The index of the maximum, and of the minimum, along the axis, as Int32; the first one if several are equal, and the
/// first NaN if there is one. The axis is dropped, or kept with size 1 if options.keepdims is set. The result is a
/// constant for a tape. Throws when there are no elements to choose from.
[[nodiscard]] Tensor argmax(const Tensor& x, int axis, const ReduceOptions& options = {});
[[nodiscard]] Tensor argmin(const Tensor& x, int axis, const ReduceOptions& options = {});

/// any: 1 if at least one element over these axes is not 0; all: 1 if every element is not 0. Without elements, any is
/// 0 and all is 1. UInt8 results, for any dtype of x; constants for a tape.
[[nodiscard]] Tensor any(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor any(const Tensor& x);
[[nodiscard]] Tensor all(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor all(const Tensor& x);

/// x broadcast to shape by NumPy's rule, in memory of its own. Throws when x cannot be broadcast to shape.
[[nodiscard]] Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// The adjoint of broadcast_to: x summed over all axes along which a tensor of this shape would be broadcast to x's
/// shape.
[[nodiscard]] Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace v0
}  // namespace tapegrad
