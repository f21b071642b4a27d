#pragma once

// Internal: softmax over several axes at once, as the gradient of logsumexp is.

#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// exp(x) divided by its sum over these axes, which are counted from the front and named once.
Tensor softmax_over(const char* op, const Tensor& x, const Axes& axes);

}  // namespace tapegrad::inline v0::detail
