#pragma once

// Arithmetic and functions of single elements: add, maximum, exp, relu and their like, and the operators.

#include <concepts>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

// Element by element. Two tensors are broadcast to each other by NumPy's rule and must have the same dtype; a
// C++ number takes the tensor's. All throw an Error that names both shapes or dtypes when they do not fit.
// Sums and products of whole numbers that Int32 or UInt8 does not hold wrap around, as in NumPy.

Tensor add(const Tensor& a, const Tensor& b);
Tensor subtract(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
/// Float32 or Float64.
Tensor divide(const Tensor& a, const Tensor& b);

Tensor add(const Tensor& a, double b);
Tensor subtract(const Tensor& a, double b);
Tensor subtract(double a, const Tensor& b);
Tensor multiply(const Tensor& a, double b);
/// Float32 or Float64.
Tensor divide(const Tensor& a, double b);
Tensor divide(double a, const Tensor& b);
Tensor negate(const Tensor& x);

inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return add(a, b);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return subtract(a, b);
}
inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return multiply(a, b);
}
inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return divide(a, b);
}
inline Tensor operator+(const Tensor& a, double b) {
  return add(a, b);
}
inline Tensor operator+(double a, const Tensor& b) {
  return add(b, a);
}
inline Tensor operator-(const Tensor& a, double b) {
  return subtract(a, b);
}
inline Tensor operator-(double a, const Tensor& b) {
  return subtract(a, b);
}
inline Tensor operator*(const Tensor& a, double b) {
  return multiply(a, b);
}
inline Tensor operator*(double a, const Tensor& b) {
  return multiply(b, a);
}
inline Tensor operator/(const Tensor& a, double b) {
  return divide(a, b);
}
inline Tensor operator/(double a, const Tensor& b) {
  return divide(a, b);
}
inline Tensor operator-(const Tensor& x) {
  return negate(x);
}

// x += y is x = x + y: x becomes a handle on the sum, other handles keep the old elements, and a tape sees an
// ordinary op. There is no x[i] = y for the same reason: x[i] would be a handle, and giving it another tensor
// would change nothing in x. Throws for a parameter, which would stop being one: an optimizer, or set(),
// changes its elements.
Tensor& operator+=(Tensor& a, const Tensor& b);
Tensor& operator-=(Tensor& a, const Tensor& b);
Tensor& operator*=(Tensor& a, const Tensor& b);
Tensor& operator/=(Tensor& a, const Tensor& b);
Tensor& operator+=(Tensor& a, double b);
Tensor& operator-=(Tensor& a, double b);
Tensor& operator*=(Tensor& a, double b);
Tensor& operator/=(Tensor& a, double b);

// From here on Float32 and Float64 only.

// At a kink, where no derivative exists, each op says which slope it takes. The slope of one piece (relu,
// clamp, maximum) is differentiated again as that piece is. A slope between those of both pieces (abs, norm,
// max of equals) has no derivative: a second derivative there is NaN, never a number that is not true.

/// The greater and the smaller of each pair; NaN if one of them is. Where they are equal the gradient goes to
/// a, as in TensorFlow (PyTorch gives half of it to each; max() of a whole tensor shares it equally).
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, double b);
Tensor maximum(double a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, double b);
Tensor minimum(double a, const Tensor& b);
/// a to the power b. The gradient of b is 0 where a is not positive, also where the power is infinite;
/// second derivatives by b are NaN where a is negative, and where a is 0 and b at most 1.
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& x, double exponent);
Tensor pow(double base, const Tensor& exponent);

Tensor exp(const Tensor& x);
/// exp(x) - 1, accurate near 0.
Tensor expm1(const Tensor& x);
/// The natural logarithm.
Tensor log(const Tensor& x);
/// log(1 + x), accurate near 0.
Tensor log1p(const Tensor& x);
Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x)
Tensor rsqrt(const Tensor& x);
/// 1 / x
Tensor reciprocal(const Tensor& x);
Tensor square(const Tensor& x);
/// |x|; the derivative at 0 is 0, the second derivative there NaN.
Tensor abs(const Tensor& x);
/// -1, 0 or 1; the derivative is 0, and NaN at 0, where it does not exist. (That of x * sign(x) at 0 is 0 all the same,
/// as abs has it, and the second one NaN.)
Tensor sign(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Tensor erf(const Tensor& x);
/// 1 - erf(x), accurate for large x.
Tensor erfc(const Tensor& x);
/// 1 / (1 + exp(-x))
Tensor sigmoid(const Tensor& x);
/// max(x, 0); the derivative at 0 is 0.
Tensor relu(const Tensor& x);
/// log(1 + exp(x)), accurate for every x.
Tensor softplus(const Tensor& x);
/// min(max(x, low), high); the derivative is 1 from low to high, both included, and 0 outside. NaN stays NaN.
Tensor clamp(const Tensor& x, double low, double high);

}  // namespace v0
}  // namespace tapegrad
