#pragma once

// Products of matrices: gemm_blas.cpp and gemm_highway.cpp implement them.

#include <algorithm>
#include <span>

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

/// A row-major matrix as it lies in memory: `step` elements from one row to the next. transposed: it stands
/// for its transpose.
template <class T>
struct Matrix {
  T* data;
  index_t step;
  bool transposed = false;
};

/// What is left of a matrix from this row and column on.
template <class T>
Matrix<T> part(const Matrix<T>& matrix, index_t row, index_t column) {
  return {matrix.data + (matrix.transposed ? column * matrix.step + row : row * matrix.step + column),
          matrix.step, matrix.transposed};
}

/// c = a b, or c = c + a b when accumulate is set, where a is m x k, b is k x n and c is m x n. On the
/// calling thread alone; the result depends on the sizes and on nothing else.
template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate = false);

/// gemm() where k is 0.
template <class T>
void gemm_of_nothing(index_t m, index_t n, Matrix<T> c, bool accumulate) {
  for (index_t i = 0; !accumulate && i < m; ++i) std::fill_n(c.data + i * c.step, n, T{0});
}

/// One of the products of matmul().
template <class T>
struct Product {
  Matrix<const T> a, b;
  Matrix<T> c;
};
/// c = a b for each of the products, all of the same size; in parallel over them and over parts of c.
template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products);

}  // namespace tapegrad::inline v0::kernels
