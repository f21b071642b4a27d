#pragma once

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Activations beside relu, sigmoid, tanh and softplus (elementwise.h). Float32 or Float64.

/// x where it is positive, alpha x elsewhere; the derivative at 0 is alpha.
Tensor leaky_relu(const Tensor& x, double alpha = 0.2);
/// x where it is positive, alpha (exp(x) - 1) elsewhere; the derivative at 0 is alpha (Clevert et al., 2016).
Tensor elu(const Tensor& x, double alpha = 1);
/// elu with the alpha and the scale that keep mean and variance through a deep network (Klambauer et al.,
/// 2017).
Tensor selu(const Tensor& x);
/// x Phi(x), where Phi is the normal distribution (Hendrycks and Gimpel, 2016).
Tensor gelu(const Tensor& x);
/// gelu as x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
Tensor gelu_tanh(const Tensor& x);
/// x sigmoid(x), also called swish.
Tensor silu(const Tensor& x);

/// exp(x) divided by its sum over the axis, without overflow for any x. Throws when there is no such axis.
Tensor softmax(const Tensor& x, int axis = -1);
/// The logarithm of softmax, accurate where that is near 0 or 1.
Tensor log_softmax(const Tensor& x, int axis = -1);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
