#include "tapegrad/ops/reduce.h"

#include <array>
#include <limits>
#include <numeric>

#include "tapegrad/autograd/record.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/ops/elementwise.h"

namespace tapegrad {
namespace {

using Mask = std::array<bool, Shape::kMaxRank>;

Mask reduced_axes(const char* op, const Tensor& x, const std::vector<int>& axes) {
  Mask reduced{};
  for (const int axis : axes) {
    if (axis < -x.rank() || axis >= x.rank())
      fail(op, "axis {} of a tensor of shape {}: there is none", axis, x.shape());
    bool& mark = reduced[static_cast<std::size_t>(x.shape().checked_axis(axis))];
    if (mark) fail(op, "axis {} of a tensor of shape {} is named twice", axis, x.shape());
    mark = true;
  }
  return reduced;
}

std::vector<int> all_axes(const Tensor& x) {
  std::vector<int> axes(static_cast<std::size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

Shape reduced_shape(const Shape& shape, const Mask& reduced, bool keep_dims) {
  std::vector<index_t> sizes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)])
      sizes.push_back(shape[axis]);
    else if (keep_dims)
      sizes.push_back(1);
  }
  return Shape(sizes);
}

// Sums x over the marked axes, one run of neighbouring axes after the other, from the last to the first; in
// double until the end.
Tensor sum_forward(const Tensor& x, const Mask& reduced, const Shape& result) {
  struct Run {
    index_t outer, count, inner;
  };
  std::vector<Run> runs;
  index_t inner = 1;
  for (int axis = x.rank() - 1; axis >= 0;) {
    if (!reduced[static_cast<std::size_t>(axis)]) {
      inner *= x.shape()[axis--];
      continue;
    }
    index_t count = 1, outer = 1;
    for (; axis >= 0 && reduced[static_cast<std::size_t>(axis)]; --axis) count *= x.shape()[axis];
    for (int i = axis; i >= 0; --i) outer *= x.shape()[i];
    runs.push_back({outer, count, inner});
  }
  if (runs.empty()) return TensorAccess::clone(TensorAccess::view(x, result));

  Tensor y = TensorAccess::empty(result, x.dtype());
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    std::vector<double> before, after;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const auto [outer, count, within] = runs[i];
      const bool last = i + 1 == runs.size();
      if (last && i == 0 && is_floating(x.dtype())) {
        if constexpr (std::is_floating_point_v<T>)
          kernels::sum(outer, count, within, x.data<T>(), y.mutable_data<T>());
        return;
      }
      after.resize(static_cast<std::size_t>(outer * within));
      if (i == 0)
        kernels::sum(outer, count, within, x.data<T>(), after.data());
      else
        kernels::sum(outer, count, within, before.data(), after.data());
      std::swap(before, after);
    }
    T* out = y.mutable_data<T>();
    for (std::size_t i = 0; i < before.size(); ++i) {
      if constexpr (std::is_integral_v<T>)
        if (before[i] < static_cast<double>(std::numeric_limits<T>::lowest()) ||
            before[i] > static_cast<double>(std::numeric_limits<T>::max()))
          fail("sum", "{} is not a value of {} (shape {}): convert with cast() first", before[i], x.dtype(),
               x.shape());
      out[i] = static_cast<T>(before[i]);
    }
  });
  return y;
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keep_dims) {
  const Mask reduced = reduced_axes("sum", x, axes);
  const Shape kept = reduced_shape(x.shape(), reduced, true);
  return record("sum", sum_forward(x, reduced, reduced_shape(x.shape(), reduced, keep_dims)),
                {{x, [kept, shape = x.shape()](const Tensor& g) {
                    return broadcast_to(detail::view("reshape", g, kept, 0), shape);
                  }}});
}

Tensor sum(const Tensor& x) {
  return sum(x, all_axes(x));
}

Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep_dims) {
  if (!is_floating(x.dtype()))
    fail("mean", "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
  (void)reduced_axes("mean", x, axes);  // an error is that of mean
  Tensor total = sum(x, axes, keep_dims);
  if (x.size() == 0) fail("mean", "there is nothing to average in a tensor of shape {}", x.shape());
  return total * (static_cast<double>(total.size()) / static_cast<double>(x.size()));
}

Tensor mean(const Tensor& x) {
  return mean(x, all_axes(x));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to", "a tensor of shape {} cannot be stretched to {}", x.shape(), shape);
  Tensor y = TensorAccess::empty(shape, x.dtype());
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::copy_strided(shape, y.mutable_data<T>(), kernels::strides_of(shape), x.data<T>(),
                          kernels::broadcast_strides(x.shape(), shape));
  });
  return record("broadcast_to", std::move(y),
                {{x, [original = x.shape()](const Tensor& g) { return sum_to(g, original); }}});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("sum_to", x.shape(), shape) != x.shape())
    fail("sum_to", "a tensor of shape {} was not stretched from {}", x.shape(), shape);
  std::vector<int> axes;
  const int added = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1)) axes.push_back(axis);
  return detail::view("reshape", sum(x, axes), shape, 0);
}

}  // namespace tapegrad
