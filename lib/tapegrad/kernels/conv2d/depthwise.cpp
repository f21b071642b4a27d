#include "tapegrad/kernels/conv2d/depthwise.h"

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/depthwise_tiles.h"
#include "tapegrad/kernels/scratch.h"

namespace tapegrad::inline v0::kernels {
namespace {

// Rows of that much work each that are worth a thread's while.
index_t rows_together(index_t work) {
  constexpr index_t kWork = 1 << 19;
  return divide_up(kWork, std::max<index_t>(1, work));
}

void run(const Correlation& c, const float* x, const float* w, float* y, const Epilogue<float>& epilogue) {
  const index_t channels = c.in_channels, x_row = c.in_w * channels;
  const index_t coarse = divide_up(c.out_h, c.step.height);  // rows of the phase that has most
  const index_t work = c.out_w * channels * c.g.window() / c.step.width;
  parallel_for(c.g.batch * coarse, rows_together(work), [&](index_t begin, index_t end) {
    for (index_t at = begin; at < end; ++at)
      for (const Phase& phase : c.phases) {
        const index_t image = at / coarse, a = at % coarse;
        if (a >= phase.h.outputs) continue;
        const index_t top = a * phase.h.stride - phase.h.pad;  // the input row of tap 0
        const auto [first, last] = phase.h.inside(top, c.in_h);
        const index_t in_row = image * c.in_h + (first < last ? top + first * phase.h.dilation : 0);
        const index_t out_row = image * c.out_h + phase.row + a * c.step.height;
        const index_t w_row = c.g.kernel_w * channels;
        correlate_depthwise(
            {.windows = {.columns = phase.w,
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
             .y = y + (out_row * c.out_w + phase.column) * channels,
             .y_step = c.step.width * channels});
      }
  });
}

}  // namespace

bool is_depthwise(const Conv2DGeometry& g) {
  return g.groups == g.in_channels && g.groups == g.out_channels && g.groups >= depthwise_lanes();
}

void depthwise_conv2d(const Conv2DGeometry& g, const float* x, const float* w, float* y,
                      const Epilogue<float>& epilogue) {
  run(forward_correlation(g), x, w, y, epilogue);
}

void depthwise_conv2d_backprop_input(const Conv2DGeometry& g, const float* dy, const float* w, float* dx,
                                     const Epilogue<float>& epilogue) {
  run(transposed_correlation(g), dy, w, dx, epilogue);
}

void depthwise_conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw) {
  const Correlation c = forward_correlation(g);
  const Axis &h = c.phases.front().h, &w = c.phases.front().w;
  const index_t channels = g.in_channels, x_row = g.in_w * channels, dy_row = g.out_w * channels;
  const index_t taps = g.kernel_h * g.kernel_w, tap_sums = depthwise_sums(channels), size = taps * tap_sums;
  if (size == 0) return;

  // The rows of dy are cut into a few chunks, by sizes only; each has sums of its own, added in their order.
  constexpr index_t kMostChunks = 16, kSums = 4 << 20;
  constexpr index_t kPixels = 64;  // of dy, of which a sum stays in its register
  const index_t rows = g.batch * g.out_h, most = std::clamp<index_t>(kSums / size, 1, kMostChunks);
  const index_t chunk = std::max(divide_up(rows, most), rows_together(dy_row * taps));
  const index_t chunks = divide_up(rows, chunk);
  struct Sums;
  float* sums = scratch<float, Sums>(chunks * size);
  parallel_for(rows, chunk, [&](index_t begin, index_t end) {
    float* own = sums + begin / chunk * size;
    std::fill_n(own, size, 0.0F);
    index_t count;
    for (index_t at = begin; at < end; at += count) {
      const index_t image = at / g.out_h, row = at % g.out_h, top = row * g.stride_h - g.pad_top;
      const auto taps_inside = h.inside(top, g.in_h);
      const auto [first, last] = taps_inside;
      // Together with the rows below that have the same taps inside of the image.
      const index_t limit =
          std::min({end - at, g.out_h - row, divide_up(kPixels, std::max<index_t>(1, g.out_w))});
      count = 1;
      while (count < limit && h.inside(top + count * g.stride_h, g.in_h) == taps_inside) ++count;
      if (first >= last) continue;
      accumulate_depthwise({.windows = {.columns = w,
                                        .width = g.in_w,
                                        .channels = channels,
                                        .rows = last - first,
                                        .x = x + (image * g.in_h + top + first * g.dilation_h) * x_row,
                                        .x_step = channels,
                                        .x_row_step = g.dilation_h * x_row},
                            .output_rows = count,
                            .x_down = g.stride_h * x_row,
                            .dy = dy + at * dy_row,
                            .dy_step = channels,
                            .dy_down = dy_row,
                            .sums = own + first * g.kernel_w * tap_sums});
    }
  });

  // The last vector ends with the last channel, and begins with some that the one before has as well.
  const index_t before_last = tap_sums - depthwise_lanes(), twice = tap_sums - channels;
  constexpr index_t kAdditions = 1 << 16;
  parallel_for(taps, divide_up(kAdditions, std::max<index_t>(1, chunks * channels)),
               [&](index_t begin, index_t end) {
                 std::fill(dw + begin * channels, dw + end * channels, 0.0F);
                 for (index_t tap = begin; tap < end; ++tap)
                   for (index_t at = 0; at < chunks; ++at) {
                     float* to = dw + tap * channels;
                     const float* from = sums + at * size + tap * tap_sums;
                     for (index_t i = 0; i < before_last; ++i) to[i] += from[i];
                     for (index_t i = before_last; i < channels; ++i) to[i] += from[i + twice];
                   }
               });
}

}  // namespace tapegrad::inline v0::kernels
