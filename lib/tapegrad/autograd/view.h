#pragma once

// Parts of a tensor that share its memory, and the adjoint of taking a part.

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// The elements of x from offset on as a tensor of this shape, sharing x's memory. Differentiable: the
/// gradient is embed(g, x.shape(), offset).
Tensor view(const char* op, const Tensor& x, const Shape& shape, index_t offset);
/// Zeros of this shape with x's elements from offset on: the adjoint of view. No copy when nothing is left to
/// fill.
Tensor embed(const Tensor& x, const Shape& shape, index_t offset);

/// sum's elements from offset on += x's. Not recorded: for a sum that nobody else holds.
void add_in_place(Tensor& sum, index_t offset, const Tensor& x);

/// The rule of a view: embed(), or the addition to a part of a sum.
struct Embed {
  Shape whole;
  index_t offset;
  Shape part;
  Tensor operator()(const Tensor& g) const { return embed(g, whole, offset); }
  void add_to(Tensor& sum, const Tensor& g) const { add_in_place(sum, offset, g); }
  Tensor read_back(const Tensor& g) const { return view("slice", g, part, offset); }
};

/// a + b for equal shapes; differentiable. What gradients are accumulated with.
Tensor sum_of(const Tensor& a, const Tensor& b);
/// A copy in memory of its own; differentiable.
Tensor copy_of(const Tensor& x, const char* op = "copy");

}  // namespace tapegrad::inline v0::detail
