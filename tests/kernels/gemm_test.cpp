// Products of matrices. CTest runs all this once for each flavour of OpenBLAS that is installed (tests/under_openblas.cmake).

#include "tapegrad/kernels/gemm.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "emulated.h"
#include "gemm_operands.h"

namespace tapegrad::kernels {
namespace {

using testing::kSizes, testing::Operands, testing::multiplied, testing::Sizes;

template <class T>
class Gemm : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Gemm, Types);

TYPED_TEST(Gemm, IsTheSumOfProducts) {
  using T = TypeParam;
  for (const auto [m, n, k] : kSizes)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool accumulate : {false, true}) {
          const Operands<T> of(m, n, k, true);
          const index_t step = n + 3;  // what lies between the rows is not ours
          std::vector<T> c(static_cast<std::size_t>(m * step), T{5}), expected = c;
          for (index_t i = 0; i < m; ++i)
            for (index_t j = 0; j < n; ++j) {
              T& sum = expected[static_cast<std::size_t>(i * step + j)];
              if (!accumulate) sum = 0;
              for (index_t r = 0; r < k; ++r)
                sum += of.a[static_cast<std::size_t>(ta ? r * m + i : i * k + r)] *
                       of.b[static_cast<std::size_t>(tb ? j * k + r : r * n + j)];
            }
          gemm<T>(m, n, k, of.left(ta), of.right(tb), {c.data(), step}, accumulate);
          EXPECT_EQ(c, expected) << m << " x " << n << " x " << k << ", transposed: " << ta << tb
                                 << ", accumulate: " << accumulate;
        }
}

TYPED_TEST(Gemm, MatmulIsTheSameBitsForAnyNumberOfThreads) {
  for (const auto [m, n, k] : {Sizes{700, 90, 130}, Sizes{2000, 33, 17}, Sizes{64, 300, 500}}) {
    const Operands<TypeParam> of(m, n, k);
    const auto alone = multiplied(of, 1);
    for (const int threads : {1, 2, 3, 8})
      for (int again = 0; again < 3; ++again)
        EXPECT_EQ(multiplied(of, threads), alone)
            << m << " x " << n << " x " << k << ", " << threads << " threads";
  }
}

TYPED_TEST(Gemm, SeveralThreadsOfAProgramMultiplyAtOnce) {
  using T = TypeParam;
  const Operands<T> of(200, 96, 160);
  const auto expected = multiplied(of, 1);
  std::vector<int> wrong(6);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int again = 0; again < testing::often(1000); ++again) count += multiplied(of, 2) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(6));
}

}  // namespace
}  // namespace tapegrad::kernels
