#include "tapegrad/kernels/conv2d/correlation.h"

#include <algorithm>
#include <numeric>

namespace tapegrad::inline v0::kernels {

std::pair<index_t, index_t> TapAxis::inside(index_t at, index_t size) const {
  const index_t low = std::min(taps, at >= 0 ? 0 : divide_up(-at, dilation));
  return {low, std::clamp(at >= size ? 0 : (size - 1 - at) / dilation + 1, low, taps)};
}

std::pair<index_t, index_t> TapAxis::reaching(index_t t, index_t size) const {
  const index_t before = pad - t * dilation;  // output 0 reads that far in front of input 0
  const index_t low = std::min(outputs, divide_up(std::max<index_t>(0, before), stride));
  return {low, std::clamp(divide_up(std::max<index_t>(0, size + before), stride), low, outputs)};
}

std::vector<Stretch> TapAxis::stretches(index_t size) const {
  std::vector<Stretch> all;
  const index_t inner = taps == 0 ? 0 : reaching(0, size).first;  // the first with all taps, if there is one
  for (index_t a = 0; a < outputs;) {
    const auto [low, high] = inside(a * stride - pad, size);
    const bool whole = a == inner && high - low == taps;
    const index_t end = !whole ? a + 1 : taps == 0 ? outputs : reaching(taps - 1, size).second;
    if (!all.empty() && all.back().first_tap == low && all.back().last_tap == high)
      all.back().end = end;
    else
      all.push_back({a, end, low, high});
    a = end;
  }
  return all;
}

Correlation forward_correlation(const Conv2DGeometry& g) {
  const TapAxis h = {g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top, 0, 1};
  const TapAxis w = {g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left, 0, 1};
  return {g,       g.in_h,         g.in_w,        g.in_channels, g.group_in(), g.out_h,
          g.out_w, g.out_channels, g.group_out(), Size2D(1),     false,        {{h, w, 0, 0}}};
}

namespace {

// The pixels offset, offset + stride, ... get something from the taps i with i * dilation = offset + pad,
// modulo the stride: every stride / gcd-th one, and the outputs that these reach are dilation / gcd apart,
// from the last tap to the first.
TapAxis transposed_axis(index_t offset, index_t size, index_t taps, index_t stride, index_t dilation,
                        index_t pad) {
  const index_t outputs = size > offset ? divide_up(size - offset, stride) : 0;
  const index_t divisor = std::gcd(stride, dilation), step = stride / divisor;
  index_t first = 0;
  while (first < std::min(step, taps) && (offset + pad - first * dilation) % stride != 0) ++first;
  if (first >= std::min(step, taps)) return {outputs, 0, 1, 1, 0, 0, 1};
  const index_t count = divide_up(taps - first, step), apart = dilation / divisor;
  const index_t last = first + (count - 1) * step;
  return {outputs, count, 1, apart, -((offset + pad - last * dilation) / stride), last, -step};
}

}  // namespace

Correlation transposed_correlation(const Conv2DGeometry& g) {
  Correlation c = {g,      g.out_h, g.out_w,       g.out_channels, g.group_out(),
                   g.in_h, g.in_w,  g.in_channels, g.group_in(),   Size2D(g.stride_h, g.stride_w),
                   true,   {}};
  for (index_t row = 0; row < g.stride_h; ++row)
    for (index_t column = 0; column < g.stride_w; ++column)
      c.phases.push_back({transposed_axis(row, g.in_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top),
                          transposed_axis(column, g.in_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left),
                          row, column});
  return c;
}

}  // namespace tapegrad::inline v0::kernels
