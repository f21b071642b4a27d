#pragma once

// Choosing elements by a condition or a place: nonzero, masked_select, count_nonzero, triu, tril, diag.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The positions of the elements that are not 0, in row-major order, as Int32 [count, rank of x] (PyTorch's
/// nonzero, NumPy's argwhere). A constant for a tape.
[[nodiscard]] Tensor nonzero(const Tensor& x);
/// The elements of x where mask, UInt8, broadcast to x's shape, is not 0, in row-major order: [count]. Throws
/// when the shapes do not fit.
[[nodiscard]] Tensor masked_select(const Tensor& x, const Tensor& mask);
/// The number of elements that are not 0 over these axes, as Int32. NaN counts. A constant for a tape.
[[nodiscard]] Tensor count_nonzero(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
[[nodiscard]] Tensor count_nonzero(const Tensor& x);

/// The matrices [..., rows, columns] with 0 below the diagonal, the k-th one above the main diagonal. Throws
/// for fewer than two axes.
[[nodiscard]] Tensor triu(const Tensor& x, index_t k = 0);
/// The matrices with 0 above the k-th diagonal.
[[nodiscard]] Tensor tril(const Tensor& x, index_t k = 0);

/// Of a matrix its k-th diagonal (above the main one for k > 0); of a vector the square matrix with that diagonal, and 0
/// elsewhere: numpy.diag. Throws for other ranks, and for a diagonal that the matrix does not have.
[[nodiscard]] Tensor diag(const Tensor& x, index_t k = 0);

}  // namespace v0
}  // namespace tapegrad
