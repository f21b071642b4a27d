// Kernels of rows and windows, between memory that must not be touched: the blocks that tensors lie in are larger than the
// tensors, so that a step too far shows in no op.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/error.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/kernels/pooling.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/kernels/softmax.h"

namespace tapegrad::kernels {
namespace {

using testing::AtTheEdge;

template <class T>
class Edges : public ::testing::Test {
 protected:
  // Whole numbers from -8 to 8, in no order: their sums are exact.
  static std::vector<T> numbers(index_t count) {
    std::vector<T> v(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<T>(static_cast<int>(i * i * 5 + i) % 17 - 8);
    return v;
  }
  static std::vector<T> nans(index_t count) {
    return std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN());
  }
};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Edges, FloatingTypes);

TYPED_TEST(Edges, Softmax) {
  using T = TypeParam;
  constexpr double kTolerance = 16 * double{std::numeric_limits<T>::epsilon()};
  for (const index_t outer : {0, 1, 3})
    for (const index_t count : {1, 2, 7, 19})
      for (const index_t inner : {1, 2, 9})
        for (const bool first : {false, true}) {
          const index_t size = outer * count * inner;
          const AtTheEdge<T> x(this->numbers(size), first);
          AtTheEdge<T> y(this->nans(size), first), logs(this->nans(size), first);
          softmax<T>(outer, count, inner, x.data(), y.data());
          log_softmax<T>(outer, count, inner, x.data(), logs.data());
          for (index_t i = 0; i < size; ++i) {
            const index_t column = i / (count * inner) * count * inner + i % inner;
            double total = 0;
            for (index_t r = 0; r < count; ++r) total += std::exp(double{x.data()[column + r * inner]});
            const double expected = double{x.data()[i]} - std::log(total);
            ASSERT_NEAR(double{logs.data()[i]}, expected, kTolerance * (1 + std::abs(expected)));
            ASSERT_NEAR(double{y.data()[i]}, std::exp(expected), kTolerance);
          }
        }
}

// The largest pixel of a window, the mean of its pixels, and a window's gradient shared among them.
template <class T>
void check_window(const Conv2DGeometry& g, index_t out, const T* x, std::int32_t largest, T mean, const T* dy,
                  std::vector<double>& dx) {
  const index_t c = out % g.in_channels, pixel = out / g.in_channels;
  const index_t q = pixel % g.out_w, p = pixel / g.out_w % g.out_h, n = pixel / g.out_w / g.out_h;
  std::vector<std::size_t> window;
  for (index_t i = p * g.stride_h - g.pad_top, above = i; i < above + g.kernel_h; ++i)
    for (index_t j = q * g.stride_w - g.pad_left, left = j; j < left + g.kernel_w; ++j)
      if (i >= 0 && i < g.in_h && j >= 0 && j < g.in_w)
        window.push_back(static_cast<std::size_t>(((n * g.in_h + i) * g.in_w + j) * g.in_channels + c));
  const auto best = std::ranges::max_element(window, {}, [x](std::size_t at) { return x[at]; });
  ASSERT_EQ(static_cast<std::size_t>(largest), *best);
  const auto pixels = static_cast<double>(window.size());
  double sum = 0;
  for (const std::size_t at : window) sum += double{x[at]};
  ASSERT_EQ(mean, static_cast<T>(sum / pixels));
  for (const std::size_t at : window) dx[at] += double{dy[out]} / pixels;
}

TYPED_TEST(Edges, Pooling) {
  using T = TypeParam;
  for (const index_t channels : {1, 3, 8})
    for (const Padding& padding : {Padding::Valid, Padding::Same})
      for (const index_t stride : {1, 2})
        for (const bool first : {false, true}) {
          const Conv2DGeometry g =
              resolve_conv2d("test", {2, 5, 4, channels}, {3, 2, 1, channels},
                             {.strides = stride, .padding = padding, .groups = channels});
          const index_t size = g.in_shape().size(), results = g.out_shape().size();
          const AtTheEdge<T> x(this->numbers(size), first), dy(this->numbers(results), first);
          AtTheEdge<std::int32_t> at(std::vector<std::int32_t>(static_cast<std::size_t>(results), -1), first);
          AtTheEdge<T> y(this->nans(results), first);
          AtTheEdge<T> dx(std::vector<T>(static_cast<std::size_t>(size), T{0}), first);
          AtTheEdge<T> largest(this->nans(results), first), alone(this->nans(results), first);
          window_max<T>(g, x.data(), largest.data(), at.data());
          window_max<T>(g, x.data(), alone.data(), nullptr);
          window_mean<T>(g, x.data(), y.data());
          window_spread<T>(g, dy.data(), dx.data());
          std::vector<double> expected(static_cast<std::size_t>(size), 0.0);
          for (index_t out = 0; out < results; ++out) {
            check_window<T>(g, out, x.data(), at.data()[out], y.data()[out], dy.data(), expected);
            ASSERT_EQ(largest.data()[out], x.data()[at.data()[out]]);
            ASSERT_EQ(alone.data()[out], largest.data()[out]);
          }
          for (std::size_t i = 0; i < expected.size(); ++i)
            ASSERT_NEAR(double{dx.data()[i]}, expected[i], 64 * double{std::numeric_limits<T>::epsilon()});
        }
}

// Fewer and more elements than are joined at a time, and results of several parts.
TYPED_TEST(Edges, Reductions) {
  using T = TypeParam;
  const DType dtype = sizeof(T) == sizeof(float) ? DType::Float32 : DType::Float64;
  for (const index_t count : {1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 127, 128, 129, 255, 300, 33000})
    for (const index_t inner : {1, 2, 7, 129})
      for (const index_t outer : {1, 2})
        for (const bool first : {false, true}) {
          if (count * inner > 70000) continue;
          const AtTheEdge<T> x(this->numbers(outer * count * inner), first);
          AtTheEdge<T> sum(this->nans(outer * inner), first), most(this->nans(outer * inner), first),
              least(this->nans(outer * inner), first);
          reduce<T>(joiner<Sum>(dtype), outer, count, inner, x.data(), sum.data());
          reduce<T>(joiner<Largest>(dtype), outer, count, inner, x.data(), most.data());
          reduce<T>(joiner<Smallest>(dtype), outer, count, inner, x.data(), least.data());
          for (index_t i = 0; i < outer * inner; ++i) {
            double total = 0, largest = -9, smallest = 9;
            for (index_t r = 0; r < count; ++r) {
              const double v = double{x.data()[(i / inner * count + r) * inner + i % inner]};
              total += v, largest = std::max(largest, v), smallest = std::min(smallest, v);
            }
            ASSERT_EQ(double{sum.data()[i]}, total) << outer << " x " << count << " x " << inner;
            ASSERT_EQ(double{most.data()[i]}, largest) << outer << " x " << count << " x " << inner;
            ASSERT_EQ(double{least.data()[i]}, smallest) << outer << " x " << count << " x " << inner;
          }
        }
}

TYPED_TEST(Edges, CumulativeSums) {
  using T = TypeParam;
  for (const index_t count : {0, 1, 2, 9})
    for (const index_t inner : {1, 3})
      for (const bool from_end : {false, true})
        for (const bool exclusive : {false, true})
          for (const bool first : {false, true}) {
            const index_t size = 2 * count * inner;
            const AtTheEdge<T> x(this->numbers(size), first);
            AtTheEdge<T> y(this->nans(size), first);
            cumulative_sum<T>(2, count, inner, x.data(), y.data(), from_end, exclusive);
            for (index_t i = 0; i < size; ++i) {
              const index_t row = i / inner % count;
              double total = 0;
              for (index_t r = 0; r < count; ++r) {
                const bool before = from_end ? r > row : r < row;
                if (before || (r == row && !exclusive)) total += double{x.data()[i + (r - row) * inner]};
              }
              ASSERT_EQ(double{y.data()[i]}, total) << "element " << i << " of " << count << " x " << inner;
            }
          }
}

}  // namespace
}  // namespace tapegrad::kernels
