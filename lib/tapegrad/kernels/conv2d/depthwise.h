#pragma once

// Convolutions of each channel by itself.

#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/plan.h"

namespace tapegrad::inline v0::kernels {

// Runs plans of the depthwise family: everything is read and written where it lies.

/// y = conv2d(x, w), or its transpose: what the plan says.
template <class T>
void depthwise_correlate(const CorrelationPlan& plan, const T* x, const T* w, T* y,
                         const Epilogue<T>& epilogue);
template <class T>
void depthwise_filter_gradient(const FilterPlan& plan, const T* x, const T* dy, T* dw);

}  // namespace tapegrad::inline v0::kernels
