#pragma once

// Elements chosen by indices: gather and embedding, take_along_axis and scatter, one_hot.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The parts of x at these indices along the axis, as in numpy.take: the axes of indices replace the axis. x [5, 3] and
/// indices [2, 4] give [2, 4, 3]. Gradients of an index that occurs several times add up. indices must be Int32; throws
/// for an index that is negative or too large, with the position of the index.
[[nodiscard]] Tensor gather(const Tensor& x, const Tensor& indices, int axis = 0);

/// The rows of table [count, features...] at these indices: gather(table, indices, 0) under the name of the layer.
[[nodiscard]] Tensor embedding(const Tensor& table, const Tensor& indices);

/// y[i][j] = x[indices[i][j]][j] for axis 0, and accordingly along any axis: numpy.take_along_axis, PyTorch's gather.
/// indices must be Int32 and have x's shape except along the axis; throws for an index out of range, with its position.
/// take_along_axis(x, argsort(x, axis), axis) is sort(x, axis).
[[nodiscard]] Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis);
/// The adjoint of take_along_axis: a copy y of x with y[indices[i][j]][j] += values[i][j]; values for the same index
/// add up. values has x's dtype and the shape of indices.
[[nodiscard]] Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& values, int axis);
/// A copy y of x with y[indices[i][j]][j] = values[i][j], as PyTorch's scatter. Throws when two values go to the same
/// element.
[[nodiscard]] Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& values, int axis);

/// Adds a last axis of size depth that is 1 at the index and 0 elsewhere: indices [2, 3] give [2, 3, depth]. indices
/// must be Int32; throws for an index out of range, with its position.
[[nodiscard]] Tensor one_hot(const Tensor& indices, index_t depth, DType dtype = DType::Float32);

}  // namespace v0
}  // namespace tapegrad
