#pragma once

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

/// c = a b, or c = c + a b when accumulate is set, where a is m x k, b is k x n and c is m x n. On the
/// calling thread alone; the result depends on the sizes and on nothing else.
template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate = false);

/// One of the products of matmul().
template <class T>
struct Product {
  Matrix<const T> a, b;
  Matrix<T> c;
};
/// c = a b for each of the products, all of the same size; in parallel over them and over rows of c.
template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products);

}  // namespace tapegrad::inline v0::kernels
