#include "tapegrad/kernels/conv2d/conv2d.h"

#include <algorithm>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/conv2d/depthwise.h"
#include "tapegrad/kernels/conv2d/direct.h"
#include "tapegrad/kernels/gemm.h"
#include "tapegrad/kernels/scratch.h"

// Each convolution is a product with the matrix of all windows of x (im2col), which is made block by block in
// a buffer that fits the cache, never for a whole batch. A row of output pixels is the unit; all rows of a
// batch are numbered through, row r being row r % out_h of image r / out_h.
namespace tapegrad::inline v0::kernels {
namespace {

constexpr index_t kBlockBytes = 192 * 1024;

// The taps of one filter row that fall inside an image of `size` pixels, when the first one lies at `origin`.
struct TapRange {
  index_t begin, end;
};
TapRange inside(index_t origin, index_t dilation, index_t taps, index_t size) {
  const index_t begin = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation;
  const index_t end = origin >= size ? 0 : (size - origin - 1) / dilation + 1;
  return {std::min(begin, taps), std::clamp(end, std::min(begin, taps), taps)};
}

// Visits the windows of the output rows [begin, end) and, in each, the runs of pixels that lie next to each
// other both in x and in the window: f(column, pixel, count) for a run, zero(column, count) for what lies
// outside of x. `column` counts elements of the matrix of windows from its first row on; channels are those
// from `channel` on.
template <class Run, class Zero>
void for_windows(const Conv2DGeometry& g, index_t begin, index_t end, index_t channel, index_t channels,
                 Run run, Zero zero) {
  const index_t tap = channels, tap_row = g.kernel_w * tap;
  index_t column = 0;
  for (index_t r = begin; r < end; ++r) {
    const index_t image = r / g.out_h;
    const index_t top = r % g.out_h * g.stride_h - g.pad_top;
    for (index_t q = 0; q < g.out_w; ++q) {
      const index_t left = q * g.stride_w - g.pad_left;
      const TapRange taps = inside(left, g.dilation_w, g.kernel_w, g.in_w);
      for (index_t i = 0; i < g.kernel_h; ++i, column += tap_row) {
        const index_t row = top + i * g.dilation_h;
        if (row < 0 || row >= g.in_h || taps.begin >= taps.end) {
          zero(column, tap_row);
          continue;
        }
        zero(column, taps.begin * tap);
        const index_t pixels = (image * g.in_h + row) * g.in_w + left;
        if (g.dilation_w == 1 && channels == g.in_channels) {
          run(column + taps.begin * tap, (pixels + taps.begin) * g.in_channels,
              (taps.end - taps.begin) * tap);
        } else {
          for (index_t j = taps.begin; j < taps.end; ++j)
            run(column + j * tap, (pixels + j * g.dilation_w) * g.in_channels + channel, channels);
        }
        zero(column + taps.end * tap, (g.kernel_w - taps.end) * tap);
      }
    }
  }
}

template <class T>
void unfold_rows(const Conv2DGeometry& g, index_t begin, index_t end, index_t group, const T* x, T* columns) {
  for_windows(
      g, begin, end, group * g.group_in(), g.group_in(),
      [=](index_t column, index_t pixel, index_t count) { std::copy_n(x + pixel, count, columns + column); },
      [=](index_t column, index_t count) { std::fill_n(columns + column, count, T{0}); });
}

template <class T>
void fold_rows(const Conv2DGeometry& g, index_t begin, index_t end, index_t group, const T* columns, T* x) {
  for_windows(
      g, begin, end, group * g.group_in(), g.group_in(),
      [=](index_t column, index_t pixel, index_t count) {
        for (index_t i = 0; i < count; ++i) x[pixel + i] += columns[column + i];
      },
      [](index_t, index_t) {});
}

// Output rows whose windows fill a block.
template <class T>
index_t rows_per_block(const Conv2DGeometry& g) {
  const index_t row_bytes = g.out_w * g.window() * static_cast<index_t>(sizeof(T));
  return std::max<index_t>(1, kBlockBytes / std::max<index_t>(1, row_bytes));
}

// The part of a filter that belongs to one group, as a matrix [window, group_out].
template <class T>
Matrix<const T> filter_matrix(const Conv2DGeometry& g, const T* w, index_t group) {
  return {w + group * g.group_out(), g.out_channels};
}

// Rows [begin, ...) of y or dy in one group, as a matrix [pixels, group_out].
template <class T>
Matrix<T> output_matrix(const Conv2DGeometry& g, T* y, index_t begin, index_t group) {
  return {y + begin * g.out_w * g.out_channels + group * g.group_out(), g.out_channels};
}

void windowed_conv2d(const Conv2DGeometry& g, const double* x, const double* w, double* y) {
  parallel_for(g.batch * g.out_h, rows_per_block<double>(g), [&](index_t begin, index_t end) {
    const index_t pixels = (end - begin) * g.out_w;
    double* columns = scratch<double>(pixels * g.window());
    for (index_t group = 0; group < g.groups; ++group) {
      unfold_rows(g, begin, end, group, x, columns);
      gemm<double>(pixels, g.group_out(), g.window(), {columns, g.window()}, filter_matrix(g, w, group),
                   output_matrix(g, y, begin, group));
    }
  });
}

void windowed_backprop_input(const Conv2DGeometry& g, const double* dy, const double* w, double* dx) {
  // Windows overlap within an image, so a piece is one or more whole images.
  const index_t block = rows_per_block<double>(g);
  const index_t images = std::max<index_t>(1, block / std::max<index_t>(1, g.out_h));
  const index_t image_size = g.in_h * g.in_w * g.in_channels;
  parallel_for(g.batch, images, [&](index_t first, index_t last) {
    std::fill(dx + first * image_size, dx + last * image_size, 0.0);
    double* columns = scratch<double>(std::min(block, (last - first) * g.out_h) * g.out_w * g.window());
    for (index_t begin = first * g.out_h; begin < last * g.out_h; begin += block) {
      const index_t end = std::min(begin + block, last * g.out_h);
      for (index_t group = 0; group < g.groups; ++group) {
        Matrix<const double> filter = filter_matrix(g, w, group);
        filter.transposed = true;
        gemm<double>((end - begin) * g.out_w, g.window(), g.group_out(), output_matrix(g, dy, begin, group),
                     filter, {columns, g.window()});
        fold_rows(g, begin, end, group, columns, dx);
      }
    }
  });
}

void windowed_backprop_filter(const Conv2DGeometry& g, const double* x, const double* dy, double* dw) {
  // The rows are cut into a few chunks, by sizes only; each has a sum of its own, and these are added in
  // their order.
  const index_t block = rows_per_block<double>(g), rows = g.batch * g.out_h, size = g.filter_shape().size();
  constexpr index_t kMostChunks = 16, kSumBytes = 16 << 20;
  const index_t chunks = std::clamp<index_t>(
      kSumBytes / std::max<index_t>(1, size * static_cast<index_t>(sizeof(double))), 1, kMostChunks);
  const index_t chunk = std::max(block, (rows + chunks - 1) / chunks);
  const index_t sums = rows == 0 ? 0 : (rows - 1) / chunk + 1;
  std::vector<double> partial(static_cast<std::size_t>(sums * size), 0.0);
  parallel_for(sums, 1, [&](index_t first, index_t last) {
    double* columns = scratch<double>(block * g.out_w * g.window());
    for (index_t at = first; at < last; ++at)
      for (index_t begin = at * chunk; begin < std::min((at + 1) * chunk, rows); begin += block) {
        const index_t end = std::min({begin + block, (at + 1) * chunk, rows});
        for (index_t group = 0; group < g.groups; ++group) {
          unfold_rows(g, begin, end, group, x, columns);
          double* sum = partial.data() + at * size + group * g.group_out();
          gemm<double>(g.window(), g.group_out(), (end - begin) * g.out_w, {columns, g.window(), true},
                       output_matrix(g, dy, begin, group), {sum, g.out_channels}, true);
        }
      }
  });
  std::fill_n(dw, size, 0.0);
  for (index_t at = 0; at < sums; ++at)
    for (index_t i = 0; i < size; ++i) dw[i] += partial[static_cast<std::size_t>(at * size + i)];
}

void finish(index_t pixels, index_t channels, double* y, const Epilogue<double>& epilogue) {
  if (epilogue.bias)
    for (index_t i = 0; i < pixels; ++i)
      for (index_t o = 0; o < channels; ++o) y[i * channels + o] += epilogue.bias[o];
  if (epilogue.relu)
    for (index_t i = 0; i < pixels * channels; ++i) y[i] = y[i] < 0 ? 0 : y[i];
}

}  // namespace

template <>
void conv2d(const Conv2DGeometry& g, const float* x, const float* w, float* y,
            const Epilogue<float>& epilogue) {
  is_depthwise(g) ? depthwise_conv2d(g, x, w, y, epilogue) : direct_conv2d(g, x, w, y, epilogue);
}
template <>
void conv2d(const Conv2DGeometry& g, const double* x, const double* w, double* y,
            const Epilogue<double>& epilogue) {
  windowed_conv2d(g, x, w, y);
  finish(g.batch * g.out_h * g.out_w, g.out_channels, y, epilogue);
}

template <>
void conv2d_backprop_input(const Conv2DGeometry& g, const float* dy, const float* w, float* dx,
                           const Epilogue<float>& epilogue) {
  is_depthwise(g) ? depthwise_conv2d_backprop_input(g, dy, w, dx, epilogue)
                  : direct_conv2d_backprop_input(g, dy, w, dx, epilogue);
}
template <>
void conv2d_backprop_input(const Conv2DGeometry& g, const double* dy, const double* w, double* dx,
                           const Epilogue<double>& epilogue) {
  windowed_backprop_input(g, dy, w, dx);
  finish(g.batch * g.in_h * g.in_w, g.in_channels, dx, epilogue);
}

template <>
void conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw) {
  is_depthwise(g) ? depthwise_conv2d_backprop_filter(g, x, dy, dw)
                  : direct_conv2d_backprop_filter(g, x, dy, dw);
}
template <>
void conv2d_backprop_filter(const Conv2DGeometry& g, const double* x, const double* dy, double* dw) {
  windowed_backprop_filter(g, x, dy, dw);
}

template <class T>
void conv2d_unfold(const Conv2DGeometry& g, const T* x, T* columns) {
  Conv2DGeometry all = g;  // every channel, whatever the groups
  all.groups = 1;
  parallel_for(g.batch * g.out_h, rows_per_block<T>(all), [&](index_t begin, index_t end) {
    unfold_rows(all, begin, end, 0, x, columns + begin * g.out_w * all.window());
  });
}

template <class T>
void conv2d_fold(const Conv2DGeometry& g, const T* columns, T* x) {
  Conv2DGeometry all = g;
  all.groups = 1;
  const index_t image_size = g.in_h * g.in_w * g.in_channels;
  parallel_for(g.batch, 1, [&](index_t first, index_t last) {
    std::fill(x + first * image_size, x + last * image_size, T{0});
    fold_rows(all, first * g.out_h, last * g.out_h, 0, columns + first * g.out_h * g.out_w * all.window(), x);
  });
}

template void conv2d_unfold(const Conv2DGeometry&, const float*, float*);
template void conv2d_unfold(const Conv2DGeometry&, const double*, double*);
template void conv2d_fold(const Conv2DGeometry&, const float*, float*);
template void conv2d_fold(const Conv2DGeometry&, const double*, double*);

}  // namespace tapegrad::inline v0::kernels
