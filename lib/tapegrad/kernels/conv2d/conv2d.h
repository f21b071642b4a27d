#pragma once

// The three convolutions: what ops/ calls.

#include "tapegrad/base/window.h"

namespace tapegrad::inline v0::kernels {

class PackedFilter;

/// What is done to a sum before it is stored.
template <class T>
struct Epilogue {
  const T* bias = nullptr;  ///< is added: one number for each channel of the result
  bool relu = false;        ///< then negative numbers become zero
  /// Laid out as the result: where this number is not positive, the result becomes zero. The gradient of relu, if this is what relu
  /// has made, and the result its gradient.
  const T* gate = nullptr;
};

// The three convolutions. In <conv(x, w), y> = <x, backprop_input(y, w)> = <w, backprop_filter(x, y)> each is
// linear in both of its operands, and each is the derivative of the other two. All arrays are contiguous,
// with the shapes of the geometry; results are overwritten. For float and double, by the same code.
//
// Padding is skipped, not multiplied by: a product is in a sum only where a tap lies on a pixel. This matters for
// infinities and NaNs alone.
//
// `kept`, where it is given, is where the packed forms of w are kept from call to call.

/// y[n, p, q, o] = sum over i, j, c of x[n, p * stride_h + i * dilation_h - pad_top, q * stride_w + j *
/// dilation_w - pad_left, c] * w[i, j, c, o], over the taps that lie on pixels of x; within groups, c and o
/// belong together.
template <class T>
void conv2d(const Conv2DGeometry& g, const T* x, const T* w, T* y, const Epilogue<T>& epilogue = {},
            PackedFilter* kept = nullptr);

/// dx: every dy[n, p, q, o] adds w[i, j, c, o] times itself to the pixels that it was made of.
template <class T>
void conv2d_backprop_input(const Conv2DGeometry& g, const T* dy, const T* w, T* dx,
                           const Epilogue<T>& epilogue = {}, PackedFilter* kept = nullptr);

/// dw[i, j, c, o]: the sum over n, p, q of dy[n, p, q, o] times the pixel of x that the tap (i, j) lay on.
template <class T>
void conv2d_backprop_filter(const Conv2DGeometry& g, const T* x, const T* dy, T* dw);

/// im2col: columns[n, p, q, (i, j, c)] is the pixel of x that tap (i, j) lies on at output position (p, q),
/// zero outside of x. c runs over all input channels.
template <class T>
void conv2d_unfold(const Conv2DGeometry& g, const T* x, T* columns);

/// col2im, the adjoint of conv2d_unfold: adds every column back onto the pixels it came from.
template <class T>
void conv2d_fold(const Conv2DGeometry& g, const T* columns, T* x);

}  // namespace tapegrad::inline v0::kernels
