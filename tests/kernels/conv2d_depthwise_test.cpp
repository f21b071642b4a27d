#include "tapegrad/kernels/conv2d/depthwise.h"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "conv2d_checks.h"
#include "tapegrad/base/error.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

using DepthwiseConv2D = testing::EachTarget;
using testing::Draw;

template <class T>
constexpr testing::ConvKernels<T> kDepthwise = {Family::Depthwise};

Conv2DGeometry resolve(const Shape& x, index_t kernel_h, index_t kernel_w, Conv2DOptions options) {
  options.groups = x[3];
  return resolve_conv2d("test", x, Shape{kernel_h, kernel_w, 1, x[3]}, options);
}

// Any window and any image; nothing when the filter does not fit.
std::optional<Conv2DGeometry> draw_geometry(Draw& draw) {
  constexpr index_t kChannels[] = {1, 2, 3, 4, 6, 7, 5, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65};
  constexpr index_t kKernels[] = {1, 2, 3, 3, 3, 4, 5, 5, 7};
  Conv2DOptions options;
  options.strides = {draw.integer(1, 3), draw.integer(1, 3)};
  if (draw.integer(0, 1) > 0) options.dilations = {draw.integer(1, 2), draw.integer(1, 3)};
  testing::draw_padding(draw, 6, options);
  const Shape x = {draw.integer(1, 3), draw.integer(1, 12), draw.integer(1, 40), draw.one_of(kChannels)};
  const index_t kernel_h = draw.one_of(kKernels), kernel_w = draw.one_of(kKernels);
  try {
    return resolve(x, kernel_h, kernel_w, options);
  } catch (const Error&) {
    return std::nullopt;
  }
}

TEST_P(DepthwiseConv2D, IsWhatTheMatrixOfWindowsGives) {
  Draw draw(9);
  int drawn = 0;
  for (int i = 0; i < 800 && !HasFailure(); ++i)
    if (const auto g = draw_geometry(draw); g) {
      ++drawn;
      testing::expect_what_the_matrix_of_windows_gives(kDepthwise<float>, *g, draw);
      testing::expect_what_the_matrix_of_windows_gives(kDepthwise<double>, *g, draw);
    }
  EXPECT_GT(drawn, 500);
}

TEST_P(DepthwiseConv2D, SkipsPaddingAndPixelsThatNoTapReads) {
  Draw draw(12);
  int drawn = 0;
  for (int i = 0; i < 600 && !HasFailure(); ++i)
    if (const auto g = draw_geometry(draw); g) {
      ++drawn;
      testing::expect_what_loops_give_for_any_numbers(kDepthwise<float>, *g, draw);
      testing::expect_what_loops_give_for_any_numbers(kDepthwise<double>, *g, draw);
    }
  EXPECT_GT(drawn, 100);
}

// One output of stride 2 that reads columns 0 to 2 of 4.
template <class T>
void check_unread_infinity(index_t channels) {
  const Conv2DGeometry g = resolve({1, 1, 4, channels}, 1, 3, {.strides = 2});
  std::vector<T> x(static_cast<std::size_t>(4 * channels), T{1}), dw(static_cast<std::size_t>(3 * channels));
  const std::vector<T> dy(static_cast<std::size_t>(channels), T{1});
  x[static_cast<std::size_t>(3 * channels)] = std::numeric_limits<T>::infinity();
  conv2d_backprop_filter(g, x.data(), dy.data(), dw.data());
  EXPECT_EQ(dw, std::vector<T>(dw.size(), T{1})) << channels << " channels";
}
TEST_P(DepthwiseConv2D, AnInfinityThatNoWindowReadsIsNotInTheFilterGradient) {
  for (const index_t channels : {2, 3, 5, 16, 17}) {
    check_unread_infinity<float>(channels);
    check_unread_infinity<double>(channels);
  }
}

TEST_P(DepthwiseConv2D, TakesEmptyImages) {
  Draw draw(11);
  for (const Shape& x : {Shape{0, 5, 5, 16}, Shape{2, 5, 0, 16}, Shape{2, 0, 5, 16}})
    testing::expect_what_the_matrix_of_windows_gives(kDepthwise<float>,
                                                     resolve(x, 3, 3, {.padding = Padding::Same}), draw);
}

// Enough rows for several pieces, and channels that two vectors share.
TEST_P(DepthwiseConv2D, IsTheSameBitsForAnyNumberOfThreads) {
  Draw draw(10);
  for (const index_t stride : {1, 2})
    for (const index_t channels : {3, 65}) {
      const Conv2DGeometry g =
          resolve({9, 40, 29, channels}, 3, 3, {.strides = stride, .padding = Padding::Same});
      testing::expect_the_same_bits_for_any_number_of_threads(kDepthwise<float>, g, draw);
      testing::expect_the_same_bits_for_any_number_of_threads(kDepthwise<double>, g, draw);
    }
}

TEST(ConvFamily, IsDepthwiseWhereEachChannelStandsByItself) {
  const auto family = [](const Shape& x, const Shape& w, index_t groups) {
    return family_of(resolve_conv2d("test", x, w, {.groups = groups}));
  };
  EXPECT_EQ(family({1, 5, 5, 64}, {3, 3, 1, 64}, 64), Family::Depthwise);
  EXPECT_EQ(family({1, 5, 5, 2}, {3, 3, 1, 2}, 2), Family::Depthwise);
  EXPECT_EQ(family({1, 5, 5, 1}, {3, 3, 1, 1}, 1), Family::Direct);
  EXPECT_EQ(family({1, 5, 5, 64}, {3, 3, 1, 128}, 64), Family::Direct);
  EXPECT_EQ(family({1, 5, 5, 128}, {3, 3, 2, 64}, 64), Family::Direct);
  EXPECT_EQ(family({1, 5, 5, 64}, {3, 3, 64, 64}, 1), Family::Direct);
}

TEST_P(DepthwiseConv2D, ANaNReachesOnlyTheSumsItIsIn) {
  for (const index_t channels : {16, 17, 33}) {
    const Conv2DGeometry g = resolve({1, 5, 9, channels}, 3, 3, {.padding = Padding::Same});
    std::vector<float> x(static_cast<std::size_t>(g.in_shape().size()), 1.0F);
    const std::vector<float> w(static_cast<std::size_t>(g.filter_shape().size()), 1.0F);
    std::vector<float> y(static_cast<std::size_t>(g.out_shape().size()));
    x[static_cast<std::size_t>((2 * 9 + 4) * channels + 15)] = std::numeric_limits<float>::quiet_NaN();
    kDepthwise<float>.conv2d(g, x.data(), w.data(), y.data(), {nullptr, true});
    for (index_t p = 0; p < 5; ++p)
      for (index_t q = 0; q < 9; ++q)
        for (index_t c = 0; c < channels; ++c)
          ASSERT_EQ(std::isnan(y[static_cast<std::size_t>((p * 9 + q) * channels + c)]),
                    c == 15 && std::abs(p - 2) <= 1 && std::abs(q - 4) <= 1)
              << p << ", " << q << ", " << c << " of " << channels;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, DepthwiseConv2D, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
