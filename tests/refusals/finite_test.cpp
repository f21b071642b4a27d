// A tape that looks for what is not finite: it names the function that was called, and finds nothing where the function's
// result is finite.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "refusals/calls.h"

namespace tapegrad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Calls the row's function with `planted` in the place of all elements of argument i. Says whether it was found.
bool is_found(const RightCall& row, std::size_t i, double planted, DType dtype, bool watched) {
  std::vector<Tensor> arguments;
  for (const Argument& argument : row.arguments) arguments.push_back(copy(argument.value));
  arguments[i] = cast(arguments[i], dtype);
  dispatch_floating(dtype, [&]<class T>(std::type_identity<T>) {
    for (T& element : arguments[i].mutable_values<T>()) element = static_cast<T>(planted);
  });
  Tape tape({.check_finite = true});
  if (watched) arguments[i] = tape.watch(arguments[i]);
  try {
    row.call(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), row.op) << error.what();
    EXPECT_NE(error.message().find(arguments[i].shape().str()), std::string::npos) << error.what();
    return error.message().find("values that are not finite") != std::string::npos;
  }
  return false;
}

TEST(NotFinite, IsNamedByTheFunctionThatWasCalled) {
  std::map<std::string, bool> found;  // by function: of all of its calls
  for (const RightCall& row : right_calls())
    for (std::size_t i = 0; i < row.arguments.size(); ++i)
      for (const auto& [letter, dtype] : {std::pair{'f', DType::Float32}, std::pair{'d', DType::Float64}})
        for (const double planted : {kNaN, kInfinity, -kInfinity, 3e38})
          for (const bool watched : {false, true})
            if (row.arguments[i].dtypes.find(letter) != std::string::npos)
              found[row.op] |= is_found(row, i, planted, dtype, watched);
  for (const RightCall& row : right_calls()) EXPECT_TRUE(found[row.op] || !row.recorded) << row.op;
}

// The gradient's error names the same function: prod() is made of products, but nobody called these.
TEST(NotFinite, GradientIsNamedByTheFunctionThatWasCalled) {
  const auto named = [](const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
                        const Tensor& factor) {
    Tape tape({.check_finite = true});
    const Tensor watched = tape.watch(x), y = f(watched);
    try {
      (void)tape.gradient(y, watched, {.output_gradient = factor});
    } catch (const Error& error) {
      return error.op();
    }
    return std::string();
  };
  const Tensor x = tensor({2e30, 3e30}), most = full({}, 3e38);
  EXPECT_EQ(named([](const Tensor& t) { return prod(t * 1e-15); }, x, most), "prod");
  EXPECT_EQ(named([](const Tensor& t) { return var(t * 1e-15); }, x, most), "var");
  EXPECT_EQ(named([](const Tensor& t) { return selu(t); }, x, full({2}, 3.4e38)), "selu");
}

// All results of a function are looked through: BatchNorm keeps the variance, where the result itself is right.
TEST(NotFinite, IsFoundInTheVarianceOfABatch) {
  const Tensor x = tensor({{1e20}, {-1e20}}), one = ones({1}), zero = zeros({1});
  const BatchNormResult found = batch_norm(x, one, zero);
  EXPECT_NEAR(found.y.at({0, 0}), 1, 1e-6);
  EXPECT_EQ(found.variance.item(), kInfinity);
  const Tape tape({.check_finite = true});
  try {
    (void)batch_norm(x, one, zero);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), "batch_norm");
  }
  EXPECT_NO_THROW((void)batch_norm(x * 1e-10, one, zero));
}

void expect_nothing_found(const char* what, const std::function<Tensor()>& f, double right) {
  const Tape tape({.check_finite = true});
  Tensor y;
  EXPECT_NO_THROW(y = f()) << what;
  ASSERT_TRUE(y.defined()) << what;
  EXPECT_NEAR(y.item(), right, 1e-6 * std::abs(right)) << what;
}

TEST(NotFinite, IsNotFoundOnTheWayToAFiniteResult) {
  const Tensor large = tensor({1.5e154, -1.5e154, 0}, DType::Float64);
  expect_nothing_found(
      "var", [&] { return var(large); }, 1.5e154 * 1.5e154 * (2.0 / 3));
  const Tensor ruled_out = tensor({{-kInfinity, 0}}), second = tensor({{0, 1}});
  expect_nothing_found(
      "cross_entropy", [&] { return cross_entropy(ruled_out, second); }, 0);
  expect_nothing_found(
      "kl_divergence", [&] { return kl_divergence(ruled_out, second); }, 0);
  expect_nothing_found(
      "logsumexp", [&] { return logsumexp(ruled_out); }, 0);
  const Tensor far = tensor({1e200, 1e200, 1e-200, 1e-200}, DType::Float64);
  expect_nothing_found(
      "prod", [&] { return prod(far); }, 1);
}

}  // namespace
}  // namespace tapegrad::testing
