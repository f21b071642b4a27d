#pragma once

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

class Generator;

/// Uniform in [-limit, limit], limit = sqrt(6 / (fan_in + fan_out)), where the fans are the last two sizes
/// times the product of those before (Glorot and Bengio 2010; as Keras' default). Throws for fewer than two
/// axes.
Tensor glorot_uniform(const Shape& shape, Generator& generator, DType dtype = DType::Float32);

}  // namespace tapegrad
