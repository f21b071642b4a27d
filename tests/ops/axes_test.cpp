#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

// How ops are called: one axis or several, numbers on either side, operators; and no booleans by position.

namespace tapegrad::testing {
namespace {

Tensor bytes(const Literal& values) {
  return tensor(values, DType::UInt8);
}

TEST(Axes, OneIsWrittenAsSeveralAre) {
  const Tensor x = tensor({{1, -2, 3}, {4, 0, -6}}), thin = tensor({{{1}, {2}}});
  EXPECT_TRUE(equal(sum(x, 1), tensor({2, -2})));
  EXPECT_TRUE(equal(sum(x, -1), sum(x, {1})));
  EXPECT_TRUE(equal(sum(x, {0, 1}), sum(x)));
  EXPECT_TRUE(equal(sum(x, std::vector<int>{0}), tensor({5, -2, -3})));
  EXPECT_TRUE(equal(sum(x, index_t{0}, {.keepdims = true}), tensor({{5, -2, -3}})));
  EXPECT_TRUE(equal(mean(x, 0), tensor({2.5, -1, -1.5})));
  EXPECT_TRUE(equal(prod(x, 1), tensor({-6, 0})));
  EXPECT_TRUE(equal(var(x, 0), tensor({2.25, 1, 20.25})));
  EXPECT_TRUE(equal(var(x, 0, {.correction = 1}), tensor({4.5, 2, 40.5})));
  EXPECT_TRUE(equal(max(x, -1), tensor({3, 4})));
  EXPECT_TRUE(equal(min(x, 0), tensor({1, -2, -6})));
  EXPECT_TRUE(equal(logsumexp(x, 1), logsumexp(x, {1})));
  EXPECT_TRUE(equal(norm(tensor({{3, 4}}), 1), tensor({5})));
  EXPECT_TRUE(equal(any(x, 0), bytes({1, 1, 1})));
  EXPECT_TRUE(equal(all(x, 0), bytes({1, 0, 1})));
  EXPECT_TRUE(equal(argmax(x, 1, {.keepdims = true}), tensor({{2}, {0}}, DType::Int32)));
  EXPECT_TRUE(equal(flip(x, 0), tensor({{4, 0, -6}, {1, -2, 3}})));
  EXPECT_TRUE(equal(squeeze(thin, 0), tensor({{1}, {2}})));
  EXPECT_TRUE(equal(squeeze(thin, {0, -1}), tensor({1, 2})));
  EXPECT_TRUE(refuses("sum", {"axis must be -2 to 1 for shape [2, 3], got 2"}, [&] { sum(x, 2); }));
  EXPECT_TRUE(refuses("sum", {"[2, 3]"}, [&] { sum(x, (index_t{1} << 32) + 1); }));  // not axis 1
  EXPECT_TRUE(refuses("max", {"axis -1", "twice"}, [&] { max(x, {1, -1}); }));
}

// Whatever takes axes refuses one that is not there, and one that is named twice, in its own name.
TEST(Axes, WhatIsNoSetOfAxesIsRefused) {
  const Tensor x = ones({2, 3, 1});
  using Function = std::function<Tensor(const Axes&)>;
  const std::vector<std::pair<const char*, Function>> functions = {
      {"sum", [&](const Axes& axes) { return sum(x, axes); }},
      {"mean", [&](const Axes& axes) { return mean(x, axes); }},
      {"prod", [&](const Axes& axes) { return prod(x, axes); }},
      {"var", [&](const Axes& axes) { return var(x, axes); }},
      {"stddev", [&](const Axes& axes) { return stddev(x, axes); }},
      {"max", [&](const Axes& axes) { return max(x, axes); }},
      {"min", [&](const Axes& axes) { return min(x, axes); }},
      {"logsumexp", [&](const Axes& axes) { return logsumexp(x, axes); }},
      {"norm", [&](const Axes& axes) { return norm(x, axes); }},
      {"any", [&](const Axes& axes) { return any(x, axes); }},
      {"all", [&](const Axes& axes) { return all(x, axes); }},
      {"count_nonzero", [&](const Axes& axes) { return count_nonzero(x, axes); }},
      {"flip", [&](const Axes& axes) { return flip(x, axes); }},
      {"squeeze", [&](const Axes& axes) { return squeeze(x, axes); }}};
  for (const auto& [op, f] : functions) {
    EXPECT_TRUE(refuses(op, {"axis must be -3 to 2 for shape", "got 3", "[2, 3, 1]"}, [&, &f = f] {
      f({2, 3});
    })) << op;
    EXPECT_TRUE(refuses(op, {"axis -1", "twice", "[2, 3, 1]"}, [&, &f = f] { f({2, -1}); })) << op;
  }
}

// sum(x, true) is neither axis 1 nor keepdims, and half an axis does not exist.
static_assert(std::convertible_to<int, Axes> && std::convertible_to<index_t, Axes>);
static_assert(!std::convertible_to<bool, Axes> && !std::convertible_to<double, Axes>);

TEST(Axes, MoreThanATensorCanHaveAreRefused) {
  const Tensor most = ones({1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_TRUE(testing::refuses("stack", {"[1, 1, 1, 1, 1, 1, 1, 1]", "concat()"}, [&] {
    (void)stack({most, most}, 0);
  }));
  EXPECT_TRUE(testing::refuses("expand_dims", {}, [&] { (void)expand_dims(most, 0); }));
  EXPECT_TRUE(testing::refuses("kl_to_standard_normal", {"must have a last axis"},
                               [] { (void)kl_to_standard_normal(ones(Shape{}), ones(Shape{})); }));
}

// Where there are no elements, what lies between several axes takes no memory.
TEST(Axes, HugeOnesOfNothing) {
  const Tensor x = zeros({index_t{1} << 28, 5, index_t{1} << 27, 0}, DType::Float64);
  const Axes axes{0, 2, 3};
  const Shape five{5};
  for (const auto& [y, value] : {std::pair{sum(x, axes), 0.0},
                                 {norm(x, axes), 0.0},
                                 {prod(x, axes), 1.0},
                                 {cast(any(x, axes), DType::Float64), 0.0},
                                 {cast(all(x, axes), DType::Float64), 1.0},
                                 {cast(count_nonzero(x, axes), DType::Float64), 0.0},
                                 {logsumexp(x, axes), -std::numeric_limits<double>::infinity()},
                                 {einsum("cabd,ef->a", x, ones({2, 2}, DType::Float64)), 0.0},
                                 {einsum("ef,cabd->a", ones({2, 2}, DType::Float64), x), 0.0}}) {
    EXPECT_TRUE(equal(y, full(five, value, DType::Float64))) << value << y;
  }
  EXPECT_TRUE(refuses("max", {"must have elements"}, [&] { (void)max(x, axes); }));
  Tape tape;
  const Tensor watched = tape.watch(x);
  EXPECT_EQ(tape.gradient(sum(sum(watched, axes) * 2.0), watched).shape(), x.shape());
}

TEST(Axes, PlainNumbersWhereTheyAreClear) {
  const Tensor x = tensor({{1, -2, 3}, {4, 0, -6}});
  EXPECT_TRUE(equal(reshape(x, 6), tensor({1, -2, 3, 4, 0, -6})));
  EXPECT_TRUE(equal(reshape(x, -1), reshape(x, 6)));
  EXPECT_TRUE(equal(slice(x, 1, 2), tensor({{4, 0, -6}})));
  EXPECT_TRUE(equal(slice(x, -1), tensor({{4, 0, -6}})));
  EXPECT_TRUE(equal(maximum(x, 0.0), tensor({{1, 0, 3}, {4, 0, 0}})));
  EXPECT_TRUE(equal(maximum(0.0, x), maximum(x, 0.0)));
  EXPECT_TRUE(equal(minimum(x, 1), tensor({{1, -2, 1}, {1, 0, -6}})));
  EXPECT_TRUE(equal(minimum(1, x), minimum(x, 1)));
  EXPECT_TRUE(equal(pow(2.0, tensor({0, 3, -1})), tensor({1, 8, 0.5})));
  EXPECT_TRUE(refuses("maximum", {"Int32"}, [] { maximum(tensor({1}, DType::Int32), 0.5); }));
  EXPECT_TRUE(refuses("pow", {"UInt8"}, [] { pow(2.0, bytes({1})); }));
}

TEST(Operators, ComparisonsGiveMasks) {
  const Tensor x = tensor({1, 2, 3}), y = tensor({3, 2, 1});
  EXPECT_TRUE(equal(x < y, bytes({1, 0, 0})));
  EXPECT_TRUE(equal(x <= y, bytes({1, 1, 0})));
  EXPECT_TRUE(equal(x > y, bytes({0, 0, 1})));
  EXPECT_TRUE(equal(x >= y, bytes({0, 1, 1})));
  EXPECT_TRUE(equal(x < 2, bytes({1, 0, 0})));
  EXPECT_TRUE(equal(x <= 2, bytes({1, 1, 0})));
  EXPECT_TRUE(equal(x > 2, bytes({0, 0, 1})));
  EXPECT_TRUE(equal(x >= 2, bytes({0, 1, 1})));
  EXPECT_TRUE(equal(2 < x, x > 2));
  EXPECT_TRUE(equal(2 <= x, x >= 2));
  EXPECT_TRUE(equal(2 > x, x < 2));
  EXPECT_TRUE(equal(2 >= x, x <= 2));
}

TEST(Operators, AssignmentsMakeANewTensor) {
  Tensor x = tensor({1, 2});
  const Tensor before = x;
  x += tensor({10, 20});
  EXPECT_TRUE(equal(x, tensor({11, 22})));
  EXPECT_TRUE(equal(before, tensor({1, 2})));  // a handle on what x was
  x -= tensor({1, 2});
  x *= 3.0;
  x /= tensor({2, 4});
  x += 1;
  x -= 0.5;
  x *= tensor({1, 2});
  x /= 2;
  EXPECT_TRUE(equal(x, tensor({7.75, 15.5})));
  Tape tape;
  const Tensor w = tape.watch(tensor(3));
  Tensor total = zeros({});
  for (int i = 1; i <= 3; ++i) total += w * static_cast<double>(i) * w;
  EXPECT_EQ(tape.gradient(total, w).item(), 36);
}

TEST(Operators, AssignmentsDoNotUnmakeAParameter) {
  Tensor w = parameter(tensor({1, 2}));
  EXPECT_TRUE(refuses("+=", {"parameter", "[2]", "mutable_values"}, [&] { w += 1.0; }));
  EXPECT_TRUE(refuses("-=", {"parameter"}, [&] { w -= tensor({1, 2}); }));
  EXPECT_TRUE(refuses("*=", {"parameter"}, [&] { w *= 0.5; }));
  EXPECT_TRUE(refuses("/=", {"parameter"}, [&] { w /= 2.0; }));
  EXPECT_TRUE(w.is_parameter() && equal(w, tensor({1, 2})));
}

// f(x, {0}, true) does not say what is true: options say it by name.
TEST(PublicHeaders, HaveNoBooleansByPosition) {
  const std::regex boolean(R"([(,]\s*bool\s+(\w+))"), comment(R"(//[^\n]*)");
  // Functions whose name says what true means, or that are private.
  const std::string allowed[] = {"training", "colour", "read_only", "stopped", "linked", "decoupled", "dots"};
  int read = 0;
  for (const char* room :
       {"ops", "nn", "tensor", "autograd", "transforms", "optim", "gradcheck", "io", "show", "data"})
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(TAPEGRAD_SOURCE "/lib/tapegrad/") + room)) {
      const std::string name = entry.path().filename().string();
      if (!name.ends_with(".h") || name.ends_with("_internal.h")) continue;
      ++read;
      std::ifstream file(entry.path());
      const std::string text =
          std::regex_replace(std::string(std::istreambuf_iterator<char>(file), {}), comment, "");
      for (std::sregex_iterator at(text.begin(), text.end(), boolean), end; at != end; ++at)
        EXPECT_NE(std::ranges::find(allowed, (*at)[1].str()), std::end(allowed))
            << entry.path() << ": " << at->str()
            << " is a boolean by position: make it an option with a name";
    }
  EXPECT_GT(read, 30);
}

}  // namespace
}  // namespace tapegrad::testing
