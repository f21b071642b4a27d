#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A function of several tensors with one result.
using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

/// f(inputs), of which the tape keeps only the inputs: the backward pass computes the rest again. Memory is
/// traded for a second forward pass; gradients are the same to the last bit (those of second order to
/// rounding). f may use parameters besides its inputs, which then get their gradients as ever; any other
/// tensor of the tape has to be an input (an error says so). f must do the same each time: what it remembers
/// from call to call has to go through replayed(), as the library's layers do.
Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
