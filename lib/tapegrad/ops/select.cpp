#include "tapegrad/ops/select.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

// Where the elements of a mask are not 0, counted in row-major order.
Tensor places(const char* op, const Tensor& mask) {
  if (mask.size() > std::numeric_limits<std::int32_t>::max())
    fail(op, "a tensor must have fewer elements than Int32 can number, got shape {}", mask.shape());
  const auto set = mask.values<std::uint8_t>();
  const auto count = static_cast<index_t>(set.size()) - std::ranges::count(set, 0);
  Tensor found = TensorAccess::empty({count}, DType::Int32, op);
  std::int32_t* to = found.mutable_data<std::int32_t>();
  for (std::size_t i = 0; i < set.size(); ++i)
    if (set[i] != 0) *to++ = static_cast<std::int32_t>(i);
  return found;
}

// UInt8 [rows, columns]: keep(column - row).
template <class Keep>
Tensor diagonals(index_t rows, index_t columns, Keep keep) {
  Tensor mask = TensorAccess::empty({rows, columns}, DType::UInt8);
  std::uint8_t* to = mask.mutable_data<std::uint8_t>();
  for (index_t row = 0; row < rows; ++row)
    for (index_t column = 0; column < columns; ++column) *to++ = keep(column - row);
  return mask;
}

// x where keep(column - row), 0 elsewhere.
template <class Keep>
Tensor triangle(const char* op, const Tensor& x, Keep keep) {
  detail::require_defined(op, x);
  if (x.rank() < 2) fail(op, "x must be a matrix, or a batch of them, got shape {}", x.shape());
  return where(diagonals(x.shape()[-2], x.shape()[-1], keep), x, 0.0);
}

}  // namespace

Tensor nonzero(const Tensor& x) {
  const detail::CalledOp called("nonzero", {&x});
  detail::require_defined("nonzero", x);
  const Tensor flat = places("nonzero", not_equals(x, 0));
  Tensor positions = TensorAccess::empty({flat.size(), x.rank()}, DType::Int32, "nonzero");
  std::int32_t* to = positions.mutable_data<std::int32_t>();
  for (const std::int32_t place : flat.values<std::int32_t>()) {
    index_t rest = place;
    for (int axis = x.rank(); axis-- > 0; rest /= x.shape()[axis])
      to[axis] = static_cast<std::int32_t>(rest % x.shape()[axis]);
    to += x.rank();
  }
  return detail::noted("nonzero", std::move(positions), {&x});
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  const detail::CalledOp called("masked_select", {&x, &mask});
  detail::require_defined("masked_select", x);
  detail::require_defined("masked_select", mask);
  if (mask.dtype() != DType::UInt8)
    fail("masked_select", "the mask must be UInt8, as comparisons return it, got {} {}", mask.dtype(),
         mask.shape());
  if (broadcast("masked_select", mask.shape(), x.shape()) != x.shape())
    fail("masked_select", "a mask of shape {} must not be larger than x (shape {})", mask.shape(), x.shape());
  const Tensor chosen = places("masked_select", broadcast_to(mask, x.shape()));
  return detail::noted("masked_select", called.result(detail::gather_elements("masked_select", x, chosen)),
                       {&x, &mask});
}

Tensor count_nonzero(const Tensor& x, const Axes& axes, const ReduceOptions& options) {
  const detail::CalledOp called("count_nonzero", {&x});
  detail::require_defined("count_nonzero", x);
  (void)detail::marked_axes("count_nonzero", x.shape(), axes);  // an error is that of count_nonzero
  return sum(cast(not_equals(x, 0), DType::Int32), axes, options);
}

Tensor count_nonzero(const Tensor& x) {
  const detail::CalledOp called("count_nonzero", {&x});
  detail::require_defined("count_nonzero", x);
  return sum(cast(not_equals(x, 0), DType::Int32));
}

Tensor triu(const Tensor& x, index_t k) {
  const detail::CalledOp called("triu", {&x});
  return called.result(triangle("triu", x, [k](index_t above) { return above >= k; }));
}

Tensor tril(const Tensor& x, index_t k) {
  const detail::CalledOp called("tril", {&x});
  return called.result(triangle("tril", x, [k](index_t above) { return above <= k; }));
}

Tensor diag(const Tensor& x, index_t k) {
  const detail::CalledOp called("diag", {&x});
  detail::require_defined("diag", x);
  const auto on_diagonal = [k](index_t above) { return above == k; };
  if (x.rank() == 1) {
    // Element i stands in row i, or in column i of a diagonal below the main one.
    const index_t more = k < 0 ? detail::size_sum("diag", -(k + 1), 1) : k;
    const index_t size = detail::size_sum("diag", x.size(), more);
    (void)detail::result_shape("diag", {size, size});  // an error is that of diag
    const Tensor longer = pad(x, {{0, more}});
    return called.result(
        where(diagonals(longer.size(), longer.size(), on_diagonal), expand_dims(longer, k < 0 ? 0 : 1), 0.0));
  }
  if (x.rank() != 2) fail("diag", "x must be a vector or a matrix, got shape {}", x.shape());
  if (k != 0 && (k <= -x.shape()[0] || k >= x.shape()[1]))
    fail("diag", "k must name a diagonal of a matrix of shape {}, got {}", x.shape(), k);
  const Tensor chosen = places("diag", diagonals(x.shape()[0], x.shape()[1], on_diagonal));
  return called.result(detail::gather_from("diag", reshape(x, -1), chosen, 0));
}

}  // namespace tapegrad::inline v0
