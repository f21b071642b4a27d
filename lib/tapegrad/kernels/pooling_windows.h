#pragma once

// The windows of a pooling, one after the other.

#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/window.h"
#include "tapegrad/kernels/grain.h"

namespace tapegrad::inline v0::kernels {

/// The pixels of an axis that a window covers.
struct Span {
  index_t begin, end;
};
inline Span covered(index_t window, index_t stride, index_t pad, index_t kernel, index_t size) {
  const index_t first = window * stride - pad;
  return {std::max<index_t>(first, 0), std::min(first + kernel, size)};
}

/// Calls f(output element, rows, columns, image's first element) for every window of the images [begin, end).
template <class F>
void for_windows(const Conv2DGeometry& g, index_t begin, index_t end, F f) {
  index_t out = begin * g.out_h * g.out_w * g.in_channels;
  for (index_t n = begin; n < end; ++n)
    for (index_t p = 0; p < g.out_h; ++p)
      for (index_t q = 0; q < g.out_w; ++q, out += g.in_channels)
        f(out, covered(p, g.stride_h, g.pad_top, g.kernel_h, g.in_h),
          covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w), n * g.in_h * g.in_w * g.in_channels);
}

/// In parallel over images: windows of one may overlap.
template <class F>
void for_images(const Conv2DGeometry& g, F f) {
  const index_t work = g.out_h * g.out_w * g.in_channels * g.kernel_h * g.kernel_w;
  parallel_for(g.batch, units_in_piece(kWindowPiece, work), f);
}

}  // namespace tapegrad::inline v0::kernels
