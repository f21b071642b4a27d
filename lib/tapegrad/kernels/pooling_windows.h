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

/// Calls f(output element, rows, columns, image's first element) for every window of the rows of windows [begin, end), counted
/// through all images.
template <class F>
void for_windows(const Conv2DGeometry& g, index_t begin, index_t end, F f) {
  index_t out = begin * g.out_w * g.in_channels;
  for (index_t row = begin; row < end; ++row) {
    const index_t n = row / g.out_h, p = row % g.out_h;
    const Span rows = covered(p, g.stride_h, g.pad_top, g.kernel_h, g.in_h);
    for (index_t q = 0; q < g.out_w; ++q, out += g.in_channels)
      f(out, rows, covered(q, g.stride_w, g.pad_left, g.kernel_w, g.in_w),
        n * g.in_h * g.in_w * g.in_channels);
  }
}

/// In parallel over rows of windows, counted through all images.
template <class F>
void for_rows_of_windows(const Conv2DGeometry& g, F f) {
  const index_t work = g.out_w * g.in_channels * g.kernel_h * g.kernel_w;
  parallel_for(g.batch * g.out_h, units_in_piece(kWindowPiece, work), f);
}

}  // namespace tapegrad::inline v0::kernels
