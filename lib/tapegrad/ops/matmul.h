#pragma once

// Products that sum over an axis: matmul, dot, einsum.

#include <string_view>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct MatmulOptions {
  bool transpose_a = false;  ///< take the transpose of a (of its last two axes), without a copy
  bool transpose_b = false;  ///< and that of b
};

/// The matrix product [..., m, k] x [..., k, n] -> [..., m, n], Float32 or Float64. The axes before the last
/// two count matrices, and are broadcast to each other. A vector [k] is a row of a, or a column of b, and that
/// axis is left out of the result, as in NumPy: [m, k] x [k] -> [m], [k] x [k] -> a scalar. Throws when the
/// shapes or dtypes do not fit, and for the transpose of a vector.
[[nodiscard]] Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

/// The inner product of two vectors [k], a scalar. Throws for other shapes.
[[nodiscard]] Tensor dot(const Tensor& a, const Tensor& b);

/// The product of two tensors in Einstein's notation, as in NumPy: a letter for each axis, and the result is
/// summed over the letters that it does not name. "ij,jk->ik" is the matrix product, "nhwc,co->nhwo" a 1 x 1
/// convolution, "i,j->ij" the outer product. Float32 or Float64. Throws when a letter stands for two sizes,
/// or occurs twice in one operand or in the result, or when the result is not named.
[[nodiscard]] Tensor einsum(std::string_view equation, const Tensor& a, const Tensor& b);

}  // namespace v0
}  // namespace tapegrad
