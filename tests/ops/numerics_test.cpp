#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ops/long_constants.h"
#include "oracle.h"
#include "refuses.h"
#include "tapegrad/nn/losses.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/tapegrad.h"

// Where formulas that are right on paper lose their digits, overflow, or say 0 for what does not exist. Right
// values are worked out in long double, or stand here as mpmath gives them.

namespace tapegrad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr DType kBoth[] = {DType::Float32, DType::Float64};
using Function = std::function<Tensor(const Tensor&)>;

Tensor doubles(const Literal& values) {
  return tensor(values, DType::Float64);
}

Tensor gradient_of(const Function& f, const Tensor& at) {
  Tape tape;
  const Tensor x = tape.watch(at);
  return tape.gradient(sum(f(x)), x, {.zeros_for_unreached = true});
}

// The derivative of the gradient's sum: the second derivative of an elementwise function.
Tensor second_of(const Function& f, const Tensor& at) {
  Tape tape;
  const Tensor x = tape.watch(at);
  const Tensor g = tape.gradient(sum(f(x)), x, {.create_graph = true, .zeros_for_unreached = true});
  return tape.gradient(sum(g), x, {.zeros_for_unreached = true});
}

Tensor hessian_of(const Function& f, const Tensor& at) {
  return hessian([&](const std::vector<Tensor>& in) { return sum(f(in[0])); }, {at})[0][0];
}

// ---------------------------------------------------------------------------------------------------------
// Slopes

using Real = long double;

Real sigmoid_of(Real x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
Real sigmoid_slope(Real x) {
  return sigmoid_of(x) * sigmoid_of(-x);
}
Real sigmoid_second(Real x) {
  return sigmoid_slope(x) * (sigmoid_of(-x) - sigmoid_of(x));
}
Real tanh_slope(Real x) {
  return 4 * sigmoid_slope(2 * x);
}
Real silu_slope(Real x) {
  return sigmoid_of(x) * (1 + x * sigmoid_of(-x));
}
Real gelu_slope(Real x) {
  return std::erfc(-x / std::sqrt(Real{2})) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * kPi);
}
Real gelu_tanh_slope(Real x) {
  const Real scale = 2 * std::sqrt(2 / kPi), u = scale * (x + Real{0.044715} * x * x * x);
  return sigmoid_of(u) * (1 + x * scale * (1 + 3 * Real{0.044715} * x * x) * sigmoid_of(-u));
}

struct Slope {
  const char* name;
  Function f;
  Real (*exact)(Real);
  double to;  // the largest magnitude
  bool second = false;
  double tolerance = 4e-6;  // relative, in Float32
};

const std::vector<Slope>& slopes() {
  static const std::vector<Slope> all = {
      {"sigmoid", sigmoid, sigmoid_slope, 80},
      {"sigmoid, second", sigmoid, sigmoid_second, 80, true, 1e-5},
      {"tanh", [](const Tensor& x) { return tanh(x); }, tanh_slope, 40},
      {"softplus", softplus, sigmoid_of, 80},
      {"softplus, second", softplus, sigmoid_slope, 80, true},
      {"elu", [](const Tensor& x) { return elu(x); }, [](Real x) { return x > 0 ? 1 : std::exp(x); }, 80},
      {"elu, second", [](const Tensor& x) { return elu(x); }, [](Real x) { return x > 0 ? 0 : std::exp(x); },
       80, true},
      {"selu", selu,
       [](Real x) {
         return Real{1.0507009873554804934L} * (x > 0 ? 1 : Real{1.6732632423543772848L} * std::exp(x));
       },
       80},
      {"silu", silu, silu_slope, 80},
      {"gelu", gelu, gelu_slope, 12, false, 2e-5},
      {"gelu_tanh", gelu_tanh, gelu_tanh_slope, 4, false, 2e-5},
      {"exp", exp, [](Real x) { return std::exp(x); }, 80},
      {"expm1", expm1, [](Real x) { return std::exp(x); }, 80},
  };
  return all;
}

// On both sides alike, up to where slopes are smaller than any difference between outputs.
TEST(Slopes, KeepTheirDigits) {
  for (const Slope& slope : slopes())
    for (const DType dtype : kBoth)
      for (double size = 1e-3; size <= slope.to; size *= 1.13)
        for (const double sign : {1.0, -1.0}) {
          const Tensor x = tensor({sign * size}, dtype);
          const auto at = static_cast<Real>(x.at({0}));
          const auto exact = static_cast<double>(slope.exact(at));
          if (std::abs(at) < 2 && std::abs(exact) < 0.05) continue;  // where the slope itself crosses 0
          const double tolerance = dtype == DType::Float32 ? slope.tolerance : 1e-14 + slope.tolerance * 1e-8;
          const Tensor found = slope.second ? second_of(slope.f, x) : gradient_of(slope.f, x);
          EXPECT_NEAR(found.at({0}), exact, tolerance * std::abs(exact))
              << slope.name << " at " << static_cast<double>(at) << ", " << to_string(dtype);
        }
}

// As reported: each of these was 0, NaN or without a right digit.
TEST(Slopes, AsReported) {
  const Tensor both = gradient_of(sigmoid, tensor({17, -17}));
  EXPECT_NEAR(both.at({0}) / 4.1399375e-8, 1, 1e-6);
  EXPECT_NEAR(both.at({1}) / 4.1399375e-8, 1, 1e-6);
  EXPECT_NEAR(hessian_of(softplus, doubles({37.42994775023705})).at({0, 0}) / 5.551115123125783e-17, 1,
              1e-12);
  EXPECT_NEAR(gradient_of([](const Tensor& x) { return tanh(x); }, tensor({10})).at({0}) / 8.2446145e-9, 1,
              1e-6);
  EXPECT_NEAR(gradient_of([](const Tensor& x) { return elu(x); }, tensor({-17})).at({0}) / 4.1399377e-8, 1,
              1e-6);
  EXPECT_TRUE(equal(gradient_of(gelu_tanh, tensor({1e20, -1e20})), tensor({1, 0})));
  EXPECT_TRUE(equal(gradient_of(gelu_tanh, doubles({1.35e154, -1.35e154})), doubles({1, 0})));
}

// One saturated element makes a rule read its input; the others' slopes are the same then.
TEST(Slopes, DoNotDependOnTheirNeighbours) {
  for (const DType dtype : kBoth)
    for (const Slope& slope : slopes()) {
      const Tensor near = tensor({0.5, -1, 2, -3}, dtype),
                   with_far = concat({near, tensor({30, -30}, dtype)});
      const double tolerance = dtype == DType::Float32 ? 3e-6 : 1e-14;
      expect_close(slice(gradient_of(slope.f, with_far), 0, 4), gradient_of(slope.f, near), tolerance,
                   slope.name);
    }
}

TEST(Slopes, OfAnglesOfInfinitePoints) {
  for (const DType dtype : kBoth) {
    const Tensor far = tensor({kInfinity, -kInfinity}, dtype), near = ones({2}, dtype);
    for (const Tensor& other : {near, far}) {
      const Tensor of_y = gradient_of([&](const Tensor& v) { return atan2(v, other); }, far);
      const Tensor of_x = gradient_of([&](const Tensor& v) { return atan2(other, v); }, far);
      for (index_t i = 0; i < 2; ++i) {
        EXPECT_LT(std::abs(of_y.at({i})), 1e-38) << of_y;
        EXPECT_LT(std::abs(of_x.at({i})), 1e-38) << of_x;
      }
    }
  }
}

// A slope or a weight of 0 makes 0 of an infinite element.
TEST(Slopes, OfZeroMeetInfinity) {
  for (const DType dtype : kBoth) {
    const Tensor x = tensor({-kInfinity, kInfinity, -1, 1}, dtype);
    EXPECT_TRUE(equal(leaky_relu(x, 0), relu(x))) << leaky_relu(x, 0);
    EXPECT_TRUE(
        equal(gradient_of([](const Tensor& v) { return leaky_relu(v, 0); }, x), tensor({0, 1, 0, 1}, dtype)));
    const Tensor many = full({1, 64}, kInfinity, dtype);
    const Function dropped = [](const Tensor& v) { return dropout(v, 0.5, Generator(3)); };
    const Tensor y = dropped(many), g = gradient_of(dropped, many);
    index_t kept = 0;
    for (index_t i = 0; i < 64; ++i) {
      EXPECT_TRUE(y.at({0, i}) == 0 || y.at({0, i}) == kInfinity) << y;
      EXPECT_EQ(g.at({0, i}), y.at({0, i}) == 0 ? 0 : 2);
      kept += y.at({0, i}) != 0;
    }
    EXPECT_TRUE(kept > 10 && kept < 54) << kept;
  }
}

TEST(Slopes, AtTheEnds) {
  for (const DType dtype : kBoth) {
    const double most = dtype == DType::Float32 ? static_cast<double>(std::numeric_limits<float>::max())
                                                : std::numeric_limits<double>::max();
    for (const Function& f :
         {Function(silu), Function(gelu), Function(gelu_tanh), Function(relu), Function(softplus),
          Function([](const Tensor& x) { return elu(x, 0) + 0.0 * relu(sign(x)); })})
      for (const double size : {1e3, 1e19, 1e20, 1e38, most / 2, most, kInfinity}) {
        const Tensor x = tensor({size, -size}, dtype);
        EXPECT_TRUE(equal(f(x), tensor({size, 0}, dtype))) << size << ": " << f(x);
        EXPECT_TRUE(equal(gradient_of(f, x), tensor({1, 0}, dtype))) << size << ": " << gradient_of(f, x);
        EXPECT_TRUE(equal(second_of(f, x), tensor({0, 0}, dtype))) << size << ": " << second_of(f, x);
      }
    for (const Function& f : {Function(sigmoid), Function([](const Tensor& x) { return tanh(x); }),
                              Function(erf), Function(erfc)})
      for (const double size : {1e3, 1e20, most, kInfinity}) {
        const Tensor x = tensor({size, -size}, dtype);
        EXPECT_TRUE(equal(gradient_of(f, x), zeros({2}, dtype))) << size << ": " << gradient_of(f, x);
        EXPECT_TRUE(equal(second_of(f, x), zeros({2}, dtype))) << size << ": " << second_of(f, x);
      }
    EXPECT_TRUE(std::isnan(silu(tensor({kNaN}, dtype)).at({0})) &&
                std::isnan(gelu(tensor({kNaN}, dtype)).at({0})) &&
                std::isnan(gelu_tanh(tensor({kNaN}, dtype)).at({0})));
  }
}

// log_softmax next to 0, and the slopes of softmax next to 1.
TEST(Slopes, OfASaturatedSoftmax) {
  for (const DType dtype : kBoth) {
    const double far = dtype == DType::Float32 ? 20 : 40;
    const double rest = std::exp(-far), tolerance = dtype == DType::Float32 ? 1e-6 : 1e-14;
    for (const int axis : {0, 1}) {
      const Tensor row = tensor({{far, 0}}, dtype), x = axis == 1 ? row : transpose(row);
      EXPECT_NEAR(sum(log_softmax(x, axis), axis).at({0}) + far, -2 * std::log1p(rest), 4e-6);
      EXPECT_NEAR(log_softmax(x, axis).at({0, 0}) / -std::log1p(rest), 1, tolerance);
      for (const index_t of : {0, 1}) {
        const auto pick = [&](const Tensor& y) {
          return reshape(y, 2) * cast(one_hot(full({}, static_cast<double>(of), DType::Int32), 2), dtype);
        };
        const Tensor p = reshape(gradient_of([&](const Tensor& v) { return pick(softmax(v, axis)); }, x), 2);
        const double slope = rest / ((1 + rest) * (1 + rest));
        EXPECT_NEAR(p.at({of}) / slope, 1, tolerance);
        EXPECT_NEAR(p.at({1 - of}) / -slope, 1, tolerance);
        const Tensor l =
            reshape(gradient_of([&](const Tensor& v) { return pick(log_softmax(v, axis)); }, x), 2);
        EXPECT_NEAR(l.at({0}) / (of == 0 ? rest / (1 + rest) : -1 / (1 + rest)), 1, tolerance);
        EXPECT_NEAR(l.at({1}) / (of == 1 ? 1 / (1 + rest) : -rest / (1 + rest)), 1, tolerance);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// Kinks

// A number in the Hessian of a function with a kink is the true one, or there is none.
TEST(Kinks, SecondDerivativesAreRightOrNaN) {
  struct Kink {
    const char* name;
    Function f;
    Tensor at, right;  // no derivative, or one that the rules do not know: NaN may stand in its place
  };
  const Tensor zero = doubles({0, 0}), two = doubles({{2, 0}, {0, 2}});
  const Kink kinks[] = {
      {"norm^2", [](const Tensor& x) { return norm(x) * norm(x); }, zero, two},
      {"square of norm", [](const Tensor& x) { return square(norm(x)); }, zero, two},
      {"exp(-norm^2)", [](const Tensor& x) { return exp(-(norm(x) * norm(x))); }, zero, -two},
      {"norm of rows",
       [](const Tensor& x) {
         return square(norm(reshape(x, {1, 2}), 1));
       },
       zero, two},
      {"|x|^2", [](const Tensor& x) { return square(abs(x)); }, zero, two},
      {"|x| |x|", [](const Tensor& x) { return abs(x) * abs(x); }, zero, two},
      {"cosh |x|", [](const Tensor& x) { return exp(abs(x)) + exp(-abs(x)); }, zero, two},
      {"max^2 + min^2 of equals", [](const Tensor& x) { return square(max(x)) + square(min(x)); },
       doubles({3, 3}), two},
      {"mae^2", [](const Tensor& x) { return square(mae_loss(x, zeros_like(x), {Reduction::PerElement})); },
       zero, two},
      {"sqrt(x)^2 + sqrt(x)^4", [](const Tensor& x) { return square(square(sqrt(x))); }, zero, two},
      {"pow(|x|, 2)", [](const Tensor& x) { return pow(abs(x), 2); }, zero, two},
      {"max of images",
       [](const Tensor& x) {
         const Tensor images = reshape(x, {1, 1, 2, 1});
         return square(global_max_pool2d(images)) + square(min(x));
       },
       doubles({1, 1}), two},
      {"(x sign x)^2", [](const Tensor& x) { return square(x * sign(x)); }, zero, two},
      {"x^2 sign^2", [](const Tensor& x) { return square(x) * square(sign(x)); }, zero, two},
      // The square of a piece that a rule chose is that of the piece.
      {"(x - floor)^2", [](const Tensor& x) { return square(x - floor(x)); }, doubles({-2, 3}), two},
      {"(x - ceil)^2", [](const Tensor& x) { return square(x - ceil(x)); }, doubles({-2, 3}), two},
      {"(x - round)^2", [](const Tensor& x) { return square(x - round(x)); }, doubles({-0.5, 1.5}), two},
      {"(x - trunc)^2", [](const Tensor& x) { return square(x - trunc(x)); }, doubles({0, 3}), two},
      {"relu^2", [](const Tensor& x) { return square(relu(x)); }, zero, zeros({2, 2}, DType::Float64)},
      {"leaky_relu^2", [](const Tensor& x) { return square(leaky_relu(x, 0.5)); }, zero, 0.25 * two},
      {"clamp^2", [](const Tensor& x) { return square(clamp(x, 0, 1)); }, doubles({0, 1}), two},
      {"maximum^2 of equals", [](const Tensor& x) { return square(maximum(x, 3.0)); }, doubles({3, 3}), two},
      {"pow(x, 2)", [](const Tensor& x) { return pow(x, 2); }, zero, two},
      {"x^b of tensors", [](const Tensor& x) { return pow(x, full({}, 2, DType::Float64)); }, zero, two},
      {"prod", [](const Tensor& x) { return prod(x); }, zero, doubles({{0, 1}, {1, 0}})},
      {"softplus", [](const Tensor& x) { return 4.0 * softplus(x); }, zero, 0.5 * two},
      {"huber", [](const Tensor& x) { return huber_loss(x, zeros_like(x), {.reduction = Reduction::Sum}); },
       zero, 0.5 * two}};
  for (const auto& [name, f, at, right] : kinks) {
    const Tensor found = hessian_of(f, at);
    for (index_t i = 0; i < 2; ++i)
      for (index_t j = 0; j < 2; ++j) {
        const double number = found.at({i, j});
        EXPECT_TRUE(std::isnan(number) || std::isinf(number) || number == right.at({i, j}))
            << name << " at [" << i << ", " << j << "]: " << number << ", right is " << right.at({i, j});
      }
  }
}

// Nothing that a kink has no part in is disturbed, and first derivatives are those that the headers say.
TEST(Kinks, DisturbNothingElse) {
  const Function rows = [](const Tensor& x) { return square(norm(x, 1)); };
  const Tensor x = doubles({{0, 0}, {3, 4}});
  const Tensor h = hessian_of(rows, x);
  for (index_t i = 0; i < 2; ++i)
    for (index_t j = 0; j < 2; ++j) {
      EXPECT_TRUE(std::isnan(h.at({0, 0, 0, 0}))) << h;
      EXPECT_EQ(h.at({0, i, 1, j}), 0);
      EXPECT_EQ(h.at({1, i, 0, j}), 0);
      EXPECT_NEAR(h.at({1, i, 1, j}), i == j ? 2 : 0, 1e-15);
    }
  EXPECT_TRUE(equal(gradient_of(rows, x), doubles({{0, 0}, {6, 8}})));
  const Tensor g = second_of([](const Tensor& v) { return square(abs(v)); }, doubles({-2, 0, 3}));
  EXPECT_TRUE(g.at({0}) == 2 && std::isnan(g.at({1})) && g.at({2}) == 2) << g;
  // Dead units are common: no NaN comes from them.
  EXPECT_TRUE(equal(second_of([](const Tensor& v) { return square(relu(v)); }, doubles({-2, 0, 3})),
                    doubles({0, 0, 2})));
  const Tensor m = hessian_of([](const Tensor& v) { return square(max(v, 1)); }, doubles({{1, 2}, {5, 5}}));
  EXPECT_EQ(m.at({0, 1, 0, 1}), 2);
  EXPECT_EQ(m.at({0, 0, 0, 0}), 0);
  EXPECT_TRUE(std::isnan(m.at({1, 0, 1, 0})));
}

// At a step the slope is that of the stair on which the value lies; the value of sign at 0 lies on none.
TEST(Kinks, StepsHaveTheSlopeOfTheirStairOrNone) {
  for (const DType dtype : kBoth) {
    const Tensor x = tensor({-2, -0.5, 0, 0.5, 3}, dtype), none = zeros_like(x);
    for (const auto& f : {floor, ceil, round, trunc}) {
      EXPECT_TRUE(equal(gradient_of(f, x), none));
      EXPECT_TRUE(equal(second_of([&](const Tensor& v) { return f(v) * v; }, x), none));
    }
    const Tensor slope = gradient_of(sign, x);
    EXPECT_TRUE(std::isnan(slope.at({2}))) << slope;
    // Where nobody asks for it, it is not there: the slope of |x| is the one that abs() has.
    const Function by_hand = [](const Tensor& v) { return v * sign(v); };
    EXPECT_TRUE(equal(gradient_of(by_hand, x), gradient_of([](const Tensor& v) { return abs(v); }, x)));
    const Tensor second = second_of(by_hand, x);
    for (index_t i = 0; i < 5; ++i) {
      EXPECT_EQ(std::isnan(second.at({i})), i == 2) << second;
      if (i != 2) {
        EXPECT_EQ(slope.at({i}), 0);
      }
    }
  }
}

TEST(Kinks, LeakyReluAtZeroHasTheSlopeAlpha) {
  for (const DType dtype : kBoth)
    EXPECT_TRUE(
        equal(gradient_of([](const Tensor& x) { return leaky_relu(x, 0.25); }, tensor({0, -1, 1}, dtype)),
              tensor({0.25, 0.25, 1}, dtype)));
}

// max() and global_max_pool2d() share, maximum() takes its first operand, max_pool2d() the first pixel.
TEST(Kinks, TiesAreAsTheHeadersSay) {
  EXPECT_TRUE(equal(gradient_of([](const Tensor& x) { return max(x); }, tensor({2, 2, 1, 2, 2})),
                    tensor({0.25, 0.25, 0, 0.25, 0.25})));
  const Tensor image = reshape(tensor({2, 2, 1, 2}), {1, 2, 2, 1});
  const Tensor shared = gradient_of([](const Tensor& x) { return global_max_pool2d(x); }, image);
  expect_close(reshape(shared, -1), tensor({1. / 3, 1. / 3, 0, 1. / 3}), 1e-7, "global_max_pool2d");
  EXPECT_TRUE(equal(reshape(gradient_of([](const Tensor& x) { return max_pool2d(x); }, image), -1),
                    tensor({1, 0, 0, 0})));
  EXPECT_TRUE(
      equal(gradient_of([](const Tensor& x) { return maximum(x, 2.0); }, tensor({2, 3})), tensor({1, 1})));
  EXPECT_TRUE(
      equal(gradient_of([](const Tensor& x) { return maximum(2.0, x); }, tensor({2, 3})), tensor({0, 1})));
  // NaN is the largest, and where the gradient goes.
  EXPECT_TRUE(
      equal(gradient_of([](const Tensor& x) { return max(x); }, tensor({1, kNaN, 2})), tensor({0, 1, 0})));
  EXPECT_TRUE(
      equal(gradient_of([](const Tensor& x) { return min(x); }, tensor({kNaN, kNaN})), tensor({0.5, 0.5})));
  // What was not chosen gets 0, whatever comes back.
  const Tensor chosen = [] {
    Tape tape;
    const Tensor x = tape.watch(tensor({1, 2}));
    return tape.gradient(max(x), x, {.output_gradient = tensor(kInfinity)});
  }();
  EXPECT_TRUE(equal(chosen, tensor({0, kInfinity})));
}

TEST(Kinks, PowByItsExponent) {
  for (const DType dtype : kBoth) {
    Tape tape;
    const Tensor a = tape.watch(tensor({0, 0, 0, -2, -2, 1, 0}, dtype)),
                 b = tape.watch(tensor({-1, 0, 2, 3, -2, 2, 1}, dtype));
    const Tensor y = sum(pow(a, b));
    const auto g = tape.gradient(y, {a, b}, {.create_graph = true});
    EXPECT_TRUE(equal(stop_gradient(g[1]), zeros({7}, dtype))) << g[1];
    // a^(b - 1) (1 + b log a) and a^b (log a)^2, where these exist.
    const auto h = tape.gradient(sum(g[1]), {a, b});
    for (index_t i = 0; i < 7; ++i) {
      const bool exists = i == 2 || i == 5;
      EXPECT_TRUE(exists ? h[0].at({i}) == (i == 5 ? 1 : 0) : std::isnan(h[0].at({i}))) << i << h[0];
      EXPECT_TRUE(exists ? h[1].at({i}) == 0 : std::isnan(h[1].at({i}))) << i << h[1];
    }
  }
  Tape tape;
  const Tensor a = tape.watch(tensor({-2, 0, 3})), b = tape.watch(tensor(1));
  const Tensor g = tape.gradient(sum(pow(a, b)), a, {.create_graph = true});
  EXPECT_TRUE(equal(stop_gradient(g), ones({3})));
  EXPECT_TRUE(std::isnan(tape.gradient(sum(g), b).item()));
}

// The power of an infinite base is 0 below 0, and stays so times an infinite logarithm.
TEST(Kinks, PowOfAnInfiniteBaseByItsExponent) {
  for (const DType dtype : kBoth) {
    const Tensor a = tensor({kInfinity, kInfinity, kInfinity, 2, 1e-3}, dtype);
    const Tensor b = tensor({-1, -0.001, 2, -2, -1}, dtype);
    Tape tape;
    const Tensor base = tape.watch(a), exponent = tape.watch(b);
    const auto g = tape.gradient(sum(pow(base, exponent)), {base, exponent}, {.create_graph = true});
    const auto h = tape.gradient(sum(g[0]) + sum(g[1]), {base, exponent}, {.create_graph = true});
    for (const index_t i : {0, 1})
      for (const Tensor& slope : {g[0], g[1], h[0], h[1]}) EXPECT_EQ(slope.at({i}), 0) << slope;
    EXPECT_EQ(g[1].at({2}), kInfinity);
    EXPECT_NEAR(g[1].at({3}), 0.25 * std::log(2), 1e-7);
    EXPECT_NEAR(g[1].at({4}), 1e3 * std::log(1e-3), 1e-2);
  }
}

// A choice after computing does not undo an infinite slope; a choice before does. This is what where() says.
TEST(Kinks, ChoosingBeforeComputing) {
  const Tensor x = tensor({-1, -4, 9, 0});
  const auto chosen = [](const Tensor& v) {
    const Tensor positive = greater(v, 0);
    return where(positive, sqrt(where(positive, v, 1.0)), v);
  };
  expect_close(gradient_of(chosen, x), tensor({1, 1, 1. / 6, 1}), 1e-7, "both choices");
  // The unchosen branch gets a gradient of exactly 0 in all ops that choose.
  const Tensor infinite = tensor({kInfinity, -kInfinity, kNaN});
  const auto with = [&](const std::function<Tensor(const Tensor&)>& f) {
    Tape tape;
    const Tensor v = tape.watch(zeros({3}));
    const Tensor y = f(v);
    return tape.gradient(y, v, {.output_gradient = infinite});
  };
  const Tensor no = zeros({3}, DType::UInt8);
  EXPECT_TRUE(equal(with([&](const Tensor& v) { return where(no, v, 1.0); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return relu(v - 1.0); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return clamp(v, 1, 2); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return maximum(v, 1.0); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return minimum(v, -1.0); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return sign(v - 1.0); }), zeros({3})));
  EXPECT_TRUE(equal(with([](const Tensor& v) { return pow(v, 0); }), zeros({3})));
}

// ---------------------------------------------------------------------------------------------------------
// Logarithms of nothing

TEST(MaskedRows, LogSumExp) {
  for (const DType dtype : kBoth) {
    const Function f = [](const Tensor& x) { return logsumexp(x, 1); };
    const Tensor x = tensor({{-kInfinity, -kInfinity}, {0, 0}, {-kInfinity, 0}, {kInfinity, 0}}, dtype);
    EXPECT_TRUE(equal(gradient_of(f, x), tensor({{0, 0}, {0.5, 0.5}, {0, 1}, {1, 0}}, dtype)))
        << gradient_of(f, x);
    const Tensor second = second_of(f, x);
    EXPECT_TRUE(equal(second, zeros({4, 2}, dtype))) << second;
    EXPECT_TRUE(equal(gradient_of([](const Tensor& v) { return logsumexp(v); }, full({3}, -kInfinity, dtype)),
                      zeros({3}, dtype)));
    // exp(logsumexp) is the sum of exponentials.
    EXPECT_TRUE(
        equal(gradient_of([](const Tensor& v) { return exp(logsumexp(v)); }, full({2}, -kInfinity, dtype)),
              zeros({2}, dtype)));
  }
  const Tensor cube = uniform({2, 3, 4}, -2, 2, *std::make_unique<Generator>(3), DType::Float64);
  expect_close(gradient_of(
                   [](const Tensor& v) {
                     return logsumexp(v, {0, 2});
                   },
                   cube),
               exp(cube) / sum(exp(cube), {0, 2}, {.keepdims = true}), 1e-15, "axes that are apart");
}

TEST(MaskedRows, Softmax) {
  for (const DType dtype : kBoth) {
    const Tensor x =
        tensor({{0, -kInfinity}, {kInfinity, 3}, {kInfinity, kInfinity}, {-kInfinity, -kInfinity}}, dtype);
    const Tensor p = softmax(x), l = log_softmax(x);
    EXPECT_TRUE(equal(slice(p, 0, 3), tensor({{1, 0}, {1, 0}, {0.5, 0.5}}, dtype))) << p;
    EXPECT_TRUE(equal(slice(l, 0, 2), tensor({{0, -kInfinity}, {0, -kInfinity}}, dtype))) << l;
    for (index_t i = 0; i < 2; ++i) EXPECT_TRUE(std::isnan(p.at({3, i})) && std::isnan(l.at({3, i})));
    // The row without a distribution keeps to itself.
    const Tensor g = gradient_of([](const Tensor& v) { return slice(softmax(v) * 2.0, 0, 1); }, x);
    EXPECT_TRUE(equal(row(g, 0), zeros({2}, dtype))) << g;
    const Tensor d = gradient_of(
        [&](const Tensor& v) {
          return slice(log_softmax(v), {{0, 1}, {0, 1}});
        },
        slice(x, 0, 1));
    EXPECT_TRUE(equal(d, zeros({1, 2}, dtype))) << d;
  }
  for (const int axis : {0, 1}) {
    const Tensor nan = softmax(tensor({{1, kNaN}, {2, 3}}), axis);
    int count = 0;
    for (const float v : nan.values<float>()) count += std::isnan(v) ? 1 : 0;
    EXPECT_EQ(count, 2);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Squares and sums that leave the range

TEST(Range, Norm) {
  const double r = std::sqrt(0.5);
  for (const double size : {1e200, 1e-200, 1e154, 1e-160, 1e307, 1e-307, 5e-324, 1.0}) {
    const Tensor x = doubles({size, size});
    EXPECT_NEAR(norm(x).item() / size, size == 5e-324 ? 1 : std::sqrt(2.0), 1e-15) << size;
    if (size > 1e-300)
      expect_close(gradient_of([](const Tensor& v) { return norm(v); }, x), doubles({r, r}), 4e-16,
                   "gradient");
    const Tensor rows = concat({reshape(x, {1, 2}), doubles({{3, 4}, {0, 0}})});
    expect_close(slice(norm(rows, 1), 1, 3), doubles({5, 0}), 0, "other rows");
    EXPECT_EQ(norm(rows, 1).at({0}), norm(x).item());
    if (size > 1e-300)
      expect_close(gradient_of([](const Tensor& v) { return norm(v, 1); }, rows),
                   doubles({{r, r}, {0.6, 0.8}, {0, 0}}), 4e-16, "rows");
  }
  EXPECT_EQ(norm(doubles({kInfinity, 1e200})).item(), kInfinity);
  EXPECT_TRUE(std::isnan(norm(doubles({kNaN, 1e200})).item()));
  EXPECT_NEAR(norm(doubles({1e200, 1e-200, 0})).item() / 1e200, 1, 1e-15);
  // In Float32 too where the length itself is not a number of it.
  for (const double size : {3e38, 1e-45, 1e-30, 1e30})
    expect_close(gradient_of([](const Tensor& v) { return norm(v); }, tensor({size, size})), tensor({r, r}),
                 6e-8, "Float32");
  // The second derivative is that of a length: (I - d d^T) / length.
  const Tensor h = hessian_of([](const Tensor& v) { return norm(v); }, doubles({1e200, 1e200}));
  expect_close(1e200 * h, doubles({{0.25, -0.25}, {-0.25, 0.25}}) * std::sqrt(2.0), 1e-15, "Hessian");
}

TEST(Range, Normalizations) {
  const double a = 1 / std::sqrt(5.0);
  const Tensor shape = doubles({{1, -1, 3, -3}}), right = a * shape;
  const Tensor one = ones({1}, DType::Float64), none = zeros({1}, DType::Float64);
  struct Size {
    DType dtype;
    double size, epsilon;
  };
  for (const auto& [dtype, size, epsilon] :
       {Size{DType::Float32, 1e20, 1e-3}, Size{DType::Float32, 1e38, 1e-3}, Size{DType::Float64, 1e160, 1e-3},
        Size{DType::Float64, 5e307, 1e-3}, Size{DType::Float32, 1e-30, 0}, Size{DType::Float64, 1e-200, 0},
        Size{DType::Float32, 1, 0}, Size{DType::Float64, 1, 0}}) {
    SCOPED_TRACE(to_string(dtype) + " " + std::to_string(std::log10(size)));
    const double e = epsilon, tolerance = dtype == DType::Float32 ? 2e-7 : 4e-16;
    const Tensor x = cast(size * shape, dtype), g = cast(one, dtype), b = cast(none, dtype);
    const std::vector<std::pair<const char*, Function>> all = {
        {"layer_norm", [e](const Tensor& v) { return layer_norm(v, 1, e); }},
        {"batch_norm",
         [&](const Tensor& v) {
           return reshape(batch_norm(reshape(v, {4, 1}), g, b, e).y, {1, 4});
         }},
        {"group_norm", [&](const Tensor& v) {
           return reshape(group_norm(reshape(v, {1, 4, 1}), 1, g, b, e), {1, 4});
         }}};
    for (const auto& [which, f] : all) {
      expect_close(cast(f(x), DType::Float64), right, tolerance, which);
      // Scaling x does not change y: the gradient scales the other way.
      const Tensor weights = doubles({{1, 2, 4, 8}});
      const auto weighed = [&, f = f](const Tensor& v) { return f(v) * cast(weights, v.dtype()); };
      const Tensor small = gradient_of([&](const Tensor& v) { return layer_norm(v, 1, 0) * weights; }, shape);
      if (dtype == DType::Float64 || size <= 1e20)
        expect_close(cast(gradient_of(weighed, x), DType::Float64) * size, small, 40 * tolerance, which);
    }
  }
  for (const double v : layer_norm(full({1, 3}, 0.1), 1, 0).values<float>())
    EXPECT_TRUE(std::isnan(v)) << "0 / 0";
  for (const DType dtype : kBoth)
    for (index_t n = 1; n < 50; ++n)
      EXPECT_TRUE(equal(layer_norm(full({1, n}, 0.1, dtype), 1, 1e-30), zeros({1, n}, dtype))) << n;
}

// Squares and products on the way leave the range, the result does not.
// Elements far apart: what is divided by is the largest of them.
TEST(Range, NormalizationsOfElementsFarApart) {
  const Tensor x = tensor({{1e200, 1, -1e200, 3}, {2, 1e300, 2, 1e300}}, DType::Float64);
  const Tensor y = layer_norm(x, 1);
  const double expected[] = {std::sqrt(2.0), 0, -std::sqrt(2.0), 0, -1, 1, -1, 1};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(y.values<double>()[i], expected[i], 1e-12) << i;
}

// A sum begins with 0, in both dtypes and along any axis.
TEST(Range, SumsOfNegativeZerosArePositive) {
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const Axes& axes : {Axes{0}, Axes{1}, Axes{0, 1}}) {
      const Tensor total = cast(sum(full({3, 2}, -0.0, dtype), axes), DType::Float64);
      for (const double v : total.values<double>()) EXPECT_FALSE(std::signbit(v)) << dtype;
    }
  for (const index_t count : {1, 7, 8, 128, 256, 300})
    for (const Shape& shape : {Shape{count}, Shape{2, count}})
      for (const DType dtype : {DType::Float32, DType::Float64}) {
        const Tensor total = cast(sum(full(shape, -0.0, dtype), {-1}), DType::Float64);
        for (const double v : total.values<double>()) EXPECT_FALSE(std::signbit(v)) << dtype << count;
      }
}

TEST(Range, VariancesAndProducts) {
  for (const DType dtype : kBoth) {
    const double big = dtype == DType::Float32 ? 1e19 : 1e154;
    Tensor x = full({1000}, big, dtype);
    for (index_t i = 0; i < 1000; i += 2) x.set({i}, -big);
    EXPECT_NEAR(var(x).item() / big / big, 1, 1e-6);
    EXPECT_NEAR(var(x, 0, {.correction = 1}).item() / big / big, 1000.0 / 999, 1e-6);
    EXPECT_NEAR(stddev(x).item() / big, 1, 1e-6);
    Tensor one = zeros({2, 100}, dtype);  // a square that is infinite by itself
    one.set({0, 7}, 4 * big);
    const Tensor of_rows = var(one, 1);
    EXPECT_NEAR(of_rows.at({0}) / big / big, 16 * 99 / 1e4, 1e-6);
    EXPECT_EQ(of_rows.at({1}), 0);
    const Function rows = [](const Tensor& v) { return var(v, 1); };
    const Tensor g = gradient_of(rows, one);
    EXPECT_NEAR(g.at({0, 7}) / (2 * 4 * big * 0.99 / 100), 1, 1e-5);
    EXPECT_NEAR(g.at({0, 8}) / (-2 * 4 * big * 0.01 / 100), 1, 1e-5);
    EXPECT_EQ(g.at({1, 3}), 0);
    EXPECT_NEAR(second_of(rows, full({2, 100}, 1, dtype)).at({0, 0}), 0, 1e-7);
    EXPECT_EQ(var(full({4}, 0.1, dtype)).item(), 0);
    EXPECT_TRUE(std::isnan(var(tensor({kInfinity, 1}, dtype)).item()));
    EXPECT_TRUE(std::isnan(var(tensor({kNaN, 1}, dtype)).item()));
  }
  EXPECT_EQ(prod(tensor({1e30, 1e-30, 1e30, 1e-30})).item(), 1);
  EXPECT_EQ(prod(tensor({1e30, 1e30, 1e-30, 1e-30})).item(), 1);
  EXPECT_NEAR(
      gradient_of([](const Tensor& v) { return prod(v); }, tensor({1e30, 1e-30, 1e30, 1e-30})).at({1}) / 1e30,
      1, 1e-6);
  EXPECT_EQ(prod(tensor({{1e20, 2}, {1e20, 3}, {1e-20, 4}}), 0).dtype(), DType::Float32);
}

// Products of some factors leave Float64's range, or its normal numbers, where that of all is an ordinary number; each
// order of the factors meets others of them.
// A variance that leaves the range has slopes inside of it.
TEST(Range, SlopesOfVariancesBeyondIt) {
  for (const auto& [dtype, size] : {std::pair{DType::Float32, 1e38}, std::pair{DType::Float64, 1e300}})
    for (const double correction : {0.0, 1.0}) {
      const Function f = [correction = correction](const Tensor& x) {
        return var(x, 1, {.correction = correction});
      };
      const Tensor x = tensor({{size, -size}, {3, 1}}, dtype);
      const double factor = 2 / (2 - correction);
      EXPECT_EQ(f(x).at({0}), kInfinity);
      EXPECT_EQ(f(x).at({1}), factor);
      const Tensor g = gradient_of(f, x);
      EXPECT_NEAR(g.at({0, 0}) / size, factor, 1e-6) << g;
      EXPECT_NEAR(g.at({0, 1}) / size, -factor, 1e-6) << g;
      EXPECT_EQ(g.at({1, 0}), factor);
      EXPECT_EQ(g.at({1, 1}), -factor);
    }
}

TEST(Range, ProductsThatLeaveItOnTheWay) {
  const Function product = [](const Tensor& v) { return prod(v); };
  for (std::vector<double> factors : {std::vector<double>{1e200, 1e200, 1e-200, 1e-200},
                                      {1e-160, 1e-160, 1e160, 1e160, 1},
                                      {1e-170, 1e-170, 1e170, 1e170, 2, 3, 0.5},
                                      {5e-324, 1e308, 1e308, 1e-300, 7}}) {
    long double right = 1;
    for (const double f : factors) right *= static_cast<long double>(f);
    std::ranges::sort(factors);
    int orders = 0;
    do {
      const Tensor x = tensor(factors, {std::ssize(factors)});
      ASSERT_NEAR(prod(x).item() / static_cast<double>(right), 1, 1e-14) << x;
      const Tensor g = gradient_of(product, x);
      for (index_t i = 0; i < x.size(); ++i) {
        const auto slope = static_cast<double>(right / static_cast<long double>(x.at({i})));
        if (std::isfinite(slope)) {
          ASSERT_NEAR(g.at({i}) / slope, 1, 1e-14) << x << " by " << i;
        }
      }
    } while (std::ranges::next_permutation(factors).found && ++orders < 120);
  }
  // The other rules hold there as well: zeros, infinities, and results that are themselves out of range.
  const Tensor zero = doubles({1e200, 0, 1e200, 1e-200, 1e-100});
  EXPECT_EQ(prod(zero).item(), 0);
  EXPECT_NEAR(gradient_of(product, zero).at({1}) / 1e100, 1, 1e-14);
  EXPECT_NEAR(second_of(product, zero).at({1}) / 1e300, 1, 1e-14);  // most of it by the 1e-200
  EXPECT_EQ(prod(doubles({1e200, kInfinity, -1e200})).item(), -kInfinity);
  EXPECT_TRUE(std::isnan(prod(doubles({1e200, kInfinity, 0, 1e200})).item()));
  EXPECT_EQ(prod(full({3000}, -1e300, DType::Float64)).item(), kInfinity);
  EXPECT_EQ(prod(full({3001}, -1e-300, DType::Float64)).item(), 0);
  EXPECT_NEAR(prod(full({2001}, 1.125, DType::Float64)).item() / std::pow(1.125, 2001), 1, 1e-12);
  // Columns are measured each by itself.
  EXPECT_TRUE(
      equal(prod(doubles({{2, 0x1p700}, {3, 0x1p700}, {5, 0x1p-700}, {7, 0x1p-700}}), 0), doubles({210, 1})));
}

// What is large on the way to a finite result is no finding of a tape that looks for what is not finite.
TEST(Range, IsNoFindingOnTheWay) {
  struct Case {
    const char* op;
    Function f;
    Tensor x;
  };
  Generator generator(3);
  const Tensor eight = uniform({4, 8}, -1e200, 1e200, generator, DType::Float64),
               one = ones({8}, DType::Float64);
  for (const Case& c :
       {Case{"mean", [](const Tensor& x) { return mean(x); }, doubles({1.7e308, 1.7e308})},
        Case{"global_avg_pool2d", [](const Tensor& x) { return global_avg_pool2d(x); },
             full({1, 2, 2, 1}, 1.7e308, DType::Float64)},
        Case{"norm", [](const Tensor& x) { return norm(x); }, doubles({1e200, 1e200})},
        Case{"stddev", [](const Tensor& x) { return stddev(x); }, doubles({1e200, 3e200})},
        Case{"layer_norm", [](const Tensor& x) { return layer_norm(x, 1); }, eight},
        Case{"layer_norm of Float32", [](const Tensor& x) { return layer_norm(x, 1); },
             tensor({{1e30, 2e30, -1e30}})},
        Case{"group_norm", [&](const Tensor& x) { return group_norm(x, 2, one, one); }, eight}}) {
    Tape tape({.check_finite = true});
    const Tensor x = tape.watch(c.x);
    EXPECT_NO_THROW({
      const Tensor dx = tape.gradient(sum(c.f(x)), x);
      EXPECT_TRUE(std::isfinite(sum(abs(dx)).item())) << c.op;
    }) << c.op;
  }
}

// What leaves the range, or is no number, has its own row: others have the bits that they have without it.
TEST(Range, WhatLeavesItChangesNothingBesideIt) {
  struct Row {
    const char* op;
    Function f;  // of rows [2, 8]
  };
  const auto pixels = [](const Tensor& x) { return reshape(transpose(x), {1, 2, 4, 2}); };
  const auto channels = [](const Tensor& x, double v) { return full({x.shape()[0]}, v, x.dtype()); };
  const std::vector<Row> rows = {
      {"mean", [](const Tensor& x) { return mean(x, 1); }},
      {"var", [](const Tensor& x) { return var(x, 1); }},
      {"var, corrected", [](const Tensor& x) { return var(x, 1, {.correction = 1}); }},
      {"stddev", [](const Tensor& x) { return stddev(x, 1); }},
      {"norm", [](const Tensor& x) { return norm(x, 1); }},
      {"prod", [](const Tensor& x) { return prod(x, 1); }},
      {"logsumexp", [](const Tensor& x) { return logsumexp(x, 1); }},
      {"softmax", [](const Tensor& x) { return softmax(x, 1); }},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x, 1); }},
      {"layer_norm", [](const Tensor& x) { return layer_norm(x, 1, 1e-5); }},
      {"group_norm",
       [&](const Tensor& x) {
         const Tensor one = ones({8}, x.dtype());
         return reshape(group_norm(reshape(x, {2, 1, 8}), 1, one, one), {2, 8});
       }},
      {"batch_norm",
       [&](const Tensor& x) {
         return transpose(batch_norm(transpose(x), channels(x, 1.5), channels(x, 0.5)).y);
       }},
      {"avg_pool2d",
       [](const Tensor& x) {
         const Tensor y = avg_pool2d(reshape(transpose(x), {1, 1, 8, 2}), {.pool_size = {1, 3}});
         return transpose(reshape(y, {2, 2}));
       }},
      {"global_avg_pool2d",
       [&](const Tensor& x) { return transpose(global_avg_pool2d(pixels(x), {.keepdims = false})); }},
  };
  for (const DType dtype : kBoth) {
    const double huge = dtype == DType::Float32 ? 3e38 : 1.7e308,
                 large = dtype == DType::Float32 ? 1e25 : 1e200;
    Generator generator(3);
    const Tensor good = uniform({8}, -2, 2, generator, dtype), other = uniform({8}, -2, 2, generator, dtype);
    for (const double odd : {kNaN, kInfinity, huge, large, 1 / huge})
      for (const Row& row : rows) {
        const auto beside = [&](const Tensor& second) {
          Tape tape;
          const Tensor x = tape.watch(stack({good, second}));
          const Tensor first = slice(row.f(x), 0, 1);
          const Tensor dx = tape.gradient(sum(first * exp(0.3 * stop_gradient(first))), x);
          return std::pair(first, slice(dx, 0, 1));
        };
        const auto [value, slope] = beside(other);
        const auto [same_value, same_slope] = beside(other * odd);
        EXPECT_TRUE(equal(value, same_value)) << row.op << " beside " << odd << ": " << value << same_value;
        EXPECT_TRUE(equal(slope, same_slope)) << row.op << " beside " << odd << ": " << slope << same_slope;
      }
  }
}

// Of a length that is infinite: as a part of it, what is finite is nothing beside what is infinite.
TEST(Range, SlopesOfInfiniteLengths) {
  const double r = std::sqrt(0.5);
  const Function length = [](const Tensor& v) { return norm(v); };
  for (const DType dtype : kBoth) {
    const auto slope = [&](const Tensor& x) {
      return cast(gradient_of(length, cast(x, dtype)), DType::Float64);
    };
    expect_close(slope(doubles({kInfinity, 1, 0})), doubles({1, 0, 0}), 0, "one");
    expect_close(slope(doubles({1, -kInfinity})), doubles({0, -1}), 0, "minus");
    expect_close(slope(doubles({kInfinity, -kInfinity})), doubles({r, -r}), 6e-8, "two");
    EXPECT_TRUE(std::isnan(slope(doubles({kNaN, kInfinity})).at({1})));
  }
  // The elements are finite, and their length is not.
  expect_close(gradient_of(length, doubles({1.7e308, -1.7e308})), doubles({r, -r}), 4e-16, "too long");
  const Function rows = [](const Tensor& v) { return norm(v, 1); };
  expect_close(gradient_of(rows, doubles({{3, 4}, {kInfinity, 4}, {1.7e308, 1.7e308}, {0, 0}})),
               doubles({{0.6, 0.8}, {1, 0}, {r, r}, {0, 0}}), 4e-16, "rows");
  EXPECT_EQ(second_of(length, doubles({kInfinity, 1})).at({0}), 0);
}

TEST(Range, Means) {
  EXPECT_EQ(mean(tensor({3e38, 3e38})).item(), static_cast<double>(3e38F));
  EXPECT_EQ(mean(doubles({1.7e308, 1.7e308, 1.7e308})).item(), 1.7e308);
  EXPECT_EQ(mean(doubles({{1.7e308, -1.7e308}, {1e300, 1e308}}), 0).at({0}), (1.7e308 + 1e300) / 2);
  EXPECT_EQ(mean(tensor({kInfinity, 1})).item(), kInfinity);
  EXPECT_TRUE(std::isnan(mean(doubles({kInfinity, -kInfinity})).item()));
  EXPECT_EQ(mean(doubles({kInfinity, 1})).item(), kInfinity);
  EXPECT_TRUE(equal(global_avg_pool2d(full({1, 2, 2, 1}, 3e38)), full({1, 1}, 3e38)));
  EXPECT_TRUE(equal(avg_pool2d(full({1, 2, 4, 1}, 3e38)), full({1, 1, 2, 1}, 3e38)));
  const Tensor pixels =
      doubles({{1.7e308, 1}, {1.7e308, 2}, {1.7e308, kInfinity}, {1.7e308, 6}});  // two channels
  EXPECT_TRUE(
      equal(avg_pool2d(reshape(pixels, {1, 2, 2, 2})), reshape(doubles({1.7e308, kInfinity}), {1, 1, 1, 2})));
  EXPECT_TRUE(equal(avg_pool2d(doubles({{{{1.7e308}, {3}}, {{1.7e308}, {4}}}}), {.pool_size = {2, 1}}),
                    doubles({{{{1.7e308}, {3.5}}}})));
  for (index_t n = 1; n <= 200; ++n)
    for (const DType dtype : kBoth)
      for (const double v : {0.1, 1.0 / 3, 1e-40})
        EXPECT_EQ(mean(full({n}, v, dtype)).item(), full({}, v, dtype).item()) << n << " times " << v;
  Generator generator(5);
  for (index_t n = 2; n < 300; ++n) {
    const Tensor x = uniform({n, 3}, -1, 1, generator);
    for (index_t column = 0; column < 3; ++column) {
      long double total = 0;
      for (index_t i = 0; i < n; ++i) total += static_cast<long double>(x.at({i, column}));
      EXPECT_EQ(mean(x, 0).at({column}),
                static_cast<float>(static_cast<double>(total / static_cast<long double>(n))))
          << n;
    }
  }
  EXPECT_TRUE(
      equal(gradient_of([](const Tensor& x) { return mean(x, 0); }, ones({3, 2})), full({3, 2}, 1.0 / 3)));
}

// ---------------------------------------------------------------------------------------------------------
// Whole numbers, and nothing at all

TEST(WholeNumbers, AreCountedAndAveraged) {
  const Tensor labels = zeros({400}, DType::Int32), right = equals(labels, 0);
  EXPECT_EQ(sum(right).item(), 400);
  EXPECT_EQ(sum(right).dtype(), DType::Int32);
  EXPECT_EQ(sum(reshape(right, {2, 200}), 1).at({1}), 200);
  EXPECT_EQ(sum(full({3}, 200, DType::UInt8), std::vector<int>{}).dtype(), DType::Int32);
  EXPECT_EQ(sum(full({1000, 1000}, 255, DType::UInt8)).item(), 255e6);
  const Tensor some = tensor({1, 0, 1, 1}, DType::UInt8);
  EXPECT_EQ(mean(some).item(), 0.75);
  EXPECT_EQ(mean(some).dtype(), DType::Float32);
  EXPECT_TRUE(equal(mean(tensor({{1, 2}, {4, 7}}, DType::Int32), 0), tensor({2.5, 4.5})));
  EXPECT_EQ(mean(full({3}, 2147483647, DType::Int32)).item(), 0x1p31);
  EXPECT_TRUE(refuses("sum", {"4000000000", "Int32", "cast()"}, [] { sum(full({2}, 2e9, DType::Int32)); }));
}

// Only what has a result that would be made of nothing is refused.
TEST(Nothing, EmptyBatchesHaveEmptyResults) {
  const Tensor x = zeros({0, 4}), images = zeros({0, 3, 3, 2}), four = ones({4}), two = ones({2});
  const Shape none{0};
  EXPECT_EQ(mean(x, 1).shape(), none);
  EXPECT_EQ(mean(x, 1, {.keepdims = true}).shape(), (Shape{0, 1}));
  EXPECT_EQ(mean(zeros({0, 4}, DType::Int32), 1).shape(), none);
  EXPECT_EQ(var(x, 1).shape(), none);
  EXPECT_EQ(var(x, 1, {.correction = 1}).shape(), none);
  for (const auto f :
       {static_cast<Tensor (*)(const Tensor&, const Axes&, const ReduceOptions&)>(sum), &norm, &logsumexp,
        &prod, static_cast<Tensor (*)(const Tensor&, const Axes&, const ReduceOptions&)>(max)})
    EXPECT_EQ(f(x, 1, {}).shape(), none);
  EXPECT_EQ(layer_norm(x, 1).shape(), x.shape());
  EXPECT_EQ(layer_norm(x, four, four).shape(), x.shape());
  EXPECT_EQ(group_norm(images, 2, two, two).shape(), images.shape());
  EXPECT_EQ(group_norm(x, 2, four, four).shape(), x.shape());
  EXPECT_EQ(batch_norm(x, four, four, four, four).shape(), x.shape());
  EXPECT_EQ(batch_norm(zeros({5, 0}), zeros({0}), zeros({0})).y.shape(), (Shape{5, 0}));
  EXPECT_EQ(global_avg_pool2d(images).shape(), (Shape{0, 2}));
  EXPECT_EQ(global_max_pool2d(images).shape(), (Shape{0, 2}));
  const Tensor nothing = zeros({0, 0});
  EXPECT_EQ(median(nothing, 0).shape(), none);
  EXPECT_EQ(median(nothing, 1, {.keepdims = true}).shape(), (Shape{0, 1}));
  EXPECT_EQ(median(x, 1).shape(), none);
  EXPECT_EQ(diag(nothing).shape(), none);
  EXPECT_EQ(diag(zeros({0, 3})).shape(), none);
  EXPECT_EQ(argmax(nothing, 0).shape(), none);
  EXPECT_EQ(topk(x, 2, 1).values.shape(), (Shape{0, 2}));
  EXPECT_TRUE(refuses("median", {"must have elements", "[0, 4]"}, [&] { median(x, 0); }));
  EXPECT_TRUE(refuses("diag", {"[2, 2]", "2"}, [] { diag(ones({2, 2}), 2); }));
  EXPECT_EQ(softmax(x).shape(), x.shape());
  EXPECT_EQ(softmax(zeros({3, 0})).shape(), (Shape{3, 0}));
  EXPECT_EQ(cross_entropy(x, zeros({0}, DType::Int32), {.reduction = Reduction::PerElement}).shape(), none);
  EXPECT_EQ(cross_entropy(x, x, {.label_smoothing = 0.1, .reduction = Reduction::PerElement}).shape(), none);
  EXPECT_EQ(kl_divergence(x, x, {Reduction::PerElement}).shape(), none);
  // Gradients too are empty.
  EXPECT_EQ(gradient_of([](const Tensor& v) { return mean(v, 1); }, x).shape(), x.shape());
  EXPECT_EQ(gradient_of([&](const Tensor& v) { return layer_norm(v, four, four); }, x).shape(), x.shape());
  EXPECT_EQ(gradient_of([](const Tensor& v) { return norm(v, 1); }, x).shape(), x.shape());
  EXPECT_TRUE(refuses("mean", {"elements to average", "[0, 4]"}, [&] { mean(x, 0); }));
  EXPECT_TRUE(refuses("var", {"elements to average", "[0, 4]"}, [&] { var(x); }));
  EXPECT_TRUE(refuses("batch_norm", {"elements to average", "[0, 4]"}, [&] { batch_norm(x, four, four); }));
  EXPECT_TRUE(refuses("global_avg_pool2d", {"elements to average", "[2, 0, 3, 1]"}, [] {
    global_avg_pool2d(zeros({2, 0, 3, 1}));
  }));
  EXPECT_TRUE(refuses("global_max_pool2d", {"[2, 0, 3, 1]"}, [] { global_max_pool2d(zeros({2, 0, 3, 1})); }));
}

// Samples, axes or channels without elements give results without elements, and so do their gradients.
TEST(Nothing, NormsAndLossesOfNoElements) {
  const Tensor no_features = zeros({3, 0}), no_pixels = zeros({2, 0, 4, 2}),
               no_channels = zeros({2, 4, 4, 0});
  const Tensor none = zeros({0}), two = ones({2});
  const auto is_empty = [](const char* name, const Function& f, const Tensor& x) {
    EXPECT_EQ(f(x).shape(), x.shape()) << name;
    EXPECT_EQ(gradient_of(f, x).shape(), x.shape()) << name;
  };
  is_empty(
      "layer_norm", [](const Tensor& x) { return layer_norm(x, 1); }, no_features);
  is_empty(
      "layer_norm", [](const Tensor& x) { return layer_norm(x, 3); }, no_pixels);
  is_empty(
      "layer_norm", [&](const Tensor& x) { return layer_norm(x, none, none); }, no_features);
  is_empty(
      "layer_norm", [&](const Tensor& x) { return layer_norm(x, none, none); }, no_channels);
  is_empty(
      "group_norm", [&](const Tensor& x) { return group_norm(x, 2, two, two); }, no_pixels);
  is_empty(
      "group_norm", [&](const Tensor& x) { return group_norm(x, 3, none, none); }, no_channels);
  // The parameters have a gradient, though there is nothing to it.
  const Function by_scale = [&](const Tensor& scale) { return group_norm(no_pixels, 1, scale, two); };
  const Function by_shift = [&](const Tensor& shift) { return group_norm(no_pixels, 1, two, shift); };
  EXPECT_TRUE(equal(gradient_of(by_scale, two), zeros({2})));
  EXPECT_TRUE(equal(gradient_of(by_shift, two), zeros({2})));
  EXPECT_TRUE(refuses("layer_norm", {"Int32"}, [] { layer_norm(zeros({3, 0}, DType::Int32), 1); }));
  EXPECT_TRUE(refuses("layer_norm", {"epsilon"}, [&] { layer_norm(no_features, 1, -1); }));

  const Tensor nothing = zeros({0, 0}), labels = zeros({0}, DType::Int32);
  const LossOptions each = {Reduction::PerElement}, total = {Reduction::Sum};
  EXPECT_EQ(cross_entropy(nothing, labels, {.reduction = Reduction::PerElement}).shape(), Shape{0});
  EXPECT_EQ(cross_entropy(nothing, nothing, {.reduction = Reduction::PerElement}).shape(), Shape{0});
  EXPECT_EQ(nll_loss(nothing, labels, each).shape(), Shape{0});
  EXPECT_EQ(kl_divergence(nothing, nothing, each).shape(), Shape{0});
  EXPECT_EQ(nll_loss(nothing, labels, total).item(), 0);
  EXPECT_TRUE(refuses("nll_loss", {"no classes", "[3, 0]"},
                      [&] { nll_loss(no_features, zeros({3}, DType::Int32), each); }));
  // A distribution of no dimensions is none from another.
  EXPECT_TRUE(equal(kl_to_standard_normal(no_features, no_features, each), zeros({3})));
}

// A product of nothing is still a result of the tape, as a sum of nothing is.
TEST(Nothing, ReductionsOfNothingAreOnTheTape) {
  const std::vector<std::pair<const char*, Function>> all = {
      {"prod", [](const Tensor& x) { return prod(x, 0); }},
      {"sum", [](const Tensor& x) { return sum(x, 0); }},
      {"norm", [](const Tensor& x) { return norm(x, 0); }},
      {"logsumexp", [](const Tensor& x) { return logsumexp(x, 0); }}};
  for (const auto& [name, f] : all) {
    Tape tape({.persistent = true});
    const Tensor x = tape.watch(zeros({0, 3})), y = f(x);
    EXPECT_TRUE(equal(tape.gradient(sum(2.0 * y), y), full({3}, 2))) << name;
    EXPECT_EQ(tape.gradient(sum(2.0 * y), x, {.create_graph = true}).shape(), x.shape()) << name;
  }
  Tape tape({.check_finite = true});
  const Tensor x = tape.watch(zeros({0, 4}));
  EXPECT_EQ(log_softmax(x, 0).shape(), x.shape());
}

TEST(Nothing, FusedConvolutionsOfNoImagesOrNoFilters) {
  for (const index_t images : {0, 1})
    for (const index_t filters : {0, 2}) {
      if (images * filters != 0) continue;
      Tape tape;
      const Tensor x = tape.watch(ones({images, 4, 4, 1})), w = tape.watch(ones({3, 3, 1, filters})),
                   bias = tape.watch(ones({filters}));
      const Tensor y = fused_conv2d(x, w, bias, {.relu = true});
      const auto gradients = tape.gradient(sum(y), {x, w, bias});
      EXPECT_TRUE(equal(gradients[0], zeros(x.shape()))) << images << filters;
      EXPECT_TRUE(equal(gradients[1], zeros(w.shape()))) << images << filters;
      EXPECT_TRUE(equal(gradients[2], zeros({filters}))) << images << filters;
    }
}

// The sum before leaves its numbers where the next one may find them.
TEST(Nothing, SumsOfNoRowsAreZero) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int32})
    for (const index_t columns : {1, 3, 200}) {
      EXPECT_TRUE(equal(sum(full({4, columns}, 3, dtype), 0), full({columns}, 12, dtype)));
      EXPECT_TRUE(equal(sum(zeros({0, columns}, dtype), 0), zeros({columns}, dtype))) << dtype << columns;
    }
}

// ---------------------------------------------------------------------------------------------------------
// Memory

// Whether y is written to when x is can be told from the call, not from sizes.
TEST(Memory, SharedOrNotByTheCallAlone) {
  const auto shares = [](const Tensor& given, const std::function<Tensor(const Tensor&)>& f) {
    Tensor x = copy(given);
    const Tensor y = f(x), before = copy(y);
    for (float& v : x.mutable_values<float>()) v += 1;
    return !equal(y, before);
  };
  const Tensor x = reshape(arange(64), {8, 8});
  for (const index_t to : {6, 8}) {
    EXPECT_FALSE(shares(x, [=](const Tensor& v) { return slice(v, {{2, 6}, {0, to}}); })) << to;
    EXPECT_TRUE(shares(x, [=](const Tensor& v) { return slice(v, {{2, to}}); }));
    EXPECT_TRUE(shares(x, [=](const Tensor& v) { return split(v, {to, 8 - to})[0]; }));
    EXPECT_FALSE(shares(x, [=](const Tensor& v) { return split(v, {to, 8 - to}, 1)[0]; }));
  }
  EXPECT_FALSE(shares(x, [](const Tensor& v) { return slice(v, {{0, 8, 2}}); }));
  EXPECT_TRUE(shares(x, [](const Tensor& v) { return row(v, 0); }));
  EXPECT_TRUE(shares(x, [](const Tensor& v) { return reshape(v, -1); }));
  EXPECT_TRUE(shares(x, [](const Tensor& v) { return squeeze(expand_dims(v, 0)); }));
  const std::vector<Function> own = {[](const Tensor& v) { return cast(v, DType::Float32); },
                                     [](const Tensor& v) { return broadcast_to(v, v.shape()); },
                                     [](const Tensor& v) { return sum_to(v, v.shape()); },
                                     [](const Tensor& v) {
                                       return tile(v, {1, 1});
                                     },
                                     [](const Tensor& v) { return repeat(v, 1, 0); },
                                     [](const Tensor& v) { return concat({v}); },
                                     [](const Tensor& v) {
                                       return permute(v, {0, 1});
                                     },
                                     [](const Tensor& v) { return flip(v, std::vector<int>{}); },
                                     [](const Tensor& v) {
                                       return pad(v, {{0, 0}, {0, 0}});
                                     },
                                     [](const Tensor& v) { return sum(v, std::vector<int>{}); },
                                     [](const Tensor& v) { return prod(v, std::vector<int>{}); },
                                     [](const Tensor& v) { return max(v, std::vector<int>{}); },
                                     [](const Tensor& v) {
                                       return zero_insert(v, {0, 0});
                                     },
                                     [](const Tensor& v) {
                                       return upsample_bilinear(reshape(v, {1, 8, 8, 1}), 1);
                                     },
                                     [](const Tensor& v) {
                                       return upsample_nearest(reshape(v, {1, 8, 8, 1}), 1);
                                     },
                                     [](const Tensor& v) { return dropout(v, 0, Generator(1)); },
                                     [](const Tensor& v) { return dropout(v, 0, Generator(1), 3); },
                                     [](const Tensor& v) { return copy(v); }};
  for (std::size_t i = 0; i < own.size(); ++i) EXPECT_FALSE(shares(x, own[i])) << i;
}

// ---------------------------------------------------------------------------------------------------------
// Sizes that are no numbers

TEST(Sizes, ThatOverflowAreErrorsOfTheOp) {
  constexpr index_t kHuge = index_t{1} << 58;
  const Tensor x = zeros({0, kHuge});
  EXPECT_TRUE(refuses("zero_insert", {}, [&] { zero_insert(x, {0, 2147483647}); }));
  EXPECT_TRUE(refuses("concat", {}, [&] { concat(std::vector<Tensor>(40, x), 1); }));
  EXPECT_TRUE(refuses("repeat", {}, [&] { repeat(x, 1 << 10, 1); }));
  EXPECT_TRUE(refuses("tile", {}, [&] { tile(x, {1, 1 << 10}); }));
  EXPECT_TRUE(refuses("repeat", {}, [] { repeat(zeros({2}), kHuge * 8, 0); }));
  EXPECT_TRUE(refuses("tile", {}, [] { tile(zeros({2}), {kHuge * 16}); }));
  EXPECT_TRUE(refuses("pad", {}, [] {
    pad(zeros({2, 2, 2}), {{2147483647, 2147483647}, {2147483647, 0}, {0, 9}});
  }));
  EXPECT_TRUE(refuses("reshape", {"[4611686018427387904, 4]"}, [] {
    reshape(zeros({0}), {index_t{1} << 62, 4});
  }));
  EXPECT_TRUE(refuses("split", {"add up"}, [] {
    split(zeros({4}), {index_t{1} << 62, index_t{1} << 62, index_t{1} << 62, index_t{1} << 62, 4});
  }));
  EXPECT_TRUE(refuses("chunk", {"split()"}, [] { chunk(zeros({0}), index_t{1} << 40); }));
  EXPECT_TRUE(refuses("chunk", {"split()"}, [] { chunk(zeros({0}), index_t{1} << 62); }));
  EXPECT_TRUE(refuses("one_hot", {}, [] { one_hot(zeros({16}, DType::Int32), kHuge); }));
  // Empty results that fit are made.
  EXPECT_EQ(repeat(zeros({0, 3}), 1 << 20, 0).shape(), (Shape{0, 3}));
  EXPECT_EQ(tile(zeros({3, 0}), {1 << 20, 5}).shape(), (Shape{3 << 20, 0}));
  EXPECT_EQ(zero_insert(zeros({0, 2}), {3, 1}).shape(), (Shape{0, 3}));
}

}  // namespace
}  // namespace tapegrad::testing
