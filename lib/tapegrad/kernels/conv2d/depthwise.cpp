#include "tapegrad/kernels/conv2d/depthwise.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/depthwise_tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// The columns [begin, end) of an axis, as one of its own.
TapAxis part_of(TapAxis columns, index_t begin, index_t end) {
  columns.outputs = end - begin;
  columns.pad -= begin * columns.stride;
  return columns;
}

// Calls f(begin, end) for parts of a row of outputs, of equal size, whose `rows` lines stay in the first cache: tiles pass
// over them once for each vector of channels. In such a pass they touch one line of the cache in each column, and with
// channels that are a power of two these lines share a few of the cache's sets.
template <class T, class F>
void for_parts(index_t outputs, index_t rows, index_t channels, F f) {
  constexpr index_t kCache = 36 * 1024 / sizeof(T), kLine = 64 / sizeof(T), kSets = 64, kWays = 8, kLeast = 8;
  const index_t sets = channels % kLine == 0 ? kSets / std::gcd(kSets, channels / kLine) : kSets;
  const index_t most = std::max(kLeast, std::min(kCache / (rows * channels), sets * kWays / (rows + 1)));
  const index_t parts = divide_up(outputs, most);
  for (index_t part = 0; part < parts; ++part) f(part * outputs / parts, (part + 1) * outputs / parts);
}

// The columns [left, right) of row `a` of a phase in one image.
template <class T>
void correlate_part(const Correlation& c, const Phase& phase, index_t image, index_t a, index_t left,
                    index_t right, const T* x, const T* w, T* y, const Epilogue<T>& epilogue) {
  const index_t channels = c.in_channels, x_row = c.in_w * channels, w_row = c.g.kernel_w * channels;
  const index_t top = a * phase.h.stride - phase.h.pad;  // the input row of tap 0
  const auto [first, last] = phase.h.inside(top, c.in_h);
  const index_t in_row = image * c.in_h + (first < last ? top + first * phase.h.dilation : 0);
  const index_t out_row = image * c.out_h + phase.row + a * c.step.height;
  const index_t begin = (out_row * c.out_w + phase.column + left * c.step.width) * channels;
  correlate_depthwise<T>({.windows = {.columns = part_of(phase.w, left, right),
                                      .width = c.in_w,
                                      .channels = channels,
                                      .rows = last - first,
                                      .x = x + in_row * x_row,
                                      .x_step = channels,
                                      .x_row_step = phase.h.dilation * x_row},
                          .w = w + (phase.h.first + first * phase.h.step) * w_row + phase.w.first * channels,
                          .w_row_step = phase.h.step * w_row,
                          .w_step = phase.w.step * channels,
                          .bias = epilogue.bias,
                          .relu = epilogue.relu,
                          .y = y + begin,
                          .y_step = c.step.width * channels});
  if (epilogue.gate == nullptr) return;
  for (index_t q = left, at = begin; q < right; ++q, at += c.step.width * channels)
    for (index_t o = 0; o < channels; ++o) y[at + o] = epilogue.gate[at + o] > 0 ? y[at + o] : T{0};
}

// Adds the products of the rows [begin, end) of dy to the sums.
template <class T>
void accumulate_rows(const FilterPlan& plan, const T* x, const T* dy, index_t begin, index_t end, T* sums) {
  constexpr index_t kPixels = 64;  // of dy, of which a sum stays in its register
  const Conv2DGeometry& g = plan.c.g;
  const TapAxis &h = plan.c.phases.front().h, &w = plan.c.phases.front().w;
  const index_t channels = g.in_channels, x_row = g.in_w * channels, dy_row = g.out_w * channels;
  const index_t tap_sums = depthwise_sums(channels, plan.traits.lanes);
  index_t count;
  for (index_t at = begin; at < end; at += count) {
    const index_t image = at / g.out_h, row = at % g.out_h, top = row * g.stride_h - g.pad_top;
    const auto taps_inside = h.inside(top, g.in_h);
    const index_t first = taps_inside.first, last = taps_inside.second;
    // Together with the rows below that have the same taps inside of the image.
    const index_t limit =
        std::min({end - at, g.out_h - row, divide_up(kPixels, std::max<index_t>(1, g.out_w))});
    count = 1;
    while (count < limit && h.inside(top + count * g.stride_h, g.in_h) == taps_inside) ++count;
    if (first >= last) continue;
    for_parts<T>(g.out_w, last - first + 1, channels, [&](index_t left, index_t right) {
      accumulate_depthwise<T>({.windows = {.columns = part_of(w, left, right),
                                           .width = g.in_w,
                                           .channels = channels,
                                           .rows = last - first,
                                           .x = x + (image * g.in_h + top + first * g.dilation_h) * x_row,
                                           .x_step = channels,
                                           .x_row_step = g.dilation_h * x_row},
                               .output_rows = count,
                               .x_down = g.stride_h * x_row,
                               .dy = dy + at * dy_row + left * channels,
                               .dy_step = channels,
                               .dy_down = dy_row,
                               .sums = sums + first * g.kernel_w * tap_sums,
                               .tap_sums = tap_sums});
    });
  }
}

// dw of the taps [begin, end): the sums of all chunks, added in their order.
template <class T>
void write_taps(const FilterPlan& plan, const T* sums, index_t begin, index_t end, T* dw) {
  const index_t channels = plan.c.g.in_channels, lanes = plan.traits.lanes;
  const index_t tap_sums = depthwise_sums(channels, lanes);
  // The last vector ends with the last channel, and begins with some that the one before has as well.
  const index_t before_last = tap_sums - depthwise_lanes(channels, lanes), twice = tap_sums - channels;
  std::fill(dw + begin * channels, dw + end * channels, T{0});
  for (index_t tap = begin; tap < end; ++tap)
    for (index_t at = 0; at < plan.chunks; ++at) {
      T* to = dw + tap * channels;
      const T* from = sums + at * plan.size + tap * tap_sums;
      for (index_t i = 0; i < before_last; ++i) to[i] += from[i];
      for (index_t i = before_last; i < channels; ++i) to[i] += from[i + twice];
    }
}

}  // namespace

template <class T>
void depthwise_correlate(const CorrelationPlan& plan, const T* x, const T* w, T* y,
                         const Epilogue<T>& epilogue) {
  const Correlation& c = plan.c;
  const index_t coarse = divide_up(c.out_h, c.step.height);  // rows of the phase that has most
  const index_t work = c.out_w * c.in_channels * c.g.window() / c.step.width;
  parallel_for(c.g.batch * coarse, divide_up(kConvolutionWork, std::max<index_t>(1, work)),
               [&](index_t begin, index_t end) {
                 for (index_t at = begin, next; at < end; at = next) {
                   const index_t image = at / coarse, top = at % coarse;
                   next = std::min(end, (image + 1) * coarse);
                   for (const Phase& phase : c.phases) {
                     const index_t bottom = std::min(top + next - at, phase.h.outputs);
                     for_parts<T>(phase.w.outputs, phase.h.taps + 1, c.in_channels,
                                  [&](index_t left, index_t right) {
                                    for (index_t a = top; a < bottom; ++a)
                                      correlate_part(c, phase, image, a, left, right, x, w, y, epilogue);
                                  });
                   }
                 }
               });
}

template <class T>
void depthwise_filter_gradient(const FilterPlan& plan, const T* x, const T* dy, T* dw) {
  const Conv2DGeometry& g = plan.c.g;
  if (plan.chunks == 0) {
    std::fill_n(dw, g.filter_shape().size(), T{0});
    return;
  }
  struct Sums;
  T* sums = scratch<T, Sums>(plan.chunks * plan.size);
  parallel_for(g.batch * g.out_h, plan.chunk, [&](index_t begin, index_t end) {
    T* own = sums + begin / plan.chunk * plan.size;
    std::fill_n(own, plan.size, T{0});
    accumulate_rows(plan, x, dy, begin, end, own);
  });
  parallel_for(g.kernel_h * g.kernel_w, divide_up(kAdditionsPiece, plan.chunks * g.in_channels),
               [&](index_t begin, index_t end) { write_taps(plan, sums, begin, end, dw); });
}

template void depthwise_correlate(const CorrelationPlan&, const float*, const float*, float*,
                                  const Epilogue<float>&);
template void depthwise_correlate(const CorrelationPlan&, const double*, const double*, double*,
                                  const Epilogue<double>&);
template void depthwise_filter_gradient(const FilterPlan&, const float*, const float*, float*);
template void depthwise_filter_gradient(const FilterPlan&, const double*, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
