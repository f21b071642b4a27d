#include "tapegrad/kernels/conv2d/direct.h"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "conv2d_checks.h"
#include "tapegrad/base/error.h"
#include "tapegrad/kernels/conv2d/packed_filter.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using DirectConv2D = testing::EachTarget;
using testing::Draw;

template <class T>
constexpr testing::ConvKernels<T> kDirect = {Family::Direct};

// Any convolution at all; nothing when the filter does not fit.
std::optional<Conv2DGeometry> draw_direct_geometry(Draw& draw) {
  constexpr index_t kChannels[] = {1, 1, 2, 3, 4, 5, 6, 8, 8, 12, 16, 16, 20, 24, 32, 33, 40, 64};
  Conv2DOptions options;
  options.strides = {draw.integer(1, 3), draw.integer(1, 3)};
  options.dilations = {draw.integer(1, 2), draw.integer(1, 3)};
  index_t in = draw.one_of(kChannels), out = draw.one_of(kChannels);
  switch (draw.integer(0, 5)) {
    case 0:
      options.groups = draw.integer(2, 3);
      break;
    case 1:  // depthwise
      options.groups = draw.one_of(kChannels);
      options.groups += draw.integer(0, 3);
      in = out = 1;
      break;
  }
  testing::draw_padding(draw, 3, options);
  const Shape x = {draw.integer(1, 3), draw.integer(1, 18), draw.integer(1, 30), in * options.groups};
  const Shape w = {draw.integer(1, 5), draw.integer(1, 5), in, out * options.groups};
  try {
    return resolve_conv2d("test", x, w, options);
  } catch (const Error&) {
    return std::nullopt;
  }
}

TEST_P(DirectConv2D, IsWhatTheMatrixOfWindowsGives) {
  Draw draw(7);
  int drawn = 0;
  for (int i = 0; i < 800 && !HasFailure(); ++i)
    if (const auto g = draw_direct_geometry(draw)) {
      ++drawn;
      testing::expect_what_the_matrix_of_windows_gives(kDirect<float>, *g, draw);
      testing::expect_what_the_matrix_of_windows_gives(kDirect<double>, *g, draw);
    }
  EXPECT_GT(drawn, 500);
}

// Many channels: more vectors than a tile takes, images that are cut into strips, borders of all kinds.
TEST_P(DirectConv2D, IsWhatTheMatrixOfWindowsGivesForManyChannels) {
  Draw draw(17);
  constexpr index_t kChannels[] = {32, 33, 48, 71, 100};
  for (int i = 0; i < 24 && !HasFailure(); ++i) {
    Conv2DOptions options;
    options.strides = {draw.integer(1, 2), draw.integer(1, 3)};
    options.dilations = {draw.integer(1, 2), draw.integer(1, 2)};
    testing::draw_padding(draw, 4, options);
    const index_t in = draw.one_of(kChannels), out = draw.one_of(kChannels);
    const Conv2DGeometry g =
        resolve_conv2d("test", Shape{draw.integer(1, 3), draw.integer(7, 24), draw.integer(7, 24), in},
                       Shape{draw.integer(1, 4), draw.integer(1, 4), in, out}, options);
    testing::expect_what_the_matrix_of_windows_gives(kDirect<float>, g, draw);
    testing::expect_what_the_matrix_of_windows_gives(kDirect<double>, g, draw);
  }
}

TEST_P(DirectConv2D, SkipsPaddingAndPixelsThatNoTapReads) {
  Draw draw(12);
  for (int i = 0; i < 300 && !HasFailure(); ++i)
    if (const auto g = draw_direct_geometry(draw); g && g->out_shape().size() * g->window() < 100'000) {
      testing::expect_what_loops_give_for_any_numbers(kDirect<float>, *g, draw);
      testing::expect_what_loops_give_for_any_numbers(kDirect<double>, *g, draw);
    }
}

// The judge itself: a result that was never written is NaN, wherever it is.
TEST(ConvChecks, ANaNAnywhereIsADifference) {
  for (const std::size_t at : {0U, 1U, 2U}) {
    std::vector<float> found(3, 1.0F);
    found[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(testing::difference({1, 1, 1}, found, 1) <= 1) << at;
  }
  EXPECT_LE(testing::difference({1, 1, 1}, std::vector<float>(3, 1.0F), 1), 0);
}

TEST_P(DirectConv2D, IsTheSameBitsForAnyNumberOfThreads) {
  Draw draw(8);
  for (const index_t channels : {24, 48}) {  // with 32 and more, filter gradients are computed tap by tap
    const Conv2DGeometry g = resolve_conv2d("test", Shape{9, 30, 29, channels}, Shape{3, 3, channels, 40},
                                            {.strides = 2, .padding = Padding::Same});
    testing::expect_the_same_bits_for_any_number_of_threads(kDirect<float>, g, draw);
    testing::expect_the_same_bits_for_any_number_of_threads(kDirect<double>, g, draw);
  }
}

// One image has too few rows for several threads: they share blocks of channels, unless the last block begins within the one before.
TEST_P(DirectConv2D, OfOneImageThreadsShareTheChannels) {
  Draw draw(9);
  const auto shares = [&](const Conv2DGeometry& g, bool transposed) {
    return plan_correlation(g, transposed, Family::Direct, vector_traits<float>()).by_blocks(3);
  };
  for (const index_t channels : {64, 65, 128})
    for (const index_t stride : {1, 2}) {
      const Conv2DGeometry g = resolve_conv2d("test", Shape{1, 7, 9, 48}, Shape{3, 3, 48, channels},
                                              {.strides = stride, .padding = Padding::Same});
      EXPECT_EQ(shares(g, false), channels != 65);
      EXPECT_TRUE(shares(g, true)) << channels;  // 48 channels: one block and a half
      testing::expect_the_same_bits_for_any_number_of_threads(kDirect<float>, g, draw);
      testing::expect_the_same_bits_for_any_number_of_threads(kDirect<double>, g, draw);
    }
}

// Of few channels each stretch of columns may have a filter of its own: then threads share the stretches.
TEST_P(DirectConv2D, OfOneImageWithFewChannelsThreadsShareTheColumns) {
  Draw draw(11);
  for (const index_t channels : {1, 2, 3, 5})
    for (const index_t stride : {1, 2}) {
      const Conv2DGeometry g = resolve_conv2d("test", Shape{1, 9, 14, 101}, Shape{5, 5, 101, channels},
                                              {.strides = stride, .padding = Padding::Same});
      testing::expect_the_same_bits_for_any_number_of_threads(kDirect<float>, g, draw);
      const ThreadCountScope scope(3);
      testing::expect_what_the_matrix_of_windows_gives(kDirect<float>, g, draw);
    }
}

// The same with groups, with all that is done to a sum, with filters that are kept, and in memory around which nothing is touched.
TEST_P(DirectConv2D, SharedChannelsAreWhatTheMatrixOfWindowsGives) {
  Draw draw(10);
  const ThreadCountScope scope(3);
  for (const index_t groups : {1, 2, 5})
    for (const index_t stride : {1, 2}) {
      const Conv2DGeometry g =
          resolve_conv2d("test", Shape{1, 7, 9, 80 * groups}, Shape{3, 3, 80, 48 * groups},
                         {.strides = stride, .padding = Padding::Same, .groups = groups});
      for (const bool transposed : {false, true})
        EXPECT_TRUE(plan_correlation(g, transposed, Family::Direct, vector_traits<float>()).by_blocks(3));
      testing::expect_what_the_matrix_of_windows_gives(kDirect<float>, g, draw);
      testing::expect_what_the_matrix_of_windows_gives(kDirect<double>, g, draw);
      const std::vector<float> x = draw.numbers<float>(g.in_shape().size()),
                               w = draw.numbers<float>(g.filter_shape().size());
      std::vector<float> y(static_cast<std::size_t>(g.out_shape().size())), dx(x.size()), y2(y), dx2(dx);
      conv2d(g, x.data(), w.data(), y.data());
      conv2d_backprop_input(g, y.data(), w.data(), dx.data());
      PackedFilter kept;
      for (int call = 0; call < 2; ++call) {  // the second one finds the filter packed
        conv2d(g, x.data(), w.data(), y2.data(), {}, &kept);
        conv2d_backprop_input(g, y.data(), w.data(), dx2.data(), {}, &kept);
        EXPECT_TRUE(y == y2 && dx == dx2) << testing::describe(g);
      }
    }
}

// Some CPUs compute with halves of the widest vectors as fast: there, few channels take halves, by the tiles of AVX2.
TEST_P(DirectConv2D, HalvesOfVectorsGiveWhatTheMatrixOfWindowsGives) {
  if (vector_traits<float>().lanes != 16 || (HWY_TARGETS & HWY_AVX2) == 0) return;
  Draw draw(31);
  for (int i = 0; i < 200 && !HasFailure(); ++i)
    if (const auto g = draw_direct_geometry(draw)) {
      testing::expect_what_the_matrix_of_windows_gives<float>({Family::Direct, true}, *g, draw);
      testing::expect_what_the_matrix_of_windows_gives<double>({Family::Direct, true}, *g, draw);
    }
}

// Sums of neighbouring pixels share vectors, and a run of inputs may end within a group of lanes: none may see what belongs to
// another one, nor multiply it by zero, which would make NaN of an infinity.
TEST_P(DirectConv2D, NaNAndInfinityReachOnlyTheSumsTheyAreIn) {
  for (const index_t in : {2, 3, 4, 5, 7})
    for (const index_t out : {1, 2, 3, 4, 5, 6, 8, 16, 20})
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const Conv2DGeometry g =
            resolve_conv2d("test", Shape{1, 5, 9, in}, Shape{3, 3, in, out}, {.padding = Padding::Same});
        std::vector<float> x(static_cast<std::size_t>(g.in_shape().size()), 1.0F);
        const std::vector<float> w(static_cast<std::size_t>(g.filter_shape().size()), 1.0F);
        std::vector<float> y(static_cast<std::size_t>(g.out_shape().size()));
        for (index_t channel = 0; channel < in; ++channel) {
          const auto at = static_cast<std::size_t>((2 * 9 + 4) * in + channel);
          x[at] = bad;
          kDirect<float>.conv2d(g, x.data(), w.data(), y.data(), {nullptr, true});
          x[at] = 1;
          for (index_t p = 0; p < 5; ++p)
            for (index_t q = 0; q < 9; ++q)
              for (index_t o = 0; o < out; ++o) {
                const float found = y[static_cast<std::size_t>((p * 9 + q) * out + o)];
                const bool reached = std::abs(p - 2) <= 1 && std::abs(q - 4) <= 1;
                ASSERT_TRUE(!reached          ? std::isfinite(found)
                            : std::isnan(bad) ? std::isnan(found)
                                              : found == bad)
                    << found << " at " << p << ", " << q << ", " << o << " of " << in << " -> " << out;
              }
        }
      }
}

// F5: a tap on padding is no product, in both precisions, in all three kernels and both families.
template <class T>
void check_taps_on_padding() {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  const Conv2DGeometry g =
      resolve_conv2d("test", Shape{1, 1, 3, 2}, Shape{1, 3, 2, 2}, {.padding = Padding::Same});
  std::vector<T> x(6, T{1}), w(12, T{1}), y(6), dy(6, T{1}), dw(12), dx(6);
  w[0] = kInfinity;  // tap 0, which lies on padding for the first output
  conv2d(g, x.data(), w.data(), y.data());
  EXPECT_EQ(y, (std::vector<T>{4, 4, kInfinity, 6, kInfinity, 4}));
  dy[0] = std::numeric_limits<T>::quiet_NaN();  // output 0 of channel 0, whose tap 0 lies on padding
  conv2d_backprop_filter(g, x.data(), dy.data(), dw.data());
  for (std::size_t i = 0; i < dw.size(); ++i) EXPECT_EQ(std::isnan(dw[i]), i >= 4 && i % 2 == 0) << i;
  EXPECT_EQ(dw[0], 2);
  dy[0] = 1;
  conv2d_backprop_input(g, dy.data(), w.data(), dx.data());
  EXPECT_EQ(dx, (std::vector<T>{kInfinity, 4, kInfinity, 6, 4, 4}));
}
TEST_P(DirectConv2D, ATapOnPaddingIsNoProduct) {
  check_taps_on_padding<float>();
  check_taps_on_padding<double>();
}

// The plans come from a cache: others in between, more than it holds, and another instruction set change nothing.
template <class T>
void check_cached_plans() {
  Draw draw(21);
  std::vector<Conv2DGeometry> all;
  while (all.size() < 150)
    if (const auto g = draw_direct_geometry(draw); g && g->out_shape().size() * g->window() < 20'000)
      all.push_back(*g);
  for (int round = 0; round < 2; ++round)
    for (const Conv2DGeometry& g : all)
      for (int again = 0; again < 2; ++again) {
        const std::vector<T> x = draw.numbers<T>(g.in_shape().size()),
                             w = draw.numbers<T>(g.filter_shape().size()),
                             dy = draw.numbers<T>(g.out_shape().size());
        std::vector<T> y(dy.size()), dx(x.size()), dw(w.size()), y2(y), dx2(dx), dw2(dw);
        conv2d(g, x.data(), w.data(), y.data());
        conv2d_backprop_input(g, dy.data(), w.data(), dx.data());
        conv2d_backprop_filter(g, x.data(), dy.data(), dw.data());
        const testing::ConvKernels<T> fresh = {family_of(g)};
        fresh.conv2d(g, x.data(), w.data(), y2.data(), {});
        fresh.backprop_input(g, dy.data(), w.data(), dx2.data(), {});
        fresh.backprop_filter(g, x.data(), dy.data(), dw2.data());
        ASSERT_TRUE(y == y2 && dx == dx2 && dw == dw2) << testing::describe(g);
      }
}
TEST_P(DirectConv2D, ACachedPlanGivesTheBitsOfAFreshOne) {
  check_cached_plans<float>();
  check_cached_plans<double>();
}

INSTANTIATE_TEST_SUITE_P(Targets, DirectConv2D, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
