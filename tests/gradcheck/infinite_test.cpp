#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tapegrad/tapegrad.h"

// A gradient that is not finite is wrong, in every form of the check: no size of its own makes up for its error.

namespace tapegrad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Tensors = std::vector<Tensor>;

// The gradient of exp, but for the entries from `first` on.
Tensor wrong_slope(const Tensor& x, const Tensor& dy, index_t first, double value) {
  Tensor dx = copy(dy * exp(x));
  for (index_t i = first; i < dx.size(); ++i)
    dx.mutable_values<double>()[static_cast<std::size_t>(i)] = value;
  return dx;
}

TEST(InfiniteGradients, AreWrongInEveryMode) {
  const Tensor x = tensor({1, 2, 3}, DType::Float64);
  for (const double value : {kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()})
    for (const index_t first : {0, 2})
      for (const GradcheckMode mode :
           {GradcheckMode::EveryEntry, GradcheckMode::Sample, GradcheckMode::Direction}) {
        const GradcheckReport report =
            gradcheck_backward([](const Tensors& in) { return exp(in[0]); },
                               [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                                 return Tensors{wrong_slope(in[0], dy, first, value)};
                               },
                               {x}, {.mode = mode});
        EXPECT_EQ(report.verdict, GradcheckVerdict::Fail) << value << " from " << first << "\n"
                                                          << report.str();
      }
}

TEST(InfiniteGradients, OfARuleOnATape) {
  const auto f = [](const Tensors& in) {
    return record(
        "mine", exp(stop_gradient(in[0])),
        {{in[0], [x = Saved(in[0])](const Tensor& g) { return wrong_slope(x(), g, 1, kInfinity); }}});
  };
  EXPECT_EQ(gradcheck(f, {tensor({1, 2, 3}, DType::Float64)}).verdict, GradcheckVerdict::Fail);
}

// One entry: of two infinite ones the sum may be no number, which is noticed anyhow.
TEST(InfiniteGradients, OfAnAdjoint) {
  const auto wrong = [](const Tensor& y) {
    Tensor x = copy(2.0 * y);
    x.mutable_values<double>()[0] = kInfinity;
    return x;
  };
  const GradcheckReport report = gradcheck_adjoint([](const Tensor& x) { return 2.0 * x; }, wrong, {3});
  EXPECT_FALSE(report.passed) << report.str();
}

}  // namespace
}  // namespace tapegrad::testing
