#pragma once

// Rounding and elementwise tests: floor, isnan, logical_and and others.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Whole numbers near x, Float32 or Float64; infinities and NaN stay. The derivative is 0 everywhere: at a step, that of
// the stair on which the value lies.

/// The largest whole number that is not above x.
[[nodiscard]] Tensor floor(const Tensor& x);
/// The smallest whole number that is not below x.
[[nodiscard]] Tensor ceil(const Tensor& x);
/// The nearest whole number, and of two equally near ones the even one: 0.5 and -0.5 become 0, 2.5 becomes 2,
/// as in NumPy and PyTorch.
[[nodiscard]] Tensor round(const Tensor& x);
/// x without its fraction: the nearest whole number towards 0.
[[nodiscard]] Tensor trunc(const Tensor& x);

// Masks: UInt8, 1 where the statement holds and 0 elsewhere, for any dtype of x. Constants for a tape.

[[nodiscard]] Tensor isnan(const Tensor& x);
/// Whether x is infinity or minus infinity.
[[nodiscard]] Tensor isinf(const Tensor& x);
/// Whether x is neither NaN nor infinite.
[[nodiscard]] Tensor isfinite(const Tensor& x);

// Logical operations on tensors of any dtypes, broadcast to each other; an element is true if it is not 0 (NaN is
// true). Throw when shapes do not fit.

[[nodiscard]] Tensor logical_and(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_or(const Tensor& a, const Tensor& b);
/// Whether exactly one of the two is true.
[[nodiscard]] Tensor logical_xor(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_not(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
