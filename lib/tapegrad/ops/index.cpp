#include "tapegrad/ops/index.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/index.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

// Throws unless all are in [0, size). what() says in an error what size is.
template <class What>
void check_indices(const char* op, const Tensor& indices, index_t size, What what) {
  detail::require_defined(op, indices);
  if (indices.dtype() != DType::Int32)
    fail(op, "the indices are {} {} but must be Int32: convert with cast()", indices.dtype(),
         indices.shape());
  const auto values = indices.values<std::int32_t>();
  std::uint8_t wrong = 0;  // without a way out, the loop is one of vectors
  for (const std::int32_t v : values) wrong |= static_cast<std::uint8_t>(v < 0 || v >= size);
  for (std::size_t i = 0; wrong != 0 && i < values.size(); ++i) {
    if (values[i] >= 0 && values[i] < size) continue;
    fail(op, "index {} at [{}] of the indices (shape {}) is out of range: {} {}, so indices are 0 to {}",
         values[i], join(indices.shape().position(static_cast<index_t>(i)), ", "), indices.shape(), what(),
         size, size - 1);
  }
}

using kernels::IndexParts;

// Adds g to the places in y, seen as this shape, that the indices name.
void add_scattered(Tensor& y, const Shape& seen, const Tensor& g, const Tensor& indices, int axis,
                   const IndexParts& parts, kernels::Scatter into) {
  const detail::Around y_is = detail::around(seen, axis);
  dispatch(g.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::scatter_add(y_is.outer, y_is.count, y_is.inner, indices.size(), parts,
                         indices.data<std::int32_t>(), g.data<T>(), y.mutable_data<T>(), into);
  });
}

// The adjoint of gather_from for an x of this shape.
Tensor scatter_add(const Tensor& g, const Shape& shape, const Tensor& indices, int axis,
                   const IndexParts& parts) {
  Tensor y = TensorAccess::empty(shape, g.dtype(), "scatter_add");
  add_scattered(y, shape, g, indices, axis, parts, kernels::Scatter::IntoZeros);
  return record("scatter_add", std::move(y), {{g, [indices = Saved(indices), axis, parts](const Tensor& gy) {
                                                 return detail::gather_from("gather", gy, indices(), axis,
                                                                            parts, gy.shape());
                                               }}});
}

// The rule of gather_from: scatter_add(), or the same into a sum.
struct Scatter {
  Shape whole, seen;
  Saved indices;
  int axis;
  IndexParts parts;
  Tensor operator()(const Tensor& g) const {
    const Tensor found = scatter_add(g, seen, indices(), axis, parts);
    return seen == whole ? found : reshape(found, whole);
  }
  void add_to(Tensor& sum, const Tensor& g) const {
    add_scattered(sum, seen, g, indices(), axis, parts, kernels::Scatter::IntoSum);
  }
  Tensor read_back(const Tensor& g) const {
    return detail::gather_from("gather", g, indices(), axis, parts, seen);
  }
};

// The shape of x with as many elements along the axis as indices has; an Error of op unless that is the shape
// of indices.
void check_along(const char* op, const Tensor& x, const Tensor& indices, int axis) {
  check_indices(op, indices, x.shape()[axis],
                [&] { return fmt::format("axis {} of x: {} has size", axis, x.shape()); });
  if (indices.rank() != x.rank() ||
      detail::with_sizes(op, x.shape(), axis, 1, {indices.shape()[axis]}) != indices.shape())
    fail(op, "the indices must have x's shape except along axis {}, got {} for x {}", axis, indices.shape(),
         x.shape());
}

// Where take_along_axis finds each element among all of a tensor of this shape.
Tensor places_along(const char* op, const Shape& shape, const Tensor& indices, int axis) {
  if (shape.size() > std::numeric_limits<std::int32_t>::max())
    fail(op, "x must have fewer elements than Int32 can number, got shape {}", shape);
  const detail::Around whole = detail::around(shape, axis);
  const index_t count = indices.shape()[axis], size = whole.count, inner = whole.inner;
  Tensor places = TensorAccess::empty(indices.shape(), DType::Int32, op);
  const std::int32_t* from = indices.data<std::int32_t>();
  std::int32_t* to = places.mutable_data<std::int32_t>();
  parallel_for(whole.outer * count, kernels::units_in_piece(kernels::kElementwisePiece, inner),
               [=](index_t begin, index_t end) {
                 for (index_t row = begin; row < end; ++row) {
                   const index_t first = row / count * size;
                   for (index_t at = row * inner, i = 0; i < inner; ++i, ++at)
                     to[at] = static_cast<std::int32_t>((first + from[at]) * inner + i);
                 }
               });
  return places;
}

// Of such places: those of each row before the axis lie in that row, and those of each column behind it in that column.
IndexParts parts_along(const Shape& shape, int axis) {
  const detail::Around whole = detail::around(shape, axis);
  return {.count = std::max<index_t>(1, whole.outer), .columns = std::max<index_t>(1, whole.inner)};
}

// values at these places, 0 elsewhere; and the places, both for x's shape.
struct Scattered {
  Tensor values, places;
};
Scattered scattered(const char* op, const Tensor& x, const Tensor& indices, const Tensor& values, int axis) {
  detail::require_defined(op, x);
  detail::require_defined(op, values);
  const int at = detail::checked_axis(op, x.shape(), axis);
  check_along(op, x, indices, at);
  if (values.shape() != indices.shape() || values.dtype() != x.dtype())
    fail(op, "the values must be {} {}, as x and the indices, got {} {}", x.dtype(), indices.shape(),
         values.dtype(), values.shape());
  const Tensor places = places_along(op, x.shape(), indices, at);
  return {reshape(scatter_add(values, Shape{x.size()}, places, 0, parts_along(x.shape(), at)), x.shape()),
          places};
}

Tensor noted_scatter(const char* op, const Tensor& x, const Tensor& indices, const Tensor& values, int axis,
                     Tensor y) {
  detail::note("axis", detail::checked_axis(op, x.shape(), axis));
  return detail::noted(op, std::move(y), {&x, &indices, &values});
}

// y, what a gather found, with its rule.
Tensor recorded(const char* op, Tensor y, const Tensor& x, const Tensor& indices, int axis,
                const IndexParts& parts, const Shape& seen) {
  detail::note_input(indices);
  detail::note("axis", axis);
  return record(op, std::move(y), {{x, Scatter{x.shape(), seen, Saved(indices), axis, parts}}});
}

}  // namespace

Tensor detail::take_along(const char* op, const Tensor& x, const Tensor& indices, int axis, Indices which) {
  const int at = checked_axis(op, x.shape(), axis);
  IndexParts parts = parts_along(x.shape(), at);
  if (which == Indices::Different)
    if (const IndexParts more = kernels::parts_of_different(indices.size()); more.count > parts.count)
      parts = more;
  Tensor y = gather_from(op, x, places_along(op, x.shape(), indices, at), 0, parts, Shape{x.size()});
  note("axis", at);
  return noted("take_along_axis", std::move(y), {&indices, &x});
}

Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis) {
  detail::require_defined("take_along_axis", x);
  const int at = detail::checked_axis("take_along_axis", x.shape(), axis);
  check_along("take_along_axis", x, indices, at);
  return detail::take_along("take_along_axis", x, indices, at, detail::Indices::Any);
}

Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& values, int axis) {
  const detail::CalledOp called("scatter_add", {&x, &indices, &values});
  return noted_scatter("scatter_add", x, indices, values, axis,
                       called.result(x + scattered("scatter_add", x, indices, values, axis).values));
}

Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& values, int axis) {
  const detail::CalledOp called("scatter", {&x, &indices, &values});
  const auto [placed, places] = scattered("scatter", x, indices, values, axis);
  Tensor chosen = zeros(x.shape(), DType::UInt8);
  std::uint8_t* is_chosen = chosen.mutable_data<std::uint8_t>();
  for (const std::int32_t place : places.values<std::int32_t>())
    if (std::exchange(is_chosen[place], std::uint8_t{1}) != 0)
      fail(
          "scatter",
          "the indices must be different, but two values go to element number {} of x in row-major order: use scatter_add()",
          place);
  return noted_scatter("scatter", x, indices, values, axis, called.result(where(chosen, placed, x)));
}

Tensor detail::gather_from(const char* op, const Tensor& x, const Tensor& indices, int axis,
                           const IndexParts& parts, const Shape& seen) {
  const std::span sizes(indices.shape().begin(), indices.shape().end());
  Tensor y = TensorAccess::empty(with_sizes(op, seen, axis, 1, sizes), x.dtype(), op);
  const Around x_is = around(seen, axis);
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::gather(x_is.outer, x_is.count, x_is.inner, indices.size(), indices.data<std::int32_t>(),
                    x.data<T>(), y.mutable_data<T>());
  });
  return recorded(op, std::move(y), x, indices, axis, parts, seen);
}

Tensor detail::recorded_choice(const char* op, Tensor y, const Tensor& x, const Tensor& places,
                               const IndexParts& parts) {
  return recorded(op, std::move(y), x, places, 0, parts, Shape{x.size()});
}

Tensor detail::gather_from(const char* op, const Tensor& x, const Tensor& indices, int axis) {
  return gather_from(op, x, indices, axis, {}, x.shape());
}

Tensor detail::gather_elements(const char* op, const Tensor& x, const Tensor& places) {
  return gather_from(op, x, places, 0, kernels::parts_of_different(places.size()), Shape{x.size()});
}

Tensor gather(const Tensor& x, const Tensor& indices, int axis) {
  detail::require_defined("gather", x);
  const int at = detail::checked_axis("gather", x.shape(), axis);
  check_indices("gather", indices, x.shape()[at],
                [&] { return fmt::format("axis {} of x: {} has size", axis, x.shape()); });
  return detail::gather_from("gather", x, indices, at);
}

Tensor embedding(const Tensor& table, const Tensor& indices) {
  detail::require_defined("embedding", table);
  if (table.rank() < 2)
    fail("embedding", "the table has shape {} but must be [count, features...]", table.shape());
  check_indices("embedding", indices, table.shape()[0],
                [&] { return fmt::format("the number of rows of the table (shape {}) is", table.shape()); });
  return detail::gather_from("embedding", table, indices, 0);
}

Tensor one_hot(const Tensor& indices, index_t depth, DType dtype) {
  if (depth < 0) fail("one_hot", "depth must be at least 0, got {} (indices: {})", depth, indices.shape());
  check_indices("one_hot", indices, depth, [] { return "the depth is"; });
  const detail::CalledOp called("one_hot", {&indices});
  Tensor y = zeros(detail::with_sizes("one_hot", indices.shape(), indices.rank(), 0, {depth}), dtype);
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T* to = y.mutable_data<T>();
    for (const std::int32_t index : indices.values<std::int32_t>()) {
      to[index] = T{1};
      to += depth;
    }
  });
  return detail::noted("one_hot", std::move(y), {&indices});
}

}  // namespace tapegrad::inline v0
