#include "tapegrad/kernels/conv2d_depthwise_tiles.h"

#include <algorithm>
#include <array>
#include <utility>

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapegrad/kernels/conv2d_depthwise_tiles.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapegrad::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr index_t kLanes = hn::MaxLanes(D());

index_t DepthwiseLanes() {
  return kLanes;
}

// Where a vector of channels begins: the last one may begin within the one before.
HWY_INLINE index_t ChannelAt(index_t channel, index_t channels) {
  return std::min(channel, channels - kLanes);
}

HWY_INLINE V Finish(V sum, bool relu) {
  return relu ? hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(D())), sum) : sum;  // a NaN stays
}

// Numbers in the sums of a tap.
HWY_INLINE index_t SumsOf(index_t channels) {
  return divide_up(channels, kLanes) * kLanes;
}

// ---- filter rows of kTaps neighbours

// A tile's kPixels sums, its filter row and the pixel at hand live in registers: 32 of them with AVX-512, 16
// before.
constexpr int kMostPixels = HWY_TARGET <= HWY_AVX3 ? 14 : 8;

// Where the inputs of kPixels neighbouring windows lie. Each is loaded once for all the taps that it is
// under.
template <int kTaps, int kStride, int kPixels>
struct Inputs {
  static constexpr int kCount = (kPixels - 1) * kStride + kTaps;

  Inputs(const DepthwiseWindows& in, index_t q, index_t channel) {
    const index_t left = q * kStride - in.columns.pad;
    first = -left;
    end = in.width - left;
    offset = left * in.channels + channel;
  }
  // Input i is outside of the image. Every window has its last tap behind the image's first column and its
  // first tap before the last one, so that only kTaps - 1 at each end can be.
  HWY_INLINE bool outside(int i) const {
    return (i < kTaps - 1 && i < first) || (i > kCount - kTaps && i >= end);
  }
  // The pixel whose tap t is input i, or -1.
  static constexpr int pixel(int i, int t) {
    return i >= t && (i - t) % kStride == 0 && (i - t) / kStride < kPixels ? (i - t) / kStride : -1;
  }

  index_t first, end, offset;
};

template <int kTaps, int kStride, int kPixels>
void CorrelateTile(const DepthwiseCorrelateJob& job, index_t q, index_t channel) {
  using I = Inputs<kTaps, kStride, kPixels>;
  const D d;
  const DepthwiseWindows& in = job.windows;
  const I inputs(in, q, channel);
  V sum[kPixels];
  const V bias = job.bias ? hn::LoadU(d, job.bias + channel) : hn::Zero(d);
  HWY_UNROLL(16)
  for (V& s : sum) s = bias;
  for (index_t r = 0; r < in.rows; ++r) {
    V tap[kTaps];
    HWY_UNROLL(8)
    for (int t = 0; t < kTaps; ++t)
      tap[t] = hn::LoadU(d, job.w + (r * job.w_row_step + t * job.w_step + channel));
    const float* x = in.x + (r * in.x_row_step + inputs.offset);
    HWY_UNROLL(64)
    for (int i = 0; i < I::kCount; ++i) {
      if (inputs.outside(i)) continue;
      const V pixel = hn::LoadU(d, x + i * in.channels);
      HWY_UNROLL(8)
      for (int t = 0; t < kTaps; ++t)
        if (const int p = I::pixel(i, t); p >= 0) sum[p] = hn::MulAdd(pixel, tap[t], sum[p]);
    }
  }
  float* y = job.y + (q * job.y_step + channel);
  HWY_UNROLL(16)
  for (int p = 0; p < kPixels; ++p) hn::StoreU(Finish(sum[p], job.relu), d, y + p * job.y_step);
}

template <int kTaps, int kStride, int kPixels>
void AccumulateTile(const DepthwiseAccumulateJob& job, index_t q, index_t vector) {
  using I = Inputs<kTaps, kStride, kPixels>;
  const D d;
  const DepthwiseWindows& in = job.windows;
  const index_t channel = ChannelAt(vector, in.channels), tap_sums = SumsOf(in.channels);
  const I inputs(in, q, channel);
  V dy[kPixels];
  HWY_UNROLL(16)
  for (int p = 0; p < kPixels; ++p) dy[p] = hn::LoadU(d, job.dy + ((q + p) * in.channels + channel));
  for (index_t r = 0; r < in.rows; ++r) {
    float* sums = job.sums + (r * kTaps * tap_sums + vector);
    V sum[kTaps];
    HWY_UNROLL(8)
    for (int t = 0; t < kTaps; ++t) sum[t] = hn::Load(d, sums + t * tap_sums);
    const float* x = in.x + (r * in.x_row_step + inputs.offset);
    HWY_UNROLL(64)
    for (int i = 0; i < I::kCount; ++i) {
      if (inputs.outside(i)) continue;
      const V pixel = hn::LoadU(d, x + i * in.channels);
      HWY_UNROLL(8)
      for (int t = 0; t < kTaps; ++t)
        if (const int p = I::pixel(i, t); p >= 0) sum[t] = hn::MulAdd(pixel, dy[p], sum[t]);
    }
    HWY_UNROLL(8)
    for (int t = 0; t < kTaps; ++t) hn::Store(sum[t], d, sums + t * tap_sums);
  }
}

// The tiles of 1, 2, ... kMostPixels pixels for one kind of window.
struct Tiles {
  int taps, stride;
  std::array<void (*)(const DepthwiseCorrelateJob&, index_t q, index_t channel), kMostPixels> correlate;
  std::array<void (*)(const DepthwiseAccumulateJob&, index_t q, index_t vector), kMostPixels> accumulate;
};
template <int kTaps, int kStride, int... kPixelsMinusOne>
constexpr Tiles MakeTiles(std::integer_sequence<int, kPixelsMinusOne...>) {
  return {kTaps,
          kStride,
          {&CorrelateTile<kTaps, kStride, kPixelsMinusOne + 1>...},
          {&AccumulateTile<kTaps, kStride, kPixelsMinusOne + 1>...}};
}
template <int kTaps, int kStride>
constexpr Tiles kTilesOf = MakeTiles<kTaps, kStride>(std::make_integer_sequence<int, kMostPixels>());

// Null where there is none.
const Tiles* ChooseTiles(const Axis& a) {
  static constexpr const Tiles* kAll[] = {&kTilesOf<2, 1>, &kTilesOf<3, 1>, &kTilesOf<5, 1>, &kTilesOf<3, 2>,
                                          &kTilesOf<5, 2>};
  for (const Tiles* tiles : kAll)
    if (a.dilation == 1 && a.taps == tiles->taps && a.stride == tiles->stride) return tiles;
  return nullptr;
}

// f(pixels, q) for tiles of [begin, end), as equal as they can be.
template <class F>
void ForTiles(index_t begin, index_t end, F f) {
  const index_t parts = divide_up(end - begin, index_t{kMostPixels});
  for (index_t part = 0, q = begin; part < parts; ++part) {
    const index_t pixels = (end - q) / (parts - part);
    f(pixels, q);
    q += pixels;
  }
}

// ---- any window

constexpr int kAnyPixels = 8;

// kPixels pixels from q on, of the taps [first, last), which lie inside of the image for all of them.
template <int kPixels>
void CorrelateAny(const DepthwiseCorrelateJob& job, index_t q, index_t first, index_t last, index_t channel) {
  const D d;
  const DepthwiseWindows& in = job.windows;
  const Axis& a = in.columns;
  V sum[kPixels];
  const V bias = job.bias ? hn::LoadU(d, job.bias + channel) : hn::Zero(d);
  HWY_UNROLL(8)
  for (V& s : sum) s = bias;
  const index_t step = a.stride * in.channels;
  for (index_t r = 0; r < in.rows; ++r)
    for (index_t t = first; t < last; ++t) {
      const float* x =
          in.x + (r * in.x_row_step + (q * a.stride + t * a.dilation - a.pad) * in.channels + channel);
      const V tap = hn::LoadU(d, job.w + (r * job.w_row_step + t * job.w_step + channel));
      HWY_UNROLL(8)
      for (int p = 0; p < kPixels; ++p) sum[p] = hn::MulAdd(hn::LoadU(d, x + p * step), tap, sum[p]);
    }
  float* y = job.y + (q * job.y_step + channel);
  HWY_UNROLL(8)
  for (int p = 0; p < kPixels; ++p) hn::StoreU(Finish(sum[p], job.relu), d, y + p * job.y_step);
}

// One tap of one row, over the pixels [q, end) for which it lies inside of the image.
void AccumulateTap(const DepthwiseAccumulateJob& job, index_t r, index_t t, index_t channel, float* to) {
  const D d;
  const DepthwiseWindows& in = job.windows;
  const Axis& a = in.columns;
  auto [q, end] = a.reaching(t, in.width);
  const index_t step = a.stride * in.channels;
  const float* x = in.x + (r * in.x_row_step + (t * a.dilation - a.pad) * in.channels + channel);
  const float* dy = job.dy + channel;
  V sum[4] = {hn::Load(d, to), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (; q + 4 <= end; q += 4) {
    HWY_UNROLL(4)
    for (int p = 0; p < 4; ++p)
      sum[p] = hn::MulAdd(hn::LoadU(d, x + (q + p) * step), hn::LoadU(d, dy + (q + p) * in.channels), sum[p]);
  }
  for (; q < end; ++q)
    sum[0] = hn::MulAdd(hn::LoadU(d, x + q * step), hn::LoadU(d, dy + q * in.channels), sum[0]);
  hn::Store(hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])), d, to);
}

// ---- rows

void Correlate(const DepthwiseCorrelateJob& job) {
  const DepthwiseWindows& in = job.windows;
  const Axis& a = in.columns;
  const Tiles* tiles = ChooseTiles(a);
  // Windows with any tap inside of the image are for the tiles; without tiles, those with all taps inside are
  // for CorrelateAny<kAnyPixels>.
  const auto [from_first, to_first] = a.reaching(0, in.width);
  const auto [from_last, to_last] = a.reaching(a.taps - 1, in.width);
  const index_t begin = tiles ? from_last : from_first, end = std::max(begin, tiles ? to_first : to_last);
  const auto one_by_one = [&](index_t first, index_t last) {
    for (index_t q = first; q < last; ++q) {
      const auto [first_tap, last_tap] = a.inside(q * a.stride - a.pad, in.width);
      for (index_t c = 0; c < in.channels; c += kLanes)
        CorrelateAny<1>(job, q, first_tap, last_tap, ChannelAt(c, in.channels));
    }
  };
  one_by_one(0, begin);
  if (tiles) {
    ForTiles(begin, end, [&](index_t pixels, index_t q) {
      const auto tile = tiles->correlate[static_cast<std::size_t>(pixels - 1)];
      for (index_t c = 0; c < in.channels; c += kLanes) tile(job, q, ChannelAt(c, in.channels));
    });
    one_by_one(end, a.outputs);
  } else {
    index_t q = begin;
    for (; q + kAnyPixels <= end; q += kAnyPixels)
      for (index_t c = 0; c < in.channels; c += kLanes)
        CorrelateAny<kAnyPixels>(job, q, 0, a.taps, ChannelAt(c, in.channels));
    one_by_one(q, a.outputs);
  }
}

void Accumulate(const DepthwiseAccumulateJob& job) {
  const DepthwiseWindows& in = job.windows;
  const Axis& a = in.columns;
  if (const Tiles* tiles = ChooseTiles(a)) {
    const index_t begin = a.reaching(a.taps - 1, in.width).first, end = a.reaching(0, in.width).second;
    ForTiles(begin, end, [&](index_t pixels, index_t q) {
      const auto tile = tiles->accumulate[static_cast<std::size_t>(pixels - 1)];
      for (index_t c = 0; c < in.channels; c += kLanes) tile(job, q, c);
    });
    return;
  }
  float* to = job.sums;
  for (index_t r = 0; r < in.rows; ++r)
    for (index_t t = 0; t < a.taps; ++t)
      for (index_t c = 0; c < in.channels; c += kLanes, to += kLanes)
        AccumulateTap(job, r, t, ChannelAt(c, in.channels), to);
}

}  // namespace HWY_NAMESPACE
}  // namespace tapegrad::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapegrad::kernels {

HWY_EXPORT(DepthwiseLanes);
HWY_EXPORT(Correlate);
HWY_EXPORT(Accumulate);

index_t depthwise_lanes() {
  return HWY_DYNAMIC_DISPATCH(DepthwiseLanes)();
}
index_t depthwise_sums(index_t channels) {
  return divide_up(channels, depthwise_lanes()) * depthwise_lanes();
}
void correlate_depthwise(const DepthwiseCorrelateJob& job) {
  HWY_DYNAMIC_DISPATCH(Correlate)(job);
}
void accumulate_depthwise(const DepthwiseAccumulateJob& job) {
  HWY_DYNAMIC_DISPATCH(Accumulate)(job);
}

}  // namespace tapegrad::kernels
#endif
