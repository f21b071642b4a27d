#pragma once

// Jacobians, Hessians, and their products with vectors.

#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Derivatives of functions of several tensors, as values. Each function is called with variables of its own
// in place of xs. Where a tape is recording, the derivative is recorded as well and can be differentiated
// again. An input that the function does not depend on has the derivative 0.

/// The derivative of every element of y = f(xs) by every element of each x: one tensor for each x, of shape
/// y.shape followed by x.shape. Costs a backward pass for each element of y.
[[nodiscard]] std::vector<Tensor> jacobian(const TensorFunction& f, const std::vector<Tensor>& xs);

/// The second derivatives of a function with one element: result[i][j] has shape xs[i].shape followed by
/// xs[j].shape.
[[nodiscard]] std::vector<std::vector<Tensor>> hessian(const TensorFunction& f,
                                                       const std::vector<Tensor>& xs);

/// f(xs), and for each x the sum over f's elements of v times their derivative by x. v has f's shape.
[[nodiscard]] std::pair<Tensor, std::vector<Tensor>> vjp(const TensorFunction& f,
                                                         const std::vector<Tensor>& xs, const Tensor& v);

/// f(xs), and its derivative along the directions vs, which have the shapes of xs: of f's shape. Computed as
/// the derivative of vjp by v, which is linear in it (Townsend, "A new trick for calculating Jacobian vector
/// products", 2017).
[[nodiscard]] std::pair<Tensor, Tensor> jvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                                            const std::vector<Tensor>& vs);

/// The Hessian of a function with one element times the directions vs: one tensor for each x, without the
/// Hessian itself.
[[nodiscard]] std::vector<Tensor> hvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                                      const std::vector<Tensor>& vs);

}  // namespace v0
}  // namespace tapegrad
