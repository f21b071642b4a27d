#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "kernels/targets.h"
#include "ops/long_constants.h"
#include "tapegrad/tapegrad.h"

// How far each differentiable elementwise op, its slope and its second derivative are from what they are on paper, in units
// in the last place of the exact number (subnormal numbers have the unit of the smallest normal one). Printed by
//   test_ops --gtest_filter='Ulps.*'
// The reference is long double, at least 64 bits, with the arguments of exp() and erfc() in 113: it can tell errors of 0.01
// ulp of Float64 apart. Numbers are sampled over the whole range of each dtype, densely near 0, near the ends of the range, and
// near the hard places of each op.

namespace tapegrad::testing {
namespace {

using Real = long double;
#ifdef __SIZEOF_FLOAT128__
__extension__ typedef __float128 Quad;  // arithmetic alone: of it the compiler's own library is enough
#else
using Quad = Real;  // arm64: of 113 bits
static_assert(std::numeric_limits<Quad>::digits == 113);
#endif
using Function = std::function<Tensor(const Tensor&)>;
using Exact = Real (*)(Real);

// ---------------------------------------------------------------------------------------------------------------------
// The reference

Real exp_of(Quad a) {
  const Real high = static_cast<Real>(a);
  if (!(std::abs(high) < 11000)) return std::exp(high);
  return std::exp(high) * (1 + static_cast<Real>(a - static_cast<Quad>(high)));
}
Quad root(Quad a) {
  Quad y = static_cast<Quad>(std::sqrt(static_cast<Real>(a)));
  for (int i = 0; i < 2; ++i) y = (y + a / y) / 2;
  return y;
}
Quad pi() {
  if constexpr (std::numeric_limits<Real>::digits == 113) return static_cast<Quad>(kPi);
  return static_cast<Quad>(kPi) - static_cast<Quad>(5.01655761266833202355732708e-20L);
}
Real sigmoid_at(Quad u) {
  const Real e = exp_of(u > 0 ? -u : u);
  return (u > 0 ? 1 : e) / (1 + e);
}
Real sigmoid_slope_at(Quad u) {
  const Real e = exp_of(u > 0 ? -u : u);
  return e / ((1 + e) * (1 + e));
}
Real sigmoid_of(Real x) {
  return sigmoid_at(static_cast<Quad>(x));
}
Real sigmoid_slope(Real x) {
  return sigmoid_slope_at(static_cast<Quad>(x));
}
Real sigmoid_second(Real x) {
  return -sigmoid_slope(x) * std::tanh(x / 2);
}
Real cosh_power(Real x) {  // 1 - tanh^2
  return 4 * sigmoid_slope(2 * x);
}
// exp(-a x^2)
Real bell(Real x, Real a) {
  return exp_of(-static_cast<Quad>(a) * static_cast<Quad>(x) * static_cast<Quad>(x));
}
// The standard normal distribution function.
Real normal_below(Real x) {
  const Quad z = -static_cast<Quad>(x) / root(2);
  const Real high = static_cast<Real>(z), low = static_cast<Real>(z - static_cast<Quad>(high));
  return (std::erfc(high) - 2 / std::sqrt(kPi) * bell(high, 1) * low) / 2;
}
Real normal_density(Real x) {
  return bell(x, 0.5L) / std::sqrt(2 * kPi);
}
// Of gelu_tanh: sigmoid(u), u = sqrt(8 / pi) (x + 0.044715 x^3), and the derivatives of u.
Quad cubic() {
  return static_cast<Quad>(44715) / 1000000;
}
Quad argument(Real x) {
  const Quad q = static_cast<Quad>(x);
  return root(8 / pi()) * q * (1 + cubic() * q * q);
}
Real argument_slope(Real x) {
  const Quad q = static_cast<Quad>(x);
  return static_cast<Real>(root(8 / pi()) * (1 + 3 * cubic() * q * q));
}
Real argument_second(Real x) {
  return static_cast<Real>(root(8 / pi()) * 6 * cubic() * static_cast<Quad>(x));
}
// A product in which 0 wins over infinity.
Real times(Real a, Real b) {
  return a == 0 || b == 0 ? 0 : a * b;
}
Real far(Real x, Real end) {  // x, where exponentials are 0 or 1 beyond `end`
  return std::clamp(x, -end, end);
}
Real gelu_slope(Real x) {
  const Real v = far(x, 200);
  return normal_below(v) + v * normal_density(v);
}
Real gelu_second(Real x) {
  const Real v = far(x, 200);
  return normal_density(v) * (2 - v * v);
}
Real gelu_tanh_slope(Real x) {
  const Real v = far(x, 100);
  return sigmoid_at(argument(v)) + v * argument_slope(v) * sigmoid_slope_at(argument(v));
}
Real gelu_tanh_second(Real x) {
  const Real v = far(x, 100), s = argument_slope(v), d = sigmoid_slope_at(argument(v));
  const Real dd = -d * std::tanh(static_cast<Real>(argument(v)) / 2);
  return d * (2 * s + v * argument_second(v)) + v * s * s * dd;
}
Real silu_slope(Real x) {
  const Real v = far(x, 12000);
  return sigmoid_of(v) + v * sigmoid_slope(v);
}
Real silu_second(Real x) {
  const Real v = far(x, 12000);
  return sigmoid_slope(v) * (2 - v * std::tanh(v / 2));
}
constexpr Real kSeluScale = 1.0507009873554804934L, kSeluAlpha = 1.6732632423543772848L;

// ---------------------------------------------------------------------------------------------------------------------
// The ops

struct Curve {
  const char* op;
  Function f;
  Exact y, slope, second;
  std::vector<double> hard = {};  // places near which more is sampled
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  // Terms of opposite signs that a derivative is the sum of: where it crosses 0, its unit is that of their size.
  Exact slope_terms = nullptr, second_terms = nullptr;
  double second_bound = 16;
};

template <Tensor (*f)(const Tensor&)>
Tensor plain(const Tensor& x) {
  return f(x);
}
Real zero(Real) {
  return 0;
}

void add_functions(std::vector<Curve>& all) {
  const double e = std::numbers::e;
  all.push_back({"exp",
                 exp,
                 [](Real x) { return std::exp(x); },
                 [](Real x) { return std::exp(x); },
                 [](Real x) { return std::exp(x); },
                 {1, -1, 88.7, -87.3, 709.78, -708.4, -745.1, -103.9}});
  all.push_back({"expm1",
                 expm1,
                 [](Real x) { return std::expm1(x); },
                 [](Real x) { return std::exp(x); },
                 [](Real x) { return std::exp(x); },
                 {1, -1, 88.7, 709.78, -37, -17}});
  all.push_back({"log",
                 log,
                 [](Real x) { return std::log(x); },
                 [](Real x) { return 1 / x; },
                 [](Real x) { return -1 / (x * x); },
                 {1, e},
                 0});
  all.push_back({"log1p",
                 log1p,
                 [](Real x) { return std::log1p(x); },
                 [](Real x) { return 1 / (1 + x); },
                 [](Real x) { return -1 / ((1 + x) * (1 + x)); },
                 {-1, -0.5, 1},
                 -1});
  all.push_back({"log2",
                 log2,
                 [](Real x) { return std::log2(x); },
                 [](Real x) { return 1 / (kLn2 * x); },
                 [](Real x) { return -1 / (kLn2 * x * x); },
                 {1, 2},
                 0});
  all.push_back({"log10",
                 log10,
                 [](Real x) { return std::log10(x); },
                 [](Real x) { return 1 / (kLn10 * x); },
                 [](Real x) { return -1 / (kLn10 * x * x); },
                 {1, 10},
                 0});
  all.push_back({"sqrt",
                 sqrt,
                 [](Real x) { return std::sqrt(x); },
                 [](Real x) { return 1 / (2 * std::sqrt(x)); },
                 [](Real x) { return -1 / (4 * x * std::sqrt(x)); },
                 {1},
                 0});
  all.push_back({"rsqrt",
                 rsqrt,
                 [](Real x) { return 1 / std::sqrt(x); },
                 [](Real x) { return -1 / (2 * x * std::sqrt(x)); },
                 [](Real x) { return 3 / (4 * x * x * std::sqrt(x)); },
                 {1},
                 0});
  all.push_back({"reciprocal",
                 reciprocal,
                 [](Real x) { return 1 / x; },
                 [](Real x) { return -1 / (x * x); },
                 [](Real x) { return 2 / (x * x * x); },
                 {1}});
  all.push_back({"square",
                 square,
                 [](Real x) { return x * x; },
                 [](Real x) { return 2 * x; },
                 [](Real) { return Real{2}; },
                 {1}});
  all.push_back({"negate", negate, [](Real x) { return -x; }, [](Real) { return Real{-1}; }, zero});
  all.push_back({"abs", abs, [](Real x) { return std::abs(x); },
                 [](Real x) { return x > 0   ? Real{1}
                                     : x < 0 ? Real{-1}
                                             : Real{0}; }, nullptr});
  all.push_back(
      {"sign", sign, [](Real x) { return x > 0   ? Real{1}
                                         : x < 0 ? Real{-1}
                                                 : Real{0}; }, nullptr, nullptr});
  constexpr double pi = std::numbers::pi;
  const std::vector<double> turns = {pi / 2, pi, 3 * pi / 2, 2 * pi, 10 * pi, 100 * pi, pi / 4};
  all.push_back({"sin", sin, [](Real x) { return std::sin(x); }, [](Real x) { return std::cos(x); },
                 [](Real x) { return -std::sin(x); }, turns});
  all.push_back({"cos", cos, [](Real x) { return std::cos(x); }, [](Real x) { return -std::sin(x); },
                 [](Real x) { return -std::cos(x); }, turns});
  all.push_back({"tan", tan, [](Real x) { return std::tan(x); },
                 [](Real x) { return 1 / (std::cos(x) * std::cos(x)); },
                 [](Real x) { return 2 * std::tan(x) / (std::cos(x) * std::cos(x)); }, turns});
  all.push_back({"atan2(x, 1)",
                 [](const Tensor& x) { return atan2(x, ones_like(x)); },
                 [](Real x) { return std::atan(x); },
                 [](Real x) { return 1 / (1 + x * x); },
                 [](Real x) { return -2 * x / ((1 + x * x) * (1 + x * x)); },
                 {1, -1}});
  all.push_back({"atan2(1, x)",
                 [](const Tensor& x) { return atan2(ones_like(x), x); },
                 [](Real x) { return std::atan2(Real{1}, x); },
                 [](Real x) { return -1 / (1 + x * x); },
                 [](Real x) { return 2 * x / ((1 + x * x) * (1 + x * x)); },
                 {1, -1}});
  all.push_back({"erf",
                 erf,
                 [](Real x) { return std::erf(x); },
                 [](Real x) { return 2 / std::sqrt(kPi) * bell(x, 1); },
                 [](Real x) { return times(-4 * x / std::sqrt(kPi), bell(x, 1)); },
                 {1, 4, 6, 9, 27}});
  all.push_back({"erfc",
                 erfc,
                 [](Real x) { return std::erfc(x); },
                 [](Real x) { return -2 / std::sqrt(kPi) * bell(x, 1); },
                 [](Real x) { return times(4 * x / std::sqrt(kPi), bell(x, 1)); },
                 {1, 4, 6, 9, 10, 26.5, 27}});
}

void add_powers(std::vector<Curve>& all) {
  // The exponents are numbers of both dtypes, so that there is no doubt which power is meant.
  const auto power = [&](const char* name, double b, Exact y, Exact slope, Exact second, double low) {
    all.push_back({name, [b](const Tensor& x) { return pow(x, b); }, y, slope, second, {1, 2}, low});
    all.push_back({name,
                   [b](const Tensor& x) { return pow(x, full({}, b, x.dtype())); },
                   y,
                   slope,
                   std::abs(b) < 0.5 ? nullptr : second,  // b times a slope that may leave the range
                   {1, 2},
                   low});
  };
  const double all_numbers = -std::numeric_limits<double>::infinity();
  power(
      "pow(x, 3)", 3, [](Real x) { return x * x * x; }, [](Real x) { return 3 * x * x; },
      [](Real x) { return 6 * x; }, all_numbers);
  power(
      "pow(x, 0.75)", 0.75, [](Real x) { return std::pow(x, 0.75L); },
      [](Real x) { return 0.75L * std::pow(x, -0.25L); },
      [](Real x) { return -0.1875L * std::pow(x, -1.25L); }, 0);
  constexpr double kFine = 0x1.000002p-10;  // 1 less than it is not a number of Float32
  power(
      "pow(x, 2^-10 and a bit)", kFine, [](Real x) { return std::pow(x, Real{kFine}); },
      [](Real x) { return Real{kFine} * std::pow(x, Real{kFine} - 1); },
      [](Real x) { return Real{kFine} * (Real{kFine} - 1) * std::pow(x, Real{kFine} - 2); }, 0);
  constexpr double kSmall = 0x1.000002p-56;  // nor of Float64
  power(
      "pow(x, 2^-56 and a bit)", kSmall, [](Real x) { return std::pow(x, Real{kSmall}); },
      [](Real x) { return Real{kSmall} * std::pow(x, Real{kSmall}) / x; },
      [](Real x) { return Real{kSmall} * (Real{kSmall} - 1) * std::pow(x, Real{kSmall}) / (x * x); }, 0);
  all[all.size() - 2].second_bound = 64;  // 2^-56 - 1 is -1

  power(
      "pow(x, -2.5)", -2.5, [](Real x) { return std::pow(x, -2.5L); },
      [](Real x) { return -2.5L * std::pow(x, -3.5L); }, [](Real x) { return 8.75L * std::pow(x, -4.5L); },
      0);
  all.push_back({"pow(3, x)",
                 [](const Tensor& x) { return pow(3, x); },
                 [](Real x) { return std::pow(Real{3}, x); },
                 [](Real x) { return std::pow(Real{3}, x) * std::log(Real{3}); },
                 [](Real x) { return std::pow(Real{3}, x) * std::log(Real{3}) * std::log(Real{3}); },
                 {1, 80.7, -79.5, 646, -644}});
}

// The slopes of tanh and sigmoid are computed from the output alone up to 63/64 of 1, since to keep x as well would be twice
// the memory. What rounding has taken from the output is missing in the difference from 1: up to there the unit is that of 1/4.
Real from_output(Real y, Real slope) {
  return std::abs(y) <= Real{63} / 64 ? std::max(slope, Real{1} / 4) : slope;
}

void add_activations(std::vector<Curve>& all) {
  const std::vector<double> steps = {1,  -1,  8,   -8,   17,  -17,  37,  -37,
                                     88, -88, 104, -104, 709, -709, 745, -745};
  all.push_back({"tanh",
                 tanh,
                 [](Real x) { return std::tanh(x); },
                 cosh_power,
                 [](Real x) { return -2 * std::tanh(x) * cosh_power(x); },
                 {0.5, 1, -1, 2, 9, -9, 19, -19, 44, 52, 372}});
  all.back().slope_terms = [](Real x) { return from_output(std::tanh(x), cosh_power(x)); };
  all.back().second_terms = [](Real x) { return 2 * from_output(std::tanh(x), cosh_power(x)); };
  all.push_back({"sigmoid", sigmoid, sigmoid_of, sigmoid_slope, sigmoid_second, steps});
  all.back().slope_terms = [](Real x) { return from_output(sigmoid_of(x), sigmoid_slope(x)); };
  all.back().second_terms = all.back().slope_terms;
  all.push_back({"softplus", softplus,
                 [](Real x) { return std::max(x, Real{0}) + std::log1p(std::exp(-std::abs(x))); }, sigmoid_of,
                 sigmoid_slope, steps});
  const auto elu_curve = [&](const char* name, const Function& f, Exact y, Exact slope, Exact second) {
    all.push_back({name, f, y, slope, second, steps});
  };
  elu_curve(
      "elu", [](const Tensor& x) { return elu(x); }, [](Real x) { return x > 0 ? x : std::expm1(x); },
      [](Real x) { return x > 0 ? 1 : std::exp(x); }, [](Real x) { return x > 0 ? 0 : std::exp(x); });
  elu_curve(
      "selu", selu, [](Real x) { return kSeluScale * (x > 0 ? x : kSeluAlpha * std::expm1(x)); },
      [](Real x) { return kSeluScale * (x > 0 ? 1 : kSeluAlpha * std::exp(x)); },
      [](Real x) { return kSeluScale * (x > 0 ? 0 : kSeluAlpha * std::exp(x)); });
  const std::vector<double> bends = {-0.7517915246935645,
                                     -1.2784645427610738,
                                     -2.399357280520,
                                     2.3993572805,
                                     std::numbers::sqrt2,
                                     -std::numbers::sqrt2,
                                     1,
                                     -1,
                                     -5,
                                     5,
                                     -8,
                                     -13,
                                     -14,
                                     17,
                                     -17,
                                     27,
                                     -37.5,
                                     -38.5};
  all.push_back({"silu", silu, [](Real x) { return x * sigmoid_of(x); }, silu_slope, silu_second, steps});
  all.back().hard.insert(all.back().hard.end(), bends.begin(), bends.end());
  all.back().slope_terms = [](Real x) { return sigmoid_of(far(x, 12000)); };
  all.back().second_terms = [](Real x) { return 2 * sigmoid_slope(x); };
  all.push_back({"gelu", gelu, [](Real x) { return times(x, normal_below(far(x, 200))); }, gelu_slope,
                 gelu_second, bends});
  all.back().slope_terms = [](Real x) { return normal_below(far(x, 200)); };
  all.back().second_terms = [](Real x) { return 2 * normal_density(far(x, 200)); };
  all.push_back({"gelu_tanh", gelu_tanh, [](Real x) { return times(x, sigmoid_at(argument(far(x, 100)))); },
                 gelu_tanh_slope, gelu_tanh_second, bends});
  all.back().slope_terms = [](Real x) { return sigmoid_at(argument(far(x, 100))); };
  all.back().second_terms = [](Real x) { return 4 * sigmoid_slope_at(argument(far(x, 100))); };
}

void add_pieces(std::vector<Curve>& all) {
  all.push_back({"relu", relu, [](Real x) { return std::max(x, Real{0}); },
                 [](Real x) { return static_cast<Real>(x > 0); }, zero});
  all.push_back({"leaky_relu(x, 0.25)", [](const Tensor& x) { return leaky_relu(x, 0.25); },
                 [](Real x) { return x > 0 ? x : x / 4; },
                 [](Real x) { return x > 0 ? Real{1} : Real{0.25L}; }, zero});
  all.push_back({"clamp(x, -0.5, 2)",
                 [](const Tensor& x) { return clamp(x, -0.5, 2); },
                 [](Real x) { return std::clamp(x, Real{-0.5L}, Real{2}); },
                 [](Real x) { return static_cast<Real>(x >= -0.5L && x <= 2); },
                 zero,
                 {-0.5, 2}});
  all.push_back({"maximum(x, 1)",
                 [](const Tensor& x) { return maximum(x, 1.0); },
                 [](Real x) { return std::max(x, Real{1}); },
                 [](Real x) { return static_cast<Real>(x >= 1); },
                 zero,
                 {1}});
  all.push_back({"minimum(1, x)",
                 [](const Tensor& x) { return minimum(1.0, x); },
                 [](Real x) { return std::min(x, Real{1}); },
                 [](Real x) { return static_cast<Real>(x < 1); },
                 zero,
                 {1}});
  all.push_back({"where(x > 1, x, 2)",
                 [](const Tensor& x) { return where(greater(x, 1), x, 2); },
                 [](Real x) { return x > 1 ? x : Real{2}; },
                 [](Real x) { return static_cast<Real>(x > 1); },
                 zero,
                 {1}});
  all.push_back({"floor", floor, [](Real x) { return std::floor(x); }, zero, zero, {1, 2, -1, 0.5}});
  all.push_back({"ceil", ceil, [](Real x) { return std::ceil(x); }, zero, zero, {1, 2, -1, 0.5}});
  all.push_back(
      {"round", round, [](Real x) { return std::nearbyint(x); }, zero, zero, {1, 0.5, 1.5, 2.5, -0.5}});
  all.push_back({"trunc", trunc, [](Real x) { return std::trunc(x); }, zero, zero, {1, 2, -1, 0.5}});
  all.push_back({"x + 3",
                 [](const Tensor& x) { return x + 3.0; },
                 [](Real x) { return x + 3; },
                 [](Real) { return Real{1}; },
                 zero,
                 {-3, 3}});
  all.push_back({"3 - x",
                 [](const Tensor& x) { return 3.0 - x; },
                 [](Real x) { return 3 - x; },
                 [](Real) { return Real{-1}; },
                 zero,
                 {-3, 3}});
  all.push_back({"x * 3", [](const Tensor& x) { return x * 3.0; }, [](Real x) { return x * 3; },
                 [](Real) { return Real{3}; }, zero});
  all.push_back({"x / 3", [](const Tensor& x) { return x / 3.0; }, [](Real x) { return x / 3; },
                 [](Real) { return 1 / Real{3}; }, zero});
  all.push_back({"3 / x", [](const Tensor& x) { return 3.0 / x; }, [](Real x) { return 3 / x; },
                 [](Real x) { return -3 / (x * x); }, [](Real x) { return 6 / (x * x * x); }});
  all.push_back({"x * (x + 1)",
                 [](const Tensor& x) { return multiply(x, stop_gradient(x + 1.0)); },
                 nullptr,
                 [](Real x) { return x + 1; },
                 zero,
                 {-1}});
}

// ---------------------------------------------------------------------------------------------------------------------
// The measure

template <class T>
std::vector<T> samples(const Curve& curve) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Limits = std::numeric_limits<T>;
  std::vector<T> x = {0, Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity(), 1};
  Generator random(11);
  // Of every size.
  constexpr int kOctave = Limits::digits - 1, kEach = sizeof(T) == 4 ? 12 : 2;
  for (Bits exponent = 0; exponent < std::bit_cast<Bits>(Limits::infinity()) >> kOctave; ++exponent)
    for (int i = 0; i < kEach; ++i)
      x.push_back(std::bit_cast<T>((exponent << kOctave) |
                                   static_cast<Bits>(random.integer(std::uint64_t{1} << kOctave))));
  // Where most functions have their form.
  for (const double end : {3.0, 12.0, 40.0, 110.0, 800.0})
    for (int i = 0; i < 400; ++i) x.push_back(static_cast<T>(random.uniform(0, end)));
  const std::size_t count = x.size();
  for (std::size_t i = 0; i < count; ++i) x.push_back(-x[i]);
  std::vector<double> hard = curve.hard;
  for (const double end : {0.0, curve.low, curve.high})
    if (std::isfinite(end)) hard.push_back(end);
  for (const double place : hard) {
    T up = static_cast<T>(place), down = up;
    for (int i = 0; i < 40; ++i) {
      x.push_back(up);
      x.push_back(down);
      up = std::nextafter(up, Limits::infinity());
      down = std::nextafter(down, -Limits::infinity());
    }
    for (int i = 0; i < 400; ++i)
      x.push_back(static_cast<T>(
          place + std::ldexp(random.uniform(-1, 1), -static_cast<int>(random.integer(Limits::digits)))));
  }
  std::erase_if(x, [&](T v) {
    return !(static_cast<double>(v) >= curve.low && static_cast<double>(v) <= curve.high) ||
           (curve.low == 0 && std::signbit(v));
  });  // IEEE: sqrt(-0) is -0
  std::ranges::sort(x);
  return x;
}

// The unit in the last place of numbers of this size.
template <class T>
Real unit_of(Real size) {
  using Limits = std::numeric_limits<T>;
  const int exponent = size == 0 ? Limits::min_exponent - 1 : std::ilogb(size);
  return std::ldexp(
      Real{1}, std::clamp(exponent, Limits::min_exponent - 1, Limits::max_exponent - 1) - Limits::digits + 1);
}

template <class T>
double error_in_ulp(T found, Real exact, Real terms) {
  if (std::isnan(exact)) return 0;  // no such number
  const Real end = std::ldexp(Real{1}, std::numeric_limits<T>::max_exponent);
  const auto cut = [&](Real v) { return std::clamp(v, -end, end); };
  if (std::isnan(found)) return std::numeric_limits<double>::infinity();
  return static_cast<double>(std::abs(cut(static_cast<Real>(found)) - cut(exact)) /
                             unit_of<T>(std::max(std::abs(exact), terms)));
}

// Second derivatives are products of several factors, of which one may leave the range before the product does: they are
// measured farther inside.
template <class T>
bool is_inside(Real size) {
  const Real least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
  return size == 0 || (std::abs(size) > 0x1p20L * least && std::abs(size) < 0x1p-8L * most);
}

struct Worst {
  double error = -1, at = 0;
};
struct Measured {
  Worst y, slope, second;
};

template <class T>
void measure_at(const Curve& curve, const std::vector<T>& values, Measured& worst) {
  const auto note = [&](Worst& of, const Tensor& found, Exact exact, Exact terms, bool inside = false) {
    for (std::size_t i = 0; exact != nullptr && i < values.size(); ++i) {
      const auto x = static_cast<Real>(values[i]);
      const Real right = exact(x);
      if (inside && !is_inside<T>(right)) continue;
      const double error = error_in_ulp(found.values<T>()[i], right, terms == nullptr ? 0 : terms(x));
      if (error > of.error) of = {error, static_cast<double>(values[i])};
    }
  };
  Tape tape;
  const Tensor x = tape.watch(tensor(values, Shape{static_cast<index_t>(values.size())}));
  const Tensor y = curve.f(x);
  note(worst.y, stop_gradient(y), curve.y, nullptr);
  if (curve.slope == nullptr) return;
  const Tensor slope = tape.gradient(sum(y), x, {.create_graph = true, .zeros_for_unreached = true});
  note(worst.slope, stop_gradient(slope), curve.slope, curve.slope_terms);
  if (curve.second == nullptr) return;
  note(worst.second, tape.gradient(sum(slope), x, {.zeros_for_unreached = true}), curve.second,
       curve.second_terms, true);
}

template <class T>
Measured measure(const Curve& curve) {
  const std::vector<T> all = samples<T>(curve);
  Measured worst;
  measure_at(curve, all, worst);
  // And in parts: rules that look at all elements may be others for them.
  for (std::size_t i = 0; i < all.size(); i += 512)
    measure_at(curve,
               std::vector<T>(all.begin() + static_cast<std::ptrdiff_t>(i),
                              all.begin() + static_cast<std::ptrdiff_t>(std::min(i + 512, all.size()))),
               worst);
  return worst;
}

std::string cell(const Worst& worst) {
  if (worst.error < 0) return fmt::format("{:>7} {:>11}", "-", "");
  return fmt::format("{:>7.2f} {:>11.4g}", worst.error, worst.at);
}

void print_curve(const Curve& curve, const std::string& dtype, const Measured& worst) {
  fmt::print("{:<24} {:<13} {} {} {}\n", curve.op, dtype, cell(worst.y), cell(worst.slope),
             cell(worst.second));
  EXPECT_LE(worst.y.error, 4) << curve.op << " " << dtype << " at " << worst.y.at;
  EXPECT_LE(worst.slope.error, 8) << curve.op << " " << dtype << ", slope at " << worst.slope.at;
  EXPECT_LE(worst.second.error, curve.second_bound)
      << curve.op << " " << dtype << ", second derivative at " << worst.second.at;
}

void print_curves(void (*add)(std::vector<Curve>&)) {
  std::vector<Curve> curves;
  add(curves);
  fmt::print("{:<24} {:<13} {:>7} {:>11} {:>7} {:>11} {:>7} {:>11}\n", "op", "dtype", "ulp", "at", "slope",
             "at", "second", "at");
  for (const Curve& curve : curves) {
    // Kernels in single precision are vectorized, for each instruction set in its own way.
    for (const Target& target : kTargetList) {
      if (!has_target(target)) continue;
      use_target(target.bit);
      print_curve(curve, std::string("Float32 ") + target.name, measure<float>(curve));
      use_target(0);
    }
    print_curve(curve, "Float64", measure<double>(curve));
  }
}

TEST(Ulps, OfFunctions) {
  print_curves(add_functions);
}
TEST(Ulps, OfPowers) {
  print_curves(add_powers);
}
TEST(Ulps, OfActivations) {
  print_curves(add_activations);
}
TEST(Ulps, OfPieces) {
  print_curves(add_pieces);
}

// ---------------------------------------------------------------------------------------------------------------------
// Ops of two tensors

using Exact2 = Real (*)(Real, Real);
struct Surface {
  const char* op;
  Tensor (*f)(const Tensor&, const Tensor&);
  Exact2 y, by_a, by_b;
  bool power = false;
};

std::vector<Surface> surfaces() {
  return {{"add", add, [](Real a, Real b) { return a + b; }, [](Real, Real) { return Real{1}; },
           [](Real, Real) { return Real{1}; }},
          {"subtract", subtract, [](Real a, Real b) { return a - b; }, [](Real, Real) { return Real{1}; },
           [](Real, Real) { return Real{-1}; }},
          {"multiply", multiply, [](Real a, Real b) { return a * b; }, [](Real, Real b) { return b; },
           [](Real a, Real) { return a; }},
          {"divide", divide, [](Real a, Real b) { return a / b; }, [](Real, Real b) { return 1 / b; },
           [](Real a, Real b) { return -a / b / b; }},
          {"maximum", maximum, [](Real a, Real b) { return std::max(a, b); },
           [](Real a, Real b) { return static_cast<Real>(a >= b); },
           [](Real a, Real b) { return static_cast<Real>(a < b); }},
          {"minimum", minimum, [](Real a, Real b) { return std::min(a, b); },
           [](Real a, Real b) { return static_cast<Real>(a <= b); },
           [](Real a, Real b) { return static_cast<Real>(a > b); }},
          {"atan2", atan2, [](Real a, Real b) { return std::atan2(a, b); },
           [](Real a, Real b) { return b / (a * a + b * b); },
           [](Real a, Real b) { return -a / (a * a + b * b); }},
          {"pow", pow, [](Real a, Real b) { return std::pow(a, b); },
           [](Real a, Real b) { return b * std::pow(a, b) / a; },
           [](Real a, Real b) { return std::pow(a, b) * std::log(a); }, true}};
}

template <class T>
void print_surface(const Surface& surface) {
  using Limits = std::numeric_limits<T>;
  Generator random(12);
  std::vector<T> first, second;
  const double size = Limits::max_exponent - 2;
  for (int i = 0; i < 60000; ++i) {
    const double reach = i % 3 == 0 ? size : i % 3 == 1 ? 20 : 1;
    double a = std::exp2(random.uniform(-reach, reach)), b = std::exp2(random.uniform(-reach, reach));
    if (surface.power)
      b = i % 2 == 0 ? random.uniform(-1, 1) * size / std::max(1e-3, std::abs(std::log2(a)))
                     : random.uniform(-3, 3);
    else if (i % 5 == 0)
      b = a * random.uniform(0.9, 1.1);
    if (!surface.power && random.integer(2) == 0) a = -a;
    if (random.integer(2) == 0) b = -b;
    first.push_back(static_cast<T>(a));
    second.push_back(static_cast<T>(b));
  }
  const Shape shape{static_cast<index_t>(first.size())};
  Tape tape;
  const Tensor a = tape.watch(tensor(first, shape)), b = tape.watch(tensor(second, shape)),
               y = surface.f(a, b);
  const auto slopes = tape.gradient(sum(y), {a, b});
  Worst worst[3];
  for (std::size_t i = 0; i < first.size(); ++i) {
    const auto p = static_cast<Real>(first[i]), q = static_cast<Real>(second[i]);
    const Real value = surface.y(p, q), exact[] = {value, surface.by_a(p, q), surface.by_b(p, q)};
    const T found[] = {y.values<T>()[i], slopes[0].values<T>()[i], slopes[1].values<T>()[i]};
    for (int k = 0; k < 3; ++k) {
      if (k > 0 && !(is_inside<T>(value) && is_inside<T>(exact[k])))
        continue;  // a slope is made of quotients
      const double error = error_in_ulp(found[k], exact[k], 0);
      if (error > worst[k].error) worst[k] = {error, static_cast<double>(first[i])};
    }
  }
  fmt::print("{:<24} {:<13} {} {} {}\n", surface.op, to_string(a.dtype()), cell(worst[0]), cell(worst[1]),
             cell(worst[2]));
  EXPECT_LE(worst[0].error, 4) << surface.op << " of " << worst[0].at;
  EXPECT_LE(worst[1].error, 8) << surface.op << ", by the first, of " << worst[1].at;
  EXPECT_LE(worst[2].error, 8) << surface.op << ", by the second, of " << worst[2].at;
}

TEST(Ulps, OfOpsOfTwoTensors) {
  fmt::print("{:<24} {:<13} {:>7} {:>11} {:>7} {:>11} {:>7} {:>11}\n", "op", "dtype", "ulp", "at", "by a",
             "at", "by b", "at");
  for (const Surface& surface : surfaces()) {
    print_surface<float>(surface);
    print_surface<double>(surface);
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Reductions

struct Sums {
  Quad plain = 0, sizes = 0, squares = 0, exponentials = 0;  // of x - largest
  Real largest = 0;
};
struct Reduced {
  const char* op;
  Tensor (*f)(const Tensor& x, int axis);
  // The exact result, and what its error is measured in: the bound is `size` times the roundings of a sum of halves, ceil(log2
  // n), and `more`.
  Real (*exact)(const Sums&, Real n);
  Real (*size)(const Sums&, Real n);
  double more;
};

std::vector<Reduced> reductions() {
  const auto spread = [](const Sums& s, Real n) {
    return static_cast<Real>(s.squares / static_cast<Quad>(n) -
                             (s.plain / static_cast<Quad>(n)) * (s.plain / static_cast<Quad>(n)));
  };
  static const auto variance = +spread;
  return {{"sum", [](const Tensor& x, int axis) { return sum(x, axis); },
           [](const Sums& s, Real) { return static_cast<Real>(s.plain); },
           [](const Sums& s, Real) { return static_cast<Real>(s.sizes); }, 1},
          {"mean", [](const Tensor& x, int axis) { return mean(x, axis); },
           [](const Sums& s, Real n) { return static_cast<Real>(s.plain) / n; },
           [](const Sums& s, Real n) { return static_cast<Real>(s.sizes) / n; }, 2},
          {"norm", [](const Tensor& x, int axis) { return norm(x, axis); },
           [](const Sums& s, Real) { return std::sqrt(static_cast<Real>(s.squares)); },
           [](const Sums& s, Real) { return std::sqrt(static_cast<Real>(s.squares)); }, 2},
          {"var", [](const Tensor& x, int axis) { return var(x, axis); },
           [](const Sums& s, Real n) { return variance(s, n); },
           [](const Sums& s, Real n) { return variance(s, n); }, 8},
          {"stddev", [](const Tensor& x, int axis) { return stddev(x, axis); },
           [](const Sums& s, Real n) { return std::sqrt(variance(s, n)); },
           [](const Sums& s, Real n) { return std::sqrt(variance(s, n)); }, 8},
          {"logsumexp", [](const Tensor& x, int axis) { return logsumexp(x, axis); },
           [](const Sums& s, Real) { return s.largest + std::log(static_cast<Real>(s.exponentials)); },
           [](const Sums& s, Real) {
             return 1 + std::abs(s.largest + std::log(static_cast<Real>(s.exponentials)));
           },
           8}};
}

// Numbers whose sum goes wrong, each in its way, where it is made one after the other.
Tensor hard_numbers(int kind, index_t n, DType dtype) {
  Generator random(13);
  Tensor x = uniform({n, 1}, kind == 1 ? -1 : 0, 1, random, DType::Float64);
  for (index_t i = 0; i < n; ++i) {
    if (kind == 2)
      x.set({i, 0}, i == 0 ? 1 : dtype == DType::Float32 ? 0x1.8p-25 : 0x1.8p-54);  // each is lost beside 1
    if (kind == 3) x.set({i, 0}, x.at({i, 0}) * std::exp2(static_cast<double>(i % 40) - 20));
  }
  return cast(x, dtype);
}

TEST(Ulps, OfReductions) {
  fmt::print("The largest error of reductions, as a part of what sums of halves may have\n");
  for (const Reduced& reduced : reductions())
    for (const DType dtype : {DType::Float32, DType::Float64}) {
      double worst = 0;
      index_t at = 0;
      for (const index_t n : {1, 2, 3, 5, 8, 9, 31, 127, 128, 129, 1000, 4097, 32768, 32769, 100003})
        for (const int kind : {0, 1, 2, 3}) {
          const Tensor column = hard_numbers(kind, n, dtype);
          Sums sums;
          sums.largest = static_cast<Real>(max(column).item());
          for (index_t i = 0; i < n; ++i) {
            const auto v = static_cast<Real>(column.at({i, 0}));
            const auto q = static_cast<Quad>(v);
            sums.plain += q, sums.sizes += q < 0 ? -q : q, sums.squares += q * q,
                sums.exponentials += static_cast<Quad>(std::exp(v - sums.largest));
          }
          const Real exact = reduced.exact(sums, static_cast<Real>(n));
          const Real unit =
              std::ldexp(reduced.size(sums, static_cast<Real>(n)), dtype == DType::Float32 ? -24 : -53);
          const double bound = std::ceil(std::log2(static_cast<double>(n))) + reduced.more;
          // Rows, one column, and a column among others.
          for (const Tensor& found :
               {reduced.f(reshape(column, {1, n}), 1), reduced.f(column, 0),
                slice(reduced.f(concat({ones_like(column), column, column}, 1), 0), {{1, 2}})}) {
            const Real error = std::abs(static_cast<Real>(found.at({0})) - exact);
            if (error == 0) continue;
            const auto part = static_cast<double>(error / (unit * static_cast<Real>(bound)));
            if (!(part <= worst)) worst = part, at = n;  // a NaN is the worst
          }
        }
      fmt::print("{:<24} {:<8} {:>7.2f} of {} numbers\n", reduced.op, to_string(dtype), worst, at);
      EXPECT_LE(worst, 1) << reduced.op << " " << to_string(dtype) << " of " << at;
    }
}

}  // namespace
}  // namespace tapegrad::testing
