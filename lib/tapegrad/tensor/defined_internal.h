#pragma once

// Internal: the check that a tensor has a value.

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// Throws an Error of op that says what was never given a value, when x was not.
void require_defined(const char* op, const Tensor& x, const char* what = "a tensor");

}  // namespace tapegrad::inline v0::detail
