#pragma once

// Choosing elements by a condition: nonzero, masked_select, count_nonzero, triu, tril.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The indices of the elements that are not 0, in row-major order, as Int32 [count, rank of x] (PyTorch's nonzero,
/// NumPy's argwhere). The result is a constant for a tape.
Tensor nonzero(const Tensor& x);
/// The elements of x where mask is not 0, in row-major order, as a vector [count]. mask is UInt8 and is broadcast to
/// x's shape. Throws when the shapes do not fit.
Tensor masked_select(const Tensor& x, const Tensor& mask);
/// The number of elements over these axes that are not 0 (NaN counts), as Int32. The result is a constant for a tape.
Tensor count_nonzero(const Tensor& x, const Axes& axes, const ReduceOptions& options = {});
Tensor count_nonzero(const Tensor& x);

/// The matrices [..., rows, columns] with zeros below the k-th diagonal; k = 0 is the main diagonal, k = 1 the one
/// above it. Throws for fewer than two axes.
Tensor triu(const Tensor& x, index_t k = 0);
/// The matrices with zeros above the k-th diagonal.
Tensor tril(const Tensor& x, index_t k = 0);

}  // namespace v0
}  // namespace tapegrad
