#include "tapegrad/kernels/conv2d_direct.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "tapegrad/base/error.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using DirectConv2D = testing::EachTarget;

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : generator_(seed) {}
  index_t integer(index_t low, index_t high) {
    return low + static_cast<index_t>(generator_.bits() % static_cast<std::uint64_t>(high - low + 1));
  }
  template <class T, std::size_t n>
  T one_of(const T (&values)[n]) {
    return values[integer(0, n - 1)];
  }
  // Multiples of 1/1024, which add up exactly in double precision.
  std::vector<float> numbers(index_t count) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (float& x : v) x = static_cast<float>(integer(-1024, 1024)) / 1024;
    return v;
  }

 private:
  Generator generator_;
};

// A copy that ends where the readable memory does: who looks behind it is stopped by the processor.
class AtTheEdge {
 public:
  explicit AtTheEdge(const std::vector<float>& v) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = v.size() * sizeof(float), room = (bytes + page - 1) / page * page;
    size_ = room + page;
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_ + room, page, PROT_NONE);
    data_ = reinterpret_cast<float*>(memory_ + room - bytes);
    std::copy(v.begin(), v.end(), data_);
  }
  ~AtTheEdge() { munmap(memory_, size_); }
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;
  const float* data() const { return data_; }

 private:
  std::byte* memory_;
  std::size_t size_;
  float* data_;
};

// Any convolution at all; nothing when the filter does not fit.
std::optional<Conv2DGeometry> draw_geometry(Draw& draw) {
  constexpr index_t kChannels[] = {1, 1, 2, 3, 4, 5, 6, 8, 8, 12, 16, 16, 20, 24, 32, 33, 40, 64};
  Conv2DOptions options;
  options.strides = {draw.integer(1, 3), draw.integer(1, 3)};
  options.dilations = {draw.integer(1, 2), draw.integer(1, 3)};
  index_t in = draw.one_of(kChannels), out = draw.one_of(kChannels);
  switch (draw.integer(0, 5)) {
    case 0:
      options.groups = draw.integer(2, 3);
      break;
    case 1:  // depthwise, with enough channels for every vector or not
      options.groups = draw.one_of(kChannels);
      options.groups += draw.integer(0, 3);
      in = out = 1;
      break;
  }
  std::array<index_t, 4> sides;
  switch (draw.integer(0, 3)) {
    case 0:
      options.padding = Padding::Same;
      break;
    case 1:
      options.padding = Padding::Full;
      break;
    case 2:
      sides = {draw.integer(0, 3), draw.integer(0, 3), draw.integer(0, 3), draw.integer(0, 3)};
      options.padding = Padding::Explicit(sides[0], sides[1], sides[2], sides[3]);
      break;
  }
  const Shape x = {draw.integer(1, 3), draw.integer(1, 18), draw.integer(1, 30), in * options.groups};
  const Shape w = {draw.integer(1, 5), draw.integer(1, 5), in, out * options.groups};
  try {
    return resolve_conv2d("test", x, w, options);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<double> widen(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

// The largest difference, NaN if there is one, as a multiple of what sums of that many terms may be off by.
double difference(const std::vector<double>& expected, const std::vector<float>& found, index_t terms) {
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = std::abs(expected[i] - static_cast<double>(found[i]));
    if (!(d <= largest)) largest = d;
  }
  return largest / (2.4e-7 * static_cast<double>(terms + 2));
}

std::string describe(const Conv2DGeometry& g) {
  return "x " + g.in_shape().str() + ", w " + g.filter_shape().str() + ", y " + g.out_shape().str() +
         ", groups " + std::to_string(g.groups);
}

// The double precision kernels work in another way: they multiply a matrix of windows.
TEST_P(DirectConv2D, IsWhatTheMatrixOfWindowsGives) {
  Draw draw(7);
  const float unset = std::numeric_limits<float>::quiet_NaN();
  int drawn = 0;
  for (int i = 0; i < 800; ++i) {
    const auto geometry = draw_geometry(draw);
    if (!geometry) continue;
    ++drawn;
    const Conv2DGeometry& g = *geometry;
    SCOPED_TRACE(describe(g));
    const std::vector<float> x = draw.numbers(g.in_shape().size()), w = draw.numbers(g.filter_shape().size()),
                             y = draw.numbers(g.out_shape().size()), to_y = draw.numbers(g.out_channels),
                             to_x = draw.numbers(g.in_channels);
    const AtTheEdge x_edge(x), w_edge(w), y_edge(y);
    const auto x64 = widen(x), w64 = widen(w), y64 = widen(y), to_y64 = widen(to_y), to_x64 = widen(to_x);
    const bool relu = i % 2 == 0;
    const auto bias = [&](const auto& b) { return i % 3 == 0 ? nullptr : b.data(); };

    std::vector<double> expected(y.size());
    std::vector<float> found(y.size(), unset);
    conv2d(g, x64.data(), w64.data(), expected.data(), {bias(to_y64), relu});
    direct_conv2d(g, x_edge.data(), w_edge.data(), found.data(), {bias(to_y), relu});
    ASSERT_LE(difference(expected, found, g.window()), 1) << "conv2d";

    expected.assign(x.size(), 0);
    found.assign(x.size(), unset);
    conv2d_backprop_input(g, y64.data(), w64.data(), expected.data(), {bias(to_x64), relu});
    direct_conv2d_backprop_input(g, y_edge.data(), w_edge.data(), found.data(), {bias(to_x), relu});
    ASSERT_LE(difference(expected, found, g.kernel_h * g.kernel_w * g.group_out()), 1) << "backprop_input";

    expected.assign(w.size(), 0);
    found.assign(w.size(), unset);
    conv2d_backprop_filter(g, x64.data(), y64.data(), expected.data());
    direct_conv2d_backprop_filter(g, x_edge.data(), y_edge.data(), found.data());
    ASSERT_LE(difference(expected, found, g.batch * g.out_h * g.out_w), 1) << "backprop_filter";
  }
  EXPECT_GT(drawn, 500);
}

TEST_P(DirectConv2D, IsTheSameBitsForAnyNumberOfThreads) {
  Draw draw(8);
  const Conv2DGeometry g = resolve_conv2d("test", Shape{9, 30, 29, 24}, Shape{3, 3, 24, 40},
                                          {.strides = 2, .padding = Padding::Same});
  const std::vector<float> x = draw.numbers(g.in_shape().size()), w = draw.numbers(g.filter_shape().size()),
                           dy = draw.numbers(g.out_shape().size());
  std::vector<float> first[3];
  for (const int threads : {1, 2, 3, 8}) {
    const ThreadCountScope scope(threads);
    std::vector<float> y(dy.size()), dx(x.size()), dw(w.size());
    direct_conv2d(g, x.data(), w.data(), y.data(), {});
    direct_conv2d_backprop_input(g, dy.data(), w.data(), dx.data(), {});
    direct_conv2d_backprop_filter(g, x.data(), dy.data(), dw.data());
    if (threads == 1) {
      first[0] = y, first[1] = dx, first[2] = dw;
    } else {
      EXPECT_EQ(first[0], y) << threads << " threads";
      EXPECT_EQ(first[1], dx) << threads << " threads";
      EXPECT_EQ(first[2], dw) << threads << " threads";
    }
  }
}

// Sums of neighbouring pixels share vectors; none may see what belongs to another one.
TEST_P(DirectConv2D, ANaNReachesOnlyTheSumsItIsIn) {
  for (const index_t channels : {1, 2, 3, 8, 16, 20}) {
    const Conv2DGeometry g =
        resolve_conv2d("test", Shape{1, 5, 9, 4}, Shape{3, 3, 4, channels}, {.padding = Padding::Same});
    std::vector<float> x(static_cast<std::size_t>(g.in_shape().size()), 1.0F);
    const std::vector<float> w(static_cast<std::size_t>(g.filter_shape().size()), 1.0F);
    std::vector<float> y(static_cast<std::size_t>(g.out_shape().size()));
    x[(2 * 9 + 4) * 4 + 1] = std::numeric_limits<float>::quiet_NaN();
    direct_conv2d(g, x.data(), w.data(), y.data(), {nullptr, true});
    for (index_t p = 0; p < 5; ++p)
      for (index_t q = 0; q < 9; ++q)
        for (index_t o = 0; o < channels; ++o)
          ASSERT_EQ(std::isnan(y[static_cast<std::size_t>((p * 9 + q) * channels + o)]),
                    std::abs(p - 2) <= 1 && std::abs(q - 4) <= 1)
              << p << ", " << q << ", " << o << " of " << channels;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, DirectConv2D, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
