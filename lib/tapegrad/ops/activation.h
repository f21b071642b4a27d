#pragma once

// Activations besides relu, sigmoid, tanh and softplus (elementwise.h). Float32 or Float64. They are overloaded instead
// of having default arguments, so that their names can be passed as functions of one tensor: {.activation =
// leaky_relu}.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The slope of leaky_relu and LeakyReLU for negative x, as in PyTorch and JAX (Keras: 0.3).
inline constexpr double kNegativeSlope = 0.01;
/// x where x is positive, negative_slope x elsewhere; the derivative at 0 is negative_slope.
[[nodiscard]] Tensor leaky_relu(const Tensor& x, double negative_slope);
[[nodiscard]] Tensor leaky_relu(const Tensor& x);
/// x where x is positive, alpha (exp(x) - 1) elsewhere; the derivative at 0 is alpha. Without alpha: 1 (Clevert et al.,
/// 2016).
[[nodiscard]] Tensor elu(const Tensor& x, double alpha);
[[nodiscard]] Tensor elu(const Tensor& x);
/// elu with the alpha and the scale that keep mean and variance of activations constant through a deep network
/// (Klambauer et al., 2017).
[[nodiscard]] Tensor selu(const Tensor& x);
/// x Phi(x), where Phi is the standard normal cumulative distribution function (Hendrycks and Gimpel, 2016).
[[nodiscard]] Tensor gelu(const Tensor& x);
/// The approximation of gelu by x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
[[nodiscard]] Tensor gelu_tanh(const Tensor& x);
/// x sigmoid(x), also called swish.
[[nodiscard]] Tensor silu(const Tensor& x);

/// exp(x) divided by the sum of exp(x) over the axis, without overflow for any finite x. A logit of -infinity (a mask)
/// has the probability 0, one of +infinity has 1 (several of them share it equally). Where all logits along the axis
/// are -infinity the result is NaN, as there is no distribution. Throws when there is no such axis.
[[nodiscard]] Tensor softmax(const Tensor& x, int axis);
/// softmax over the last axis.
[[nodiscard]] Tensor softmax(const Tensor& x);
/// The logarithm of softmax, accurate where softmax is near 0 or 1: -infinity for a logit of -infinity, NaN where
/// softmax is NaN.
[[nodiscard]] Tensor log_softmax(const Tensor& x, int axis);
/// log_softmax over the last axis.
[[nodiscard]] Tensor log_softmax(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
