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
  if (!x.defined()) return {nullptr, nullptr};
  const std::byte* begin = TensorAccess::elements(x);
  return {begin, begin + static_cast<std::size_t>(x.size()) * size_of(x.dtype())};
}

}  // namespace

bool overlap(const Tensor& a, const Tensor& b) {
  const Range x = range_of(a), y = range_of(b);
  return std::less<>()(x.begin, y.end) && std::less<>()(y.begin, x.end);
}

std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const std::vector<Tensor>& tensors,
                                                                const std::vector<std::size_t>& group_of) {
  std::vector<Range> ranges;
  for (const Tensor& x : tensors) ranges.push_back(range_of(x));
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    if (ranges[a].begin != ranges[b].begin) return std::less<>()(ranges[a].begin, ranges[b].begin);
    return a < b;
  });
  // Of the tensors so far, the one that ends last. If an earlier one of another group reaches into the next tensor, the
  // last one does, too; if that is of the next tensor's group, the two have met before.
  std::optional<std::size_t> furthest;
  for (const std::size_t i : order) {
    if (ranges[i].begin == ranges[i].end) continue;
    if (furthest && group_of[i] != group_of[*furthest] &&
        std::less<>()(ranges[i].begin, ranges[*furthest].end))
      return std::minmax(i, *furthest);
    if (!furthest || std::less<>()(ranges[*furthest].end, ranges[i].end)) furthest = i;
  }
  return std::nullopt;
}

void require_distinct(const char* op, const std::vector<Tensor>& tensors, const char* consequence) {
  std::vector<std::size_t> each(tensors.size());
  std::iota(each.begin(), each.end(), std::size_t{0});
  for (const std::size_t i : each)
    if (!tensors[i].defined()) fail(op, "tensor {} was never given a value", i);
  if (const auto found = find_overlap(tensors, each))
    fail(op, "tensor {} (shape {}) shares elements with tensor {} (shape {}): {}", found->second,
         tensors[found->second].shape(), found->first, tensors[found->first].shape(), consequence);
}

void require_writable(const char* op, const std::vector<Tensor>& tensors) {
  for (const Tensor& x : tensors)
    if (TensorAccess::storage(x)->read_only())
      fail(op, "a tensor of shape {} cannot be written, as it wraps read-only memory: write to a copy()",
           x.shape());
  try {
    for (Tensor x : tensors)
      dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) { (void)x.mutable_data<T>(); });
  } catch (const Error& error) {
    throw Error(op, error.message());
  }
}

}  // namespace tapegrad::inline v0::detail
