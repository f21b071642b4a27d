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

/// f(inputs), of which the tape keeps only the inputs and the result: the backward pass computes the rest again. Memory
/// is traded for a second forward pass; gradients are the same to the last bit (those of second order to rounding). f
/// may use parameters besides its inputs, which then get their gradients as ever; any other tensor of the tape has to
/// be an input (an error says so).
///
/// f must do the same each time; gradient() throws when the second run gives other elements than the first, uses other
/// parameters, or asks its layers for less or more. Random numbers are drawn before and given as an input, or drawn
/// by a layer (Dropout) or by dropout(x, rate, generator), which remember them. What a layer of one's own remembers
/// from call to call has to go through replayed(), as the library's layers do.
///
/// gradient() calls a copy of f after checkpoint() has returned. What f captured by value lives on in the copy; what it
/// captured by reference must live until gradient():
///
///   Tensor block(const Tensor& x, double scale) {
///     return checkpoint([&](const auto& in) { return in[0] * scale; }, {x});       // wrong: scale is gone by then
///     return checkpoint([scale](const auto& in) { return in[0] * scale; }, {x});   // right
///   }
[[nodiscard]] Tensor checkpoint(const TensorFunction& f, const std::vector<Tensor>& inputs);

}  // namespace v0
}  // namespace tapegrad
