#include "tapegrad/ops/matmul.h"

#include "tapegrad/autograd/record.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/gemm.h"

namespace tapegrad {

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  const bool ta = options.transpose_a, tb = options.transpose_b;
  if (a.rank() != 2 || b.rank() != 2)
    fail("matmul", "takes two matrices, not shapes {} and {}", a.shape(), b.shape());
  if (a.dtype() != b.dtype() || !is_floating(a.dtype()))
    fail("matmul", "takes two Float32 or two Float64 matrices, not {} {} and {} {}", a.dtype(), a.shape(),
         b.dtype(), b.shape());
  const index_t m = a.shape()[ta ? 1 : 0], k = a.shape()[ta ? 0 : 1];
  const index_t n = b.shape()[tb ? 0 : 1], k_of_b = b.shape()[tb ? 1 : 0];
  if (k != k_of_b)
    fail("matmul", "the inner sizes differ, {} and {} (a: {}{}, b: {}{})", k, k_of_b, a.shape(),
         ta ? " transposed" : "", b.shape(), tb ? " transposed" : "");
  Tensor y = TensorAccess::empty({m, n}, a.dtype());
  const auto run = [&]<class T>(std::type_identity<T>) {
    kernels::matmul<T>(m, n, k, {a.data<T>(), a.shape()[1], ta}, {b.data<T>(), b.shape()[1], tb},
                       {y.mutable_data<T>(), n});
  };
  a.dtype() == DType::Float32 ? run(std::type_identity<float>{}) : run(std::type_identity<double>{});

  // y = A B: dA = g B^T, dB = A^T g; for a transposed operand the transposes of these.
  return record("matmul", std::move(y),
                {{a,
                  [b = Saved(b), ta, tb](const Tensor& g) {
                    return ta ? matmul(b(), g, {.transpose_a = tb, .transpose_b = true})
                              : matmul(g, b(), {.transpose_b = !tb});
                  }},
                 {b, [a = Saved(a), ta, tb](const Tensor& g) {
                    return tb ? matmul(g, a(), {.transpose_a = true, .transpose_b = ta})
                              : matmul(a(), g, {.transpose_a = !ta});
                  }}});
}

}  // namespace tapegrad
