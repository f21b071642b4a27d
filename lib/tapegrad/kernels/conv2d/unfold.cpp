#include <algorithm>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/correlation.h"
#include "tapegrad/kernels/grain.h"

// The matrix of all windows of x (im2col) and its adjoint. A row of output pixels is the unit; all rows of a batch are
// numbered through, row r being row r % out_h of image r / out_h.
namespace tapegrad::inline v0::kernels {
namespace {

// Visits the windows of the output rows [begin, end) and, in each, the runs of pixels that lie next to each
// other both in x and in the window: f(column, pixel, count) for a run, zero(column, count) for what lies
// outside of x. `column` counts elements of the matrix of windows from its first row on.
template <class Run, class Zero>
void for_windows(const Conv2DGeometry& g, index_t begin, index_t end, Run run, Zero zero) {
  const index_t tap = g.in_channels, tap_row = g.kernel_w * tap;
  const TapAxis w = forward_correlation(g).phases.front().w;
  index_t column = 0;
  for (index_t r = begin; r < end; ++r) {
    const index_t image = r / g.out_h;
    const index_t top = r % g.out_h * g.stride_h - g.pad_top;
    for (index_t q = 0; q < g.out_w; ++q) {
      const index_t left = q * g.stride_w - g.pad_left;
      const auto [first_tap, last_tap] = w.inside(left, g.in_w);
      for (index_t i = 0; i < g.kernel_h; ++i, column += tap_row) {
        const index_t row = top + i * g.dilation_h;
        if (row < 0 || row >= g.in_h || first_tap >= last_tap) {
          zero(column, tap_row);
          continue;
        }
        zero(column, first_tap * tap);
        const index_t pixels = (image * g.in_h + row) * g.in_w + left;
        if (g.dilation_w == 1) {
          run(column + first_tap * tap, (pixels + first_tap) * g.in_channels, (last_tap - first_tap) * tap);
        } else {
          for (index_t j = first_tap; j < last_tap; ++j)
            run(column + j * tap, (pixels + j * g.dilation_w) * g.in_channels, tap);
        }
        zero(column + last_tap * tap, (g.kernel_w - last_tap) * tap);
      }
    }
  }
}

template <class T>
void unfold_rows(const Conv2DGeometry& g, index_t begin, index_t end, const T* x, T* columns) {
  for_windows(
      g, begin, end,
      [=](index_t column, index_t pixel, index_t count) { std::copy_n(x + pixel, count, columns + column); },
      [=](index_t column, index_t count) { std::fill_n(columns + column, count, T{0}); });
}

template <class T>
void fold_rows(const Conv2DGeometry& g, index_t begin, index_t end, const T* columns, T* x) {
  for_windows(
      g, begin, end,
      [=](index_t column, index_t pixel, index_t count) {
        for (index_t i = 0; i < count; ++i) x[pixel + i] += columns[column + i];
      },
      [](index_t, index_t) {});
}

// Elements of the columns of one output row, whatever the groups.
index_t columns_in_row(const Conv2DGeometry& g) {
  return g.out_w * g.kernel_h * g.kernel_w * g.in_channels;
}

}  // namespace

template <class T>
void conv2d_unfold(const Conv2DGeometry& g, const T* x, T* columns) {
  parallel_for(g.batch * g.out_h, units_in_piece(kElementwisePiece, columns_in_row(g)),
               [&](index_t begin, index_t end) {
                 unfold_rows(g, begin, end, x, columns + begin * columns_in_row(g));
               });
}

template <class T>
void conv2d_fold(const Conv2DGeometry& g, const T* columns, T* x) {
  const index_t image_size = g.in_h * g.in_w * g.in_channels;
  parallel_for(g.batch, 1, [&](index_t first, index_t last) {
    std::fill(x + first * image_size, x + last * image_size, T{0});
    fold_rows(g, first * g.out_h, last * g.out_h, columns + first * g.out_h * columns_in_row(g), x);
  });
}

template void conv2d_unfold(const Conv2DGeometry&, const float*, float*);
template void conv2d_unfold(const Conv2DGeometry&, const double*, double*);
template void conv2d_fold(const Conv2DGeometry&, const float*, float*);
template void conv2d_fold(const Conv2DGeometry&, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
