#pragma once

#include "tapegrad/kernels/conv2d/correlation.h"

namespace tapegrad::inline v0::kernels {

// The innermost loops of the depthwise convolutions, written once for vectors of any width and compiled for
// each instruction set. Single precision; steps are in numbers.

/// Floats in a vector: there must be at least as many channels.
index_t depthwise_lanes();

/// The windows of a row of output pixels: those rows of the filter that lie inside of the image.
struct DepthwiseWindows {
  Axis columns;
  index_t width, channels;  ///< of the image
  index_t rows;
  const float* x;  ///< column 0 of the image row under the first of them
  index_t x_step, x_row_step;
};

/// y[q * y_step + c] = act(bias[c] + sum over rows r and the taps t that lie inside of the image of
/// x[r * x_row_step + (q * stride + t * dilation - pad) * x_step + c] * w[r * w_row_step + t * w_step + c]).
struct DepthwiseCorrelateJob {
  DepthwiseWindows windows;
  const float* w;
  index_t w_row_step, w_step;
  const float* bias;  ///< or null
  bool relu;
  float* y;
  index_t y_step;
};
void correlate_depthwise(const DepthwiseCorrelateJob& job);

/// Numbers in the sums of one tap: whole vectors, the last of which holds the last channels, also those that
/// the one before has.
index_t depthwise_sums(index_t channels);

/// Adds x[i * x_down + r * x_row_step + (q * stride + t * dilation - pad) * x_step + c] *
/// dy[i * dy_down + q * dy_step + c] over output rows i and their pixels q to the sums of each channel:
/// depthwise_sums(channels) for each tap of each row r.
struct DepthwiseAccumulateJob {
  DepthwiseWindows windows;  ///< of output row 0
  index_t output_rows, x_down;
  const float* dy;
  index_t dy_step, dy_down;
  float* sums;
};
void accumulate_depthwise(const DepthwiseAccumulateJob& job);

}  // namespace tapegrad::inline v0::kernels
