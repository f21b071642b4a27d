#pragma once

// Kernels of poolings.

#include <cstdint>

#include "tapegrad/base/window.h"

namespace tapegrad::inline v0::kernels {

// Windows of images, each channel by itself. Of the geometry the filter's channels do not count. Every window
// must hold a pixel.

/// y[n, p, q, c] = the largest pixel of the window, the first one in row order, or the first NaN; at[n, p, q, c] = where
/// that is in all of x, unless at is nullptr.
template <class T>
void window_max(const Conv2DGeometry& g, const T* x, T* y, std::int32_t* at);

/// y[n, p, q, c] = the mean of the pixels of the window.
template <class T>
void window_mean(const Conv2DGeometry& g, const T* x, T* y);

/// The adjoint of window_mean: dx, which must be 0, gets dy spread over the window.
template <class T>
void window_spread(const Conv2DGeometry& g, const T* dy, T* dx);

}  // namespace tapegrad::inline v0::kernels
