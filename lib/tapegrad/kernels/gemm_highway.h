#pragma once

// Products of matrices without OpenBLAS.

#include <span>

#include "tapegrad/kernels/gemm.h"

/// What gemm.h promises, without OpenBLAS: what a build with TAPEGRAD_BLAS=OFF multiplies with. Each element is a sum of
/// its own, in an order that k alone decides: the same bits for any number of threads.
namespace tapegrad::inline v0::kernels::highway {

template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate = false);

template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products);

}  // namespace tapegrad::inline v0::kernels::highway
