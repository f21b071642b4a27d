#pragma once

// Elementwise arithmetic and functions: add, maximum, exp, relu, and the operators.

#include <concepts>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Element by element. Two tensors are broadcast to each other by NumPy's rule and must have the same dtype; a C++
// number is converted to the tensor's dtype. All throw an Error that names both shapes or dtypes when they do not fit.
// Sums and products beyond the range of Int32 or UInt8 wrap around, as in NumPy.

[[nodiscard]] Tensor add(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor subtract(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor multiply(const Tensor& a, const Tensor& b);
/// Float32 or Float64.
[[nodiscard]] Tensor divide(const Tensor& a, const Tensor& b);

[[nodiscard]] Tensor add(const Tensor& a, double b);
[[nodiscard]] Tensor subtract(const Tensor& a, double b);
[[nodiscard]] Tensor subtract(double a, const Tensor& b);
[[nodiscard]] Tensor multiply(const Tensor& a, double b);
/// Float32 or Float64.
[[nodiscard]] Tensor divide(const Tensor& a, double b);
[[nodiscard]] Tensor divide(double a, const Tensor& b);
[[nodiscard]] Tensor negate(const Tensor& x);

[[nodiscard]] inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return add(a, b);
}
[[nodiscard]] inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return subtract(a, b);
}
[[nodiscard]] inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return multiply(a, b);
}
[[nodiscard]] inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return divide(a, b);
}
[[nodiscard]] inline Tensor operator+(const Tensor& a, double b) {
  return add(a, b);
}
[[nodiscard]] inline Tensor operator+(double a, const Tensor& b) {
  return add(b, a);
}
[[nodiscard]] inline Tensor operator-(const Tensor& a, double b) {
  return subtract(a, b);
}
[[nodiscard]] inline Tensor operator-(double a, const Tensor& b) {
  return subtract(a, b);
}
[[nodiscard]] inline Tensor operator*(const Tensor& a, double b) {
  return multiply(a, b);
}
[[nodiscard]] inline Tensor operator*(double a, const Tensor& b) {
  return multiply(b, a);
}
[[nodiscard]] inline Tensor operator/(const Tensor& a, double b) {
  return divide(a, b);
}
[[nodiscard]] inline Tensor operator/(double a, const Tensor& b) {
  return divide(a, b);
}
[[nodiscard]] inline Tensor operator-(const Tensor& x) {
  return negate(x);
}

/// maximum: the greater element of each pair; minimum: the smaller one; NaN if either is NaN. Where both are equal the
/// gradient goes to a, as in TensorFlow (PyTorch gives half of it to each; max() of one tensor shares it equally).
/// Whole numbers too.
[[nodiscard]] Tensor maximum(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor maximum(const Tensor& a, double b);
[[nodiscard]] Tensor maximum(double a, const Tensor& b);
[[nodiscard]] Tensor minimum(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor minimum(const Tensor& a, double b);
[[nodiscard]] Tensor minimum(double a, const Tensor& b);

// x += y means x = x + y: x becomes a handle on the sum, other handles keep the old elements, and a tape records an
// ordinary op. For the same reason there is no x[i] = y: x[i] would be a new handle, and assigning to the handle would
// not change x. Throws when x is a parameter, as the sum would not be one: optimizers, set() and mutable_values()
// change the elements of a parameter.
Tensor& operator+=(Tensor& a, const Tensor& b);
Tensor& operator-=(Tensor& a, const Tensor& b);
Tensor& operator*=(Tensor& a, const Tensor& b);
Tensor& operator/=(Tensor& a, const Tensor& b);
Tensor& operator+=(Tensor& a, double b);
Tensor& operator-=(Tensor& a, double b);
Tensor& operator*=(Tensor& a, double b);
Tensor& operator/=(Tensor& a, double b);

// From here on Float32 and Float64 only.

// At a kink, where no derivative exists, each op documents which slope its gradient takes. If that is the slope of one
// of the pieces (relu, clamp, maximum), second derivatives are those of the piece. If it lies between the slopes of
// both pieces (abs, norm, max of equal elements), second derivatives are NaN.

/// a to the power b. The gradient with respect to b is 0 where a is not positive, also where the power is infinite;
/// second derivatives with respect to b are NaN where a is negative, and where a is 0 and b is at most 1.
[[nodiscard]] Tensor pow(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor pow(const Tensor& x, double exponent);
[[nodiscard]] Tensor pow(double base, const Tensor& exponent);

[[nodiscard]] Tensor exp(const Tensor& x);
/// exp(x) - 1, accurate near 0.
[[nodiscard]] Tensor expm1(const Tensor& x);
/// The natural logarithm.
[[nodiscard]] Tensor log(const Tensor& x);
/// log(1 + x), accurate near 0.
[[nodiscard]] Tensor log1p(const Tensor& x);
/// The logarithms to the bases 2 and 10.
[[nodiscard]] Tensor log2(const Tensor& x);
[[nodiscard]] Tensor log10(const Tensor& x);
[[nodiscard]] Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x)
[[nodiscard]] Tensor rsqrt(const Tensor& x);
/// 1 / x
[[nodiscard]] Tensor reciprocal(const Tensor& x);
[[nodiscard]] Tensor square(const Tensor& x);
/// |x|; the derivative at 0 is 0, the second derivative there NaN.
[[nodiscard]] Tensor abs(const Tensor& x);
/// -1, 0 or 1; the derivative is 0 everywhere.
[[nodiscard]] Tensor sign(const Tensor& x);
[[nodiscard]] Tensor sin(const Tensor& x);
[[nodiscard]] Tensor cos(const Tensor& x);
[[nodiscard]] Tensor tan(const Tensor& x);
/// The angle of the point (x, y) in (-pi, pi], as of std::atan2. At (0, 0) it has no derivative: NaN.
[[nodiscard]] Tensor atan2(const Tensor& y, const Tensor& x);
[[nodiscard]] Tensor tanh(const Tensor& x);
/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
[[nodiscard]] Tensor erf(const Tensor& x);
/// 1 - erf(x), accurate for large x.
[[nodiscard]] Tensor erfc(const Tensor& x);
/// 1 / (1 + exp(-x))
[[nodiscard]] Tensor sigmoid(const Tensor& x);
/// max(x, 0); the derivative at 0 is 0.
[[nodiscard]] Tensor relu(const Tensor& x);
/// log(1 + exp(x)), accurate for every x.
[[nodiscard]] Tensor softplus(const Tensor& x);
/// min(max(x, low), high); the derivative is 1 from low to high, both included, and 0 outside. NaN stays NaN.
[[nodiscard]] Tensor clamp(const Tensor& x, double low, double high);

}  // namespace v0
}  // namespace tapegrad
