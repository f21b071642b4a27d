#include "tapegrad/kernels/vector_math.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "at_the_edge.h"
#include "targets.h"

namespace tapegrad::kernels {
namespace {

struct Function {
  const char* name;
  void (*vectorized)(index_t, const float*, float*);
  double (*exact)(double);
  double most = 3;                    // units in the last place
  double (*terms)(double) = nullptr;  // where the exact value crosses 0: the size of what it is the sum of
};
double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}
const Function kFunctions[] = {
    {"exp", exp, [](double x) { return std::exp(x); }},
    {"sigmoid", sigmoid, logistic},
    {"sigmoid_slope", sigmoid_slope, [](double x) { return logistic(x) * logistic(-x); }, 4},
    {"silu", silu, [](double x) { return logistic(x) == 0 ? 0 : x * logistic(x); }, 4},
    {"silu_slope", silu_slope,
     [](double x) {
       const double y = logistic(x), rest = logistic(-x);
       return y == 0 ? 0 : rest == 0 ? 1 : y * (1 + x * rest);
     },
     5, logistic},
    {"tanh", tanh, [](double x) { return std::tanh(x); }},
    {"log1p", log1p, [](double x) { return std::log1p(x); }}};

using VectorMath = testing::EachTarget;

// Floats of every size, and infinities and NaNs among them.
TEST_P(VectorMath, IsExactToAFewUnitsInTheLastPlace) {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 40'009)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  for (const float value :
       {0.0F, -0.0F, 88.0F, 88.72283F, 88.8F, -87.5F, -104.0F, 1e-40F, -1.0F, -0.9999999F})
    x.push_back(value);
  std::vector<float> y(x.size());
  for (const Function& f : kFunctions) {
    f.vectorized(static_cast<index_t>(x.size()), x.data(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = f.exact(static_cast<double>(x[i]));
      const auto rounded = static_cast<float>(exact);
      if (std::isnan(exact)) {
        ASSERT_TRUE(std::isnan(y[i])) << f.name;
      } else if (std::isinf(rounded)) {
        ASSERT_EQ(y[i], rounded) << f.name << " of " << x[i];
      } else {
        const float size =
            std::max(std::abs(rounded),
                     f.terms == nullptr ? 0 : static_cast<float>(f.terms(static_cast<double>(x[i]))));
        const double unit =
            static_cast<double>(std::nextafter(size, std::numeric_limits<float>::infinity()) - size);
        ASSERT_LE(std::abs(static_cast<double>(y[i]) - exact), f.most * unit) << f.name << " of " << x[i];
      }
    }
  }
}

TEST_P(VectorMath, TouchesItsArraysAlone) {
  for (const Function& f : kFunctions)
    for (std::size_t n = 0; n <= 70; ++n)
      for (const bool first : {false, true}) {
        const testing::AtTheEdge<float> x(std::vector<float>(n, 0.5F), first);
        testing::AtTheEdge<float> y(std::vector<float>(n, -1.0F), first);
        f.vectorized(static_cast<index_t>(n), x.data(), y.data());
        for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(double{y.data()[i]}, f.exact(0.5), 1e-6) << f.name;
      }
}

// However a tensor is cut, and in place.
TEST_P(VectorMath, DoesNotDependOnThePosition) {
  std::vector<float> x;
  for (int i = 0; i < 50; ++i) x.push_back(0.37F * static_cast<float>(i - 2));
  for (const Function& f : kFunctions) {
    std::vector<float> whole(x.size());
    f.vectorized(50, x.data(), whole.data());
    for (index_t cut = 0; cut <= 50; ++cut) {
      std::vector<float> parts = x;
      f.vectorized(cut, parts.data(), parts.data());
      f.vectorized(50 - cut, parts.data() + cut, parts.data() + cut);
      ASSERT_EQ(parts, whole) << f.name << " cut at " << cut;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, VectorMath, testing::kTargets, testing::target_name);

}  // namespace
}  // namespace tapegrad::kernels
