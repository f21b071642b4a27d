#pragma once

// checkpoint(): less memory for a second forward pass.

#include <cstdint>
#include <functional>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A function of several tensors with one result.
using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

/// f(inputs), computed so that the tape keeps only the inputs and the result: the backward pass computes f a second
/// time. Saves memory at the cost of a second forward pass; gradients are the same to the last bit (second derivatives
/// to rounding). f may use parameters besides its inputs, and these get their gradients as usual; every other tensor of
/// the tape that f uses must be an input (an error says so).
///
/// f must do the same each time: gradient() throws when the second run gives other elements than the first, uses other
/// parameters, or asks its layers for less or more, and when a captured tensor was changed in place in between. (Of tensors
/// that only ops without a gradient read, such as a cast of whole numbers or a comparison, the result alone tells.) Draw
/// random numbers before checkpoint() and pass them as an input, or draw them with a layer (Dropout) or with dropout(x,
/// rate, generator), which repeat their draws in the second run. A layer of your own that keeps a memory between calls has
/// to use replayed(), as the library's layers do.
///
/// gradient() calls a copy of f after checkpoint() has returned. What f captured by value is part of the copy; what f
/// captured by reference must live until gradient():
///
///   Tensor block(const Tensor& x, double scale) {
///     return checkpoint([&](const auto& in) { return in[0] * scale; }, {x});       // wrong: scale is gone by then
///     return checkpoint([scale](const auto& in) { return in[0] * scale; }, {x});   // right
///   }
[[nodiscard]] Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs);

}  // namespace v0
}  // namespace tapegrad
