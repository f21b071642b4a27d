// Our own products of matrices, whether or not the library was built to use them.

#include "tapegrad/kernels/gemm_highway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using GemmOfOurOwn = testing::EachTarget;
using testing::AtTheEdge;

template <class T>
std::vector<T> drawn(Generator& generator, index_t count) {
  std::vector<T> v(static_cast<std::size_t>(count));
  for (T& x : v) x = static_cast<T>(generator.uniform(-1, 1));
  return v;
}

struct Case {
  index_t m, n, k;
  bool ta, tb, accumulate;
  index_t gap = 0;  // between the rows of each matrix
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.m << " x " << c.n << " x " << c.k << ", transposed: " << c.ta << c.tb
             << ", accumulate: " << c.accumulate << ", gap " << c.gap;
}

// Each element against a sum in wider numbers; nothing outside of the arrays is touched, and no gap is written.
template <class T>
void check(Generator& generator, const Case& of, bool first) {
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;
  const auto [m, n, k, ta, tb, accumulate, gap] = of;
  const auto room = [&](index_t rows, index_t columns) {
    return rows == 0 ? 0 : rows * (columns + of.gap) - of.gap;
  };
  const index_t a_step = (ta ? m : k) + gap, b_step = (tb ? k : n) + gap, c_step = n + gap;
  const auto a = drawn<T>(generator, room(ta ? k : m, ta ? m : k));
  const auto b = drawn<T>(generator, room(tb ? n : k, tb ? k : n));
  auto before = drawn<T>(generator, room(m, n));
  if (!accumulate)
    for (T& x : before) x = std::numeric_limits<T>::quiet_NaN();
  const AtTheEdge<T> a_edge(a, first), b_edge(b, first);
  AtTheEdge<T> c(before, first);
  highway::gemm<T>(m, n, k, {a_edge.data(), a_step, ta}, {b_edge.data(), b_step, tb}, {c.data(), c_step},
                   accumulate);
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < c_step && i * c_step + j < static_cast<index_t>(before.size()); ++j) {
      const T was = before[static_cast<std::size_t>(i * c_step + j)], is = c.data()[i * c_step + j];
      if (j >= n) {
        ASSERT_EQ(std::memcmp(&was, &is, sizeof(T)), 0) << of << ": between the rows, after row " << i;
        continue;
      }
      Wide sum = accumulate ? static_cast<Wide>(was) : 0, size = std::abs(sum);
      for (index_t r = 0; r < k; ++r) {
        const Wide term =
            static_cast<Wide>(a[static_cast<std::size_t>(ta ? r * a_step + i : i * a_step + r)]) *
            static_cast<Wide>(b[static_cast<std::size_t>(tb ? j * b_step + r : r * b_step + j)]);
        sum += term;
        size += std::abs(term);
      }
      // Each of the k additions is off by at most half a unit in the last place of a sum that is at most `size`.
      const Wide bound =
          static_cast<Wide>(std::numeric_limits<T>::epsilon()) * size * static_cast<Wide>(k + 1) / 2;
      ASSERT_LE(std::abs(static_cast<Wide>(is) - sum), bound) << of << ": element " << i << ", " << j;
    }
}

template <class T>
void check_all(std::uint64_t seed) {
  Generator generator(seed);
  std::vector<Case> cases;
  const auto add = [&](index_t m, index_t n, index_t k) {
    for (int flags = 0; flags < 8; ++flags)
      cases.push_back({m, n, k, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0,
                       static_cast<index_t>(generator.integer(2) * 3)});
  };
  const auto any = [&] { return static_cast<index_t>(generator.integer(130)) + 1; };
  for (int i = 0; i < 12; ++i) add(any(), any(), any());
  for (index_t size = 1; size <= 17; ++size) add(size, size, size);
  for (const index_t prime : {23, 31, 47, 61, 97, 127}) add(prime, prime, prime);
  for (const auto [m, n, k] : {std::array<index_t, 3>{1, 300, 5},
                               {300, 1, 7},
                               {1, 1, 700},
                               {5, 800, 3},
                               {401, 3, 11},
                               {2, 3, 0},
                               {0, 3, 4},
                               {3, 0, 4},
                               {203, 7, 260},
                               {9, 777, 257},
                               {64, 64, 64},
                               {128, 48, 128}})
    add(m, n, k);
  for (std::size_t i = 0; i < cases.size(); ++i) check<T>(generator, cases[i], i % 2 == 0);
}

TEST_P(GemmOfOurOwn, IsTheSumOfProductsAndTouchesItsArraysAlone) {
  check_all<float>(1);
  check_all<double>(2);
}

template <class T>
std::vector<T> product(const std::vector<T>& a, const std::vector<T>& b, const Case& of, int threads) {
  const ThreadCountScope scope(threads);
  std::vector<T> c(static_cast<std::size_t>(of.m * of.n), std::numeric_limits<T>::quiet_NaN());
  const Product<T> one{
      {a.data(), of.ta ? of.m : of.k, of.ta}, {b.data(), of.tb ? of.k : of.n, of.tb}, {c.data(), of.n}};
  highway::matmul<T>(of.m, of.n, of.k, {&one, 1});
  return c;
}

template <class T>
void same_bits_for_any_number_of_threads() {
  Generator generator(3);
  for (const auto [m, n, k] : {std::array<index_t, 3>{200, 190, 170},
                               {2000, 33, 70},
                               {64, 300, 500},
                               {1, 2000, 1000},
                               {97, 193, 300},
                               {1200, 1, 900}})
    for (int flags = 0; flags < 4; ++flags) {
      const Case of{m, n, k, (flags & 1) != 0, (flags & 2) != 0, false};
      const auto a = drawn<T>(generator, m * k), b = drawn<T>(generator, k * n);
      const auto alone = product(a, b, of, 1);
      for (const int threads : {1, 2, 3, 8})
        EXPECT_EQ(product(a, b, of, threads), alone) << of << ", " << threads << " threads";
      // gemm() on one thread computes the same, however matmul() is cut.
      std::vector<T> whole(alone.size());
      highway::gemm<T>(m, n, k, {a.data(), of.ta ? m : k, of.ta}, {b.data(), of.tb ? k : n, of.tb},
                       {whole.data(), n});
      EXPECT_EQ(whole, alone) << of;
    }
}

TEST_P(GemmOfOurOwn, MatmulIsTheSameBitsForAnyNumberOfThreads) {
  same_bits_for_any_number_of_threads<float>();
  same_bits_for_any_number_of_threads<double>();
}

TEST_P(GemmOfOurOwn, MultipliesSeveralProducts) {
  Generator generator(4);
  for (const auto [m, n, k] : {std::array<index_t, 3>{3, 5, 7}, {150, 140, 130}, {0, 4, 5}, {4, 5, 0}}) {
    std::vector<std::vector<float>> a, b, c(5), expected(5);
    std::vector<Product<float>> products;
    for (std::size_t i = 0; i < 5; ++i) {
      a.push_back(drawn<float>(generator, m * k));
      b.push_back(drawn<float>(generator, k * n));
      c[i].assign(static_cast<std::size_t>(m * n), -1);
      expected[i].assign(static_cast<std::size_t>(m * n), -1);
      highway::gemm<float>(m, n, k, {a[i].data(), k}, {b[i].data(), n}, {expected[i].data(), n});
    }
    for (std::size_t i = 0; i < 5; ++i)
      products.push_back({{a[i].data(), k}, {b[i].data(), n}, {c[i].data(), n}});
    highway::matmul<float>(m, n, k, products);
    EXPECT_EQ(c, expected) << m << " x " << n << " x " << k;
  }
}

// 0 * NaN and 0 * infinity are NaN, in the one row or column that has them and in no other; and NaN in a c that is
// overwritten does not stay.
template <class T>
void keeps_what_is_not_a_number() {
  for (const index_t size : {3, 8, 17, 50, 97})
    for (const T special : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()})
      for (const bool in_a : {false, true})
        for (int flags = 0; flags < 4; ++flags) {
          const bool ta = (flags & 1) != 0, tb = (flags & 2) != 0;
          std::vector<T> a(static_cast<std::size_t>(size * size)),
              b = a, c(a.size(), std::numeric_limits<T>::quiet_NaN());
          const index_t at = size - 1, inner = size / 2;
          if (in_a)
            a[static_cast<std::size_t>(ta ? inner * size + at : at * size + inner)] = special;
          else
            b[static_cast<std::size_t>(tb ? at * size + inner : inner * size + at)] = special;
          highway::gemm<T>(size, size, size, {a.data(), size, ta}, {b.data(), size, tb}, {c.data(), size});
          for (index_t i = 0; i < size; ++i)
            for (index_t j = 0; j < size; ++j)
              ASSERT_EQ(std::isnan(c[static_cast<std::size_t>(i * size + j)]), (in_a ? i : j) == at)
                  << size << ": " << special << " in " << (in_a ? "a" : "b") << ", transposed: " << ta << tb
                  << ", element " << i << ", " << j;
        }
}

TEST_P(GemmOfOurOwn, KeepsNanAndInfinity) {
  keeps_what_is_not_a_number<float>();
  keeps_what_is_not_a_number<double>();
}

// x x - round(x x) is what rounding has lost, if the product is rounded once with the sum; and zero if it is rounded twice.
TEST_P(GemmOfOurOwn, FusesWhereTheInstructionSetDoes) {
  const float x = 1 + 0x1p-12F, squared = x * x;
#if HWY_ARCH_X86 && defined(HWY_COMPILE_ONLY_STATIC)  // a build for one instruction set alone
#if defined(__FMA__)
  constexpr bool fused = true;
#else
  constexpr bool fused = false;
#endif
#else
  const bool fused = (GetParam().bit & (HWY_SSE4 | HWY_WASM)) == 0;
#endif
  for (const index_t n : {1, 16, 48, 65}) {
    std::vector<float> b(static_cast<std::size_t>(2 * n), x), c(static_cast<std::size_t>(n));
    std::fill_n(b.begin(), n, -squared);
    const float a[] = {1, x};
    highway::gemm<float>(1, n, 2, {a, 2}, {b.data(), n}, {c.data(), n});
    EXPECT_EQ(c, std::vector<float>(c.size(), fused ? 0x1p-24F : 0)) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GemmOfOurOwn, testing::kTargets, testing::target_name);

#if HWY_ARCH_X86 && !defined(TAPEGRAD_ONE_TARGET)
// Instruction sets with fused multiply-add compute the same bits: whatever the tiles, an element is the same sum.
TEST(GemmOfOurOwnOn, InstructionSetsWithFmaAgree) {
  Generator generator(5);
  const Case of{150, 77, 600, false, false, false};
  const auto a = drawn<float>(generator, of.m * of.k), b = drawn<float>(generator, of.k * of.n);
  std::vector<std::vector<float>> results;
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2}) {
    if (!testing::has_target({target, ""})) GTEST_SKIP() << "this CPU has no AVX-512 or no AVX2";
    testing::use_target(target);
    results.push_back(product(a, b, of, 2));
    testing::use_target(0);
  }
  EXPECT_EQ(results[0], results[1]);
}
#endif

}  // namespace
}  // namespace tapegrad::kernels
