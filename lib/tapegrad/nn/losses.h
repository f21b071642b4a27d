#pragma once

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

/// The mean of (prediction - target)^2 over all elements. Throws when the shapes differ.
Tensor mse_loss(const Tensor& prediction, const Tensor& target);

/// The mean of -(t log p + (1 - t) log(1 - p)) over all elements, for probabilities p in [0, 1]. Logarithms
/// are taken of 1e-37 at least, so that the loss is finite where p is 0 or 1. Throws when the shapes differ.
Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target);

}  // namespace tapegrad
