#pragma once

#include "tapegrad/kernels/conv2d/conv2d.h"

namespace tapegrad::inline v0::kernels {

// The convolutions of kernels/conv2d/conv2d.h in single precision without a matrix of windows: the pixels are read
// where they lie. The next numbers of a window are neighbours in memory (NHWC, and a row of the window is one
// run), so one loop serves all: sums over a few runs, for a row of pixels at once.

void direct_conv2d(const Conv2DGeometry& g, const float* x, const float* w, float* y,
                   const Epilogue<float>& epilogue);
void direct_conv2d_backprop_input(const Conv2DGeometry& g, const float* dy, const float* w, float* dx,
                                  const Epilogue<float>& epilogue);
void direct_conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw);

}  // namespace tapegrad::inline v0::kernels
