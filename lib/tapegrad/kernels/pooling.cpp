#include "tapegrad/kernels/pooling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {
namespace {

// The pixels of an axis that a window covers.
struct Span {
  index_t begin, end;
};
Span covered(index_t window, index_t stride, index_t pad, index_t kernel, index_t size) {
  const index_t first = window * stride - pad;
  return {std::max<index_t>(first, 0), std::min(first + kernel, size)};
}

// Calls f(output element, rows, columns, image's first element) for every window of the images [begin, end).
template <class F>
void for_windows(const Conv2DGeometry& g, index_t begin, index_t end, F f) {
  index_t out = begin * g.out_h * g.out_w * g.in_channels;
  for (index_t n = begin; n < end; ++n)
    for (index_t p = 0; p < g.out_h; ++p)
      for (index_t q = 0; q < g.out_w; ++q, out += g.in_channels)
        f(out, covered(p, g.stride_h, g.pad_top, g.kernel_h, g.in_h),
          covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w), n * g.in_h * g.in_w * g.in_channels);
}

// In parallel over images: windows of one may overlap.
template <class F>
void for_images(const Conv2DGeometry& g, F f) {
  const index_t work = g.out_h * g.out_w * g.in_channels * g.kernel_h * g.kernel_w;
  parallel_for(g.batch, units_in_piece(kWindowPiece, work), f);
}

}  // namespace

template <class T>
void window_argmax(const Conv2DGeometry& g, const T* x, std::int32_t* at) {
  for_images(g, [=](index_t first, index_t last) {
    std::vector<T> largest(static_cast<std::size_t>(g.in_channels));
    for_windows(g, first, last, [&](index_t out, Span rows, Span columns, index_t image) {
      bool started = false;
      for (index_t i = rows.begin; i < rows.end; ++i)
        for (index_t j = columns.begin; j < columns.end; ++j, started = true) {
          const index_t from = image + (i * g.in_w + j) * g.in_channels;
          const T* value = x + from;
          T* best = largest.data();
          std::int32_t *place = at + out, here = static_cast<std::int32_t>(from);
          if (!started) {
            std::copy_n(value, g.in_channels, best);
            std::iota(place, place + g.in_channels, here);
            continue;
          }
          // No branch in it: vectorized.
          for (index_t c = 0; c < g.in_channels; ++c, ++here) {
            const bool better = (value[c] > best[c]) | ((value[c] != value[c]) & (best[c] == best[c]));
            best[c] = better ? value[c] : best[c];
            place[c] = better ? here : place[c];
          }
        }
    });
  });
}

template <class T>
void window_mean(const Conv2DGeometry& g, const T* x, T* y) {
  for_images(g, [=](index_t first, index_t last) {
    std::vector<double> sums(static_cast<std::size_t>(g.in_channels));
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

template <class T>
void window_spread(const Conv2DGeometry& g, const T* dy, T* dx) {
  for_images(g, [=](index_t first, index_t last) {
    for_windows(g, first, last, [=](index_t out, Span rows, Span columns, index_t image) {
      const T share = T{1} / static_cast<T>((rows.end - rows.begin) * (columns.end - columns.begin));
      for (index_t i = rows.begin; i < rows.end; ++i)
        for (index_t j = columns.begin; j < columns.end; ++j) {
          T* to = dx + image + (i * g.in_w + j) * g.in_channels;
          for (index_t c = 0; c < g.in_channels; ++c) to[c] += dy[out + c] * share;
        }
    });
  });
}

template void window_argmax(const Conv2DGeometry&, const float*, std::int32_t*);
template void window_argmax(const Conv2DGeometry&, const double*, std::int32_t*);
template void window_mean(const Conv2DGeometry&, const float*, float*);
template void window_mean(const Conv2DGeometry&, const double*, double*);
template void window_spread(const Conv2DGeometry&, const float*, float*);
template void window_spread(const Conv2DGeometry&, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
