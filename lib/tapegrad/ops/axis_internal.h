#pragma once

// Internal: axes as ops are given them.

#include <array>
#include <initializer_list>
#include <span>

#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/axes.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// The axis counted from the front. Throws an Error of op when there is no such axis.
int checked_axis(const char* op, const Shape& shape, int axis);

/// Which axes of a shape these are. Throws an Error of op when one of them is not there, or named twice.
using AxisMask = std::array<bool, Shape::kMaxRank>;
AxisMask marked_axes(const char* op, const Shape& shape, const Axes& axes);

/// a * b of sizes, which are not negative. Throws an Error of op when that is no number of elements.
index_t size_product(const char* op, index_t a, index_t b);
/// a + b of sizes.
index_t size_sum(const char* op, index_t a, index_t b);

/// Sizes while they are put together, in the memory of tensors: a forward pass asks the system for none.
using Sizes = BlockVector<index_t>;

/// The shape of a result. What is wrong with it is an error of op.
Shape result_shape(const char* op, std::span<const index_t> sizes);
inline Shape result_shape(const char* op, std::initializer_list<index_t> sizes) {
  return result_shape(op, std::span(sizes.begin(), sizes.size()));
}

/// begin, begin + 1, ... end - 1.
Axes axes_between(int begin, int end);
Axes all_axes(const char* op, const Tensor& x);

/// A shape as one axis sees it: [outer, count, inner].
struct Around {
  index_t outer = 1, count = 1, inner = 1;
};
Around around(const Shape& shape, int axis);

/// The shape of op's result: that with `count` axes from `axis` on replaced by these sizes.
Shape with_sizes(const char* op, const Shape& shape, int axis, int count, std::span<const index_t> sizes);
inline Shape with_sizes(const char* op, const Shape& shape, int axis, int count,
                        std::initializer_list<index_t> sizes) {
  return with_sizes(op, shape, axis, count, std::span(sizes.begin(), sizes.size()));
}

}  // namespace tapegrad::inline v0::detail
