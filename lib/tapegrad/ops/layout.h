#pragma once

// Ops that rearrange elements: reshape, permute, slice, pad, concat, split, cast and others.

#include <concepts>
#include <initializer_list>
#include <limits>
#include <vector>

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Lists are vectors, or in braces, which take no memory from the system.

// reshape, squeeze, expand_dims, row, and slice and split along the first axis, return tensors that share x's memory:
// writing to one changes the other. All other ops here return a tensor with memory of its own, even where it equals x.

/// The same elements with another shape, sharing x's memory. One size may be -1: it is computed from the number of
/// elements; where x has none, from the other sizes, if both shapes have as many zeros. Throws when the number of elements
/// would change.
[[nodiscard]] Tensor reshape(const Tensor& x, const std::vector<index_t>& sizes);
[[nodiscard]] Tensor reshape(const Tensor& x, const Shape& shape);
[[nodiscard]] Tensor reshape(const Tensor& x, std::initializer_list<index_t> sizes);
/// x as a vector of this size; reshape(x, -1) flattens x.
[[nodiscard]] inline Tensor reshape(const Tensor& x, std::integral auto size) {
  const index_t all = size;
  return reshape(x, {all});
}

/// The axes in another order: result axis i is x's axis order[i]. permute(x, {0, 3, 1, 2}) turns NHWC into
/// NCHW. Throws when order is not a permutation of x's axes.
[[nodiscard]] Tensor permute(const Tensor& x, const std::vector<int>& order);
[[nodiscard]] Tensor permute(const Tensor& x, std::initializer_list<int> order);
/// The last two axes exchanged.
[[nodiscard]] Tensor transpose(const Tensor& x);

/// The indices of an axis that slice() takes: begin, begin + step, ... up to but without end, as Python's
/// begin:end:step. Negative begin and end count from the end of the axis; out of range they are clamped to the axis.
struct Range {
  static constexpr index_t kToEnd = (std::numeric_limits<index_t>::max)();
  index_t begin = 0;     ///< the first index
  index_t end = kToEnd;  ///< the index before which the range ends
  index_t step = 1;      ///< from one index to the next, at least 1
};
/// A part of x, with one Range for each of the first axes; the other axes are taken whole. A single range with step 1
/// (a part of the first axis) shares x's memory; any other call copies, whatever the sizes are. Throws for a step below
/// 1 and for more ranges than axes.
[[nodiscard]] Tensor slice(const Tensor& x, const std::vector<Range>& ranges);
[[nodiscard]] Tensor slice(const Tensor& x, std::initializer_list<Range> ranges);
/// The part begin to end of the first axis, as x[begin:end] in Python.
[[nodiscard]] inline Tensor slice(const Tensor& x, std::integral auto begin, index_t end = Range::kToEnd) {
  const index_t first = begin;
  return slice(x, {{first, end}});
}
/// x[index] along the first axis, which is dropped. Shares x's memory.
[[nodiscard]] Tensor row(const Tensor& x, index_t index);

/// x with the order along these axes reversed.
[[nodiscard]] Tensor flip(const Tensor& x, const Axes& axes);

/// The elements moved by `shift` places along the axis, those beyond the end to the beginning: numpy.roll.
[[nodiscard]] Tensor roll(const Tensor& x, index_t shift, int axis);

/// How many elements pad() adds before and after, along one axis.
struct Margin {
  index_t before = 0, after = 0;  ///< numbers of elements, 0 or more
};
/// x surrounded by value, with one Margin for each axis of x. Throws for negative margins.
[[nodiscard]] Tensor pad(const Tensor& x, const std::vector<Margin>& margins, double value = 0);
[[nodiscard]] Tensor pad(const Tensor& x, std::initializer_list<Margin> margins, double value = 0);
/// x with counts[axis] zeros between neighbours along each axis (none before the first or after the last):
/// for an image [n, h, w, c] and counts {0, s - 1, s - 1, 0} this is the "fractional stride" 1 / s.
[[nodiscard]] Tensor zero_insert(const Tensor& x, const std::vector<index_t>& counts);
[[nodiscard]] Tensor zero_insert(const Tensor& x, std::initializer_list<index_t> counts);

/// x without these axes of size 1; without axes given, without all axes of size 1. Shares x's memory. Throws when one
/// of the axes has another size.
[[nodiscard]] Tensor squeeze(const Tensor& x, const Axes& axes);
[[nodiscard]] Tensor squeeze(const Tensor& x);
/// x with a new axis of size 1, which becomes the result's axis `axis`. Shares x's memory.
[[nodiscard]] Tensor expand_dims(const Tensor& x, int axis);

/// The tensors joined along an existing axis. Throws unless their dtypes, and their sizes along all other axes, are
/// equal.
[[nodiscard]] Tensor concat(const std::vector<Tensor>& xs, int axis = 0);
[[nodiscard]] Tensor concat(std::initializer_list<Tensor> xs, int axis = 0);
/// Tensors of the same shape joined along a new axis, which becomes the result's axis `axis`.
[[nodiscard]] Tensor stack(const std::vector<Tensor>& xs, int axis = 0);
[[nodiscard]] Tensor stack(std::initializer_list<Tensor> xs, int axis = 0);
/// Parts of these sizes along the axis: the inverse of concat. Parts of the first axis share x's memory, others are
/// copies. Throws unless the sizes add up to the size of the axis.
[[nodiscard]] std::vector<Tensor> split(const Tensor& x, const std::vector<index_t>& sizes, int axis = 0);
/// split() into `count` equal parts. Throws when the size of the axis is not a multiple of count.
[[nodiscard]] std::vector<Tensor> chunk(const Tensor& x, index_t count, int axis = 0);

/// Repeats each index of the axis count times in a row: a b becomes a a b b.
[[nodiscard]] Tensor repeat(const Tensor& x, index_t count, int axis);
/// Repeats the whole tensor counts[axis] times along each axis: a b becomes a b a b.
[[nodiscard]] Tensor tile(const Tensor& x, const std::vector<index_t>& counts);
[[nodiscard]] Tensor tile(const Tensor& x, std::initializer_list<index_t> counts);

/// x converted to dtype, in memory of its own. Conversions from floating to whole numbers truncate towards zero; throws
/// for NaN and for values out of the dtype's range. Gradients flow between Float32 and Float64.
[[nodiscard]] Tensor cast(const Tensor& x, DType dtype);
/// A copy of x in memory of its own. Differentiable.
[[nodiscard]] Tensor copy(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
