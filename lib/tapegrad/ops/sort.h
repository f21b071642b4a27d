#pragma once

// Sorting along an axis: sort, argsort, topk, median.

#include "tapegrad/ops/axes.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct SortOptions {
  /// The largest first.
  bool descending = false;
};
/// The elements in order along the axis; NaN counts as the largest. The gradient goes to where an element came
/// from. For any dtype. Throws when there is no such axis.
[[nodiscard]] Tensor sort(const Tensor& x, int axis = -1, const SortOptions& options = {});
/// Where the elements of sort(x, axis, options) stand in x, as Int32; equal ones keep their order. A constant
/// for a tape.
[[nodiscard]] Tensor argsort(const Tensor& x, int axis = -1, const SortOptions& options = {});

struct TopKOptions {
  /// The k smallest elements, the smallest first.
  bool smallest = false;
};
struct TopK {
  Tensor values;
  Tensor indices;  ///< along the axis, Int32; constants for a tape
};
/// The k largest elements along the axis, the largest first, and where they stand: what sort() and argsort()
/// have first. Throws unless k is in 0 to the size of the axis.
[[nodiscard]] TopK topk(const Tensor& x, index_t k, int axis = -1, const TopKOptions& options = {});

/// The median along the axis, which is dropped, or kept with size 1: of an even number of elements the mean of both in the
/// middle, as in NumPy (PyTorch gives the lower one); NaN if one is NaN. Float32 or Float64. The gradient goes to where
/// the median came from. Throws when there are no elements.
[[nodiscard]] Tensor median(const Tensor& x, int axis, const ReduceOptions& options = {});
/// Of all elements, a scalar.
[[nodiscard]] Tensor median(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
