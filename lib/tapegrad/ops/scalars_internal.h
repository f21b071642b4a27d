#pragma once

// Internal: functions of one number that are exact to a few units in the last place over the whole range of double, where the
// formula on paper is not. Float32 is rounded from double, without the parts that only a result in double needs.

namespace tapegrad::inline v0::detail {

/// Beyond these all derivatives are constant, in double too: with x cut off there, no rule multiplies an infinite x by a slope
/// of 0.
inline constexpr double kEndOfSilu = 850, kEndOfGelu = 40, kEndOfGeluTanh = 25;

/// exp(-a x^2) for a = 1 or 1/2. An argument of exp() of 700 that is rounded makes an error of 350 units.
double bell(double x, double a);

/// x sigmoid(x), and its derivative.
double silu(double x);
double silu_slope(double x);

/// x Phi(x), where Phi is the standard normal distribution function, and its derivative. For float and double, as those below.
template <class T>
T gelu(T x);
template <class T>
T gelu_slope(T x);

/// x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3), its derivative, and sigmoid'(u).
template <class T>
T gelu_tanh(T x);
template <class T>
T gelu_tanh_slope(T x);
template <class T>
T gelu_tanh_density(T x);
inline constexpr double kGeluScale = 1.5957691216057308, kCubic = 0.044715;

}  // namespace tapegrad::inline v0::detail
