#pragma once

// The innermost loops of depthwise convolutions.

#include <algorithm>
#include <bit>

#include "tapegrad/kernels/conv2d/correlation.h"

namespace tapegrad::inline v0::kernels {

// The innermost loops of the depthwise convolutions, written once for vectors of any width and compiled for
// each instruction set, for float and for double. Steps are in numbers.

/// Neighbouring channels in a vector, of `lanes` numbers at most: few channels take shorter vectors.
inline index_t depthwise_lanes(index_t channels, index_t lanes) {
  return static_cast<index_t>(std::bit_floor(static_cast<std::size_t>(std::min(channels, lanes))));
}
/// Numbers per tap in the sums: channels rounded up to whole vectors. The last vector ends at the last channel and so
/// overlaps the previous one.
inline index_t depthwise_sums(index_t channels, index_t lanes) {
  const index_t width = depthwise_lanes(channels, lanes);
  return divide_up(channels, width) * width;
}

/// The windows of a row of output pixels: those rows of the filter that lie inside of the image.
template <class T>
struct DepthwiseWindows {
  TapAxis columns;
  index_t width, channels;  ///< of the image
  index_t rows;
  const T* x;  ///< column 0 of the image row under the first of them
  index_t x_step, x_row_step;
};

/// y[q * y_step + c] = act(bias[c] + sum over rows r and the taps t that lie inside of the image of
/// x[r * x_row_step + (q * stride + t * dilation - pad) * x_step + c] * w[r * w_row_step + t * w_step + c]).
template <class T>
struct DepthwiseCorrelateJob {
  DepthwiseWindows<T> windows;
  const T* w;
  index_t w_row_step, w_step;
  const T* bias;  ///< or null
  bool relu;
  T* y;
  index_t y_step;
};
template <class T>
void correlate_depthwise(const DepthwiseCorrelateJob<T>& job);

/// Adds x[i * x_down + r * x_row_step + (q * stride + t * dilation - pad) * x_step + c] *
/// dy[i * dy_down + q * dy_step + c] over output rows i and their pixels q to the sums of each channel:
/// tap_sums, which is depthwise_sums(), for each tap of each row r. A product is added only where the output exists
/// and the tap lies inside of the image.
template <class T>
struct DepthwiseAccumulateJob {
  DepthwiseWindows<T> windows;  ///< of output row 0
  index_t output_rows, x_down;
  const T* dy;
  index_t dy_step, dy_down;
  T* sums;
  index_t tap_sums;
};
template <class T>
void accumulate_depthwise(const DepthwiseAccumulateJob<T>& job);

/// The functions above, compiled for one instruction set.
template <class T>
struct DepthwiseKernels {
  bool (*takes)(index_t channels);
  void (*correlate)(const DepthwiseCorrelateJob<T>&);
  void (*accumulate)(const DepthwiseAccumulateJob<T>&);
};

}  // namespace tapegrad::inline v0::kernels
