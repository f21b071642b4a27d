#pragma once

#include "tapegrad/kernels/conv2d/conv2d.h"

namespace tapegrad::inline v0::kernels {

// The convolutions of kernels/conv2d/conv2d.h in single precision, where each channel stands by itself: vectors hold
// neighbouring channels, and everything is read and written where it lies.

/// Whether the geometry is such a one, with enough channels to fill a vector. The others take no other.
bool is_depthwise(const Conv2DGeometry& g);

void depthwise_conv2d(const Conv2DGeometry& g, const float* x, const float* w, float* y,
                      const Epilogue<float>& epilogue);
void depthwise_conv2d_backprop_input(const Conv2DGeometry& g, const float* dy, const float* w, float* dx,
                                     const Epilogue<float>& epilogue);
void depthwise_conv2d_backprop_filter(const Conv2DGeometry& g, const float* x, const float* dy, float* dw);

}  // namespace tapegrad::inline v0::kernels
