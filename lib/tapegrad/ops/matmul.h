#pragma once

// Products that sum over an axis: matmul, dot, einsum.

#include <string_view>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The options of matmul().
struct MatmulOptions {
  bool transpose_a = false;  ///< use the transpose of a (of its last two axes), without a copy
  bool transpose_b = false;  ///< use the transpose of b (of its last two axes), without a copy
};

/// The matrix product [..., m, k] x [..., k, n] -> [..., m, n], Float32 or Float64. The axes before the last two are
/// batch axes, and are broadcast to each other. A vector [k] counts as a row [1, k] if it is a, as a column [k, 1] if
/// it is b; the result then lacks that axis, as in NumPy: [m, k] x [k] -> [m], [k] x [k] -> a scalar. Throws when the
/// shapes or dtypes do not fit, and for the transpose of a vector.
[[nodiscard]] Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

/// The inner product of two vectors [k], a scalar. Throws for other shapes.
[[nodiscard]] Tensor dot(const Tensor& a, const Tensor& b);

/// The product of two tensors in Einstein notation, as in NumPy: a letter names each axis, and products are summed over
/// the letters that the result does not name. "ij,jk->ik" is the matrix product, "nhwc,co->nhwo" a 1 x 1 convolution,
/// "i,j->ij" the outer product. Float32 or Float64. Throws when a letter stands for two different sizes or occurs twice
/// in one operand or in the result, and when "->" and the result are missing.
[[nodiscard]] Tensor einsum(std::string_view equation, const Tensor& a, const Tensor& b);

}  // namespace v0
}  // namespace tapegrad
