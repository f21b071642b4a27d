// gemm.h in a build without OpenBLAS.
#include "tapegrad/kernels/gemm.h"

#include <iterator>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/gemm_highway.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/row_product.h"

namespace tapegrad::inline v0::kernels {

template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate) {
  if (m == 1 && n > 0 && k > 0)
    return row_product(n, k, a.data, a.transposed ? a.step : 1, b, c.data, accumulate);
  highway::gemm(m, n, k, a, b, c, accumulate);
}
template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products) {
  if (m != 1) return highway::matmul(m, n, k, products);
  parallel_for(std::ssize(products), units_in_piece(kMatmulWork, n * k), [&](index_t begin, index_t end) {
    for (index_t at = begin; at < end; ++at) {
      const auto& [a, b, c] = products[static_cast<std::size_t>(at)];
      gemm(m, n, k, a, b, c);
    }
  });
}

template void gemm(index_t, index_t, index_t, Matrix<const float>, Matrix<const float>, Matrix<float>, bool);
template void gemm(index_t, index_t, index_t, Matrix<const double>, Matrix<const double>, Matrix<double>,
                   bool);
template void matmul(index_t, index_t, index_t, std::span<const Product<float>>);
template void matmul(index_t, index_t, index_t, std::span<const Product<double>>);

}  // namespace tapegrad::inline v0::kernels
