#pragma once

// Internal: kernels::copy_strided for tensors.

#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// From x's element x_at on to y's element y_at on, shape.size() elements of their common dtype. y was just
/// made.
inline void copy_strided(const Shape& shape, const Tensor& y, index_t y_at, const kernels::Strides& y_strides,
                         const Tensor& x, index_t x_at, const kernels::Strides& x_strides) {
  const auto size = static_cast<index_t>(size_of(x.dtype()));
  kernels::copy_strided(shape, size, TensorAccess::elements(y) + y_at * size, y_strides,
                        TensorAccess::elements(x) + x_at * size, x_strides);
}

}  // namespace tapegrad::inline v0::detail
