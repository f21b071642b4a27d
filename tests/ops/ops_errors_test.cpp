#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

constexpr index_t kLargest = std::numeric_limits<index_t>::max();

struct WrongCall {
  std::string_view op;
  std::vector<std::string_view> words;
  std::function<void()> call;
};

void check(const std::vector<WrongCall>& calls) {
  for (const WrongCall& wrong : calls)
    for (const std::string_view word : wrong.words) EXPECT_TRUE(refuses(wrong.op, {word}, wrong.call));
}

TEST(OpErrors, Elementwise) {
  const Tensor a = ones({2, 3}), b = ones({2}), wide = ones({2, 3}, DType::Float64),
               whole = ones({2, 3}, DType::Int32);
  check({
      {"add", {"[2, 3]", "[2]"}, [=] { add(a, b); }},
      {"subtract", {"[2, 3]", "[2]"}, [=] { subtract(a, b); }},
      {"multiply", {"Float32 [2, 3]", "Float64 [2, 3]", "cast()"}, [=] { multiply(a, wide); }},
      {"divide", {"Int32 [2, 3]", "cast()"}, [=] { divide(whole, whole); }},
      {"divide", {"not Int32 [2, 3]", "cast()"}, [=] { whole / 0; }},
      {"divide", {"not Int32 [2, 3]", "cast()"}, [=] { 1 / whole; }},
      {"divide", {"[2, 3]", "[2]"}, [=] { divide(a, b); }},
      {"exp", {"not Int32 [2, 3]", "cast()"}, [=] { exp(whole); }},
      {"square", {"not Int32"}, [=] { square(whole); }},
      {"relu", {"not Int32"}, [=] { relu(whole); }},
      {"clamp", {"1", "0", "at most"}, [=] { clamp(a, 1, 0); }},
      {"clamp", {"nan"}, [=] { clamp(a, std::numeric_limits<double>::quiet_NaN(), 0); }},
      {"multiply", {"0.5 is not a value of Int32", "[2, 3]", "cast()"}, [=] { whole * 0.5; }},
      {"add", {"0.5 is not a value of Int32"}, [=] { 0.5 + whole; }},
      {"subtract", {"0.5 is not a value of Int32"}, [=] { whole - 0.5; }},
      {"subtract", {"0.5 is not a value of Int32"}, [=] { 0.5 - whole; }},
      {"add", {"300 is not a value of UInt8"}, [] { ones({2}, DType::UInt8) + 300; }},
      {"multiply", {"nan is not a value of Int32"}, [=] { whole* std::numeric_limits<double>::quiet_NaN(); }},
      {"reciprocal", {"not Int32"}, [=] { reciprocal(whole); }},
      {"negate", {"never given a value"}, [] { negate(Tensor()); }},
  });
}

TEST(OpErrors, Reductions) {
  const Tensor x = ones({2, 3});
  check({
      {"sum", {"axis must be", "got 2", "[2, 3]"}, [=] { sum(x, {2}); }},
      {"sum",
       {"named twice", "[2, 3]"},
       [=] {
         sum(x, {1, -1});
       }},
      {"mean", {"axis must be", "got -3"}, [=] { mean(x, {-3}); }},
      {"mean",
       {"x must have elements to average, got shape [0, 3]"},
       [=] {
         mean(ones({0, 3}), {0});
       }},
      {"broadcast_to", {"never given a value"}, [] { broadcast_to(Tensor(), {}); }},
      {"sum_to", {"never given a value"}, [] { sum_to(Tensor(), {}); }},
      {"sum", {"never given a value"}, [] { sum(Tensor()); }},
      {"mean", {"never given a value"}, [] { mean(Tensor()); }},
      {"broadcast_to",
       {"[2, 3]", "[3, 3]"},
       [=] {
         broadcast_to(x, {3, 3});
       }},
      {"broadcast_to", {"[2, 3]", "[3]"}, [=] { broadcast_to(x, {3}); }},
      {"sum_to", {"[2, 3]", "[2]"}, [=] { sum_to(x, {2}); }},
      {"sum_to",
       {"[2, 3]", "[4, 2, 3]"},
       [=] {
         sum_to(x, {4, 2, 3});
       }},
  });
}

// A sum that its type cannot hold is an error, not a wrapped number.
TEST(OpErrors, SumsOfWholeNumbersDoNotWrap) {
  check({
      {"sum", {"not a value of Int32"}, [] { sum(full({2}, 2e9, DType::Int32)); }},
      {"sum",
       {"not a value of Int32"},
       [] {
         sum(full({2, 1, 2}, -2e9, DType::Int32), {0, 2});
       }},
  });
  EXPECT_EQ(sum(full({2}, 200, DType::UInt8)).item(), 400);
  EXPECT_EQ(sum(full({3}, -5e8, DType::Int32)).item(), -1.5e9);
}

TEST(OpErrors, Layout) {
  const Tensor x = ones({2, 3});
  check({
      {"reshape", {"[2, 3]", "6", "[4]", "4"}, [=] { reshape(x, {4}); }},
      {"reshape",
       {"[2, 3]", "[4, -1]"},
       [=] {
         reshape(x, {4, -1});
       }},
      {"reshape",
       {"[2, 3]", "[0, -1]"},
       [=] {
         reshape(x, {0, -1});
       }},
      {"permute",
       {"[0, 0]", "[2, 3]"},
       [=] {
         permute(x, {0, 0});
       }},
      {"permute", {"[0]", "[2, 3]"}, [=] { permute(x, {0}); }},
      {"transpose", {"[3]"}, [=] { transpose(ones({3})); }},
      {"slice",
       {"3 ranges", "2 axes", "[2, 3]"},
       [=] {
         slice(x, {{}, {}, {}});
       }},
      {"slice",
       {"step", "0", "flip()"},
       [=] {
         slice(x, {{0, 2, 0}});
       }},
      {"row", {"index must be -2 to 1 for shape [2, 3], got 2"}, [=] { row(x, 2); }},
      {"row",
       {"x must have rows, got shape [0, 3]"},
       [] {
         row(zeros({0, 3}), 0);
       }},
      {"row", {"x must have rows, got shape []"}, [] { row(tensor(1), 0); }},
      {"row", {"-3"}, [=] { row(x, -3); }},
      {"flip", {"axis must be", "got 2", "[2, 3]"}, [=] { flip(x, {2}); }},
      {"pad",
       {"1 entries", "2 axes", "[2, 3]"},
       [=] {
         pad(x, {{1, 1}});
       }},
      {"pad",
       {"-1", "negative", "slice()"},
       [=] {
         pad(x, {{0, -1}, {0, 0}});
       }},
      {"pad",
       {"too large"},
       [=] {
         pad(x, {{kLargest, 0}, {0, kLargest}});
       }},
      {"zero_insert",
       {"3 entries", "2 axes"},
       [=] {
         zero_insert(x, {0, 0, 0});
       }},
      {"zero_insert",
       {"zeros", "got -1"},
       [=] {
         zero_insert(x, {-1, 0});
       }},
      {"zero_insert",
       {"0 to"},
       [=] {
         zero_insert(x, {0, kLargest});
       }},
      {"cast", {"300", "UInt8"}, [=] { cast(full({2}, 300), DType::UInt8); }},
      {"cast", {"-1", "UInt8"}, [=] { cast(full({2}, -1, DType::Int32), DType::UInt8); }},
      {"cast", {"2147483648", "not a value of Int32"}, [=] { cast(full({2}, 0x1p31), DType::Int32); }},
      {"cast",
       {"at [1, 2]", "[2, 3]", "is 15000000512", "0 to 255"},
       [=] {
         Tensor far = ones({2, 3});
         far.set({1, 2}, 1.5e10);
         cast(far, DType::UInt8);
       }},
      {"cast", {"never given a value"}, [] { cast(Tensor(), DType::Int32); }},
      {"copy", {"never given a value"}, [] { copy(Tensor()); }},
      {"cast", {"-2147483649", "Int32"}, [=] { cast(full({2}, -0x1p31 - 1, DType::Float64), DType::Int32); }},
      {"cast",
       {"inf", "UInt8"},
       [=] { cast(full({2}, std::numeric_limits<double>::infinity()), DType::UInt8); }},
      {"cast",
       {"nan", "Int32"},
       [=] { cast(full({2}, std::numeric_limits<double>::quiet_NaN()), DType::Int32); }},
  });
}

// Steps and ends as far as numbers go take what is there.
TEST(OpErrors, SlicesAreCutOff) {
  const Tensor x = arange(5);
  EXPECT_TRUE(equal(slice(x, {{0, Range::kToEnd, kLargest}}), tensor({0})));
  EXPECT_TRUE(equal(slice(x, {{3, kLargest, 2}}), tensor({3})));
  EXPECT_TRUE(equal(slice(x, {{-kLargest, kLargest, 3}}), tensor({0, 3})));
  EXPECT_EQ(slice(x, {{4, 2, kLargest}}).shape().str(), "[0]");
}

TEST(OpErrors, Matmul) {
  const Tensor a = ones({2, 3}), b = ones({4, 5});
  check({
      {"matmul", {"inner sizes", "3 and 4", "[2, 3]", "[4, 5]"}, [=] { matmul(a, b); }},
      {"matmul",
       {"2 and 5", "[2, 3] transposed", "[4, 5] transposed"},
       [=] { matmul(a, b, {.transpose_a = true, .transpose_b = true}); }},
      {"matmul", {"inner sizes", "2 and 4", "[2]", "[4, 5]"}, [=] { matmul(ones({2}), b); }},
      {"matmul",
       {"Float32 [2, 3]", "Float64 [3, 2]"},
       [=] {
         matmul(a, ones({3, 2}, DType::Float64));
       }},
      {"matmul",
       {"Int32"},
       [=] {
         matmul(ones({2, 2}, DType::Int32), ones({2, 2}, DType::Int32));
       }},
  });
}

}  // namespace
}  // namespace tapegrad::testing
