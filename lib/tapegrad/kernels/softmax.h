#pragma once

// Kernels of softmax and log_softmax.

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

// Of x [outer, count, inner] along its middle axis, with its largest element subtracted before exp(): nothing
// overflows. An infinite largest element has all the weight (several of them share it). Where all elements are
// -infinity, or one is NaN, the results are NaN.

/// y = exp(x) / sum(exp(x)).
template <class T>
void softmax(index_t outer, index_t count, index_t inner, const T* x, T* y);

/// y = x - log(sum(exp(x))), accurate where y is near 0: the largest term, exp(0), is not rounded away with the
/// rest in 1 + rest.
template <class T>
void log_softmax(index_t outer, index_t count, index_t inner, const T* x, T* y);

}  // namespace tapegrad::inline v0::kernels
