#include "tapegrad/ops/sort.h"

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce_internal.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0 {
namespace {

// An element and where it stands. Keys are in the order of the elements, NaN the largest; equal ones keep their order.
struct Ranked {
  std::uint64_t key;
  std::int32_t place;
  friend auto operator<=>(const Ranked&, const Ranked&) = default;
};

std::uint64_t key_of(double value) {
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  if (value != value) return ~std::uint64_t{0};
  const auto bits = std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value);  // -0 is 0
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

// A double holds every element of every dtype: sorting is compiled once.
using Keys = void (*)(const void* x, index_t step, std::span<Ranked> keys);
template <class T>
void keys_of(const void* x, index_t step, std::span<Ranked> keys) {
  const T* element = static_cast<const T*>(x);
  std::int32_t place = 0;
  for (Ranked& ranked : keys) {
    ranked = {key_of(static_cast<double>(*element)), place++};
    element += step;
  }
}

// order[o, j, i] is where the element that comes j-th among x[o, :, i] stands.
void order_of(const detail::Around& x_is, const std::byte* x, std::size_t size, Keys keys,
              std::int32_t* order, bool descending) {
  const index_t outer = x_is.outer, count = x_is.count, inner = x_is.inner;
  parallel_for(outer * inner, kernels::units_in_piece(kernels::kSortPiece, count),
               [=](index_t begin, index_t end) {
                 std::vector<Ranked> lane(static_cast<std::size_t>(count));
                 for (index_t number = begin; number < end; ++number) {
                   const index_t first = number / inner * count * inner + number % inner;
                   keys(x + static_cast<std::size_t>(first) * size, inner, lane);
                   if (descending)
                     for (Ranked& ranked : lane) ranked.key = ~ranked.key;
                   std::ranges::sort(lane);
                   for (index_t j = 0; j < count; ++j)
                     order[first + j * inner] = lane[static_cast<std::size_t>(j)].place;
                 }
               });
}

Tensor order(const char* op, const Tensor& x, int axis, bool descending) {
  detail::require_defined(op, x);
  const detail::Around x_is = detail::around(x.shape(), detail::checked_axis(op, x.shape(), axis));
  if (x.size() > std::numeric_limits<std::int32_t>::max())
    fail(op, "x must have fewer elements than Int32 can number, got shape {}", x.shape());
  Tensor places = TensorAccess::empty(x.shape(), DType::Int32, op);
  if (x.size() == 0) return places;
  const Keys keys = dispatch(x.dtype(), []<class T>(std::type_identity<T>) -> Keys { return keys_of<T>; });
  order_of(x_is, TensorAccess::elements(x), size_of(x.dtype()), keys, places.mutable_data<std::int32_t>(),
           descending);
  detail::note("axis", detail::checked_axis(op, x.shape(), axis));
  detail::note("descending", descending);
  return detail::noted("argsort", std::move(places), {&x});
}

}  // namespace

Tensor argsort(const Tensor& x, int axis, const SortOptions& options) {
  return order("argsort", x, axis, options.descending);
}

Tensor sort(const Tensor& x, int axis, const SortOptions& options) {
  return detail::take_along("sort", x, order("sort", x, axis, options.descending), axis,
                            detail::Indices::Different);
}

TopK topk(const Tensor& x, index_t k, int axis, const TopKOptions& options) {
  detail::require_defined("topk", x);
  const int at = detail::checked_axis("topk", x.shape(), axis);
  if (k < 0 || k > x.shape()[at])
    fail("topk", "k must be in 0 to {}, the size of axis {}, got {} (shape {})", x.shape()[at], axis, k,
         x.shape());
  std::vector<Range> first(static_cast<std::size_t>(at) + 1);
  first.back() = {0, k};
  const Tensor places = copy(slice(order("topk", x, axis, !options.smallest), first));
  return {detail::take_along("topk", x, places, at, detail::Indices::Different), places};
}

Tensor median(const Tensor& x, int axis, const ReduceOptions& options) {
  const detail::CalledOp called("median", {&x});
  detail::require_floating("median", x);
  const int at = detail::checked_axis("median", x.shape(), axis);
  const index_t count = x.shape()[at];
  if (count == 0) {
    const Tensor none = sum(x, at, options);
    if (none.size() != 0) fail("median", "axis {} must have elements, got shape {}", axis, x.shape());
    return called.result(none);  // of nothing there is nothing to say
  }
  const Tensor sorted =
      detail::take_along("median", x, order("median", x, at, false), at, detail::Indices::Different);
  const auto part = [&](index_t begin, index_t end) {
    std::vector<Range> ranges(static_cast<std::size_t>(at) + 1);
    ranges.back() = {begin, end};
    return slice(sorted, ranges);
  };
  const Tensor middle = detail::mean_of("median", part((count - 1) / 2, count / 2 + 1), at, options);
  const Tensor largest =
      stop_gradient(reshape(part(count - 1, count), middle.shape()));  // NaN is sorted last
  const Tensor has_nan = isnan(largest);
  return called.result(any(has_nan).item() == 0 ? middle : where(has_nan, largest, middle));
}

Tensor median(const Tensor& x) {
  const detail::CalledOp called("median", {&x});
  detail::require_floating("median", x);
  return called.result(median(reshape(x, -1), 0));
}

}  // namespace tapegrad::inline v0
