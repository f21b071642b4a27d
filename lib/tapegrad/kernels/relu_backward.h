#pragma once

// The kernel of the gradient of relu(x + bias).

#include "tapegrad/base/shape.h"

namespace tapegrad::inline v0::kernels {

/// Through relu(x + bias) backward, in one pass over n / channels pixels of `channels` numbers: to[i] = g[i]
/// where y[i] > 0, the rest 0, and sums[c] the sum of to over all pixels, most of which is added in double. Without
/// y (nullptr) there was no relu: the sums are of g, and to is not touched.
template <class T>
void relu_backward(index_t n, index_t channels, const T* g, const T* y, T* to, T* sums);

}  // namespace tapegrad::inline v0::kernels
