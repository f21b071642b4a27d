#pragma once

// Choosing elements by a condition or a place: nonzero, masked_select, count_nonzero, triu, tril, diag.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The indices of the elements that are not 0, in row-major order, as Int32 [count, rank of x] (PyTorch's nonzero,
/// NumPy's argwhere). The result is a constant for a tape.
[[nodiscard]] Tensor nonzero(const Tensor& x);
/// The elements of x where mask is not 0, in row-major order, as a vector [count]. mask is UInt8 and is broadcast to
/// x's shape. Throws when the shapes do not fit.
[[nodiscard]] Tensor masked_select(const Tensor& x, const Tensor& mask);
/// The number of elements over these axes that are not 0 (NaN counts), as Int32. The result is a constant for a tape.
[[nodiscard]] Tensor count_nonzero(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor count_nonzero(const Tensor& x);

/// The matrices [..., rows, columns] with zeros below the k-th diagonal; k = 0 is the main diagonal, k = 1 the one
/// above it. Throws for fewer than two axes.
[[nodiscard]] Tensor triu(const Tensor& x, index_t k = 0);
/// The matrices with zeros above the k-th diagonal.
[[nodiscard]] Tensor tril(const Tensor& x, index_t k = 0);

/// Of a matrix its k-th diagonal (above the main one for k > 0); of a vector the square matrix with that diagonal, and
/// 0 elsewhere: numpy.diag. Throws for other ranks, and for a diagonal that the matrix does not have.
[[nodiscard]] Tensor diag(const Tensor& x, index_t k = 0);

}  // namespace v0
}  // namespace tapegrad
