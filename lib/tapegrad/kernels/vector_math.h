#pragma once

// exp, tanh and their like for whole arrays of floats.

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

// Functions that the compiler does not vectorize: y[i] = f(x[i]) for i < n, in single precision, off by a few
// units in the last place. y may be x.

void exp(index_t n, const float* x, float* y);
void tanh(index_t n, const float* x, float* y);
void log1p(index_t n, const float* x, float* y);
/// 1 / (1 + exp(-x)).
void sigmoid(index_t n, const float* x, float* y);
/// The derivative of sigmoid, as exact where it is tiny.
void sigmoid_slope(index_t n, const float* x, float* y);
/// x sigmoid(x), and its derivative.
void silu(index_t n, const float* x, float* y);
void silu_slope(index_t n, const float* x, float* y);

}  // namespace tapegrad::inline v0::kernels
