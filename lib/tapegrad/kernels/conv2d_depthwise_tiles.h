#pragma once

#include "tapegrad/kernels/conv2d_correlation.h"

namespace tapegrad::kernels {

// The innermost loops of the depthwise convolutions, written once for vectors of any width and compiled for
// each instruction set. Single precision; steps are in numbers.

/// Floats in a vector: there must be at least as many channels.
index_t depthwise_lanes();

/// The windows of a row of output pixels: the filter's rows [0, rows), as far as they lie inside of the
/// image.
struct DepthwiseWindows {
  Axis columns;
  index_t width;     ///< pixels in a row of the image
  index_t channels;  ///< also from one pixel to the next
  index_t rows = 0;
  const float* x = nullptr;  ///< column 0 in the first of these rows
  index_t x_row_step;
};

/// y[q * y_step + c] = act(bias[c] + sum over the rows r and the taps t inside of the image of
/// x[r * x_row_step + (q * stride + t * dilation - pad) * channels + c] * w[r * w_row_step + t * w_step +
/// c]).
struct DepthwiseCorrelateJob {
  DepthwiseWindows windows;
  const float* w;  ///< the first tap
  index_t w_row_step, w_step;
  const float* bias;  ///< or null
  bool relu;
  float* y;
  index_t y_step;
};
void correlate_depthwise(const DepthwiseCorrelateJob& job);

/// Numbers in the sums of one tap: whole vectors, the last of which holds the last channels, also where the
/// one before has some of them.
index_t depthwise_sums(index_t channels);

/// Adds x[r * x_row_step + (q * stride + t * dilation - pad) * channels + c] * dy[q * channels + c], over all
/// pixels q, to the sums of each channel, depthwise_sums(channels) for each tap of each row.
struct DepthwiseAccumulateJob {
  DepthwiseWindows windows;
  const float* dy;
  float* sums;  ///< of the first tap
};
void accumulate_depthwise(const DepthwiseAccumulateJob& job);

}  // namespace tapegrad::kernels
