#pragma once

#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/kernels/gemm.h"

namespace tapegrad::testing {

using kernels::Matrix, kernels::Product;

template <class T>
struct Operands {
  index_t m, n, k;
  std::vector<T> a, b;
  Operands(index_t rows, index_t columns, index_t inner, bool whole = false)
      : m(rows),
        n(columns),
        k(inner),
        a(static_cast<std::size_t>(rows * inner)),
        b(static_cast<std::size_t>(inner * columns)) {
    Generator generator(1);
    // Whole numbers, where wanted: their products add up exactly in any order.
    const auto draw = [&] {
      return whole ? static_cast<T>(generator.integer(9)) - 4 : static_cast<T>(generator.uniform() - 0.5);
    };
    for (T& v : a) v = draw();
    for (T& v : b) v = draw();
  }
  Matrix<const T> left(bool transposed = false) const { return {a.data(), transposed ? m : k, transposed}; }
  Matrix<const T> right(bool transposed = false) const { return {b.data(), transposed ? k : n, transposed}; }
};

// a b as matmul() computes it on this many threads.
template <class T>
std::vector<T> multiplied(const Operands<T>& of, int threads) {
  const ThreadCountScope scope(threads);
  std::vector<T> c(static_cast<std::size_t>(of.m * of.n));
  const Product<T> one{of.left(), of.right(), {c.data(), of.n}};
  kernels::matmul<T>(of.m, of.n, of.k, {&one, 1});
  return c;
}

struct Sizes {
  index_t m, n, k;
};
// Some above what one call may take in the pthread flavour, along each axis and by little.
inline constexpr Sizes kSizes[] = {{1, 1, 1},    {3, 5, 0},    {7, 1, 13},    {64, 64, 64},  {65, 64, 64},
                                   {64, 65, 63}, {64, 63, 67}, {300, 70, 90}, {3, 2000, 70}, {5, 6, 20000}};

}  // namespace tapegrad::testing
