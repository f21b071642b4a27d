#pragma once

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The parts of x at these indices along the axis, as numpy.take: the axis is replaced by the axes of
/// indices. x [5, 3] and indices [2, 4] give [2, 4, 3]. In the gradient, an index that occurs again adds up.
/// indices is Int32; one that is negative or too large is an error that tells its position.
Tensor gather(const Tensor& x, const Tensor& indices, int axis = 0);

/// The rows of table [count, features...] with these numbers: gather(table, indices, 0) under the name of the
/// layer.
Tensor embedding(const Tensor& table, const Tensor& indices);

/// A new last axis of this depth, 1 at each index and 0 elsewhere: [2, 3] becomes [2, 3, depth]. indices is
/// Int32; one out of range is an error that tells its position.
Tensor one_hot(const Tensor& indices, index_t depth, DType dtype = DType::Float32);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
