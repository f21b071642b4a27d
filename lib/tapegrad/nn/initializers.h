#pragma once

// Initializers, which draw the initial values of parameters.

#include <functional>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// A function that returns the initial values of a parameter: one of the functions below, or your own.
using Initializer = std::function<Tensor(const Shape&, Generator&, DType)>;

// Fan-in and fan-out are computed as in Keras: fan_in is the second-to-last size of the shape, fan_out the last one,
// both multiplied by the product of all sizes before (the taps of a filter). So fan_in counts inputs for the kernel of
// a Dense layer [in, out] and for filters [kh, kw, in, out]; for the filter of a transposed convolution [kh, kw, out,
// in] fan_in and fan_out are exchanged, as in Keras and PyTorch. All throw for fewer than two axes.
//
// Normal initializers draw from the full normal distribution, as in PyTorch; Keras truncates it at two standard
// deviations.

/// Uniform in [-limit, limit], limit = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010; as Keras'
/// default).
[[nodiscard]] Tensor glorot_uniform(const Shape& shape, Generator& generator, DType dtype = DType::Float32);
/// Normal, with standard deviation sqrt(2 / (fan_in + fan_out)).
[[nodiscard]] Tensor glorot_normal(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

/// Uniform in [-limit, limit], limit = sqrt(6 / fan_in): for layers before a relu (He et al. 2015).
[[nodiscard]] Tensor he_uniform(const Shape& shape, Generator& generator, DType dtype = DType::Float32);
/// Normal, with standard deviation sqrt(2 / fan_in).
[[nodiscard]] Tensor he_normal(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

/// Uniform in [-limit, limit], limit = sqrt(3 / fan_in): for layers before a selu (LeCun et al. 1998).
[[nodiscard]] Tensor lecun_uniform(const Shape& shape, Generator& generator, DType dtype = DType::Float32);
/// Normal, with standard deviation sqrt(1 / fan_in).
[[nodiscard]] Tensor lecun_normal(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

/// A random orthogonal matrix (Saxe et al. 2014): with the shape flattened to [product of the other sizes, last size],
/// the columns are orthonormal; the rows, if there are fewer rows than columns.
[[nodiscard]] Tensor orthogonal(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

/// The same value everywhere, for any shape. Biases begin with 0.
[[nodiscard]] Initializer constant_initializer(double value = 0);
/// Uniform in [-limit, limit], for any shape. Throws when limit is negative or not finite.
[[nodiscard]] Initializer uniform_initializer(double limit);
/// Normal, with mean 0, for any shape. Throws when the standard deviation is negative or not finite.
[[nodiscard]] Initializer normal_initializer(double standard_deviation);

}  // namespace v0
}  // namespace tapegrad
