#pragma once

// Comparisons, which return masks, and where(), which chooses elements by a mask.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Comparisons, element by element: a UInt8 mask that is 1 where the comparison holds and 0 elsewhere. Two tensors are
// broadcast to each other and must have the same dtype; a number is converted to the tensor's dtype. A comparison with
// NaN gives 0, but not_equals gives 1. A mask has no derivative: for a tape it is a constant. To ask whether two
// tensors are equal as a whole, use equal() of tensor/tensor.h.

[[nodiscard]] Tensor less(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor less_equal(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor greater(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor greater_equal(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor equals(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor not_equals(const Tensor& a, const Tensor& b);

[[nodiscard]] Tensor less(const Tensor& a, double b);
[[nodiscard]] Tensor less_equal(const Tensor& a, double b);
[[nodiscard]] Tensor greater(const Tensor& a, double b);
[[nodiscard]] Tensor greater_equal(const Tensor& a, double b);
[[nodiscard]] Tensor equals(const Tensor& a, double b);
[[nodiscard]] Tensor not_equals(const Tensor& a, double b);

// Operators, as in NumPy: x > 0. There is no operator ==, as it could mean equals() or equal().
[[nodiscard]] inline Tensor operator<(const Tensor& a, const Tensor& b) {
  return less(a, b);
}
[[nodiscard]] inline Tensor operator<=(const Tensor& a, const Tensor& b) {
  return less_equal(a, b);
}
[[nodiscard]] inline Tensor operator>(const Tensor& a, const Tensor& b) {
  return greater(a, b);
}
[[nodiscard]] inline Tensor operator>=(const Tensor& a, const Tensor& b) {
  return greater_equal(a, b);
}
[[nodiscard]] inline Tensor operator<(const Tensor& a, double b) {
  return less(a, b);
}
[[nodiscard]] inline Tensor operator<=(const Tensor& a, double b) {
  return less_equal(a, b);
}
[[nodiscard]] inline Tensor operator>(const Tensor& a, double b) {
  return greater(a, b);
}
[[nodiscard]] inline Tensor operator>=(const Tensor& a, double b) {
  return greater_equal(a, b);
}
[[nodiscard]] inline Tensor operator<(double a, const Tensor& b) {
  return greater(b, a);
}
[[nodiscard]] inline Tensor operator<=(double a, const Tensor& b) {
  return greater_equal(b, a);
}
[[nodiscard]] inline Tensor operator>(double a, const Tensor& b) {
  return less(b, a);
}
[[nodiscard]] inline Tensor operator>=(double a, const Tensor& b) {
  return less_equal(b, a);
}

struct CloseOptions {
  double rtol = 1e-5;      ///< the largest difference, relative to |b|, at least 0
  double atol = 1e-8;      ///< the largest difference besides, at least 0
  bool equal_nan = false;  ///< two NaN are close
};
/// As numpy.isclose: 1 where |a - b| <= atol + rtol |b|, as UInt8; an infinity is close to itself alone.
/// Computed in Float64; a and b must have the same dtype, and are broadcast to each other. A constant for a tape.
[[nodiscard]] Tensor isclose(const Tensor& a, const Tensor& b, const CloseOptions& options = {});
/// Whether isclose() holds for all elements; true when there are none.
[[nodiscard]] bool allclose(const Tensor& a, const Tensor& b, const CloseOptions& options = {});

/// a where condition is not 0, b elsewhere; all three are broadcast to each other. condition is UInt8, a and b have the
/// same dtype, and a number is converted to the dtype of the tensor. An element that is not chosen gets the gradient 0,
/// also where its value is infinite or NaN. But an infinite slope in the computation of that element turns the gradient
/// 0 into NaN (0 times infinity), as in where(greater(x, 0), sqrt(x), 0) at x = 0. Then choose before the computation
/// as well: where(greater(x, 0), sqrt(where(greater(x, 0), x, 1)), 0). Throws when shapes or dtypes do not fit.
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, double b);
[[nodiscard]] Tensor where(const Tensor& condition, double a, const Tensor& b);

}  // namespace v0
}  // namespace tapegrad
