#include "tapegrad/kernels/relu_backward.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "at_the_edge.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using ReluBackward = testing::EachTarget;
using testing::AtTheEdge;

// Multiples of 1/64 whose sums are exact in double, and mostly in float.
template <class T>
std::vector<T> drawn(Generator& generator, index_t count) {
  std::vector<T> v(static_cast<std::size_t>(count));
  for (T& x : v) x = static_cast<T>(static_cast<index_t>(generator.bits() % 17) - 8) / 64;
  return v;
}

template <class T>
void check(Generator& generator, index_t pixels, index_t channels, bool gated, bool first, bool in_place) {
  const index_t n = pixels * channels;
  const std::vector<T> g = drawn<T>(generator, n), y = drawn<T>(generator, n);
  constexpr T kUnwritten = std::numeric_limits<T>::quiet_NaN();
  AtTheEdge<T> g_edge(g, first), to(std::vector<T>(g.size(), kUnwritten), first);
  const AtTheEdge<T> y_edge(y, first);
  AtTheEdge<T> sums(std::vector<T>(static_cast<std::size_t>(channels), kUnwritten), first);
  T* const into = in_place ? g_edge.data() : to.data();
  relu_backward<T>(n, channels, g_edge.data(), gated ? y_edge.data() : nullptr, gated ? into : nullptr,
                   sums.data());
  std::vector<double> expected(static_cast<std::size_t>(channels), 0.0);
  for (index_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const T v = !gated || y[at] > 0 ? g[at] : T{0};
    if (gated) {
      ASSERT_EQ(into[i], v) << "element " << i << " of " << pixels << " x " << channels;
    }
    expected[static_cast<std::size_t>(i % channels)] += double{v};
  }
  for (index_t c = 0; c < channels; ++c)
    ASSERT_EQ(sums.data()[c], static_cast<T>(expected[static_cast<std::size_t>(c)]))
        << "channel " << c << " of " << pixels << " x " << channels;
}

// Also fewer numbers than are added at a time, odd channels, and several pieces.
TEST_P(ReluBackward, AddsEveryChannelAndTouchesItsArraysAlone) {
  Generator generator(1);
  for (const index_t channels : {1, 2, 3, 5, 7, 8, 13, 16, 31, 33, 64, 65, 127, 129, 300})
    for (const index_t pixels : {0, 1, 2, 3, 9, 64, 65, 130, 1031})
      for (const bool gated : {false, true})
        for (const bool first : {false, true})
          for (const bool in_place : {false, true}) {
            check<float>(generator, pixels, channels, gated, first, in_place);
            check<double>(generator, pixels, channels, gated, first, in_place);
          }
}

// Sums of 4 million numbers in float alone are off by 2.5e-5.
TEST_P(ReluBackward, SumsOfMillionsOfPixelsAreAccurate) {
  constexpr index_t kPixels = 1 << 22;
  for (const index_t channels : {1, 3}) {
    Generator generator(2);
    std::vector<float> g(static_cast<std::size_t>(kPixels * channels));
    std::vector<double> expected(static_cast<std::size_t>(channels), 0.0);
    for (std::size_t i = 0; i < g.size(); ++i) {
      g[i] = static_cast<float>(generator.bits() >> 8) * 0x1p-24F;
      expected[i % static_cast<std::size_t>(channels)] += double{g[i]};
    }
    std::vector<float> sums(expected.size());
    relu_backward<float>(static_cast<index_t>(g.size()), channels, g.data(), nullptr, nullptr, sums.data());
    for (std::size_t c = 0; c < sums.size(); ++c)
      EXPECT_NEAR(double{sums[c]} / expected[c], 1, 2e-7) << c << " of " << channels;
  }
}

TEST_P(ReluBackward, IsTheSameBitsForAnyNumberOfThreads) {
  Generator generator(3);
  constexpr index_t kPixels = 30000, kChannels = 13;
  std::vector<float> g(kPixels * kChannels), first;
  for (float& x : g) x = static_cast<float>(generator.uniform(-1, 1));
  for (const int threads : {1, 2, 5}) {
    const ThreadCountScope scope(threads);
    std::vector<float> sums(kChannels);
    relu_backward<float>(kPixels * kChannels, kChannels, g.data(), nullptr, nullptr, sums.data());
    if (threads == 1) first = sums;
    EXPECT_EQ(sums, first) << threads << " threads";
  }
}

// Rows of whole pixels, of 64 numbers (Float64: 32) at least; 64 rows are added in T, and what comes of them in double.
template <class T>
std::vector<T> sums_in_order(index_t channels, const std::vector<T>& g, const std::vector<T>& y) {
  constexpr index_t kLeast = index_t{256} / static_cast<index_t>(sizeof(T));
  const index_t width = (kLeast + channels - 1) / channels * channels, n = std::ssize(g);
  std::vector<double> columns(static_cast<std::size_t>(width), 0.0);
  for (index_t first = 0; first < n; first += 64 * width)
    for (index_t k = 0; k < width; ++k) {
      // What is behind the last whole row is added by itself.
      const index_t rows = std::min<index_t>(64, (n - first) / width);
      T sum = 0;
      for (index_t row = 0; row < rows; ++row) {
        const auto at = static_cast<std::size_t>(first + row * width + k);
        sum += y[at] > 0 ? g[at] : T{0};
      }
      columns[static_cast<std::size_t>(k)] += static_cast<double>(sum);
      const auto rest = static_cast<std::size_t>(first + rows * width + k);
      if (rows < 64 && rest < g.size() && y[rest] > 0)
        columns[static_cast<std::size_t>(k)] += static_cast<double>(g[rest]);
    }
  std::vector<T> sums;
  for (index_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (index_t k = c; k < width; k += channels) sum += columns[static_cast<std::size_t>(k)];
    sums.push_back(static_cast<T>(sum));
  }
  return sums;
}

template <class T>
void expect_sums_in_order(index_t channels, index_t pixels) {
  Generator generator(4);
  std::vector<T> g(static_cast<std::size_t>(channels * pixels)), y(g.size()), to(g.size());
  for (auto* all : {&g, &y})
    for (T& x : *all) x = static_cast<T>(generator.uniform(-1, 1));
  std::vector<T> sums(static_cast<std::size_t>(channels));
  relu_backward<T>(std::ssize(g), channels, g.data(), y.data(), to.data(), sums.data());
  EXPECT_EQ(sums, sums_in_order(channels, g, y)) << pixels << " x " << channels;
}

// The same order of additions with each instruction set, of any number of channels.
TEST_P(ReluBackward, AddsInTheOrderThatItPromises) {
  for (const index_t channels : {1, 3, 5, 8, 12, 17, 24, 31, 48, 100, 257, 600})
    for (const index_t pixels : {1, 7, 50}) {
      expect_sums_in_order<float>(channels, pixels);
      expect_sums_in_order<double>(channels, pixels);
      expect_sums_in_order<float>(channels, 32768 / channels);
      expect_sums_in_order<double>(channels, 32768 / channels);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, ReluBackward, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
