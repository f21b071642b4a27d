#pragma once

// Products of a row and a matrix.

#include "tapegrad/kernels/gemm.h"

namespace tapegrad::inline v0::kernels {

/// y = x b, or y + x b when accumulate is set, for a row x of k elements that are `step` apart, b of k x n, and n neighbours y. On
/// the calling thread, which takes no lock for it; the result depends on the sizes and on nothing else.
template <class T>
void row_product(index_t n, index_t k, const T* x, index_t step, Matrix<const T> b, T* y, bool accumulate);

}  // namespace tapegrad::inline v0::kernels
