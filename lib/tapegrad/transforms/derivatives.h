#pragma once

// Derivatives of functions of several tensors: Jacobians, Hessians, and their products with vectors.

#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// f is called with fresh variables in place of xs. While a tape is recording, the derivative is recorded as well and can be
// differentiated again. The derivative by an input that f does not use is 0.

/// The Jacobian of y = f(xs): for each x, a tensor of shape y.shape followed by x.shape that holds the derivative of
/// every element of y by every element of x. Costs a backward pass for each element of y.
[[nodiscard]] std::vector<Tensor> jacobian(const TensorFunction& f, const std::vector<Tensor>& xs);

/// The second derivatives of a function whose result has one element: result[i][j], by xs[i] and xs[j], has shape
/// xs[i].shape followed by xs[j].shape.
[[nodiscard]] std::vector<std::vector<Tensor>> hessian(const TensorFunction& f,
                                                       const std::vector<Tensor>& xs);

/// The vector-Jacobian product: f(xs), and for each x the gradient of sum(v * f(xs)) by x. v has the shape of f(xs).
[[nodiscard]] std::pair<Tensor, std::vector<Tensor>> vjp(const TensorFunction& f,
                                                         const std::vector<Tensor>& xs, const Tensor& v);

/// The Jacobian-vector product: f(xs), and its derivative along the directions vs, with the shape of f(xs). vs have the
/// shapes of xs. Computed as the derivative of vjp(), which is linear in v, by v (Townsend, "A new trick for
/// calculating Jacobian vector products", 2017).
[[nodiscard]] std::pair<Tensor, Tensor> jvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                                            const std::vector<Tensor>& vs);

/// The Hessian-vector product: the Hessian of a function whose result has one element times the directions vs, one
/// tensor for each x, without computing the Hessian itself.
[[nodiscard]] std::vector<Tensor> hvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                                      const std::vector<Tensor>& vs);

}  // namespace v0
}  // namespace tapegrad
