#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/tapegrad.h"

// What one who knows NumPy or PyTorch reaches for. Values are NumPy's (1.24), but where it says PyTorch.

namespace tapegrad::testing {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor bytes(const Literal& values) {
  return tensor(values, DType::UInt8);
}

Tensor whole(const Literal& values) {
  return tensor(values, DType::Int32);
}

Tensor doubles(const Literal& values) {
  return tensor(values, DType::Float64);
}

// equal(), but NaN equals NaN, and 0 is not -0.
void expect_same(const Tensor& y, const Tensor& expected) {
  ASSERT_EQ(y.shape().str(), expected.shape().str());
  ASSERT_EQ(y.dtype(), expected.dtype());
  const Tensor a = cast(reshape(y, y.size()), DType::Float64),
               b = cast(reshape(expected, y.size()), DType::Float64);
  for (index_t i = 0; i < a.size(); ++i) {
    const double found = a.at({i}), right = b.at({i});
    EXPECT_TRUE(std::isnan(right) ? std::isnan(found)
                                  : found == right && std::signbit(found) == std::signbit(right))
        << "element " << i << ": " << found << ", not " << right;
  }
}

TEST(Rounding, Values) {
  const Tensor x =
      doubles({-2.5, -1.5, -0.5, -0.2, 0.0, 0.5, 1.5, 2.5, 3.7, 1e300, kInfinity, -kInfinity, kNaN,
               0.49999999999999994, -0.49999999999999994, 2251799813685249.5, -2251799813685248.5});
  expect_same(floor(x), doubles({-3, -2, -1, -1, 0, 0, 1, 2, 3, 1e300, kInfinity, -kInfinity, kNaN, 0, -1,
                                 2251799813685249, -2251799813685249}));
  expect_same(ceil(x), doubles({-2, -1, -0.0, -0.0, 0, 1, 2, 3, 4, 1e300, kInfinity, -kInfinity, kNaN, 1,
                                -0.0, 2251799813685250, -2251799813685248}));
  expect_same(trunc(x), doubles({-2, -1, -0.0, -0.0, 0, 0, 1, 2, 3, 1e300, kInfinity, -kInfinity, kNaN, 0,
                                 -0.0, 2251799813685249, -2251799813685248}));
  expect_same(round(x), doubles({-2, -2, -0.0, -0.0, 0, 0, 2, 2, 4, 1e300, kInfinity, -kInfinity, kNaN, 0,
                                 -0.0, 2251799813685250, -2251799813685248}));
  expect_same(round(tensor({-3.5, 8388607.5, 8388606.5, 1e30})), tensor({-4, 8388608, 8388606, 1e30}));
  EXPECT_TRUE(refuses("round", {"Int32", "[1]"}, [] { round(whole({1})); }));
  EXPECT_TRUE(refuses("floor", {"UInt8"}, [] { floor(bytes({1})); }));
}

// The derivative is 0, also under an infinite gradient.
TEST(Rounding, HasTheDerivativeZero) {
  Tape tape;
  const Tensor x = tape.watch(doubles({0.3, 1.5}));
  const Tensor y = floor(x) + ceil(x) + round(x) + trunc(x);
  const Tensor g = tape.gradient(y, x, {.output_gradient = full({2}, kInfinity, DType::Float64)});
  EXPECT_TRUE(equal(g, doubles({0, 0})));
}

TEST(Masks, OfNumbers) {
  const Tensor x = tensor({1, kNaN, kInfinity, -kInfinity, 0, -kNaN});
  EXPECT_TRUE(equal(isnan(x), bytes({0, 1, 0, 0, 0, 1})));
  EXPECT_TRUE(equal(isinf(x), bytes({0, 0, 1, 1, 0, 0})));
  EXPECT_TRUE(equal(isfinite(x), bytes({1, 0, 0, 0, 1, 0})));
  EXPECT_TRUE(equal(isnan(whole({1, 0})), bytes({0, 0})));
  EXPECT_TRUE(equal(isinf(bytes({255})), bytes({0})));
  EXPECT_TRUE(equal(isfinite(whole({-7})), bytes({1})));
  EXPECT_TRUE(equal(isfinite(cast(x, DType::Float64)), isfinite(x)));
  EXPECT_EQ(isnan(zeros({0, 3})).shape().str(), "[0, 3]");
}

TEST(Masks, Logical) {
  const Tensor a = tensor({0, 0, 2, kNaN}),
               b = whole({0, -3, 0, 1});  // dtypes may differ: both become truths
  EXPECT_TRUE(equal(logical_and(a, b), bytes({0, 0, 0, 1})));
  EXPECT_TRUE(equal(logical_or(a, b), bytes({0, 1, 1, 1})));
  EXPECT_TRUE(equal(logical_xor(a, b), bytes({0, 1, 1, 0})));
  EXPECT_TRUE(equal(logical_not(a), bytes({1, 1, 0, 0})));
  EXPECT_TRUE(equal(logical_and(bytes({{1}, {0}}), bytes({2, 0})), bytes({{1, 0}, {0, 0}})));
  EXPECT_TRUE(equal(logical_not(tensor({-0.0, 1e-40})), bytes({1, 0})));
  EXPECT_TRUE(refuses("logical_or", {"[2]", "[3]"}, [] { logical_or(ones({2}), ones({3})); }));
}

TEST(Sort, Values) {
  const Tensor x = tensor({{3, kNaN, -1, 3}, {0, -kInfinity, 2, -0.5}});
  expect_same(sort(x), tensor({{-1, 3, 3, kNaN}, {-kInfinity, -0.5, 0, 2}}));
  EXPECT_TRUE(equal(argsort(x), whole({{2, 0, 3, 1}, {1, 3, 0, 2}})));
  // PyTorch's descending order; NaN is the largest there too.
  expect_same(sort(x, 1, {.descending = true}), tensor({{kNaN, 3, 3, -1}, {2, 0, -0.5, -kInfinity}}));
  EXPECT_TRUE(equal(argsort(x, -1, {.descending = true}), whole({{1, 0, 3, 2}, {2, 0, 3, 1}})));
  expect_same(sort(x, 0), tensor({{0, -kInfinity, -1, -0.5}, {3, kNaN, 2, 3}}));
  EXPECT_TRUE(equal(argsort(x, 0), whole({{1, 1, 0, 1}, {0, 0, 1, 0}})));
  EXPECT_TRUE(equal(sort(whole({5, -2, 5})), whole({-2, 5, 5})));
  EXPECT_TRUE(equal(sort(bytes({5, 255, 0})), bytes({0, 5, 255})));
  EXPECT_EQ(sort(zeros({2, 0})).shape().str(), "[2, 0]");
  EXPECT_EQ(argsort(zeros({0, 2}), 0).shape().str(), "[0, 2]");
  EXPECT_TRUE(refuses("sort", {"axis must be", "got 1", "[2]"}, [] { sort(ones({2}), 1); }));
  EXPECT_TRUE(refuses("argsort", {"axis -1", "[]"}, [] { argsort(ones({})); }));
}

TEST(Sort, IsARightOrderOfManyLanes) {
  Generator generator(4);
  const Tensor x = cast(randint({7, 300, 5}, 0, 40, generator), DType::Float32);
  for (int axis = 0; axis < 3; ++axis) {
    const Tensor order = argsort(x, axis), sorted = sort(x, axis);
    EXPECT_TRUE(equal(take_along_axis(x, order, axis), sorted));
    EXPECT_TRUE(equal(sum(sorted, axis), sum(x, axis)));
    const Tensor last = permute(sorted, {(axis + 1) % 3, (axis + 2) % 3, axis});
    const Tensor places = permute(order, {(axis + 1) % 3, (axis + 2) % 3, axis});
    const index_t size = last.shape()[-1];
    const Tensor low = slice(last, {{}, {}, {0, size - 1}}), high = slice(last, {{}, {}, {1, size}});
    EXPECT_EQ(all(low <= high).item(), 1);
    // Equal ones keep their order.
    const Tensor before = slice(places, {{}, {}, {0, size - 1}}), after = slice(places, {{}, {}, {1, size}});
    EXPECT_EQ(all(logical_or(low < high, before < after)).item(), 1);
  }
}

TEST(Sort, TopK) {
  const Tensor x = tensor({{1, 9, 4, 9}, {5, kNaN, -2, 0}});
  const TopK top = topk(x, 2);
  expect_same(top.values, tensor({{9, 9}, {kNaN, 5}}));
  EXPECT_TRUE(equal(top.indices, whole({{1, 3}, {1, 0}})));
  const TopK least = topk(x, 1, 0, {.smallest = true});
  expect_same(least.values, tensor({{1, 9, -2, 0}}));
  EXPECT_TRUE(equal(least.indices, whole({{0, 0, 1, 1}})));
  EXPECT_EQ(topk(x, 0).values.shape().str(), "[2, 0]");
  EXPECT_TRUE(equal(topk(whole({3, 1}), 2).values, whole({3, 1})));
  EXPECT_TRUE(refuses("topk", {"0 to 4", "got 5", "[2, 4]"}, [&] { topk(x, 5); }));
  EXPECT_TRUE(refuses("topk", {"got -1"}, [&] { topk(x, -1); }));
}

TEST(Index, TakeAlongAxisAndScatter) {
  const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}}), at = whole({{2, 0}, {2, 1}});
  EXPECT_TRUE(equal(take_along_axis(x, at, 0), tensor({{5, 2}, {5, 4}})));
  EXPECT_TRUE(equal(take_along_axis(x, whole({{1}, {0}, {1}}), -1), tensor({{2}, {3}, {6}})));
  EXPECT_TRUE(
      equal(scatter_add(x, at, tensor({{10, 20}, {30, 40}}), 0), tensor({{1, 22}, {3, 44}, {45, 6}})));
  const Tensor apart = whole({{2, 0}, {1, 1}});
  EXPECT_TRUE(
      equal(scatter(x, apart, tensor({{10, 20}, {30, 40}}), 0), tensor({{1, 20}, {30, 40}, {10, 6}})));
  EXPECT_TRUE(equal(scatter(whole({1, 2}), whole({1}), whole({7}), 0), whole({1, 7})));
  EXPECT_TRUE(
      equal(scatter(bytes({1, 2}), zeros({0}, DType::Int32), zeros({0}, DType::UInt8), 0), bytes({1, 2})));
  expect_same(scatter(tensor({kNaN, 1}), whole({0}), tensor({2}), 0),
              tensor({2, 1}));  // what was there is gone
  EXPECT_TRUE(refuses("scatter", {"number 4", "scatter_add"}, [&] { scatter(x, at, ones({2, 2}), 0); }));
  EXPECT_TRUE(refuses("take_along_axis", {"index 3 at [0, 0]"}, [&] {
    take_along_axis(x, whole({{3, 0}}), 0);
  }));
  EXPECT_TRUE(refuses("take_along_axis", {"index -1"}, [&] { take_along_axis(x, whole({{-1, 0}}), 0); }));
  EXPECT_TRUE(refuses("take_along_axis", {"[1, 1]", "[3, 2]"}, [&] { take_along_axis(x, whole({{0}}), 0); }));
  EXPECT_TRUE(refuses("take_along_axis", {"Int32"}, [&] { take_along_axis(x, x, 0); }));
  EXPECT_TRUE(refuses("scatter_add", {"Float32 [2, 2]", "[2]"}, [&] { scatter_add(x, at, ones({2}), 0); }));
  EXPECT_TRUE(refuses("scatter", {"axis must be", "got 2"}, [&] { scatter(x, at, ones({2, 2}), 2); }));
}

TEST(Select, Values) {
  const Tensor x = tensor({{0, kNaN, 2}, {-3, 0, -0.0}});
  EXPECT_TRUE(equal(nonzero(x), whole({{0, 1}, {0, 2}, {1, 0}})));
  EXPECT_EQ(nonzero(zeros({2, 3})).shape().str(), "[0, 2]");
  EXPECT_EQ(nonzero(ones({0})).shape().str(), "[0, 1]");
  EXPECT_EQ(nonzero(tensor(4)).shape().str(), "[1, 0]");
  EXPECT_TRUE(equal(masked_select(x, x < 2), tensor({0, -3, 0, 0})));
  EXPECT_TRUE(equal(masked_select(whole({{1, 2}, {3, 4}}), bytes({1, 0})), whole({1, 3})));
  EXPECT_EQ(masked_select(x, x > 5).shape().str(), "[0]");
  EXPECT_EQ(count_nonzero(x).item(), 3);
  EXPECT_EQ(count_nonzero(x).dtype(), DType::Int32);
  EXPECT_TRUE(equal(count_nonzero(x, 1), whole({2, 1})));
  EXPECT_TRUE(equal(count_nonzero(x, {0}, {.keepdims = true}), whole({{1, 1, 1}})));
  EXPECT_EQ(count_nonzero(full({3000}, 1, DType::UInt8)).item(), 3000);
  EXPECT_EQ(count_nonzero(zeros({0})).item(), 0);
  EXPECT_TRUE(refuses("masked_select", {"UInt8", "Float32 [2, 3]"}, [&] { masked_select(x, x); }));
  EXPECT_TRUE(refuses("masked_select", {"[2, 3]", "[3]"}, [] {
    masked_select(ones({3}), full({2, 3}, 1, DType::UInt8));
  }));
}

TEST(Select, Triangles) {
  const Tensor x = whole({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  EXPECT_TRUE(equal(triu(x), whole({{1, 2, 3}, {0, 5, 6}, {0, 0, 9}})));
  EXPECT_TRUE(equal(tril(x), whole({{1, 0, 0}, {4, 5, 0}, {7, 8, 9}})));
  EXPECT_TRUE(equal(triu(x, 2), whole({{0, 0, 3}, {0, 0, 0}, {0, 0, 0}})));
  EXPECT_TRUE(equal(tril(x, -1), whole({{0, 0, 0}, {4, 0, 0}, {7, 8, 0}})));
  EXPECT_TRUE(equal(triu(x, -9), x));
  EXPECT_TRUE(equal(tril(ones({2, 1, 2})), reshape(tensor({1, 0, 1, 0}), {2, 1, 2})));
  expect_same(tril(tensor({{1, kNaN}, {kInfinity, 2}})),
              tensor({{1, 0}, {kInfinity, 2}}));  // hidden, whatever it is
  EXPECT_EQ(triu(zeros({0, 3})).shape().str(), "[0, 3]");
  EXPECT_TRUE(refuses("triu", {"matrix", "[3]"}, [] { triu(ones({3})); }));
}

TEST(Create, Values) {
  EXPECT_TRUE(equal(full_like(whole({1, 2}), 7), whole({7, 7})));
  EXPECT_TRUE(refuses("full_like", {"UInt8"}, [] { full_like(bytes({1}), 0.5); }));
  EXPECT_TRUE(equal(linspace(0, 1, 5), tensor({0, 0.25, 0.5, 0.75, 1})));
  EXPECT_TRUE(equal(linspace(3, -3, 3, DType::Float64), doubles({3, 0, -3})));
  EXPECT_EQ(linspace(0, 0.3, 4, DType::Float64).at({-1}), 0.3);
  EXPECT_TRUE(equal(linspace(2, 9, 1), tensor({2})));
  EXPECT_EQ(linspace(2, 9, 0).shape().str(), "[0]");
  const Tensor wide = linspace(-1.7e308, 1.7e308, 3, DType::Float64);  // stop - start is infinite
  EXPECT_EQ(wide.at({1}), 0);
  EXPECT_TRUE(refuses("linspace", {"got -1"}, [] { linspace(0, 1, -1); }));
  EXPECT_TRUE(refuses("linspace", {"Int32"}, [] { linspace(0, 1, 2, DType::Int32); }));
  EXPECT_TRUE(equal(eye(2), tensor({{1, 0}, {0, 1}})));
  EXPECT_TRUE(equal(eye(2, 3, DType::UInt8), bytes({{1, 0, 0}, {0, 1, 0}})));
  EXPECT_TRUE(equal(eye(2, DType::Int32), whole({{1, 0}, {0, 1}})));
  EXPECT_EQ(eye(0).shape().str(), "[0, 0]");
}

TEST(Create, RandomWholeNumbers) {
  Generator generator(3), same(3);
  const Tensor x = randint({4000}, -2, 3, generator);
  EXPECT_EQ(x.dtype(), DType::Int32);
  EXPECT_TRUE(equal(x, randint({4000}, -2, 3, same)));
  EXPECT_FALSE(equal(x, randint({4000}, -2, 3, generator)));  // the generator has moved on
  for (int value = -2; value < 3; ++value)
    EXPECT_NEAR(sum(cast(equals(x, value), DType::Float32)).item(), 800, 130)
        << value;  // five standard deviations
  EXPECT_EQ(count_nonzero(logical_or(x<-2, x> 2)).item(), 0);
  EXPECT_EQ(randint({3}, 255, 256, generator, DType::UInt8).at({2}), 255);
  EXPECT_TRUE(refuses("randint", {"less than high", "got 2 and 2"}, [&] { randint({1}, 2, 2, generator); }));
  EXPECT_TRUE(
      refuses("randint", {"UInt8", "0 to 256"}, [&] { randint({1}, 0, 257, generator, DType::UInt8); }));
  const Tensor order = randperm(100, generator);
  EXPECT_TRUE(equal(sort(order), arange(100, DType::Int32)));
  EXPECT_FALSE(equal(order, arange(100, DType::Int32)));
  EXPECT_EQ(randperm(0, generator).shape().str(), "[0]");
  EXPECT_TRUE(refuses("randperm", {"0 to 2147483647, got -1"}, [&] { randperm(-1, generator); }));
}

TEST(Matmul, OfVectors) {
  const Tensor m = tensor({{1, 2, 3}, {4, 5, 6}}), u = tensor({1, -1}), v = tensor({1, 0, 2});
  EXPECT_TRUE(equal(matmul(m, v), tensor({7, 16})));
  EXPECT_TRUE(equal(matmul(u, m), tensor({-3, -3, -3})));
  EXPECT_TRUE(equal(matmul(v, v), tensor(5)));
  EXPECT_TRUE(equal(dot(v, v), tensor(5)));
  EXPECT_TRUE(equal(matmul(m, u, {.transpose_a = true}), tensor({-3, -3, -3})));
  EXPECT_EQ(matmul(ones({4, 2, 3}), v).shape().str(), "[4, 2]");
  EXPECT_EQ(matmul(u, ones({4, 2, 3})).shape().str(), "[4, 3]");
  EXPECT_EQ(matmul(zeros({0}), zeros({0})).item(), 0);
  EXPECT_TRUE(refuses("matmul", {"the inner sizes must be equal, got 3 and 2", "[2, 3]", "[2]"},
                      [&] { matmul(m, u); }));
  EXPECT_TRUE(refuses("matmul", {"transpose_b"}, [&] { matmul(m, v, {.transpose_b = true}); }));
  EXPECT_TRUE(refuses("matmul", {"[]"}, [&] { matmul(m, tensor(2)); }));
  EXPECT_TRUE(refuses("dot", {"[2, 3]", "matmul"}, [&] { dot(m, v); }));
}

TEST(Reduce, StandardDeviation) {
  const Tensor x = doubles({{1, 2, 4}, {3, 3, 3}});
  expect_close(stddev(x, 1), doubles({1.247219128924647, 0}), 1e-15, "biased");
  expect_close(stddev(x, 1, {.keepdims = true, .correction = 1}), doubles({{1.5275252316519468}, {0}}), 1e-15,
               "unbiased");
  expect_close(stddev(x), doubles(0.9428090415820635), 1e-15, "all");
  expect_close(stddev(x, {0, -1}), stddev(x), 1e-15, "both axes");
  EXPECT_EQ(stddev(zeros({0, 4}), 1).shape().str(), "[0]");
  EXPECT_EQ(stddev(tensor({1e30, -1e30})).item(), static_cast<double>(1e30F));  // its squares overflow
  EXPECT_TRUE(refuses("stddev", {"correction", "got 3", "[2, 3]"}, [&] { stddev(x, 1, {.correction = 3}); }));
  EXPECT_TRUE(refuses("stddev", {"[0, 4]"}, [] { stddev(zeros({0, 4}), 0); }));
  EXPECT_TRUE(refuses("stddev", {"Int32"}, [] { stddev(whole({1, 2})); }));
}

TEST(Losses, SmoothL1) {
  const Tensor p = doubles({0, 0.5, 1, 3}), t = doubles({0, 0, 0, 0});
  // PyTorch's smooth_l1_loss(p, t, reduction="none", beta=1) and beta=0.5.
  expect_close(smooth_l1_loss(p, t, {.reduction = Reduction::PerElement}), doubles({0, 0.125, 0.5, 2.5}),
               1e-15, "beta 1");
  expect_close(smooth_l1_loss(p, t, {.beta = 0.5, .reduction = Reduction::PerElement}),
               doubles({0, 0.25, 0.75, 2.75}), 1e-15, "beta 0.5");
  EXPECT_TRUE(refuses("smooth_l1_loss", {"beta", "got 0"}, [&] { smooth_l1_loss(p, t, {.beta = 0}); }));
  EXPECT_TRUE(
      refuses("smooth_l1_loss", {"[4]", "[3]"}, [&] { smooth_l1_loss(p, zeros({3}, DType::Float64)); }));
}

// 1,000 right ones are more than UInt8 counts.
TEST(Losses, Accuracy) {
  EXPECT_EQ(accuracy(tensor({{2, 1}, {0, 3}, {5, 1}, {0, 1}}), whole({0, 1, 1, 1})), 0.75);
  EXPECT_EQ(accuracy(zeros({1000, 3}), zeros({1000}, DType::Int32)), 1);
  EXPECT_EQ(accuracy(zeros({1000, 3}), zeros({1000}, DType::UInt8)), 1);
  EXPECT_EQ(accuracy(tensor({{{1, 2}, {2, 1}}}), whole({{1, 1}})), 0.5);
  EXPECT_TRUE(refuses("accuracy", {"[4, 1]", "[4, 2]"}, [] {
    accuracy(ones({4, 2}), zeros({4, 1}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("accuracy", {"Float32", "cast()"}, [] { accuracy(ones({4, 2}), zeros({4})); }));
  EXPECT_TRUE(refuses("accuracy", {"[0]"}, [] { accuracy(ones({0, 2}), zeros({0}, DType::Int32)); }));
  for (const int label : {2, -1, 255})  // never right, whatever the scores are
    EXPECT_TRUE(refuses("accuracy", {"at [1] is " + std::to_string(label), "2 classes"}, [&] {
      accuracy(ones({2, 2}), tensor({0, label}, DType::Int32));
    }));
  EXPECT_TRUE(refuses("accuracy", {"never given a value"}, [] { accuracy(Tensor(), whole({0})); }));
}

}  // namespace
}  // namespace tapegrad::testing
