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
  for_images(g, [=](index_t first, index_t last) {
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

template void window_mean(const Conv2DGeometry&, const float*, float*);
template void window_mean(const Conv2DGeometry&, const double*, double*);
template void window_spread(const Conv2DGeometry&, const float*, float*);
template void window_spread(const Conv2DGeometry&, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
