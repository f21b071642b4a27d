#pragma once

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

struct MatmulOptions {
  /// Take the operand's transpose, without a copy.
  bool transpose_a = false, transpose_b = false;
};

/// The matrix product [m, k] x [k, n] -> [m, n], Float32 or Float64. Throws when the shapes or dtypes do not
/// fit.
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

}  // namespace tapegrad
