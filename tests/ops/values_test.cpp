#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "oracle.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/dropout.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/ops/resize.h"

// What the ops compute, where no reference numbers exist: against values worked by hand, against each other,
// and against the C++ library in double.

namespace tapegrad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor random(const Shape& shape, std::uint64_t seed = 1, DType dtype = DType::Float64) {
  Generator generator(seed);
  return normal(shape, 0, 1, generator, dtype);
}

Tensor bytes(const Literal& values) {
  return tensor(values, DType::UInt8);
}

Tensor whole(const Literal& values) {
  return tensor(values, DType::Int32);
}

TEST(Arithmetic, WholeNumbersWrapAround) {
  constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min(),
                         highest = std::numeric_limits<std::int32_t>::max();
  const Tensor ends = whole({lowest, highest});
  EXPECT_TRUE(equal(ends + whole({-1, 1}), whole({highest, lowest})));
  EXPECT_TRUE(equal(ends - whole({{1}, {-1}}), whole({{highest, highest - 1}, {lowest + 1, lowest}})));
  EXPECT_TRUE(equal(ends * ends, whole({0, 1})));
  EXPECT_TRUE(equal(whole({65536, 46341, -46341}) * whole({65536, 46341, 46341}),
                    whole({0, -2147479015, 2147479015})));
  EXPECT_TRUE(equal(-ends, whole({lowest, -highest})));
  EXPECT_TRUE(equal(ends + 1, whole({lowest + 1, lowest})));
  EXPECT_TRUE(equal(ends - 1, whole({highest, highest - 1})));
  EXPECT_TRUE(equal(ends - lowest, whole({0, -1})));
  EXPECT_TRUE(equal(1 - ends, whole({lowest + 1, -highest + 1})));
  EXPECT_TRUE(equal(ends * 3, whole({lowest, highest - 2})));

  EXPECT_TRUE(equal(bytes({200, 0, 16}) + bytes({100, 255, 0}), bytes({44, 255, 16})));
  EXPECT_TRUE(equal(bytes({200, 0}) * bytes({100, 255}), bytes({32, 0})));
  EXPECT_TRUE(equal(bytes({0, 7}) - 1, bytes({255, 6})));
  EXPECT_TRUE(equal(1 - bytes({0, 7}), bytes({1, 250})));
  EXPECT_TRUE(equal(-bytes({0, 1}), bytes({0, 255})));
}

TEST(Arithmetic, CastsCutOff) {
  EXPECT_TRUE(equal(cast(tensor({-0.9, 0.9, 255.9}), DType::UInt8), bytes({0, 0, 255})));
  EXPECT_TRUE(equal(cast(tensor({-0x1p31, -0x1p31 - 0.5, 0x1p31 - 0.5}, DType::Float64), DType::Int32),
                    whole({-2147483648, -2147483648, 2147483647})));
  EXPECT_TRUE(equal(cast(tensor({1e39, -1e39, 1e-50}, DType::Float64), DType::Float32),
                    tensor({kInfinity, -kInfinity, 0})));
}

TEST(Arithmetic, QuotientsAreRoundedOnce) {
  for (const double b : {3.0, 10.0, 255.0, -49.0}) {
    const Tensor x = random({100}, 3);
    for (index_t i = 0; i < x.size(); ++i) EXPECT_EQ((x / b).at({i}), x.at({i}) / b);
  }
  EXPECT_TRUE(equal(tensor({1, -1}) / 0, tensor({kInfinity, -kInfinity})));
}

TEST(Compare, Values) {
  const Tensor a = tensor({1, 2, 3}), b = tensor({{2}, {3}});
  EXPECT_TRUE(equal(less(a, b), bytes({{1, 0, 0}, {1, 1, 0}})));
  EXPECT_TRUE(equal(less_equal(a, b), bytes({{1, 1, 0}, {1, 1, 1}})));
  EXPECT_TRUE(equal(greater(a, b), bytes({{0, 0, 1}, {0, 0, 0}})));
  EXPECT_TRUE(equal(greater_equal(a, b), bytes({{0, 1, 1}, {0, 0, 1}})));
  EXPECT_TRUE(equal(equals(a, b), bytes({{0, 1, 0}, {0, 0, 1}})));
  EXPECT_TRUE(equal(not_equals(a, b), bytes({{1, 0, 1}, {1, 1, 0}})));
  EXPECT_TRUE(equal(less(whole({1, 2, 3}), 2), bytes({1, 0, 0})));
  EXPECT_TRUE(equal(greater_equal(bytes({1, 2, 3}), 2), bytes({0, 1, 1})));
  EXPECT_TRUE(equal(less_equal(a, 2), bytes({1, 1, 0})));
  EXPECT_TRUE(equal(greater(a, 2), bytes({0, 0, 1})));
  EXPECT_TRUE(equal(equals(a, 2), bytes({0, 1, 0})));
  EXPECT_TRUE(equal(not_equals(a, 2), bytes({1, 0, 1})));
  const Tensor n = tensor({kNaN, 1});
  EXPECT_TRUE(equal(equals(n, n), bytes({0, 1})));
  EXPECT_TRUE(equal(not_equals(n, n), bytes({1, 0})));
  EXPECT_TRUE(equal(less_equal(n, kInfinity), bytes({0, 1})));
}

TEST(Compare, WhereStretchesAllThree) {
  const Tensor y = where(bytes({{1}, {0}}), tensor({1, 2, 3}), tensor(7));
  EXPECT_TRUE(equal(y, tensor({{1, 2, 3}, {7, 7, 7}})));
  EXPECT_TRUE(equal(where(bytes(1), tensor({1, 2}), tensor({{3}, {4}})), tensor({{1, 2}, {1, 2}})));
  EXPECT_TRUE(equal(where(bytes({0, 2}), whole({1, 2}), 5), whole({5, 2})));
  EXPECT_TRUE(equal(where(bytes({0, 1}), 5, whole({1, 2})), whole({1, 5})));
  EXPECT_EQ(where(bytes({{1}, {0}}), zeros({0}), tensor(1)).shape().str(), "[2, 0]");
}

// The branch that is not taken has no gradient even where it is infinite: the usual trap of a mask times x.
TEST(Compare, WhereKeepsInfinityOut) {
  Tape tape;
  const Tensor x = tape.watch(tensor({0, 4})), safe = where(greater(x, 0), x, 1.0);
  const Tensor y = where(greater(x, 0), 1.0 / sqrt(x), 0.0);
  EXPECT_TRUE(equal(y, tensor({0, 0.5})));
  const Tensor z = where(greater(x, 0), 1.0 / sqrt(safe), 0.0);
  EXPECT_TRUE(equal(tape.gradient(sum(z), x), tensor({0, -0.0625})));
}

TEST(Compare, AnyAndAll) {
  const Tensor x = tensor({{0, kNaN, 0}, {0, 2, 0}});
  EXPECT_EQ(any(x).item(), 1);
  EXPECT_EQ(all(x).item(), 0);
  EXPECT_TRUE(equal(any(x, {0}), bytes({0, 1, 0})));
  EXPECT_TRUE(equal(all(x, {0}, {.keepdims = true}), bytes({{0, 1, 0}})));
  EXPECT_TRUE(equal(all(bytes({{3, 1}, {0, 1}}), {1}), bytes({1, 0})));
  EXPECT_TRUE(equal(any(zeros({0, 2}), {0}), bytes({0, 0})));
  EXPECT_TRUE(equal(all(zeros({0, 2}), {0}), bytes({1, 1})));
  EXPECT_TRUE(equal(any(x, std::vector<int>{}), bytes({{0, 1, 0}, {0, 1, 0}})));
  EXPECT_EQ(all(full({300}, 1, DType::UInt8)).item(), 1);  // a count that UInt8 does not hold
  EXPECT_EQ(any(full({256}, 1, DType::UInt8)).item(), 1);
}

// Like everything that is not floating, a comparison is a constant.
TEST(Compare, IsAConstantForTheTape) {
  Tape tape;
  const Tensor x = tape.watch(tensor({1, -2}));
  const Tensor y = x * cast(greater(x, 0), DType::Float32);
  EXPECT_TRUE(equal(tape.gradient(sum(y), x), tensor({1, 0})));
}

TEST(Elementwise, MaximumAndMinimum) {
  const Tensor a = tensor({1, 5, kNaN, 2}), b = tensor({3, 2, 1, kNaN});
  for (const Tensor& y : {maximum(a, b), minimum(a, b)})
    EXPECT_TRUE(std::isnan(y.at({2})) && std::isnan(y.at({3})));
  EXPECT_EQ(maximum(a, b).at({0}), 3);
  EXPECT_EQ(minimum(a, b).at({1}), 2);
  Tape tape;
  const Tensor p = tape.watch(tensor({1, 2})), q = tape.watch(tensor({1, 3}));
  const auto g = tape.gradient(sum(maximum(p, q) + 10.0 * minimum(p, q)), {p, q});
  EXPECT_TRUE(equal(g[0], tensor({11, 10})));  // of equals, a
  EXPECT_TRUE(equal(g[1], tensor({0, 1})));
}

TEST(Elementwise, Pow) {
  EXPECT_TRUE(equal(pow(tensor({2, 3, 0}), tensor({3, 2, 0})), tensor({8, 9, 1})));
  EXPECT_TRUE(equal(pow(tensor({-2, 0}), 3), tensor({-8, 0})));
  const auto gradients = [](const Tensor& a, const Tensor& b) {
    Tape tape;
    const Tensor p = tape.watch(a), q = tape.watch(b);
    return tape.gradient(sum(pow(p, q)), {p, q});
  };
  const auto g = gradients(tensor({0, 0, -2, 2}), tensor({0, 2, 3, 0}));
  EXPECT_TRUE(equal(g[0], tensor({0, 0, 12, 0})));
  EXPECT_TRUE(equal(slice(g[1], {{0, 3}}), zeros({3})));
  EXPECT_NEAR(g[1].at({3}), std::log(2), 1e-7);
  // Whole powers have all derivatives at 0.
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(tensor(0, DType::Float64));
  Tensor y = pow(x, 2);
  for (const double expected : {0.0, 2.0, 0.0, 0.0}) {
    y = tape.gradient(y, x, {.create_graph = true, .zeros_for_unreached = true});
    EXPECT_EQ(y.item(), expected);
  }
}

// Float32 against the same in double: relative errors, over all magnitudes and both signs.
TEST(Elementwise, Float32IsAccurate) {
  struct Function {
    const char* name;
    Tensor (*f)(const Tensor&);
    double (*exact)(double);
    double from, to;
  };
  const Function functions[] = {
      {"expm1", expm1, [](double x) { return std::expm1(x); }, 1e-30, 80},
      {"log1p", log1p, [](double x) { return std::log1p(x); }, 1e-30, 1e30},
      {"softplus", softplus, [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); },
       1e-30, 80},
      {"erf", erf, [](double x) { return std::erf(x); }, 1e-30, 10},
      {"gelu", gelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, 1e-30, 4},
      {"gelu_tanh", gelu_tanh,
       [](double x) {
         return x / (1 + std::exp(-2 * std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
       },
       1e-30, 4},
      {"silu", silu, [](double x) { return x / (1 + std::exp(-x)); }, 1e-30, 80},
      {"elu", [](const Tensor& x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); },
       1e-30, 80},
      {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 1e-30, 80},
  };
  for (const auto& [name, f, exact, from, to] : functions)
    for (double size = from; size <= to; size *= 1.37)
      for (const double sign : {1.0, -1.0}) {
        const auto x = static_cast<float>(sign * size);
        if (f == log1p && x <= -1) continue;
        const double expected = exact(x);
        EXPECT_NEAR(f(tensor(x)).item(), expected, 4e-6 * std::abs(expected)) << name << " of " << x;
      }
}

TEST(Elementwise, LargeNumbers) {
  EXPECT_TRUE(equal(softplus(tensor({1000, -1000})), tensor({1000, 0})));
  EXPECT_TRUE(equal(gelu(tensor({1000, -1000})), tensor({1000, 0})));
  EXPECT_TRUE(equal(gelu_tanh(tensor({1000, -1000})), tensor({1000, 0})));
  EXPECT_TRUE(equal(silu(tensor({1000, -1000})), tensor({1000, 0})));
  EXPECT_TRUE(equal(elu(tensor({1000, -1000})), tensor({1000, -1})));
  EXPECT_TRUE(equal(sign(tensor({-3, 0, 8})), tensor({-1, 0, 1})));
  EXPECT_NEAR(selu(tensor(-1000)).item(), -1.7580993408473766, 1e-6);
}

TEST(Reduce, SumsOfTenMillionAreAccurate) {
  constexpr double count = 1e7;
  const Tensor x = full({10'000'000}, 0.1);
  const double tenth = x.at({0});
  EXPECT_NEAR(sum(x).item() / (count * tenth), 1, 1e-6);
  EXPECT_NEAR(mean(x).item() / tenth, 1, 1e-6);
  EXPECT_NEAR(norm(x).item() / (std::sqrt(count) * tenth), 1, 1e-6);
  EXPECT_NEAR(logsumexp(x).item() / (tenth + std::log(count)), 1, 1e-6);
  EXPECT_NEAR(cumsum(x, 0).at({-1}) / (count * tenth), 1, 1e-6);
  EXPECT_NEAR(var(x).item(), 0, 1e-12);
  const Tensor columns = reshape(x, {-1, 2});
  EXPECT_NEAR(sum(columns, {0}).at({1}) / (count / 2 * tenth), 1, 1e-6);
}

TEST(Reduce, Values) {
  const Tensor x = tensor({{1, -2, 3}, {4, 0, -6}});
  EXPECT_TRUE(equal(max(x, {0}), tensor({4, 0, 3})));
  EXPECT_TRUE(equal(min(x, {1}, {.keepdims = true}), tensor({{-2}, {-6}})));
  EXPECT_EQ(max(whole({3, -7, 2})).item(), 3);
  EXPECT_EQ(min(bytes({3, 255, 2})).item(), 2);
  EXPECT_TRUE(std::isnan(max(tensor({1, kNaN, 2})).item()) && std::isnan(min(tensor({kNaN, 1})).item()));
  EXPECT_EQ(max(tensor({-kInfinity, -kInfinity})).item(), -kInfinity);
  EXPECT_TRUE(equal(prod(x, {1}), tensor({-6, 0})));
  EXPECT_EQ(prod(tensor({2, 3, 4, 5, 6, 7, 8})).item(), 40320);
  EXPECT_TRUE(equal(prod(zeros({0, 2}), {0}), ones({2})));
  EXPECT_EQ(prod(tensor(5)).item(), 5);
  EXPECT_TRUE(equal(var(tensor({{1, 3}, {2, 6}}), {1}), tensor({1, 4})));
  EXPECT_TRUE(
      equal(var(tensor({{1, 3}, {2, 6}}), {1}, {.keepdims = true, .correction = 1}), tensor({{2}, {8}})));
  EXPECT_TRUE(equal(norm(tensor({{3, 4}, {0, 0}}), {1}), tensor({5, 0})));
  EXPECT_EQ(norm(tensor({3e30, 4e30})).item(), static_cast<double>(5e30F));  // its squares overflow
  EXPECT_TRUE(equal(cumsum(x, 1), tensor({{1, -1, 2}, {4, 4, -2}})));
  EXPECT_TRUE(equal(cumsum(x, 0, {.reverse = true}), tensor({{5, -2, -3}, {4, 0, -6}})));
  EXPECT_EQ(logsumexp(tensor({1000, 1000})).item(),
            static_cast<double>(static_cast<float>(1000 + std::log(2))));
  EXPECT_EQ(logsumexp(tensor({-kInfinity, -kInfinity})).item(), -kInfinity);
  EXPECT_EQ(logsumexp(tensor({-kInfinity, 2})).item(), 2);
  EXPECT_EQ(logsumexp(tensor({kInfinity, 2})).item(), kInfinity);
  EXPECT_EQ(logsumexp(zeros({0})).item(), -kInfinity);
  // An axis after the other, or all at once.
  const Tensor cube = random({3, 4, 5});
  EXPECT_TRUE(equal(max(cube, {0, 2}), max(max(cube, {2}), {0})));
  expect_close(prod(cube, {0, 2}), prod(prod(cube, {2}), {0}), 1e-14, "prod");
  expect_close(logsumexp(cube, {0, 2}, {.keepdims = true}), log(sum(exp(cube), {0, 2}, {.keepdims = true})),
               1e-14, "logsumexp");
  expect_close(var(cube, {1}), mean(square(cube), {1}) - square(mean(cube, {1})), 1e-14, "var");
}

TEST(Reduce, GradientsAtKinks) {
  const auto gradient = [](const Tensor& at, const std::function<Tensor(const Tensor&)>& f) {
    Tape tape;
    const Tensor x = tape.watch(at);
    return tape.gradient(sum(f(x)), x);
  };
  EXPECT_TRUE(
      equal(gradient(tensor({2, 1, 2}), [](const Tensor& x) { return max(x); }), tensor({0.5, 0, 0.5})));
  EXPECT_TRUE(equal(gradient(tensor({{1, 1}, {1, 2}}), [](const Tensor& x) { return min(x, {1}); }),
                    tensor({{0.5, 0.5}, {1, 0}})));
  EXPECT_TRUE(equal(gradient(tensor({{0, 0}, {3, 4}}), [](const Tensor& x) { return norm(x, {1}); }),
                    tensor({{0, 0}, {0.6F, 0.8F}})));
  EXPECT_TRUE(equal(gradient(tensor({0, 3, 0}), [](const Tensor& x) { return prod(x); }), zeros({3})));
  EXPECT_TRUE(equal(gradient(tensor({0, 3, 2}), [](const Tensor& x) { return prod(x); }), tensor({6, 0, 0})));
  EXPECT_TRUE(
      equal(gradient(tensor({2, -3}), [](const Tensor& x) { return sign(x) + 0.0 * x; }), zeros({2})));
}

TEST(Reduce, ArgmaxAndArgmin) {
  const Tensor x = tensor({{1, 5, 5}, {-1, -3, -3}});
  EXPECT_TRUE(equal(argmax(x, 1), whole({1, 0})));
  EXPECT_TRUE(equal(argmin(x, 1), whole({0, 1})));
  EXPECT_TRUE(equal(argmax(x, 0, {.keepdims = true}), whole({{0, 0, 0}})));
  EXPECT_TRUE(equal(argmin(x, -2), whole({1, 1, 1})));
  EXPECT_EQ(argmax(tensor({1, kNaN, kNaN, 7}), 0).item(), 1);
  EXPECT_EQ(argmin(tensor({1, kNaN, -7}), 0).item(), 1);
  EXPECT_EQ(argmax(bytes({4, 200, 9}), 0).item(), 1);
  const Tensor cube = random({3, 40, 5});
  const Tensor at = argmax(cube, 1);
  expect_close(sum(cube * permute(one_hot(at, 40, DType::Float64), {0, 2, 1}), {1}), max(cube, {1}), 0,
               "argmax");
}

TEST(Layout, ConcatSplitAndStack) {
  const Tensor x = random({2, 6, 3});
  for (int axis = -3; axis < 3; ++axis) EXPECT_TRUE(equal(concat(chunk(x, x.shape()[axis], axis), axis), x));
  EXPECT_TRUE(equal(concat(split(x, {1, 0, 5}, 1), 1), x));
  EXPECT_EQ(split(x, {1, 0, 5}, 1)[1].shape().str(), "[2, 0, 3]");
  EXPECT_TRUE(equal(concat({whole({1}), whole({2, 3})}), whole({1, 2, 3})));
  const Tensor a = tensor({1, 2}), b = tensor({3, 4});
  EXPECT_TRUE(equal(stack({a, b}), tensor({{1, 2}, {3, 4}})));
  EXPECT_TRUE(equal(stack({a, b}, -1), tensor({{1, 3}, {2, 4}})));
  EXPECT_TRUE(equal(stack({tensor(1), tensor(2)}), a));
  EXPECT_TRUE(equal(row(stack({x, -x}, 0), 1), -x));
}

TEST(Layout, RepeatAndTile) {
  const Tensor x = tensor({{1, 2}, {3, 4}});
  EXPECT_TRUE(equal(repeat(x, 2, 1), tensor({{1, 1, 2, 2}, {3, 3, 4, 4}})));
  EXPECT_TRUE(equal(repeat(x, 2, 0), tensor({{1, 2}, {1, 2}, {3, 4}, {3, 4}})));
  EXPECT_TRUE(equal(tile(x, {1, 2}), tensor({{1, 2, 1, 2}, {3, 4, 3, 4}})));
  EXPECT_TRUE(equal(tile(x, {2, 1}), tensor({{1, 2}, {3, 4}, {1, 2}, {3, 4}})));
  EXPECT_TRUE(equal(tile(x, {2, 3}), concat({tile(x, {1, 3}), tile(x, {1, 3})})));
  EXPECT_EQ(tile(x, {0, 3}).shape().str(), "[0, 6]");
  EXPECT_EQ(tile(ones({1, 1, 1, 1, 1, 1, 1, 1}), {1, 2, 1, 2, 1, 2, 1, 2}).size(),
            16);  // as many axes as there are
  EXPECT_EQ(repeat(x, 0, 0).shape().str(), "[0, 2]");
}

TEST(Layout, SqueezeAndExpandDims) {
  const Tensor x = ones({1, 3, 1});
  EXPECT_EQ(squeeze(x).shape().str(), "[3]");
  EXPECT_EQ(squeeze(x, {-1}).shape().str(), "[1, 3]");
  EXPECT_EQ(squeeze(x, {0, 2}).shape().str(), "[3]");
  EXPECT_EQ(expand_dims(ones({2, 3}), 0).shape().str(), "[1, 2, 3]");
  EXPECT_EQ(expand_dims(ones({2, 3}), -1).shape().str(), "[2, 3, 1]");
  EXPECT_EQ(expand_dims(ones({2, 3}), 1).shape().str(), "[2, 1, 3]");
  EXPECT_EQ(expand_dims(tensor(1), 0).shape().str(), "[1]");
  EXPECT_TRUE(equal(pad(tensor({1, 2}), {{1, 2}}, -3), tensor({-3, 1, 2, -3, -3})));
}

TEST(Index, GatherAndOneHot) {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  EXPECT_TRUE(equal(gather(x, whole({2, 0}), 1), tensor({{3, 1}, {6, 4}})));
  EXPECT_TRUE(equal(gather(x, whole({{1}, {1}})), tensor({{{4, 5, 6}}, {{4, 5, 6}}})));
  EXPECT_TRUE(equal(gather(x, whole(1), 0), tensor({4, 5, 6})));
  EXPECT_TRUE(equal(gather(whole({7, 8}), whole({1, 1})), whole({8, 8})));
  EXPECT_EQ(gather(x, zeros({0, 2}, DType::Int32), 1).shape().str(), "[2, 0, 2]");
  EXPECT_TRUE(equal(one_hot(whole({2, 0}), 3), tensor({{0, 0, 1}, {1, 0, 0}})));
  EXPECT_TRUE(equal(one_hot(whole(1), 2, DType::UInt8), bytes({0, 1})));
  // A lookup is a product with ones.
  const Tensor table = random({5, 3}), indices = whole({{4, 0}, {2, 2}});
  expect_close(embedding(table, indices), matmul(one_hot(indices, 5, DType::Float64), table), 0, "embedding");
}

TEST(Matmul, Batches) {
  const Tensor a = random({2, 1, 3, 4}), b = random({5, 4, 2}, 2);
  const Tensor y = matmul(a, b);
  ASSERT_EQ(y.shape().str(), "[2, 5, 3, 2]");
  for (index_t i = 0; i < 2; ++i)
    for (index_t j = 0; j < 5; ++j)
      EXPECT_TRUE(equal(row(row(y, i), j), matmul(row(row(a, i), 0), row(b, j))));
  const Tensor flat = transpose(a);
  EXPECT_TRUE(equal(matmul(flat, b, {.transpose_a = true}), y));
  EXPECT_TRUE(equal(matmul(a, transpose(b), {.transpose_b = true}), y));
  EXPECT_EQ(matmul(ones({0, 2, 3}), ones({3, 4})).shape().str(), "[0, 2, 4]");
  EXPECT_TRUE(equal(matmul(ones({2, 2, 0}), ones({2, 0, 3})), zeros({2, 2, 3})));
}

// Pieces are cut by sizes alone.
TEST(Matmul, DoesNotDependOnThreads) {
  for (const auto& [m, n, k] : {std::array<index_t, 3>{300, 70, 90}, {5, 6, 7}, {130, 200, 300}}) {
    const Tensor a = random({7, m, k}, 1, DType::Float32), b = random({7, k, n}, 2, DType::Float32);
    std::vector<Tensor> results;
    for (const int threads : {1, 2, 5}) {
      const ThreadCountScope scope(threads);
      results.push_back(matmul(a, b));
    }
    EXPECT_TRUE(equal(results[0], results[1]) && equal(results[0], results[2]));
    expect_close(row(results[0], 3), matmul(row(a, 3), row(b, 3)), 0, "one of a batch");
  }
}

TEST(Einsum, IsProductsSumsAndPermutations) {
  const Tensor a = random({3, 4}), b = random({4, 5}, 2), c = random({2, 3, 4}, 3), d = random({2, 5, 4}, 4);
  constexpr double exact = 1e-14;
  expect_close(einsum("ij,jk->ik", a, b), matmul(a, b), exact, "product");
  expect_close(einsum("ij,jk->ki", a, b), transpose(matmul(a, b)), exact, "its transpose");
  expect_close(einsum("ij,jk->", a, b), sum(matmul(a, b)), exact, "its sum");
  expect_close(einsum("ij,jk->j", a, b), sum(a, {0}) * sum(b, {1}), exact, "sums before the product");
  expect_close(einsum("bij,bkj->bik", c, d), matmul(c, transpose(d)), exact, "batches");
  expect_close(einsum("bij,bkj->kbi", c, d), permute(matmul(c, transpose(d)), {2, 0, 1}), exact, "permuted");
  expect_close(einsum("ij,ij->ij", a, a), square(a), exact, "element by element");
  expect_close(einsum("ij,ij->", a, a), sum(square(a)), exact, "inner product");
  expect_close(einsum("i,j->ij", row(a, 0), row(b, 0)), reshape(row(a, 0), {-1, 1}) * row(b, 0), exact,
               "outer");
  expect_close(einsum("bij,jk->bik", c, b), matmul(c, b), exact, "one matrix for all");
  expect_close(einsum(" b i j , j k -> b i k ", c, b), matmul(c, b), exact, "spaces");
  expect_close(einsum("ij,->ij", a, tensor(2, DType::Float64)), 2.0 * a, exact, "a number");
  expect_close(einsum("aBc,dB->Bda", c, random({6, 3}, 5)),
               permute(expand_dims(sum(c, {2}), 2) * permute(random({6, 3}, 5), {1, 0}), {1, 2, 0}), exact,
               "letters of one alone");
}

TEST(Activation, Softmax) {
  const Tensor x = random({3, 4, 5});
  for (const int axis : {0, 1, -1}) {
    expect_close(sum(softmax(x, axis), {axis}), ones(sum(x, {axis}).shape()), 1e-14, "sum");
    expect_close(exp(log_softmax(x, axis)), softmax(x, axis), 1e-14, "logarithm");
    expect_close(log_softmax(x, axis), x - logsumexp(x, {axis}, {.keepdims = true}), 1e-14, "logsumexp");
  }
  EXPECT_TRUE(equal(softmax(tensor({1e30, 0, -1e30})), tensor({1, 0, 0})));
  EXPECT_TRUE(equal(log_softmax(tensor({1000, 0})), tensor({0, -1000})));
  EXPECT_TRUE(equal(softmax(tensor({0, -kInfinity})), tensor({1, 0})));
  EXPECT_EQ(softmax(zeros({0, 3})).shape().str(), "[0, 3]");
}

TEST(Pooling, Values) {
  const Tensor x = reshape(arange(16), {1, 4, 4, 1});
  EXPECT_TRUE(equal(max_pool2d(x), reshape(tensor({5, 7, 13, 15}), {1, 2, 2, 1})));
  EXPECT_TRUE(equal(avg_pool2d(x), reshape(tensor({2.5, 4.5, 10.5, 12.5}), {1, 2, 2, 1})));
  EXPECT_TRUE(
      equal(max_pool2d(x, {.pool_size = 3, .strides = 1}), reshape(tensor({10, 11, 14, 15}), {1, 2, 2, 1})));
  EXPECT_TRUE(equal(global_avg_pool2d(x), tensor({{7.5}})));
  EXPECT_TRUE(equal(global_max_pool2d(x, {.keepdims = true}), reshape(tensor(15), {1, 1, 1, 1})));
  const Tensor n = reshape(tensor({1, kNaN, 2, 3}), {1, 2, 2, 1});
  EXPECT_TRUE(std::isnan(max_pool2d(n).item()));
  const Tensor low = full({1, 2, 2, 1}, -kInfinity);
  EXPECT_EQ(max_pool2d(low, {.padding = Padding::Same}).item(), -kInfinity);
  EXPECT_EQ(max_pool2d(zeros({0, 4, 4, 2})).shape().str(), "[0, 2, 2, 2]");
  // The mean over windows is a depthwise convolution.
  const Tensor images = random({2, 7, 6, 3});
  const Tensor filter = full({3, 2, 1, 3}, 1.0 / 6, DType::Float64);
  expect_close(avg_pool2d(images, {.pool_size = {3, 2}, .strides = Size2D(2, 1)}),
               conv2d(images, filter, {.strides = {2, 1}, .groups = 3}), 1e-14, "convolution");
}

TEST(Resize, Values) {
  const Tensor x = reshape(tensor({{1, 3}, {5, 7}}), {1, 2, 2, 1});
  EXPECT_TRUE(equal(upsample_nearest(x),
                    reshape(tensor({{1, 1, 3, 3}, {1, 1, 3, 3}, {5, 5, 7, 7}, {5, 5, 7, 7}}), {1, 4, 4, 1})));
  EXPECT_TRUE(equal(upsample_bilinear(x, {1, 2}),
                    reshape(tensor({{1, 1.5, 2.5, 3}, {5, 5.5, 6.5, 7}}), {1, 2, 4, 1})));
  EXPECT_TRUE(equal(upsample_bilinear(x, 1), x));
  const Tensor images = random({2, 3, 4, 2});
  expect_close(avg_pool2d(upsample_nearest(images, {3, 2}), {.pool_size = {3, 2}}), images, 1e-15,
               "and back");
  expect_close(mean(upsample_bilinear(full({1, 3, 3, 1}, 2), 4)), tensor(2), 0, "a constant stays");
}

TEST(Normalize, MeanAndVarianceOfTheResult) {
  const Tensor x = 3.0 * random({6, 4, 5, 8}) + 2.0, scale = random({8}, 2), shift = random({8}, 3);
  const BatchNormResult found = batch_norm(x, scale, shift, 0);
  expect_close(found.mean, mean(x, {0, 1, 2}), 1e-14, "mean");
  expect_close(found.variance, var(x, {0, 1, 2}), 1e-13, "variance");
  EXPECT_EQ(found.count, 120);
  expect_close(mean(found.y, {0, 1, 2}), shift, 1e-13, "mean of y");
  expect_close(var(found.y, {0, 1, 2}), square(scale), 1e-13, "variance of y");
  expect_close(batch_norm(x, scale, shift, found.mean, found.variance, 0), found.y, 1e-13, "inference");
  EXPECT_TRUE(found.mean.is_stopped() && found.variance.is_stopped());

  const Tensor plain = layer_norm(x, 2, 0);
  expect_close(mean(plain, {2, 3}), zeros({6, 4}), 1e-13, "layer_norm, mean");
  expect_close(var(plain, {2, 3}), ones({6, 4}), 1e-13, "layer_norm, variance");
  expect_close(layer_norm(x, scale, shift), layer_norm(x, 1) * scale + shift, 0, "layer_norm, scaled");
  // One group is a layer_norm of all but the first axis; a group for each channel normalizes images alone.
  expect_close(group_norm(x, 1, ones_like(scale), zeros_like(shift)), layer_norm(x, 3), 1e-13, "one group");
  const Tensor each = group_norm(x, 8, ones_like(scale), zeros_like(shift), 0);
  expect_close(mean(each, {1, 2}), zeros({6, 8}), 1e-13, "a group for each channel");
  const Tensor two = group_norm(x, 2, ones_like(scale), zeros_like(shift), 0);
  expect_close(var(reshape(two, {6, 20, 2, 4}), {1, 3}), ones({6, 2}), 1e-13, "two groups");
}

// The rule of normalize() against what the tape makes of its definition.
TEST(Normalize, GradientIsThatOfTheDefinition) {
  const auto gradients = [](bool composed, int order) {
    Tape tape;
    const Tensor x = tape.watch(random({4, 3, 5})), g = random({4, 3, 5}, 2);
    const Tensor centred = x - mean(x, {1, 2}, {.keepdims = true});
    const Tensor y = composed ? centred / sqrt(mean(square(centred), {1, 2}, {.keepdims = true}) + 1e-3)
                              : layer_norm(x, 2);
    const Tensor first = tape.gradient(y, x, {.create_graph = order > 1, .output_gradient = g});
    return order == 1 ? first : tape.gradient(sum(square(first)), x);
  };
  for (const int order : {1, 2}) expect_close(gradients(false, order), gradients(true, order), 1e-12, "dx");
}

TEST(Dropout, DoesNotDependOnTheSplitOfABatch) {
  const Tensor x = random({10, 3, 7});
  const Generator generator(5);
  const Tensor y = dropout(x, 0.3, generator, 0);
  std::vector<Tensor> parts;
  index_t first = 0;
  for (const Tensor& part : split(x, {3, 1, 6})) {
    parts.push_back(dropout(part, 0.3, generator, static_cast<std::uint64_t>(first)));
    first += part.shape()[0];
  }
  EXPECT_TRUE(equal(concat(parts), y));
  EXPECT_FALSE(equal(dropout(x, 0.3, generator.child(1), 0), y));
  {
    const ThreadCountScope one(1);
    EXPECT_TRUE(equal(dropout(x, 0.3, generator, 0), y));
  }
  // Float32 has the same mask.
  EXPECT_TRUE(equal(not_equals(dropout(cast(x, DType::Float32), 0.3, generator, 0), 0), not_equals(y, 0)));
}

// Each call draws another mask, and the generator's other draws depend on whether there was one.
TEST(Dropout, MovesTheGeneratorOn) {
  Generator generator(5), same(5), other(5);
  const Tensor x = ones({8, 20});
  const Tensor first = dropout(x, 0.5, generator), second = dropout(x, 0.5, generator);
  EXPECT_FALSE(equal(first, second));
  EXPECT_TRUE(equal(dropout(x, 0.5, same), first));
  EXPECT_TRUE(equal(dropout(x, 0.5, same), second));
  EXPECT_EQ(generator.bits(), same.bits());
  EXPECT_NE(same.position().drawn, other.position().drawn);
  EXPECT_TRUE(equal(dropout(x, 0.5, Generator(5)), first));
}

TEST(Dropout, DrawsOneWordPerElement) {
  const Tensor kept = dropout(ones({3, 2500}), 0.3, Generator(8), 40);
  for (index_t i = 0; i < 3; ++i) {
    Generator own = Generator(8).child(40 + static_cast<std::uint64_t>(i));
    for (index_t k = 0; k < 2500; ++k)
      ASSERT_EQ(kept.at({i, k}), own.bits() * 0x1p-32 < 0.3 ? 0 : static_cast<float>(1 / 0.7));
  }
}

TEST(Dropout, KeepsTheMean) {
  const Tensor x = ones({100, 1000});
  const Tensor y = dropout(x, 0.25, Generator(9));
  EXPECT_NEAR(mean(cast(equals(y, 0), DType::Float64)).item(), 0.25, 0.006);  // four standard deviations
  EXPECT_NEAR(mean(y).item(), 1, 0.008);
  EXPECT_NEAR(max(y).item(), 4.0 / 3, 1e-6);
  EXPECT_TRUE(equal(dropout(x, 0, Generator()), x));
  Tape tape;
  const Tensor watched = tape.watch(x);
  EXPECT_TRUE(equal(tape.gradient(sum(dropout(watched, 0.25, Generator(9))), watched), y));
}

// Without a tape some ops are computed in one pass, and keep nothing for a gradient: the bits are the same.
TEST(WithoutATape, TheSameBitsAreComputed) {
  Generator generator(3);
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const index_t channels : {1, 3, 16, 37}) {
      Tensor x = uniform({2, 6, 5, channels}, -1, 1, generator, dtype);
      x.set({0, 2, 1, 0}, std::nan(""));
      const auto vector = [&] { return uniform({channels}, 0.5, 2, generator, dtype); };
      const Tensor gamma = vector(), beta = vector(), mean = vector(), variance = vector();
      const auto f = [&](const Tensor& given) {
        return std::vector<Tensor>{
            batch_norm(given, gamma, beta, mean, variance, 1e-3),
            max_pool2d(given, {.pool_size = {2, 3}, .strides = 1, .padding = Padding::Same}),
            max_pool2d(given)};
      };
      const std::vector<Tensor> plain = f(x);
      Tape tape;
      const std::vector<Tensor> recorded = f(tape.watch(x));
      for (std::size_t i = 0; i < plain.size(); ++i)
        EXPECT_EQ(std::memcmp(TensorAccess::elements(plain[i]), TensorAccess::elements(recorded[i]),
                              static_cast<std::size_t>(plain[i].size()) * size_of(dtype)),
                  0)
            << i << ", " << channels << " channels, " << to_string(dtype);
    }
}

}  // namespace
}  // namespace tapegrad::testing
