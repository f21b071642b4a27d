#pragma once

// Internal: gathers without the checks of indices, for ops that made the indices themselves.

#include "tapegrad/kernels/index.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// gather along the axis, for indices that are known to be in range; recorded as op.
Tensor gather_from(const char* op, const Tensor& x, const Tensor& indices, int axis);
/// The same from x seen as another shape, without a reshape() of which the gradient would have x's size. The gradient
/// adds up in parallel over these parts of the indices.
Tensor gather_from(const char* op, const Tensor& x, const Tensor& indices, int axis,
                   const kernels::IndexParts& parts, const Shape& seen);
/// The elements of x at these places among all, in row-major order. The places must be different.
Tensor gather_elements(const char* op, const Tensor& x, const Tensor& places);
/// y, which was found to be the elements of x at these places, with its rule; `parts` as of gather_from.
Tensor recorded_choice(const char* op, Tensor y, const Tensor& x, const Tensor& places,
                       const kernels::IndexParts& parts);
/// What is known of indices along an axis.
enum class Indices { Any, Different };
/// take_along_axis for indices that are known to be in range; recorded as op.
Tensor take_along(const char* op, const Tensor& x, const Tensor& indices, int axis, Indices which);

}  // namespace tapegrad::inline v0::detail
