#include "tapegrad/kernels/conv2d_depthwise_tiles.h"

#include <algorithm>

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

void Correlate(const DepthwiseCorrelateJob& job) {
  const DepthwiseWindows& in = job.windows;
  const Axis& a = in.columns;
  const auto border = [&](index_t begin, index_t end) {
    for (index_t q = begin; q < end; ++q) {
      const auto [first, last] = a.inside(q * a.stride - a.pad, in.width);
      for (index_t c = 0; c < in.channels; c += kLanes)
        CorrelateAny<1>(job, q, first, last, ChannelAt(c, in.channels));
    }
  };
  index_t q = a.reaching(0, in.width).first;
  const index_t end = std::max(q, a.reaching(a.taps - 1, in.width).second);
  border(0, q);
  for (; q + kAnyPixels <= end; q += kAnyPixels)
    for (index_t c = 0; c < in.channels; c += kLanes)
      CorrelateAny<kAnyPixels>(job, q, 0, a.taps, ChannelAt(c, in.channels));
  for (; q < end; ++q)
    for (index_t c = 0; c < in.channels; c += kLanes)
      CorrelateAny<1>(job, q, 0, a.taps, ChannelAt(c, in.channels));
  border(end, a.outputs);
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

void Accumulate(const DepthwiseAccumulateJob& job) {
  const DepthwiseWindows& in = job.windows;
  float* to = job.sums;
  for (index_t r = 0; r < in.rows; ++r)
    for (index_t t = 0; t < in.columns.taps; ++t)
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
