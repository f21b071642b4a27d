#pragma once

// Sorting along an axis: sort, argsort, topk, median.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The options of sort() and argsort().
struct SortOptions {
  /// Put the largest element first.
  bool descending = false;
};
/// x sorted along the axis; NaN counts as the largest. The gradient of an element goes back to where the element stood
/// in x. For any dtype. Throws when there is no such axis.
[[nodiscard]] Tensor sort(const Tensor& x, int axis = -1, const SortOptions& options = {});
/// The indices along the axis that sort x, as Int32; equal elements keep their order. The result is a constant for a
/// tape.
[[nodiscard]] Tensor argsort(const Tensor& x, int axis = -1, const SortOptions& options = {});

/// The options of topk().
struct TopKOptions {
  /// Take the k smallest elements, the smallest first.
  bool smallest = false;
};
/// What topk() returns.
struct TopK {
  Tensor values;   ///< the elements
  Tensor indices;  ///< their indices along the axis, Int32; a constant for a tape
};
/// The k largest elements along the axis, the largest first, and their indices: the first k results of sort() and
/// argsort() in descending order. Throws unless 0 <= k <= the size of the axis.
[[nodiscard]] TopK topk(const Tensor& x, index_t k, int axis = -1, const TopKOptions& options = {});

/// The median along the axis, which is dropped, or kept with size 1: of an even number of elements the mean of both in
/// the middle, as in NumPy (PyTorch gives the lower one); NaN if one is NaN. Float32 or Float64. The gradient goes to
/// where the median came from. Throws when there are no elements.
[[nodiscard]] Tensor median(const Tensor& x, int axis, const ReduceOptions& options = {});
/// Of all elements, a scalar.
[[nodiscard]] Tensor median(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
