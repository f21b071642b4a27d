#include "tapegrad/ops/axis_internal.h"

#include <array>
#include <limits>
#include <numeric>
#include <span>

namespace tapegrad::inline v0::detail {

constexpr index_t kLargest = std::numeric_limits<index_t>::max();

int checked_axis(const char* op, const Shape& shape, int axis) {
  const int rank = shape.rank();
  if (rank == 0) fail(op, "axis {} needs a tensor that has axes, got shape {}", axis, shape);
  if (axis < -rank || axis >= rank)
    fail(op, "axis must be {} to {} for shape {}, got {}", -rank, rank - 1, shape, axis);
  return shape.checked_axis(axis);
}

AxisMask marked_axes(const char* op, const Shape& shape, const Axes& axes) {
  AxisMask marked{};
  for (const int axis : axes) {
    bool& mark = marked[static_cast<std::size_t>(checked_axis(op, shape, axis))];
    if (mark) fail(op, "axis {} of a tensor of shape {} is named twice", axis, shape);
    mark = true;
  }
  return marked;
}

index_t size_product(const char* op, index_t a, index_t b) {
  if (b != 0 && a > kLargest / b)
    fail(op, "the result is too large: an axis would have size {} times {}", a, b);
  return a * b;
}

index_t size_sum(const char* op, index_t a, index_t b) {
  if (a > kLargest - b) fail(op, "the result is too large: an axis would have size {} plus {}", a, b);
  return a + b;
}

Shape result_shape(const char* op, std::span<const index_t> sizes) {
  try {
    return Shape(sizes);
  } catch (const Error& error) {
    fail(op, "{}", error.message());
  }
}

Axes axes_between(int begin, int end) {
  std::array<int, Shape::kMaxRank> axes;
  std::iota(axes.begin(), axes.end(), begin);
  return Axes(std::span(axes).first(static_cast<std::size_t>(end - begin)));
}

Axes all_axes(const char* op, const Tensor& x) {
  require_defined(op, x);
  return axes_between(0, x.rank());
}

Around around(const Shape& shape, int axis) {
  Around found{.count = shape[axis]};
  for (int i = 0; i < shape.rank(); ++i) {
    if (i < axis) found.outer *= shape[i];
    if (i > axis) found.inner *= shape[i];
  }
  return found;
}

Shape with_sizes(const char* op, const Shape& shape, int axis, int count, std::span<const index_t> sizes) {
  Sizes made(shape.begin(), shape.end());
  made.erase(made.begin() + axis, made.begin() + axis + count);
  made.insert(made.begin() + axis, sizes.begin(), sizes.end());
  return result_shape(op, made);
}

}  // namespace tapegrad::inline v0::detail
