#pragma once

// Comparisons, which give masks, and where(), which chooses by one.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Comparisons, element by element: 1 where it holds and 0 elsewhere, as UInt8. Two tensors are broadcast to
// each other and must have the same dtype; a number takes the tensor's. Whatever is compared with NaN gives
// 0, and 1 in not_equals. They have no derivative: for a tape the result is a constant. equal() in
// tensor/tensor.h says whether two tensors are the same.

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

// x > 0 and its like, as in NumPy. There is no == : it would mean equals() to some and equal() to others.
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
  double relative = 1e-5;  ///< a difference of so much times |b| is allowed, 0 or more
  double absolute = 1e-8;  ///< and of so much besides
  bool equal_nan = false;  ///< two NaN are close
};
/// As numpy.isclose: 1 where |a - b| <= absolute + relative |b|, as UInt8; an infinity is close to itself alone. Computed
/// in Float64; a and b must have the same dtype, and are broadcast to each other. A constant for a tape.
[[nodiscard]] Tensor isclose(const Tensor& a, const Tensor& b, const CloseOptions& options = {});
/// Whether all of them are close: true for nothing.
[[nodiscard]] bool allclose(const Tensor& a, const Tensor& b, const CloseOptions& options = {});

/// a where condition is not 0, b elsewhere; all three are broadcast to each other. condition is UInt8, a and
/// b have the same dtype, and a number takes the other's. What is not chosen gets the gradient 0, also where its
/// value is infinite or NaN. How it was computed is another matter: a slope that is infinite makes NaN of that
/// 0 (0 times infinity), as in where(greater(x, 0), sqrt(x), 0) at x = 0. Choose before computing as well:
/// where(greater(x, 0), sqrt(where(greater(x, 0), x, 1)), 0). Throws when shapes or dtypes do not fit.
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, double b);
[[nodiscard]] Tensor where(const Tensor& condition, double a, const Tensor& b);

}  // namespace v0
}  // namespace tapegrad
