#pragma once

// Elements by their indices: gather and embedding, take_along_axis and scatter, one_hot.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The parts of x at these indices along the axis, as numpy.take: the axis is replaced by the axes of
/// indices. x [5, 3] and indices [2, 4] give [2, 4, 3]. In the gradient, an index that occurs again adds up.
/// indices is Int32; one that is negative or too large is an error that tells its position.
[[nodiscard]] Tensor gather(const Tensor& x, const Tensor& indices, int axis = 0);

/// The rows of table [count, features...] with these numbers: gather(table, indices, 0) under the name of the
/// layer.
[[nodiscard]] Tensor embedding(const Tensor& table, const Tensor& indices);

/// y[i][j] = x[indices[i][j]][j] for axis 0, and so along any axis: numpy.take_along_axis, PyTorch's gather.
/// indices is Int32 and has x's shape but for the size of the axis; one out of range is an error that tells its
/// position. What argsort() gives sorts with it.
[[nodiscard]] Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis);
/// The adjoint of take_along_axis: x with y[indices[i][j]][j] += values[i][j]; those of an index that occurs
/// again add up. values has x's dtype and the shape of indices.
[[nodiscard]] Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& values, int axis);
/// x with y[indices[i][j]][j] = values[i][j], as PyTorch's scatter. Throws when two values are for one element.
[[nodiscard]] Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& values, int axis);

/// A new last axis of this depth, 1 at each index and 0 elsewhere: [2, 3] becomes [2, 3, depth]. indices is
/// Int32; one out of range is an error that tells its position.
[[nodiscard]] Tensor one_hot(const Tensor& indices, index_t depth, DType dtype = DType::Float32);

}  // namespace v0
}  // namespace tapegrad
