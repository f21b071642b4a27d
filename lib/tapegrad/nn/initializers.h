#pragma once

// Initializers: how the first values of parameters are drawn.

#include <functional>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// Makes the first values of a parameter: any of the functions below, or one's own.
using Initializer = std::function<Tensor(const Shape&, Generator&, DType)>;

// The fans are counted as in Keras: fan_in is the last but one size of the shape, fan_out the last one, both
// times the product of the sizes before (the taps of a filter). That holds for the kernel of a Dense layer
// [in, out] and for filters [kh, kw, in, out]; the filter of a transposed convolution [kh, kw, out, in]
// counts its channels the other way round, there and in PyTorch too. All throw for fewer than two axes.
//
// The normal ones draw from the whole normal distribution, as PyTorch's do; Keras cuts it off at two
// standard deviations.

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

/// A random orthogonal matrix (Saxe et al. 2014): as [product of the others, last size] the columns are
/// orthonormal, or the rows where there are fewer of them.
[[nodiscard]] Tensor orthogonal(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

/// The same value everywhere, for any shape; 0 is what biases begin with.
[[nodiscard]] Initializer constant_initializer(double value = 0);
/// Uniform in [-limit, limit], for any shape. Throws when limit is negative or not finite.
[[nodiscard]] Initializer uniform_initializer(double limit);
/// Normal, with mean 0, for any shape. Throws when the standard deviation is negative or not finite.
[[nodiscard]] Initializer normal_initializer(double standard_deviation);

}  // namespace v0
}  // namespace tapegrad
