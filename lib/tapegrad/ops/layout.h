#pragma once

// Ops that move elements and compute nothing: reshape, permute, slice, pad, concat, split, cast and their like.

#include <concepts>
#include <initializer_list>
#include <limits>
#include <vector>

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// reshape, squeeze, expand_dims, row, and slice and split of the first axis, share x's memory: what is written
// to one is seen in the other. All other ops here give memory of its own, also where they change nothing.

/// The same elements with another shape, sharing x's memory. One size may be -1: it is what is left. Throws
/// when the number of elements differs.
[[nodiscard]] Tensor reshape(const Tensor& x, const std::vector<index_t>& sizes);
[[nodiscard]] Tensor reshape(const Tensor& x, const Shape& shape);
[[nodiscard]] inline Tensor reshape(const Tensor& x, std::initializer_list<index_t> sizes) {
  return reshape(x, std::vector<index_t>(sizes));
}
/// A row of this number of elements; -1 takes all: reshape(x, -1).
[[nodiscard]] inline Tensor reshape(const Tensor& x, std::integral auto size) {
  const index_t all = size;
  return reshape(x, {all});
}

/// The axes in another order: result axis i is x's axis order[i]. permute(x, {0, 3, 1, 2}) turns NHWC into
/// NCHW. Throws when order is not a permutation of x's axes.
[[nodiscard]] Tensor permute(const Tensor& x, const std::vector<int>& order);
/// The last two axes exchanged.
[[nodiscard]] Tensor transpose(const Tensor& x);

/// Which indices of an axis are taken: begin, begin + step, ... before end, as Python's begin:end:step.
/// Negative begin and end count from the end of the axis; out of range they are cut off.
struct Range {
  static constexpr index_t kToEnd = (std::numeric_limits<index_t>::max)();
  index_t begin = 0;
  index_t end = kToEnd;
  index_t step = 1;
};
/// A part of x, with one Range for each of its first axes; the others are taken whole. A single range with step 1,
/// that is a part of the first axis, shares x's memory; any other call copies, whatever the sizes are. Throws
/// for a step below 1 and for more ranges than axes.
[[nodiscard]] Tensor slice(const Tensor& x, const std::vector<Range>& ranges);
/// begin to end of the first axis, as x[begin:end] in Python.
[[nodiscard]] inline Tensor slice(const Tensor& x, std::integral auto begin, index_t end = Range::kToEnd) {
  const index_t first = begin;
  return slice(x, {{first, end}});
}
/// x[index] along the first axis, which is dropped. Shares x's memory.
[[nodiscard]] Tensor row(const Tensor& x, index_t index);

/// The order along these axes reversed.
[[nodiscard]] Tensor flip(const Tensor& x, const Axes& axes);

/// The elements moved by `shift` places along the axis, those beyond the end to the beginning: numpy.roll.
[[nodiscard]] Tensor roll(const Tensor& x, index_t shift, int axis);

/// How much is added before and after along an axis.
struct Margin {
  index_t before = 0, after = 0;
};
/// x surrounded by value, with one Margin for each axis of x. Throws for negative margins.
[[nodiscard]] Tensor pad(const Tensor& x, const std::vector<Margin>& margins, double value = 0);
/// x with counts[axis] zeros between neighbours along each axis (none before the first or after the last):
/// for an image [n, h, w, c] and counts {0, s - 1, s - 1, 0} this is the "fractional stride" 1 / s.
[[nodiscard]] Tensor zero_insert(const Tensor& x, const std::vector<index_t>& counts);

/// Without these axes, which have size 1; without all such axes. Shares x's memory. Throws when one has
/// another size.
[[nodiscard]] Tensor squeeze(const Tensor& x, const Axes& axes);
[[nodiscard]] Tensor squeeze(const Tensor& x);
/// With a new axis of size 1, which is the result's axis `axis`. Shares x's memory.
[[nodiscard]] Tensor expand_dims(const Tensor& x, int axis);

/// One after the other along an axis that exists. Throws unless dtypes and all other sizes are equal.
[[nodiscard]] Tensor concat(const std::vector<Tensor>& xs, int axis = 0);
/// Tensors of one shape along a new axis, the result's axis `axis`.
[[nodiscard]] Tensor stack(const std::vector<Tensor>& xs, int axis = 0);
/// Parts of these sizes along the axis, the inverse of concat. Parts of the first axis share x's memory, others are
/// copies. Throws when they do not add up to its size.
[[nodiscard]] std::vector<Tensor> split(const Tensor& x, const std::vector<index_t>& sizes, int axis = 0);
/// This number of equal parts. Throws when the axis' size is not a multiple of it.
[[nodiscard]] std::vector<Tensor> chunk(const Tensor& x, index_t count, int axis = 0);

/// Each index of the axis count times in a row: a b becomes a a b b.
[[nodiscard]] Tensor repeat(const Tensor& x, index_t count, int axis);
/// The whole tensor counts[axis] times along each axis: a b becomes a b a b.
[[nodiscard]] Tensor tile(const Tensor& x, const std::vector<index_t>& counts);

/// The elements converted, in memory of their own. From floating to whole numbers they are cut off towards zero; a value outside of
/// the dtype's range, or NaN, throws. Gradients pass between Float32 and Float64.
[[nodiscard]] Tensor cast(const Tensor& x, DType dtype);
/// A copy in memory of its own.
[[nodiscard]] Tensor copy(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
