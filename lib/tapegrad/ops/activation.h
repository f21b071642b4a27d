#pragma once

// Activations beside relu, sigmoid, tanh and softplus (elementwise.h). Float32 or Float64. Where others have
// default arguments these are overloaded, so that their names can be given as functions of a tensor: to a
// layer, {.activation = leaky_relu}, or to std::transform.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The slope of leaky_relu and LeakyReLU for negative x, as in PyTorch and JAX (Keras: 0.3).
inline constexpr double kNegativeSlope = 0.01;
/// x where it is positive, negative_slope x elsewhere; the derivative at 0 is negative_slope.
[[nodiscard]] Tensor leaky_relu(const Tensor& x, double negative_slope);
[[nodiscard]] Tensor leaky_relu(const Tensor& x);
/// x where it is positive, alpha (exp(x) - 1) elsewhere; the derivative at 0 is alpha, which is 1 if it is not
/// given (Clevert et al., 2016).
[[nodiscard]] Tensor elu(const Tensor& x, double alpha);
[[nodiscard]] Tensor elu(const Tensor& x);
/// elu with the alpha and the scale that keep mean and variance through a deep network (Klambauer et al.,
/// 2017).
[[nodiscard]] Tensor selu(const Tensor& x);
/// x Phi(x), where Phi is the normal distribution (Hendrycks and Gimpel, 2016).
[[nodiscard]] Tensor gelu(const Tensor& x);
/// gelu as x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
[[nodiscard]] Tensor gelu_tanh(const Tensor& x);
/// x sigmoid(x), also called swish.
[[nodiscard]] Tensor silu(const Tensor& x);

/// exp(x) divided by its sum over the axis, without overflow for any finite x. A logit of -infinity has the
/// probability 0 (a mask), one of +infinity has 1 (several share it equally). Where all logits along the axis are
/// -infinity there is no distribution: 0 / 0, NaN. Throws when there is no such axis.
[[nodiscard]] Tensor softmax(const Tensor& x, int axis);
/// Over the last axis.
[[nodiscard]] Tensor softmax(const Tensor& x);
/// The logarithm of softmax, accurate where that is near 0 or 1: -infinity for a logit of -infinity; NaN where
/// softmax is.
[[nodiscard]] Tensor log_softmax(const Tensor& x, int axis);
/// Over the last axis.
[[nodiscard]] Tensor log_softmax(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
