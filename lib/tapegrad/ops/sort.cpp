#include "tapegrad/ops/sort.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

template <class T>
bool is_less(T a, T b) {
  return a < b || (b != b && a == a);
}

// order[o, j, i] is where the element that comes j-th among x[o, :, i] stands.
template <class T>
void order_of(const detail::Around& x_is, const T* x, std::int32_t* order, bool descending) {
  const auto [outer, count, inner] = x_is;
  constexpr index_t kWork = 4096;
  parallel_for(outer * inner, std::max<index_t>(1, kWork / std::max<index_t>(1, count)),
               [=, count = count, inner = inner](index_t begin, index_t end) {
                 std::vector<std::int32_t> places(static_cast<std::size_t>(count));
                 for (index_t lane = begin; lane < end; ++lane) {
                   const index_t first = lane / inner * count * inner + lane % inner;
                   const auto at = [=](std::int32_t place) { return x[first + place * inner]; };
                   std::iota(places.begin(), places.end(), 0);
                   std::ranges::stable_sort(places, [&](std::int32_t a, std::int32_t b) {
                     return descending ? is_less(at(b), at(a)) : is_less(at(a), at(b));
                   });
                   for (index_t j = 0; j < count; ++j)
                     order[first + j * inner] = places[static_cast<std::size_t>(j)];
                 }
               });
}

Tensor order(const char* op, const Tensor& x, int axis, bool descending) {
  detail::require_defined(op, x);
  const detail::Around x_is = detail::around(x.shape(), detail::checked_axis(op, x.shape(), axis));
  if (x.size() > std::numeric_limits<std::int32_t>::max())
    fail(op, "x must have fewer elements than Int32 can number, got shape {}", x.shape());
  Tensor places = TensorAccess::empty(x.shape(), DType::Int32);
  if (x.size() == 0) return places;
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    order_of(x_is, x.data<T>(), places.mutable_data<std::int32_t>(), descending);
  });
  return places;
}

}  // namespace

Tensor argsort(const Tensor& x, int axis, const SortOptions& options) {
  return order("argsort", x, axis, options.descending);
}

Tensor sort(const Tensor& x, int axis, const SortOptions& options) {
  return detail::take_along("sort", x, order("sort", x, axis, options.descending), axis);
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
  return {detail::take_along("topk", x, places, at), places};
}

}  // namespace tapegrad::inline v0
