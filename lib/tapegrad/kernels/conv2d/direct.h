#pragma once

// Convolutions by the direct family of tiles.

#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/plan.h"

namespace tapegrad::inline v0::kernels {

// Runs plans of the direct family, without a matrix of windows: the pixels are read where they lie. The next numbers
// of a window are neighbours in memory (NHWC, and a row of the window is one run), so one loop serves all: sums over
// a few runs, for a row of pixels at once.

/// y = conv2d(x, w), or its transpose: what the plan says.
template <class T>
void direct_correlate(const CorrelationPlan& plan, const T* x, const T* w, T* y, const Epilogue<T>& epilogue,
                      PackedFilter* kept = nullptr);
template <class T>
void direct_filter_gradient(const FilterPlan& plan, const T* x, const T* dy, T* dw);

}  // namespace tapegrad::inline v0::kernels
