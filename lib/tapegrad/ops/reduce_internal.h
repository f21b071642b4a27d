#pragma once

// Internal: reductions under the name of the op that the user called.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// mean(), with errors and a node of op.
Tensor mean_of(const char* op, const Tensor& x, const Axes& axes, const ReduceOptions& options);

}  // namespace tapegrad::inline v0::detail
