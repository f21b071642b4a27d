// gemm.h in a build without OpenBLAS.
#include "tapegrad/kernels/gemm.h"
#include "tapegrad/kernels/gemm_highway.h"

namespace tapegrad::inline v0::kernels {

template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate) {
  highway::gemm(m, n, k, a, b, c, accumulate);
}
template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products) {
  highway::matmul(m, n, k, products);
}

template void gemm(index_t, index_t, index_t, Matrix<const float>, Matrix<const float>, Matrix<float>, bool);
template void gemm(index_t, index_t, index_t, Matrix<const double>, Matrix<const double>, Matrix<double>,
                   bool);
template void matmul(index_t, index_t, index_t, std::span<const Product<float>>);
template void matmul(index_t, index_t, index_t, std::span<const Product<double>>);

}  // namespace tapegrad::inline v0::kernels
