#include "tapegrad/kernels/pooling.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/kernels/pooling_windows.h"

namespace tapegrad::inline v0::kernels {

template <class T>
void window_mean(const Conv2DGeometry& g, const T* x, T* y) {
  for_rows_of_windows(g, [=](index_t first, index_t last) {
    detail::BlockVector<double> sums(static_cast<std::size_t>(g.in_channels));
    for_windows(g, first, last, [&](index_t out, Span rows, Span columns, index_t image) {
      std::ranges::fill(sums, 0.0);
      for (index_t i = rows.begin; i < rows.end; ++i)
        for (index_t j = columns.begin; j < columns.end; ++j) {
          const T* from = x + image + (i * g.in_w + j) * g.in_channels;
          for (double& sum : sums) sum += static_cast<double>(*from++);
        }
      const auto pixels = static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin));
      T* to = y + out;
      for (const double sum : sums) *to++ = static_cast<T>(sum / pixels);
      if constexpr (std::is_same_v<T, double>)
        for (std::size_t c = 0; c < sums.size(); ++c) {
          if (std::isfinite(sums[c])) continue;
          // The sum may leave the range where the mean does not: once more, of pixels that were divided before.
          double mean = 0;
          for (index_t i = rows.begin; i < rows.end; ++i)
            for (index_t j = columns.begin; j < columns.end; ++j)
              mean += x[image + (i * g.in_w + j) * g.in_channels + static_cast<index_t>(c)] / pixels;
          y[out + static_cast<index_t>(c)] = mean;
        }
    });
  });
}

namespace {

// window_spread() to the pixel rows `band` of image n: windows overlap, so that what they add to a pixel is added by one thread,
// in the order of the windows.
template <class T>
void spread_to(const Conv2DGeometry& g, index_t n, Span band, const T* dy, T* dx) {
  const index_t image = n * g.in_h * g.in_w * g.in_channels;
  const index_t before = band.begin + g.pad_top - g.kernel_h + 1;  // from where windows reach the band
  const index_t first = before <= 0 ? 0 : (before + g.stride_h - 1) / g.stride_h;
  const index_t end = std::min(g.out_h, (band.end - 1 + g.pad_top) / g.stride_h + 1);
  for (index_t p = first; p < end; ++p) {
    const Span all = covered(p, g.stride_h, g.pad_top, g.kernel_h, g.in_h);
    const Span rows = {std::max(all.begin, band.begin), std::min(all.end, band.end)};
    const T* from = dy + (n * g.out_h + p) * g.out_w * g.in_channels;
    for (index_t q = 0; q < g.out_w; ++q, from += g.in_channels) {
      const Span columns = covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w);
      const T share = T{1} / static_cast<T>((all.end - all.begin) * (columns.end - columns.begin));
      for (index_t i = rows.begin; i < rows.end; ++i)
        for (index_t j = columns.begin; j < columns.end; ++j) {
          T* to = dx + image + (i * g.in_w + j) * g.in_channels;
          for (index_t c = 0; c < g.in_channels; ++c) to[c] += from[c] * share;
        }
    }
  }
}

}  // namespace

template <class T>
void window_spread(const Conv2DGeometry& g, const T* dy, T* dx) {
  const index_t work = g.out_w * g.in_channels * g.kernel_h * g.kernel_w / g.stride_h;
  parallel_for(g.batch * g.in_h, units_in_piece(kWindowPiece, work), [=](index_t begin, index_t end) {
    for (index_t row = begin; row < end;) {
      const index_t n = row / g.in_h, top = row % g.in_h, bottom = std::min(g.in_h, top + end - row);
      spread_to(g, n, {top, bottom}, dy, dx);
      row += bottom - top;
    }
  });
}

template void window_mean(const Conv2DGeometry&, const float*, float*);
template void window_mean(const Conv2DGeometry&, const double*, double*);
template void window_spread(const Conv2DGeometry&, const float*, float*);
template void window_spread(const Conv2DGeometry&, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
