#include "tapegrad/kernels/row_product.h"

#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/random.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using RowProduct = testing::EachTarget;
using testing::AtTheEdge;

struct Asked {
  index_t n, k, step, gap;
  bool transposed, accumulate;
};

// Whole numbers, whose sums are exact.
template <class T>
std::vector<T> whole_numbers(Generator& generator, index_t count) {
  std::vector<T> all(static_cast<std::size_t>(count));
  for (T& x : all) x = static_cast<T>(static_cast<index_t>(generator.bits() % 17) - 8);
  return all;
}

template <class T>
void check(const Asked& a, bool first) {
  Generator generator(1);
  const index_t rows = a.transposed ? a.n : a.k, step = (a.transposed ? a.k : a.n) + a.gap;
  // Nothing is behind the last number of the last row.
  const AtTheEdge<T> x(whole_numbers<T>(generator, (a.k - 1) * a.step + 1), first);
  const AtTheEdge<T> b(whole_numbers<T>(generator, rows * step - a.gap), first);
  const std::vector<T> before = whole_numbers<T>(generator, a.n);
  AtTheEdge<T> y(before, first);
  row_product<T>(a.n, a.k, x.data(), a.step, {b.data(), step, a.transposed}, y.data(), a.accumulate);
  for (index_t j = 0; j < a.n; ++j) {
    T sum = a.accumulate ? before[static_cast<std::size_t>(j)] : T{0};
    for (index_t p = 0; p < a.k; ++p)
      sum += x.data()[p * a.step] * b.data()[a.transposed ? j * step + p : p * step + j];
    ASSERT_EQ(y.data()[j], sum) << "number " << j << " of " << a.n << ", " << a.k << " products, step "
                                << a.step << ", gap " << a.gap << (a.transposed ? ", transposed" : "")
                                << (a.accumulate ? ", into a sum" : "");
  }
}

TEST_P(RowProduct, IsThatOfItsDefinitionAndTouchesItsArraysAlone) {
  for (const index_t n : {1, 2, 3, 4, 5, 9, 15, 17, 31, 40, 130, 300})
    for (const index_t k : {1, 2, 17, 33, 129})
      for (const index_t step : {1, 3})
        for (const index_t gap : {0, 5})
          for (const bool transposed : {false, true})
            for (const bool accumulate : {false, true})
              for (const bool first : {false, true}) {
                check<float>({n, k, step, gap, transposed, accumulate}, first);
                check<double>({n, k, step, gap, transposed, accumulate}, first);
              }
}

TEST_P(RowProduct, IsThatOfItsDefinitionWhereSumsAreLong) {
  for (const index_t n : {1, 3, 9, 40})
    for (const index_t k : {1024, 1025, 2500})
      for (const bool transposed : {false, true})
        for (const bool accumulate : {false, true}) check<float>({n, k, 1, 3, transposed, accumulate}, false);
}

// One by one, so many numbers add up to one that is off by a hundredth.
TEST_P(RowProduct, KeepsTheDigitsOfLongSums) {
  constexpr index_t k = 1 << 20;
  const std::vector<float> x(k, 1.0F);
  for (const index_t n : {1, 3, 8})
    for (const bool transposed : {false, true}) {
      const std::vector<float> b(static_cast<std::size_t>(n * k), 0.1F);
      std::vector<float> y(static_cast<std::size_t>(n));
      row_product<float>(n, k, x.data(), 1, {b.data(), transposed ? k : n, transposed}, y.data(), false);
      for (const float sum : y) EXPECT_NEAR(sum / k, 0.1F, 1e-3F * 0.1F) << n << transposed;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, RowProduct, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
