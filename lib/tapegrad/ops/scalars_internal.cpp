#include "tapegrad/ops/scalars_internal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tapegrad::inline v0::detail {
namespace {

// Exponentials below exp(-700) are computed e^64 times as large, and are divided again at the end: a subnormal number has
// not the digits that a factor on the way needs.
constexpr double kTiny = 700, kMore = 64, kBack = 1.603810890548638e-28;
constexpr double kInverseSqrtTwoPi = 0.3989422804014327;

// exp(more - a x^2) for |x| <= 40, with x^2 in two parts: the square of the upper bits of x is exact.
double bell_times(double x, double a, double more) {
  constexpr std::uint64_t kUpper = ~((std::uint64_t{1} << 27) - 1);
  const double head = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & kUpper);
  const double rest = a * (x - head) * (x + head);  // at most 5e-5
  return std::exp(more - a * head * head) * (1 - rest * (1 - rest / 2 * (1 - rest / 3)));
}

// |x| Phi(x) / density(x), for x far below 0.
double tail(double x) {
  const double r = 1 / (x * x);
  double series = 1;
  for (int k = 15; k > 0; k -= 2) series = 1 - k * r * series;
  return series;
}
constexpr double kTail = -37;

// Phi(x) for x from kTail on. What rounding has taken from the argument of erfc() comes back as a factor: the ratio of the
// slope of erfc to erfc itself is z + sqrt(z^2 + 1.6) for large z, to a few parts in a thousand.
template <class T>
double normal_below(double x) {
  constexpr double kHigh = 0.7071067811865476, kLow = -4.833646656726457e-17;  // 1 / sqrt(2)
  const double z = -x * kHigh, half = 0.5 * std::erfc(z);
  if (z <= 0 || std::is_same_v<T, float>) return half;
  const double low = std::fma(-x, kHigh, -z) - x * kLow;
  return half * (1 - low * (z + std::sqrt(z * z + 1.6)));
}

// sigmoid(u) by its exponential, exp(-|u|): e * back.
struct Logistic {
  bool below;  // u < 0
  double e, back;

  // u is high + low, where low is next to nothing beside high.
  explicit Logistic(double high, double low = 0) : below(high < 0) {
    const double size = std::abs(high);
    const bool tiny = size > kTiny;
    e = std::exp((tiny ? kMore : 0) - size) * (1 + (below ? low : -low));
    back = tiny ? kBack : 1;
  }
  // x sigmoid(u).
  double gate(double x) const { return (below ? x * e * back : x) / (1 + e); }
  // The derivative of that, where w is x times the derivative of u.
  double slope(double w) const {
    const double more = 1 + e;
    return (below ? (1 + w + e) * e / more * back : more + w * e * back) / more / (below ? 1 : more);
  }
};

struct Argument {
  double high, low, slope;
};
template <class T>
Argument gelu_tanh_argument(double x) {
  if constexpr (std::is_same_v<T, float>) {
    const double bent = kCubic * x * x;
    return {kGeluScale * x * (1 + bent), 0, kGeluScale * (1 + 3 * bent)};
  }
  constexpr double kScaleLow = -9.96930880911092e-17, kCubicLow = 2.1960211427085595e-18;
  const double square = x * x, square_low = std::fma(x, x, -square);
  const double cubic = kCubic * square;
  const double cubic_low = std::fma(kCubic, square, -cubic) + (kCubic * square_low + kCubicLow * square);
  const double sum = 1 + cubic, added = sum - 1;
  const double sum_low = (1 - (sum - added)) + (cubic - added) + cubic_low;
  const double scaled = kGeluScale * x, scaled_low = std::fma(kGeluScale, x, -scaled) + kScaleLow * x;
  const double high = scaled * sum;
  return {high, std::fma(scaled, sum, -high) + (scaled * sum_low + scaled_low * sum),
          kGeluScale * (1 + 3 * cubic)};
}

}  // namespace

double bell(double x, double a) {
  return bell_times(std::clamp(x, -kEndOfGelu, kEndOfGelu), a, 0);
}

double silu(double x) {
  const Logistic logistic(x);
  return logistic.gate(std::max(x, -kEndOfSilu));
}

double silu_slope(double x) {
  const double cut = std::clamp(x, -kEndOfSilu, kEndOfSilu);
  return Logistic(cut).slope(cut);
}

template <class T>
T gelu(T given) {
  const double x = given;
  if (x < -kEndOfGelu) return 0;
  if (x < kTail) return static_cast<T>(-(bell_times(x, 0.5, kMore) * kInverseSqrtTwoPi * tail(x)) * kBack);
  return static_cast<T>(x * normal_below<T>(x));
}

template <class T>
T gelu_slope(T given) {
  const double x = given;
  const double cut = std::clamp(x, -kEndOfGelu, kEndOfGelu);
  if (cut < kTail)
    return static_cast<T>(bell_times(cut, 0.5, kMore) * kInverseSqrtTwoPi * (cut - tail(cut) / cut) * kBack);
  return static_cast<T>(normal_below<T>(cut) + cut * (kInverseSqrtTwoPi * bell_times(cut, 0.5, 0)));
}

template <class T>
T gelu_tanh(T given) {
  const double x = given;
  const double cut = std::clamp(x, -kEndOfGeluTanh, kEndOfGeluTanh);
  const Argument u = gelu_tanh_argument<T>(cut);
  return static_cast<T>(Logistic(u.high, u.low).gate(std::max(x, -kEndOfGeluTanh)));
}

template <class T>
T gelu_tanh_slope(T given) {
  const double x = given;
  const double cut = std::clamp(x, -kEndOfGeluTanh, kEndOfGeluTanh);
  const Argument u = gelu_tanh_argument<T>(cut);
  return static_cast<T>(Logistic(u.high, u.low).slope(cut * u.slope));
}

template <class T>
T gelu_tanh_density(T given) {
  const double x = given;
  const double cut = std::clamp(x, -kEndOfGeluTanh, kEndOfGeluTanh);
  const Argument u = gelu_tanh_argument<T>(cut);
  const Logistic logistic(u.high, u.low);
  return static_cast<T>(logistic.e / ((1 + logistic.e) * (1 + logistic.e)) * logistic.back);
}

template float gelu(float);
template double gelu(double);
template float gelu_slope(float);
template double gelu_slope(double);
template float gelu_tanh(float);
template double gelu_tanh(double);
template float gelu_tanh_slope(float);
template double gelu_tanh_slope(double);
template float gelu_tanh_density(float);
template double gelu_tanh_density(double);

}  // namespace tapegrad::inline v0::detail
