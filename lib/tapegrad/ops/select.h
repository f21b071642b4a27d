#pragma once

// Choosing elements by a condition: nonzero, masked_select, count_nonzero, triu, tril.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The positions of the elements that are not 0, in row-major order, as Int32 [count, rank of x] (PyTorch's
/// nonzero, NumPy's argwhere). A constant for a tape.
Tensor nonzero(const Tensor& x);
/// The elements of x where mask, UInt8, broadcast to x's shape, is not 0, in row-major order: [count]. Throws
/// when the shapes do not fit.
Tensor masked_select(const Tensor& x, const Tensor& mask);
/// The number of elements that are not 0 over these axes, as Int32. NaN counts. A constant for a tape.
Tensor count_nonzero(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
Tensor count_nonzero(const Tensor& x);

/// The matrices [..., rows, columns] with 0 below the diagonal, the k-th one above the main diagonal. Throws
/// for fewer than two axes.
Tensor triu(const Tensor& x, index_t k = 0);
/// The matrices with 0 above the k-th diagonal.
Tensor tril(const Tensor& x, index_t k = 0);

}  // namespace v0
}  // namespace tapegrad
