#pragma once

// New tensors beside zeros, ones, full, arange, uniform and normal (tensor/tensor.h): full_like, linspace, eye,
// randint, randperm.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A tensor of x's shape and dtype, filled with value. Throws when the dtype cannot hold value.
[[nodiscard]] Tensor full_like(const Tensor& x, double value);
/// count numbers, evenly spaced from start to stop, both included; only start if count is 1. Float32 or Float64. Throws
/// for a negative count.
[[nodiscard]] Tensor linspace(double start, double stop, index_t count, DType dtype = DType::Float32);
/// The identity matrix [size, size].
[[nodiscard]] Tensor eye(index_t size, DType dtype = DType::Float32);
/// 1 on the main diagonal and 0 elsewhere: [rows, columns].
[[nodiscard]] Tensor eye(index_t rows, index_t columns, DType dtype = DType::Float32);
/// Whole numbers in [low, high), each equally likely. Throws unless low < high, and when the dtype cannot hold them.
[[nodiscard]] Tensor randint(const Shape& shape, std::int64_t low, std::int64_t high, Generator& generator,
                             DType dtype = DType::Int32);
/// 0 to count - 1 in a random order, as Int32.
[[nodiscard]] Tensor randperm(index_t count, Generator& generator);

}  // namespace v0
}  // namespace tapegrad
