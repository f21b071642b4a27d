#pragma once

// Internal: functions of one number that are exact to a few units in the last place over the whole range of double, where the
// formula on paper is not. In Float32 they are rounded from double.

namespace tapegrad::inline v0::detail {

/// exp(-a x^2) for a = 1 or 1/2. An argument of exp() of 700 that is rounded makes an error of 350 units.
double bell(double x, double a);

/// x sigmoid(x), and its derivative.
double silu(double x);
double silu_slope(double x);

/// x Phi(x), where Phi is the standard normal distribution function, and its derivative.
double gelu(double x);
double gelu_slope(double x);

/// x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3), and its derivative; sigmoid'(u); and u with its derivatives by x.
double gelu_tanh(double x);
double gelu_tanh_slope(double x);
double gelu_tanh_density(double x);
inline constexpr double kGeluScale = 1.5957691216057308, kCubic = 0.044715;

}  // namespace tapegrad::inline v0::detail
