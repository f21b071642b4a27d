#include "tapegrad/tensor/distinct_internal.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

// By address, so that two tensors which wrap the same memory overlap as well.
struct Range {
  const std::byte *begin, *end;
};

Range range_of(const Tensor& x) {
  const std::byte* begin = TensorAccess::elements(x);
  return {begin, begin + static_cast<std::size_t>(x.size()) * size_of(x.dtype())};
}

}  // namespace

bool overlap(const Tensor& a, const Tensor& b) {
  const Range x = range_of(a), y = range_of(b);
  return std::less<>()(x.begin, y.end) && std::less<>()(y.begin, x.end);
}

void require_distinct(const char* op, const std::vector<Tensor>& tensors, const char* consequence) {
  std::vector<Range> ranges;
  for (const Tensor& x : tensors) {
    if (!x.defined()) fail(op, "tensor {} was declared but never given a value", ranges.size());
    ranges.push_back(range_of(x));
  }
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    if (ranges[a].begin != ranges[b].begin) return std::less<>()(ranges[a].begin, ranges[b].begin);
    return a < b;
  });
  std::size_t furthest = 0;  // of the tensors so far, the one that ends last
  bool any = false;
  for (const std::size_t i : order) {
    if (ranges[i].begin == ranges[i].end) continue;
    if (any && std::less<>()(ranges[i].begin, ranges[furthest].end))
      fail(op, "tensor {} (shape {}) shares elements with tensor {} (shape {}): {}", std::max(i, furthest),
           tensors[std::max(i, furthest)].shape(), std::min(i, furthest),
           tensors[std::min(i, furthest)].shape(), consequence);
    if (!any || std::less<>()(ranges[furthest].end, ranges[i].end)) furthest = i;
    any = true;
  }
}

void require_writable(const std::vector<Tensor>& tensors) {
  for (const Tensor& x : tensors)
    if (TensorAccess::storage(x)->read_only())
      fail("tensor",
           "a tensor of shape {} cannot be written, as it wraps read-only memory: write to a copy()",
           x.shape());
  for (Tensor x : tensors)
    dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) { (void)x.mutable_data<T>(); });
}

}  // namespace tapegrad::inline v0::detail
