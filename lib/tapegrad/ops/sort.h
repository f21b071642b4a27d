#pragma once

// Sorting along an axis: sort, argsort, topk.

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
Tensor sort(const Tensor& x, int axis = -1, const SortOptions& options = {});
/// Where the elements of sort(x, axis, options) stand in x, as Int32; equal ones keep their order. A constant
/// for a tape.
Tensor argsort(const Tensor& x, int axis = -1, const SortOptions& options = {});

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
TopK topk(const Tensor& x, index_t k, int axis = -1, const TopKOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
