#include "tapegrad/kernels/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/row_product.h"
#include "tapegrad/kernels/system_internal.h"

namespace tapegrad::inline v0::kernels {
namespace {

void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
               const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
}

void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
               const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, beta, c, ldc);
}

// y = x b, of a row x whose elements are `step` apart.
void call_blas(CBLAS_TRANSPOSE tb, int n, int k, const float* x, int step, const float* b, int ldb,
               float beta, float* y) {
  const bool plain = tb == CblasNoTrans;
  cblas_sgemv(CblasRowMajor, plain ? CblasTrans : CblasNoTrans, plain ? k : n, plain ? n : k, 1.0f, b, ldb, x,
              step, beta, y, 1);
}

void call_blas(CBLAS_TRANSPOSE tb, int n, int k, const double* x, int step, const double* b, int ldb,
               double beta, double* y) {
  const bool plain = tb == CblasNoTrans;
  cblas_dgemv(CblasRowMajor, plain ? CblasTrans : CblasNoTrans, plain ? k : n, plain ? n : k, 1.0, b, ldb, x,
              step, beta, y, 1);
}

// Our threads call OpenBLAS at the same time, each for itself, and it must not start threads of its own under
// them. How that is done without changing a setting of the process depends on the flavour that was loaded:
//   OpenMP   takes the number of threads of the calling thread, which is set to 1 for the call.
//   pthread  has one number for the whole process, but uses a single thread while m n k is at most 2^18
//            (SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD in its interface/gemm.c): larger products are
//            cut.
//   serial   hands the same work space to two threads (Debian builds it without USE_LOCKING): one call at a
//   time.
enum class Flavour { OpenMP, Pthread, Serial };

using GetThreads = int();
using SetThreads = void(int);

struct Blas {
  Flavour flavour;
  GetThreads* get_threads = nullptr;
  SetThreads* set_threads = nullptr;
};

const Blas& blas() {
  static const Blas loaded = [] {
    const int parallel = openblas_get_parallel();
    if (parallel == OPENBLAS_SEQUENTIAL) return Blas{.flavour = Flavour::Serial};
    // OpenBLAS brought its OpenMP runtime along; what it calls is what the dynamic linker finds first.
    Blas openmp{.flavour = Flavour::OpenMP,
                .get_threads = function_of_program<GetThreads>("omp_get_max_threads"),
                .set_threads = function_of_program<SetThreads>("omp_set_num_threads")};
    const bool usable = openmp.get_threads != nullptr && openmp.set_threads != nullptr;
    return parallel == OPENBLAS_OPENMP && usable ? openmp : Blas{.flavour = Flavour::Pthread};
  }();
  return loaded;
}

index_t largest_product() {
  return blas().flavour == Flavour::Pthread ? index_t{1} << 18 : std::numeric_limits<index_t>::max();
}

// Runs call() on the calling thread alone.
template <class Call>
void alone(Call call) {
  const Blas& loaded = blas();
  if (loaded.flavour == Flavour::OpenMP) {
    const int before = loaded.get_threads();
    loaded.set_threads(1);
    call();
    loaded.set_threads(before);
  } else if (loaded.flavour == Flavour::Serial) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    call();
  } else {
    call();
  }
}

int blas_int(index_t value) {
  if (value > std::numeric_limits<int>::max())
    fail("matmul", "a size of {} is more than BLAS can take", value);
  return static_cast<int>(value);
}

}  // namespace

template <class T>
void gemm(index_t m, index_t n, index_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate) {
  if (m == 0 || n == 0) return;
  if (k == 0) return gemm_of_nothing(m, n, c, accumulate);
  // Our own takes neither a lock nor work space, as OpenBLAS does, which is faster only where many sums over lanes are short.
  constexpr index_t kLongSum = 512;
  if (m == 1 && (!b.transposed || k >= kLongSum))
    return row_product(n, k, a.data, a.transposed ? a.step : 1, b, c.data, accumulate);
  if (m > largest_product() / n / k) {
    // The longest axis is cut in two, in the middle or at a multiple of what micro-kernels like.
    const auto half = [](index_t size) { return size >= 64 ? size / 2 / 32 * 32 : size / 2; };
    if (m >= n && m >= k) {
      gemm(half(m), n, k, a, b, c, accumulate);
      gemm(m - half(m), n, k, part(a, half(m), 0), b, part(c, half(m), 0), accumulate);
    } else if (n >= k) {
      gemm(m, half(n), k, a, b, c, accumulate);
      gemm(m, n - half(n), k, a, part(b, 0, half(n)), part(c, 0, half(n)), accumulate);
    } else {
      gemm(m, n, half(k), a, b, c, accumulate);
      gemm(m, n, k - half(k), part(a, 0, half(k)), part(b, half(k), 0), c, true);
    }
    return;
  }
  const auto flag = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  // BLAS demands a step of at least one row even where a matrix has a single one.
  const auto step = [](const auto& matrix, index_t rows, index_t columns) {
    return blas_int(std::max({matrix.step, matrix.transposed ? rows : columns, index_t{1}}));
  };
  // A row is not worth packing a matrix for. The pthread flavour would start threads for it.
  if (m == 1 && blas().flavour != Flavour::Pthread)
    return alone([&] {
      call_blas(flag(b.transposed), blas_int(n), blas_int(k), a.data, a.transposed ? step(a, m, k) : 1,
                b.data, step(b, k, n), accumulate ? T{1} : T{0}, c.data);
    });
  alone([&] {
    call_blas(flag(a.transposed), flag(b.transposed), blas_int(m), blas_int(n), blas_int(k), a.data,
              step(a, m, k), b.data, step(b, k, n), accumulate ? T{1} : T{0}, c.data, step(c, m, n));
  });
}

template <class T>
void matmul(index_t m, index_t n, index_t k, std::span<const Product<T>> products) {
  const index_t per_row = std::max<index_t>(1, n * k);
  const index_t rows = std::max<index_t>(64, kMatmulWork / per_row);
  const index_t blocks = (m + rows - 1) / rows;
  const index_t together = units_in_piece(kMatmulWork, std::min(m, rows) * per_row);
  parallel_for(static_cast<index_t>(products.size()) * blocks, blocks > 1 ? 1 : together,
               [&](index_t begin, index_t end) {
                 for (index_t at = begin; at < end; ++at) {
                   const auto& [a, b, c] = products[static_cast<std::size_t>(at / blocks)];
                   const index_t first = at % blocks * rows;
                   gemm(std::min(rows, m - first), n, k, part(a, first, 0), b, part(c, first, 0));
                 }
               });
}

template void gemm(index_t, index_t, index_t, Matrix<const float>, Matrix<const float>, Matrix<float>, bool);
template void gemm(index_t, index_t, index_t, Matrix<const double>, Matrix<const double>, Matrix<double>,
                   bool);
template void matmul(index_t, index_t, index_t, std::span<const Product<float>>);
template void matmul(index_t, index_t, index_t, std::span<const Product<double>>);

}  // namespace tapegrad::inline v0::kernels
