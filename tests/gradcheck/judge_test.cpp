// The judge at its bounds: each constant of judge_internal.cpp has a function here whose verdict changes with it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Verdict = GradcheckVerdict;
using Scalar = std::function<double(double)>;

// The same number in [-1, 1] for the same x, and another one beside it: what rounding is like, of any size.
double noise(double x) {
  std::uint64_t z = 0;
  std::memcpy(&z, &x, sizeof z);
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) / 4503599627370496.0 - 1;
}

GradcheckReport check(const Scalar& f, const Scalar& gradient, const std::vector<double>& at,
                      double tolerance = 1e-7) {
  const Shape shape{static_cast<index_t>(at.size())};
  return gradcheck_backward(
      [&](const std::vector<Tensor>& in) {
        std::vector<double> y;
        for (const double x : in[0].values<double>()) y.push_back(f(x));
        return tensor(y, shape);
      },
      [&](const std::vector<Tensor>& in, const Tensor&, const Tensor& dy) {
        std::vector<double> dx;
        for (const double x : in[0].values<double>()) dx.push_back(gradient(x));
        return std::vector<Tensor>{tensor(dx, shape) * dy};
      },
      {tensor(at, shape)}, {.tolerance = tolerance, .allow_untested = true});
}

// A function of x, and its gradient.
struct Smooth {
  Scalar f, gradient;
  Smooth with_noise(double size) const {
    return {[f = f, size](double x) { return f(x) + size * noise(x); }, gradient};
  }
  Smooth behind(double offset) const {
    return {[f = f, offset](double x) { return f(x) + offset; }, gradient};
  }
  Smooth cancelling(double offset) const {
    return {[f = f, offset](double x) {
              const volatile double y = f(x) + offset;
              return y - offset;
            },
            gradient};
  }
  /// The gradient off by this part.
  Smooth off(double part) const {
    return {f, [d = gradient, part](double x) { return d(x) * (1 + part); }};
  }
};

const Smooth kLine = {[](double x) { return 2 * x; }, [](double) { return 2.0; }};
const Smooth kSine = {[](double x) { return std::sin(x); }, [](double x) { return std::cos(x); }};
const Smooth kSquare = {[](double x) { return x * x; }, [](double x) { return 2 * x; }};
const Smooth kCube = {[](double x) { return x * x * x; }, [](double x) { return 3 * x * x; }};
const Smooth kFlat = {[](double x) { return 1 - std::cos(x); }, [](double x) { return std::sin(x); }};
const std::vector<double> kPlaces = {0.37123456789, -0.8123456, 0.123456789123};

std::vector<double> places(double scale) {
  std::vector<double> found = kPlaces;
  for (double& x : found) x *= scale;
  return found;
}

// Slope 1 before 0.5 and 1 + jump after it.
Smooth kink(double jump) {
  return {[=](double x) { return x < 0.5 ? x - 0.5 : (1 + jump) * (x - 0.5); },
          [=](double x) { return x < 0.5 ? 1.0 : 1 + jump; }};
}
// The gradient that is that part of the way from the one slope to the other.
Smooth claim(const Smooth& at_kink, double jump, double part) {
  return {at_kink.f, [=](double) { return 1 + part * jump; }};
}
// A slope, and a step at 0.5.
Smooth step(double height, double slope) {
  return {[=](double x) { return slope * x + (x > 0.5 ? height : 0); }, [=](double) { return slope; }};
}
// Slope 1 between stairs, 1 + ratio from far.
Smooth ramp(double stairs, double ratio = 1) {
  return {[=](double x) { return std::floor(x * stairs) / stairs * ratio + x; }, [](double) { return 1.0; }};
}
// Bounded, with a reach of w around 0.37.
Smooth narrow(double w) {
  return {[=](double x) { return std::tanh((x - 0.37) / w); },
          [=](double x) { return (1 - std::pow(std::tanh((x - 0.37) / w), 2)) / w; }};
}
Smooth wave(double w) {
  return {[=](double x) { return std::sin((x - 0.37) / w); },
          [=](double x) { return std::cos((x - 0.37) / w) / w; }};
}

// sin(x) near 0.37, and a slope of some hundreds near 8.5.
const Smooth kTwoPlaces = {
    [](double x) { return std::sin(x) + 1000 * std::exp(-(x - 8) * (x - 8)); },
    [](double x) { return std::cos(x) - 2000 * (x - 8) * std::exp(-(x - 8) * (x - 8)); }};
Smooth constant(double claim) {
  return {[](double x) { return 1e-30 * x; }, [=](double) { return claim; }};
}

// Slope 1 within `reach` of 0.4, 5 below and 10 above.
Smooth bent(double reach) {
  return {[=](double x) {
            const double t = x - 0.4;
            return std::clamp(t, -reach, reach) + 5 * std::min(t + reach, 0.0) +
                   10 * std::max(t - reach, 0.0);
          },
          [](double) { return 1.0; }};
}

struct Bound {
  std::string what;
  Smooth f;
  std::vector<double> at;
  Verdict verdict;
  double tolerance = 1e-7;
};

// Right gradients in noise, and wrong ones; as much as can be said of both.
std::vector<Bound> noisy() {
  return {
      {"three digits are enough", kSine.with_noise(3e-7), kPlaces, Verdict::Pass},
      {"two digits are not", kLine.with_noise(1e-4).off(1e-4), kPlaces, Verdict::Suspicious},
      {"off in the fourth digit where f is flat", kFlat.off(1e-4), places(1e-8), Verdict::Fail},
      {"a few parts in 1e5", kLine.with_noise(1e-5), kPlaces, Verdict::Pass},
      {"off by a few thousandths beside a bend", kCube.with_noise(1e-8).off(3e-3), kPlaces, Verdict::Fail},
      {"off by a few thousandths behind 1e12", kSquare.behind(1e12).off(3e-3), kPlaces, Verdict::Fail},
      {"off by a few thousandths beside a bend that cancels", kSquare.cancelling(1e11).off(3e-3), kPlaces,
       Verdict::Fail},
      {"twice the slope in noise of a hundredth", kLine.with_noise(0.01).off(1), kPlaces, Verdict::Fail},
      {"a slope that noise hides", kSine.with_noise(0.01), kPlaces, Verdict::Vacuous},
      {"flat", kFlat, places(1e-5), Verdict::Pass},
      {"cancellation", kLine.cancelling(1e11), kPlaces, Verdict::Pass},
      {"no gradient, and cancellation", kSine.cancelling(1e6).off(-1), kPlaces, Verdict::Fail},
      {"nothing but rounding of large inputs",
       {[](double x) { return 1 + 1e-10 * noise(x); }, [](double x) { return 1e-4 * noise(x); }},
       places(1e6),
       Verdict::Vacuous},
      {"no gradient of a slope that noise leaves three times as large as it might be",
       kLine.with_noise(3e-3).off(-1), kPlaces, Verdict::Fail},
      // 1e3 is rounded to 1e-13, and no move of x shows that.
      {"as small as what rounding hides", constant(1e-12).cancelling(1e3), {1}, Verdict::Vacuous},
      {"larger than what rounding hides", constant(5e-12).cancelling(1e3), {1}, Verdict::Fail},
  };
}

// What a tolerance allows, it allows wherever it is asked.
std::vector<Bound> tolerated() {
  const double before = 0.5 - 1e-7;
  return {
      {"an error that noise hides from the first step",
       kSine.with_noise(2e-7).off(5e-3),
       {0.37123},
       Verdict::Pass,
       1e-2},
      {"small beside another gradient, and noise",
       kTwoPlaces.with_noise(1e-6).off(8e-3),
       {0.37123, 8.5},
       Verdict::Pass,
       1e-2},
      {"just outside of the two slopes at a kink",
       claim(kink(0.05), 0.05, 1.16),
       {0.5},
       Verdict::AtKink,
       1e-2},
      {"far outside of them", claim(kink(0.05), 0.05, 2), {0.5}, Verdict::Fail, 1e-2},
      {"where the slope behind the kink is steep",
       kink(1000).with_noise(4e-12).off(8e-3),
       {before},
       Verdict::Vacuous,
       1e-2},
      {"more than that there", kink(1000).with_noise(1.5e-11).off(0.05), {before}, Verdict::AtKink, 1e-2},
  };
}

std::vector<Bound> kinks() {
  const double before = 0.5 - 1e-7;
  return {
      {"a small kink beside x", kink(1e-4).with_noise(1e-10), {0.5 + 1e-11}, Verdict::Pass},
      {"a smaller one", kink(1e-5).with_noise(1e-10), {0.5 + 1e-8}, Verdict::Pass},
      {"a kink within rounding", kink(0.01).with_noise(1e-10), {0.5 + 1e-12}, Verdict::AtKink},
      {"off by a few thousandths beside a kink",
       kink(1e-4).with_noise(1e-10).off(3e-3),
       {before},
       Verdict::Fail},
      {"no more than noise", kink(1e-6).with_noise(1e-10), {0.5 - 1e-6}, Verdict::Suspicious},
      {"at a kink, the larger slope", claim(kink(1).with_noise(1e-10), 1, 1), {0.5}, Verdict::AtKink},
      {"at a kink in noise", claim(kink(0.01).with_noise(1e-10), 0.01, 1), {0.5}, Verdict::AtKink},
      {"at a kink, a little more than the larger slope", claim(kink(1), 1, 1.03), {0.5}, Verdict::Fail},
      {"a kink smaller than the tolerance, and an error that is not",
       claim(kink(5e-3), 1, 0.0145),
       {0.5},
       Verdict::Fail,
       1e-2},
      {"two percent off where the slope behind the kink is steep",
       kink(1000).with_noise(6e-10).off(0.02),
       {before},
       Verdict::Vacuous},
      {"no gradient there", kink(1000).with_noise(6e-10).off(-1), {before}, Verdict::AtKink},
      {"the gradient there", kink(1000).with_noise(6e-10), {before}, Verdict::Vacuous},
      {"the slopes from far are others than that which noise hides",
       bent(1e-3).with_noise(3e-3),
       {0.4},
       Verdict::Suspicious},
  };
}

std::vector<Bound> steps() {
  return {
      {"no gradient beside a step", step(1, 1e-3).off(-1), {0.5 + 1e-9}, Verdict::Fail},
      {"a gradient off in the sixth digit beside a small step",
       step(1e-12, 1e-3).off(1e-6),
       {0.5 + 1e-9},
       Verdict::Fail},
      {"a slope that a small step is not", step(1e-12, 1e-6), {0.5 + 1e-12}, Verdict::Pass},
      {"a small slope beside a noisy step", step(1e-6, 1e-3).with_noise(1e-10), {0.5 + 1e-10}, Verdict::Pass},
      {"no gradient beside a noisy step",
       step(1e-6, 1).with_noise(1e-10).off(-1),
       {0.5 + 1e-9},
       Verdict::Fail},
      {"a slope that a large step hides", step(1000, 1e-6).off(1e-4), {0.5 + 1e-6}, Verdict::Suspicious},
      {"stairs that a slope climbs", ramp(1e6), {0.37123}, Verdict::AtKink},
      {"the end of f's reach", narrow(1e-11), {0.37 + 3e-12, 0.37 - 5e-12}, Verdict::AtKink},
      {"a short wave", wave(1e-9), {0.37 + 3e-10, 0.37 - 5e-10}, Verdict::Pass},
  };
}

TEST(GradcheckJudge, KeepsItsBounds) {
  for (const std::vector<Bound>& all : {noisy(), tolerated(), kinks(), steps()})
    for (const Bound& b : all) {
      const GradcheckReport report = check(b.f.f, b.f.gradient, b.at, b.tolerance);
      EXPECT_EQ(report.verdict, b.verdict) << b.what << "\n" << report.str();
    }
}

// Between stairs a few times larger than rounding the gradient is right; from far the slope is another. No step shows
// the slope between them to three digits: that is not a reason to call it wrong.
TEST(GradcheckJudge, AGradientBetweenStairsIsNotAccused) {
  for (const double offset : {1e9, 1e10, 1e11, 1e12})
    for (const double x : {0.37123, -0.8123, 0.12398, 0.98764}) {
      const Smooth f = ramp(1e3).behind(offset);
      EXPECT_NE(check(f.f, f.gradient, {x}).verdict, Verdict::Fail) << offset << ", x " << x;
      for (const double part : {-2.0, -1.0, 2.0})
        EXPECT_NE(check(f.f, f.off(part).gradient, {x}).verdict, Verdict::Pass)
            << offset << ", x " << x << ", off by " << part;
      if (offset > 1e10) {  // further stairs are as wide as the steps that tell
        EXPECT_EQ(check(f.f, f.off(8).gradient, {x}).verdict, Verdict::Fail) << offset << ", x " << x;
      }
    }
}

// Without stairs the same offsets hide nothing.
TEST(GradcheckJudge, AWrongGradientBehindAnOffsetFails) {
  for (const double offset : {1.0, 1e6, 1e9, 1e11, 1e12})
    for (const double part : {-1.0, -0.5, 0.1, 1.0}) {
      const GradcheckReport report = check(kLine.behind(offset).f, kLine.off(part).gradient, kPlaces);
      EXPECT_EQ(report.verdict, Verdict::Fail) << offset << ", off by " << part << "\n" << report.str();
    }
}

// Float32 inside: stairs of 6e-8 of the value, under a slope or in its place.
TEST(GradcheckJudge, ARoundTripThroughFloat32IsNotAccused) {
  const auto rounded = [](double x) { return static_cast<double>(static_cast<float>(x)); };
  for (const double offset : {0.0, 1e3, 1e6, 1e9, 1e12})
    for (const double x : {0.37123, -0.8123, 0.12398, 0.98764}) {
      const Scalar f = [=](double t) { return rounded(std::sin(t)) + offset; };
      EXPECT_NE(check(f, kSine.gradient, {x}).verdict, Verdict::Fail) << offset << ", x " << x;
    }
  // Beside a bounded function, whose part of the slope is gone at the steps that the stairs leave.
  const Scalar sum = [=](double t) { return rounded(t + 1e3) + std::sin(t) + 1e9; };
  const Scalar gradient = [](double t) { return 1 + std::cos(t); };
  for (const double x : {0.37123, -0.8123, 0.12398})
    EXPECT_NE(check(sum, gradient, {x}).verdict, Verdict::Fail) << x;
}

}  // namespace
}  // namespace tapegrad::testing
