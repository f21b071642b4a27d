#include "tapegrad/ops/elementwise.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/vector_math.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/scalars_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::bell;
using detail::combine;
using detail::combine_floating;
using detail::combine_floating_with_number;
using detail::combine_with_number;
using detail::gate;
using detail::number_like;
using detail::record_broadcast;
using detail::slope;
using detail::transform;
using detail::transform_floating;
using detail::transform_vectorized;
using detail::wrapping;

constexpr double kInverseSqrtPi = 0.56418958354775628695;

// Named, so that an op of two tensors and that of a tensor and a number are compiled once.
constexpr auto kSum = wrapping([](auto p, auto q) { return p + q; });
constexpr auto kDifference = wrapping([](auto p, auto q) { return p - q; });
constexpr auto kReversedDifference = wrapping([](auto p, auto q) { return q - p; });
constexpr auto kProduct = wrapping([](auto p, auto q) { return p * q; });
constexpr auto kQuotient = [](auto p, auto q) { return p / q; };

// Whether the rule of an op with outputs up to 1 can tell from the output alone how far that is from 1: then it need not keep
// x, which is half of the memory of a layer. Within 1/64 of 1, rounding has taken too many digits of the distance, and in the
// end all: there a rule needs x.
bool keeps_its_distance(const Tensor& x, const Tensor& y) {
  if (detail::resolve(x).node == nullptr) return true;  // nobody asks
  return dispatch_floating(y.dtype(), [&]<class T>(std::type_identity<T>) {
    using Count =
        std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide as T: vectors count
    const T* from = y.data<T>();
    std::atomic<bool> keeps{true};
    parallel_for(y.size(), kernels::kElementwisePiece, [&](index_t begin, index_t end) {
      if (!keeps.load(std::memory_order_relaxed)) return;
      Count near = 0;
      for (index_t i = begin; i < end; ++i) near += std::abs(from[i]) <= T{0.984375} ? 0 : 1;
      if (near != 0) keeps.store(false, std::memory_order_relaxed);
    });
    return keeps.load();
  });
}

// The gradient dx of a power by its base or exponent, to be differentiated by x, one of both. Where a power has no
// derivative by its exponent (a negative base; 0 to the power of 1 or less) the rule chooses 0, and dx has no
// derivative.
Tensor of_a_power(const Tensor& dx, const Tensor& x, const Tensor& a, const Tensor& b) {
  if (!is_recording()) return dx;
  const Tensor chosen = less(a, 0) + equals(a, 0) * less_equal(b, 1);
  return any(chosen).item() == 0 ? dx : detail::at_kinks(dx, broadcast_to(x, dx.shape()), chosen);
}

// q p^(q - 1). Below 1/2 the exponent would be rounded, and far from 1 each digit of it counts; and a small q comes first,
// as the power alone may leave the range.
constexpr auto kPowerSlope = [](auto p, auto q) {
  using T = decltype(p);
  if (q == 0 && p == 0) return T{0};
  const bool direct = q >= T{0.5} || p == 0 || std::isinf(p);
  return direct ? q * std::pow(p, q - 1) : q * std::pow(p, q) / p;
};

// base^b log(base), the derivative by b. Where the power is 0 the product is, though the logarithm of an infinite base is
// infinite.
Tensor power_times_log(const Tensor& base, const Tensor& b) {
  const Tensor power = pow(base, b);
  return power * log(where(equals(power, 0), 1.0, base));
}

// The derivative of a^b by a.
Tensor power_slope(const Tensor& a, const Tensor& b) {
  const auto by_base = [a = Saved(a), b = Saved(b)](const Tensor& g) {
    return g * detail::weighted(b(), power_slope(a(), b() - 1.0));
  };
  // Where a and b are 0 the slope is 0 times infinity: there the exponent is taken as 1. From a base of 1 where a has no
  // logarithm.
  const auto by_exponent = [a = Saved(a), b = Saved(b)](const Tensor& g) {
    const Tensor less_one = where(equals(a(), 0) * equals(b(), 0), 1.0, b()) - 1.0;
    const Tensor positive = greater(a(), 0), base = where(positive, a(), 1.0);
    const Tensor log_part = where(positive, power_times_log(base, less_one), 0.0);
    return g * (pow(a(), less_one) + b() * log_part);
  };
  return record_broadcast("pow", combine_floating("pow", a, b, kPowerSlope), a, b, by_base, by_exponent);
}

// factor times the derivative of x^exponent.
Tensor power_slope(const Tensor& x, double exponent, double factor) {
  const auto f = [exponent, factor](auto v) {
    using T = decltype(v);
    const auto slope = [](auto p, auto q, auto scale) {
      const bool direct = q >= decltype(q){0.5} || p == 0 || std::isinf(p);
      return direct ? scale * q * std::pow(p, q - 1) : scale * q * std::pow(p, q) / p;
    };
    if (static_cast<double>(static_cast<T>(exponent)) == exponent)
      return slope(v, static_cast<T>(exponent), static_cast<T>(factor));
    return static_cast<T>(slope(static_cast<double>(v), exponent, factor));
  };
  if (exponent == 0) return detail::no_gradient(x);
  return record("pow", transform_floating("pow", x, f),
                {{x, [x = Saved(x), exponent, factor](const Tensor& g) {
                    return g * power_slope(x(), exponent - 1, factor * exponent);
                  }}});
}

// What maximum and minimum take from a.
constexpr auto kNotLess = [](auto p, auto q) { return p >= q || p != p; };
constexpr auto kNotGreater = [](auto p, auto q) { return p <= q || p != p; };
Tensor not_less(const Tensor& a, const Tensor& b) {
  return combine_floating("maximum", a, b, kNotLess);
}
Tensor not_greater(const Tensor& a, const Tensor& b) {
  return combine_floating("minimum", a, b, kNotGreater);
}

// y, which is a where takes_a(a, b), b elsewhere.
Tensor chosen(const char* op, Tensor y, const Tensor& a, const Tensor& b,
              Tensor (*takes_a)(const Tensor&, const Tensor&)) {
  const auto rule = [takes_a, a = Saved(a), b = Saved(b)](bool of_a) {
    return [=](const Tensor& g) {
      const Tensor taken = takes_a(a(), b());
      return of_a ? where(taken, g, 0.0) : where(taken, 0.0, g);
    };
  };
  return record_broadcast(op, std::move(y), a, b, rule(true), rule(false));
}

Tensor number_of(const char* op, const Tensor& like, double value) {
  detail::require_floating(op, like);
  return full(Shape{}, value, like.dtype());
}

// a, which is about to become another tensor.
const Tensor& changeable(const char* op, const Tensor& a) {
  if (a.is_parameter())
    fail(op,
         "the left side must not be a parameter (shape {}): it would become an ordinary tensor that is not "
         "trained. Write y = x + ..., or change the elements with mutable_values()",
         a.shape());
  return a;
}

}  // namespace

Tensor& operator+=(Tensor& a, const Tensor& b) {
  return a = add(changeable("+=", a), b);
}

Tensor& operator-=(Tensor& a, const Tensor& b) {
  return a = subtract(changeable("-=", a), b);
}

Tensor& operator*=(Tensor& a, const Tensor& b) {
  return a = multiply(changeable("*=", a), b);
}

Tensor& operator/=(Tensor& a, const Tensor& b) {
  return a = divide(changeable("/=", a), b);
}

Tensor& operator+=(Tensor& a, double b) {
  return a = add(changeable("+=", a), b);
}

Tensor& operator-=(Tensor& a, double b) {
  return a = subtract(changeable("-=", a), b);
}

Tensor& operator*=(Tensor& a, double b) {
  return a = multiply(changeable("*=", a), b);
}

Tensor& operator/=(Tensor& a, double b) {
  return a = divide(changeable("/=", a), b);
}

Tensor add(const Tensor& a, const Tensor& b) {
  const auto pass_on = [](const Tensor& g) { return g; };
  return record_broadcast("add", combine("add", a, b, kSum), a, b, pass_on, pass_on);
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  return record_broadcast(
      "subtract", combine("subtract", a, b, kDifference), a, b, [](const Tensor& g) { return g; },
      [](const Tensor& g) { return negate(g); });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  Tensor y = combine("multiply", a, b, kProduct);
  if (detail::skips_recording()) return y;  // nothing is saved in a backward pass, most of which is products
  return record_broadcast(
      "multiply", std::move(y), a, b, [b = Saved(b)](const Tensor& g) { return g * b(); },
      [a = Saved(a)](const Tensor& g) { return g * a(); });
}

Tensor divide(const Tensor& a, const Tensor& b) {
  return record_broadcast(
      "divide", combine_floating("divide", a, b, kQuotient), a, b,
      [b = Saved(b)](const Tensor& g) { return g / b(); },
      [b = Saved(b)](const Tensor& g, const Tensor& y) { return -(g * y) / b(); });
}

Tensor add(const Tensor& a, double b) {
  return record("add", combine_with_number("add", a, b, kSum), {{a, [](const Tensor& g) { return g; }}});
}

Tensor subtract(const Tensor& a, double b) {
  return record("subtract", combine_with_number("subtract", a, b, kDifference),
                {{a, [](const Tensor& g) { return g; }}});
}

Tensor multiply(const Tensor& a, double b) {
  return record("multiply", combine_with_number("multiply", a, b, kProduct),
                {{a, [b](const Tensor& g) { return g * b; }}});
}

Tensor divide(const Tensor& a, double b) {
  return record("divide", combine_floating_with_number("divide", a, b, kQuotient),
                {{a, [b](const Tensor& g) { return g / b; }}});
}

Tensor subtract(double a, const Tensor& b) {
  Tensor y = combine_with_number("subtract", b, a, kReversedDifference);
  detail::note("reversed", 1);
  return record("subtract", std::move(y), {{b, [](const Tensor& g) { return negate(g); }}});
}

Tensor divide(double a, const Tensor& b) {
  Tensor y = transform_floating("divide", b, [a](auto v) { return static_cast<decltype(v)>(a) / v; });
  detail::note("number", a);
  detail::note("reversed", 1);
  return record("divide", std::move(y),
                {{b, [b = Saved(b)](const Tensor& g, const Tensor& out) { return -(g * out) / b(); }}});
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  Tensor y = combine("maximum", a, b, [](auto p, auto q) { return kNotLess(p, q) ? p : q; });
  return chosen("maximum", std::move(y), a, b, not_less);
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  Tensor y = combine("minimum", a, b, [](auto p, auto q) { return kNotGreater(p, q) ? p : q; });
  return chosen("minimum", std::move(y), a, b, not_greater);
}

Tensor maximum(const Tensor& a, double b) {
  return maximum(a, number_like("maximum", a, b));
}

Tensor maximum(double a, const Tensor& b) {
  return maximum(number_like("maximum", b, a), b);
}

Tensor minimum(const Tensor& a, double b) {
  return minimum(a, number_like("minimum", a, b));
}

Tensor minimum(double a, const Tensor& b) {
  return minimum(number_like("minimum", b, a), b);
}

Tensor pow(double base, const Tensor& exponent) {
  return pow(number_of("pow", exponent, base), exponent);
}

Tensor pow(const Tensor& a, const Tensor& b) {
  const auto power_rule = [a = Saved(a), b = Saved(b)](const Tensor& g) {
    return of_a_power(g * power_slope(a(), b()), b(), a(), b());
  };
  // From a base of 1 where a has no logarithm: a power that is infinite must not meet the 0 there.
  const auto exponent_rule = [a = Saved(a), b = Saved(b)](const Tensor& g) {
    const Tensor positive = greater(a(), 0), base = where(positive, a(), 1.0);
    const Tensor dx = where(positive, g * power_times_log(base, b()), 0.0);
    return of_a_power(of_a_power(dx, a(), a(), b()), b(), a(), b());
  };
  return record_broadcast("pow", combine_floating("pow", a, b, [](auto p, auto q) { return std::pow(p, q); }),
                          a, b, power_rule, exponent_rule);
}

Tensor negate(const Tensor& x) {
  detail::require_defined("negate", x);
  return record("negate", transform("negate", x, wrapping([](auto v) { return -v; })),
                {{x, [](const Tensor& g) { return negate(g); }}});
}

Tensor pow(const Tensor& x, double exponent) {
  const auto f = [exponent](auto v) { return std::pow(v, static_cast<decltype(v)>(exponent)); };
  Tensor y = transform_floating("pow", x, f);
  // The power that was taken.
  const double taken =
      x.dtype() == DType::Float32 ? static_cast<double>(static_cast<float>(exponent)) : exponent;
  detail::note("number", taken);
  return record("pow", std::move(y), {{x, [x = Saved(x), taken](const Tensor& g) {
                                         return taken == 0 ? detail::no_gradient(g)
                                                           : g * power_slope(x(), taken, 1);
                                       }}});
}

Tensor exp(const Tensor& x) {
  return record("exp", transform_vectorized("exp", x, kernels::exp, [](auto v) { return std::exp(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g * y; }}});
}

Tensor expm1(const Tensor& x) {
  return record("expm1", transform_floating("expm1", x, [](auto v) { return std::expm1(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * exp(x()); }}});
}

Tensor log(const Tensor& x) {
  return record("log", transform_floating("log", x, [](auto v) { return std::log(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g / x(); }}});
}

Tensor log1p(const Tensor& x) {
  return record("log1p", transform_floating("log1p", x, [](auto v) { return std::log1p(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g / (1.0 + x()); }}});
}

Tensor log2(const Tensor& x) {
  return record("log2", transform_floating("log2", x, [](auto v) { return std::log2(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g / std::numbers::ln2 / x(); }}});
}

Tensor log10(const Tensor& x) {
  return record("log10", transform_floating("log10", x, [](auto v) { return std::log10(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g / std::numbers::ln10 / x(); }}});
}

Tensor sqrt(const Tensor& x) {
  return record("sqrt", transform_floating("sqrt", x, [](auto v) { return std::sqrt(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g / (2.0 * y); }}});
}

Tensor rsqrt(const Tensor& x) {
  return record("rsqrt", transform_floating("rsqrt", x, [](auto v) { return 1 / std::sqrt(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g * ((-0.5 * y) * square(y)); }}});
}

Tensor reciprocal(const Tensor& x) {
  const detail::CalledOp called("reciprocal", {&x});
  detail::require_floating("reciprocal", x);
  return called.result(divide(1.0, x));
}

Tensor square(const Tensor& x) {
  return record("square", transform_floating("square", x, [](auto v) { return v * v; }),
                {{x, [x = Saved(x)](const Tensor& g) { return (2.0 * g) * x(); }}});
}

Tensor abs(const Tensor& x) {
  const auto rule = [x = Saved(x)](const Tensor& g) {
    const Tensor dx = slope(g, x(), [](auto value, auto at) {
      return at > 0 ? value : at < 0 ? -value : decltype(value){0};
    });
    return is_recording() ? detail::at_kinks(dx, x(), equals(x(), 0)) : dx;
  };
  return record("abs", transform_floating("abs", x, [](auto v) { return std::abs(v); }), {{x, rule}});
}

Tensor sign(const Tensor& x) {
  const auto f = [](auto v) { return v > 0 ? decltype(v){1} : v < 0 ? decltype(v){-1} : v; };
  return record("sign", transform_floating("sign", x, f),
                {{x, [](const Tensor& g, const Tensor& y) { return detail::at_jumps(g, equals(y, 0)); }}});
}

Tensor sin(const Tensor& x) {
  return record("sin", transform_floating("sin", x, [](auto v) { return std::sin(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * cos(x()); }}});
}

Tensor cos(const Tensor& x) {
  return record("cos", transform_floating("cos", x, [](auto v) { return std::cos(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return -(g * sin(x())); }}});
}

Tensor tan(const Tensor& x) {
  return record("tan", transform_floating("tan", x, [](auto v) { return std::tan(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g * (1.0 + square(y)); }}});
}

Tensor atan2(const Tensor& y, const Tensor& x) {
  // z / (x^2 + y^2), with x and y scaled so that no square leaves the dtype's range, and cut off where they are infinite.
  const auto rule = [y = Saved(y), x = Saved(x)](bool of_y) {
    return [=](const Tensor& g) {
      const double most = y().dtype() == DType::Float32
                              ? static_cast<double>(std::numeric_limits<float>::max())
                              : std::numeric_limits<double>::max();
      const Tensor p = clamp(y(), -most, most), q = clamp(x(), -most, most);
      const Tensor scale = maximum(abs(stop_gradient(p)), abs(stop_gradient(q)));
      const Tensor v = p / scale, u = q / scale, length = square(u) + square(v);
      return of_y ? g * (u / length / scale) : -(g * (v / length / scale));
    };
  };
  return record_broadcast("atan2",
                          combine_floating("atan2", y, x, [](auto p, auto q) { return std::atan2(p, q); }), y,
                          x, rule(true), rule(false));
}

Tensor tanh(const Tensor& x) {
  Tensor y = transform_vectorized("tanh", x, kernels::tanh, [](auto v) { return std::tanh(v); });
  if (keeps_its_distance(x, y))
    return record("tanh", std::move(y),
                  {{x, [](const Tensor& g, const Tensor& out) { return g * (1.0 - square(out)); }}});
  return record(
      "tanh", std::move(y),
      {{x, [x = Saved(x)](const Tensor& g) { return (4.0 * g) * detail::sigmoid_slope(2.0 * x()); }}});
}

Tensor erf(const Tensor& x) {
  return record("erf", transform_floating("erf", x, [](auto v) { return std::erf(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * (2 * kInverseSqrtPi * bell(x(), 1)); }}});
}

Tensor erfc(const Tensor& x) {
  return record("erfc", transform_floating("erfc", x, [](auto v) { return std::erfc(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * (-2 * kInverseSqrtPi * bell(x(), 1)); }}});
}

Tensor sigmoid(const Tensor& x) {
  // exp(-|x|) never overflows; 1 / (1 + e) and e / (1 + e) are both accurate.
  const auto f = [](auto v) {
    const auto e = std::exp(-std::abs(v));
    return (v >= 0 ? 1 : e) / (1 + e);
  };
  Tensor y = transform_vectorized("sigmoid", x, kernels::sigmoid, f);
  if (keeps_its_distance(x, y))
    return record("sigmoid", std::move(y),
                  {{x, [](const Tensor& g, const Tensor& out) { return g * (out * (1.0 - out)); }}});
  return record("sigmoid", std::move(y),
                {{x, [x = Saved(x)](const Tensor& g) { return g * detail::sigmoid_slope(x()); }}});
}

Tensor detail::sigmoid_slope(const Tensor& x) {
  const auto f = [](auto v) {
    const auto e = std::exp(-std::abs(v));
    return e / ((1 + e) * (1 + e));
  };
  return record(
      "sigmoid", transform_vectorized("sigmoid", x, kernels::sigmoid_slope, f),
      {{x, [x = Saved(x)](const Tensor& g, const Tensor& y) { return -(g * (y * tanh(0.5 * x()))); }}});
}

Tensor detail::bell(const Tensor& x, double a) {
  // Beyond 40 it is 0, and so are its derivatives, where x times 0 may be NaN.
  return record("exp", transform_in_double("exp", x, [a](double v) { return bell(v, a); }),
                {{x, [x = Saved(x), a](const Tensor& g, const Tensor& y) {
                    return g * (-2 * a * (y * clamp(x(), -40, 40)));
                  }}});
}

namespace {

struct ReluRule {
  static constexpr bool kGates = true;
  Tensor operator()(const Tensor& g, const Tensor& y) const {
    return gate(g, y, [](auto v) { return v > 0; });
  }
};

}  // namespace

Tensor relu(const Tensor& x) {
  // Not std::max, which would turn NaN into 0.
  return record("relu", transform_floating("relu", x, [](auto v) { return v < 0 ? decltype(v){0} : v; }),
                {{x, ReluRule()}});
}

Tensor softplus(const Tensor& x) {
  const auto f = [](auto v) { return std::max(v, decltype(v){0}) + std::log1p(std::exp(-std::abs(v))); };
  return record("softplus", transform_floating("softplus", x, f),
                {{x, [x = Saved(x)](const Tensor& g) { return g * sigmoid(x()); }}});
}

Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail("clamp", "low must be at most high, got {} and {}", low, high);
  const auto f = [low, high](auto v) {
    using T = decltype(v);
    return v < static_cast<T>(low)    ? static_cast<T>(low)
           : v > static_cast<T>(high) ? static_cast<T>(high)
                                      : v;
  };
  Tensor y = transform_floating("clamp", x, f);
  detail::note("low", low);
  detail::note("high", high);
  return record("clamp", std::move(y), {{x, [x = Saved(x), low, high](const Tensor& g) {
                                           return gate(g, x(), [low, high](auto v) {
                                             using T = decltype(v);
                                             return v >= static_cast<T>(low) && v <= static_cast<T>(high);
                                           });
                                         }}});
}

}  // namespace tapegrad::inline v0
