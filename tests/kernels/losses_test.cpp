#include "tapegrad/kernels/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/random.h"

namespace tapegrad::kernels {
namespace {

using testing::AtTheEdge;

template <class T>
std::vector<T> drawn(Generator& generator, index_t count, double low, double high) {
  std::vector<T> v(static_cast<std::size_t>(count));
  for (T& x : v) x = static_cast<T>(generator.uniform(low, high));
  return v;
}

template <class T>
std::vector<T> unwritten(index_t count) {
  return std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN());
}

template <class T>
void expect_near(double found, double expected, const char* what, index_t n, index_t i) {
  // Not EXPECT_LE of a maximum: a NaN is to fail.
  EXPECT_TRUE(std::abs(found - expected) <=
              8 * double{std::numeric_limits<T>::epsilon()} * (1 + std::abs(expected)))
      << what << " " << i << " of " << n << " is " << found << ", not " << expected;
}

// Runs a loss of pairs on arrays with unreadable memory on both sides, with and without slopes.
template <class T, class Kernel>
void check_pairs(Kernel kernel, double low, double high, double (*loss)(double, double),
                 double (*slope)(double, double)) {
  Generator generator(1);
  constexpr T kScale = T{0.25};
  for (index_t n = 0; n <= 70; ++n)
    for (const bool first : {false, true})
      for (const bool with_slopes : {false, true}) {
        const std::vector<T> x = drawn<T>(generator, n, -6, 6), t = drawn<T>(generator, n, low, high);
        const AtTheEdge<T> x_edge(x, first), t_edge(t, first);
        AtTheEdge<T> losses(unwritten<T>(n), first), slopes(unwritten<T>(n), first);
        kernel(n, x_edge.data(), t_edge.data(), losses.data(), with_slopes ? slopes.data() : nullptr, kScale);
        for (index_t i = 0; i < n; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const double a = double{x[at]}, b = double{t[at]};
          expect_near<T>(double{losses.data()[i]}, loss(a, b), "loss", n, i);
          if (with_slopes) expect_near<T>(double{slopes.data()[i]}, 0.25 * slope(a, b), "slope", n, i);
        }
      }
}

template <class T>
class Losses : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Losses, Types);

TYPED_TEST(Losses, SquaredErrorTouchesItsArraysAlone) {
  check_pairs<TypeParam>(
      squared_error<TypeParam>, -6, 6, [](double x, double t) { return (x - t) * (x - t); },
      [](double x, double t) { return 2 * (x - t); });
}

TYPED_TEST(Losses, LogisticLossTouchesItsArraysAlone) {
  check_pairs<TypeParam>(
      logistic_loss<TypeParam>, 0, 1,
      [](double x, double t) { return t * std::log1p(std::exp(-x)) + (1 - t) * std::log1p(std::exp(x)); },
      [](double x, double t) { return 1 / (1 + std::exp(-x)) - t; });
}

TYPED_TEST(Losses, CrossEntropyTouchesItsArraysAlone) {
  using T = TypeParam;
  Generator generator(2);
  for (index_t rows = 0; rows <= 5; ++rows)
    for (index_t classes = 1; classes <= 19; ++classes)
      for (const bool first : {false, true})
        for (const T spread : {T{0}, T{0.125}})
          for (const bool with_slopes : {false, true}) {
            const std::vector<T> x = drawn<T>(generator, rows * classes, -4, 4);
            std::vector<std::int32_t> labels(static_cast<std::size_t>(rows));
            for (std::int32_t& label : labels)
              label = static_cast<std::int32_t>(generator.bits() % static_cast<std::uint64_t>(classes));
            const AtTheEdge<T> x_edge(x, first);
            const AtTheEdge<std::int32_t> labels_edge(labels, first);
            AtTheEdge<T> losses(unwritten<T>(rows), first), slopes(unwritten<T>(rows * classes), first);
            cross_entropy<T>(rows, classes, x_edge.data(), labels_edge.data(), spread, losses.data(),
                             with_slopes ? slopes.data() : nullptr, T{0.5});
            for (index_t r = 0; r < rows; ++r) {
              double total = 0, mean = 0;
              for (index_t c = 0; c < classes; ++c) {
                const double logit = double{x_edge.data()[r * classes + c]};
                total += std::exp(logit);
                mean += logit / static_cast<double>(classes);
              }
              const index_t label = labels[static_cast<std::size_t>(r)];
              const double s = double{spread}, of_label = double{x_edge.data()[r * classes + label]};
              expect_near<T>(double{losses.data()[r]}, std::log(total) - (1 - s) * of_label - s * mean,
                             "loss", rows, r);
              for (index_t c = 0; with_slopes && c < classes; ++c) {
                const double p = std::exp(double{x_edge.data()[r * classes + c]}) / total;
                const double slope = p - (c == label ? 1 - s : 0.0) - s / static_cast<double>(classes);
                expect_near<T>(double{slopes.data()[r * classes + c]}, 0.5 * slope, "slope", classes, c);
              }
            }
          }
}

}  // namespace
}  // namespace tapegrad::kernels
