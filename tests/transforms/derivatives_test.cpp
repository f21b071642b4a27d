#include "tapegrad/transforms/derivatives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/helpers.h"
#include "refuses.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

using testing::f64, testing::refuses;
using Inputs = const std::vector<Tensor>&;

// Rosenbrock's function, whose derivatives are known: (1 - x)^2 + 100 (y - x^2)^2.
Tensor rosenbrock(Inputs in) {
  return square(1.0 - in[0]) + 100.0 * square(in[1] - square(in[0]));
}

TEST(Jacobian, OfSeveralResultsAndInputs) {
  const auto f = [](Inputs in) { return in[0] * sum(in[1]); };  // y_i = a_i (b_0 + b_1 + b_2)
  const auto j = jacobian(f, {f64({2, 3}), f64({1, 2, 4})});
  ASSERT_EQ(j.size(), 2u);
  EXPECT_TRUE(equal(j[0], f64({{7, 0}, {0, 7}})));
  EXPECT_TRUE(equal(j[1], f64({{2, 2, 2}, {3, 3, 3}})));
}

TEST(Jacobian, HasTheShapesOneAfterTheOther) {
  const auto j = jacobian([](Inputs in) { return sum(in[0], {1}); }, {ones({2, 3, 4}, DType::Float64)});
  EXPECT_EQ(j[0].shape(), (Shape{2, 4, 2, 3, 4}));
  EXPECT_EQ(j[0].at({1, 2, 1, 0, 2}), 1);
  EXPECT_EQ(j[0].at({1, 2, 0, 0, 2}), 0);
}

TEST(Jacobian, OfWhatDoesNotDependIsZero) {
  const auto j = jacobian([](Inputs in) { return in[0] * 2.0; }, {f64({1}), f64({1, 2})});
  EXPECT_TRUE(equal(j[1], zeros({1, 2}, DType::Float64)));
}

TEST(Jacobian, IsRecordedByATapeAround) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  const auto j = jacobian([](Inputs in) { return in[0] * in[0] * in[0]; }, {x});  // diag(3 x^2)
  EXPECT_TRUE(equal(tape.gradient(sum(j[0]), x), f64({12, 18})));
}

TEST(Hessian, OfRosenbrock) {
  const auto h = hessian(rosenbrock, {f64(2), f64(5)});  // 2 - 400 (y - 3 x^2), -400 x; -400 x, 200
  EXPECT_EQ(h[0][0].item(), 2 - 400 * (5 - 12));
  EXPECT_EQ(h[0][1].item(), -800);
  EXPECT_EQ(h[1][0].item(), -800);
  EXPECT_EQ(h[1][1].item(), 200);
  EXPECT_TRUE(refuses("hessian", {"one element", "[2]"}, [] {
    hessian([](Inputs in) { return in[0]; }, {f64({1, 2})});
  }));
}

TEST(Vjp, AndJvpAreAdjoint) {
  const auto f = [](Inputs in) { return sin(in[0]) * in[1] + exp(in[0] * in[1]); };
  const std::vector<Tensor> xs = {f64({0.3, -0.7}), f64({1.1, 0.4})}, vs = {f64({2, -1}), f64({0.5, 3})};
  const Tensor u = f64({-1.5, 0.25});
  const auto [y, gradients] = vjp(f, xs, u);
  const auto [again, along] = jvp(f, xs, vs);
  EXPECT_TRUE(equal(y, f(xs)));
  EXPECT_TRUE(equal(again, y));
  const double left = sum(u * along).item(),
               right = (sum(gradients[0] * vs[0]) + sum(gradients[1] * vs[1])).item();
  EXPECT_NEAR(left, right, 1e-14);
  // Along the direction (2, 0.5) of the first elements, in closed form.
  const double x = 0.3, w = 1.1, e = std::exp(x * w);
  EXPECT_NEAR(along.at({0}), (std::cos(x) * w + e * w) * 2 + (std::sin(x) + e * x) * 0.5, 1e-14);
}

TEST(Vjp, LeavesPlainValues) {
  const auto [y, gradients] = vjp([](Inputs in) { return in[0] * in[0]; }, {f64({3})}, f64({1}));
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  EXPECT_EQ(tape.gradient(x * y * gradients[0], x).item(), 9 * 6);
}

TEST(Hvp, IsTheHessianTimesTheDirection) {
  const std::vector<Tensor> xs = {f64(2), f64(5)}, vs = {f64(3), f64(-1)};
  const auto h = hessian(rosenbrock, xs);
  const auto found = hvp(rosenbrock, xs, vs);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(found[i].item(), (h[i][0] * vs[0] + h[i][1] * vs[1]).item()) << i;
}

TEST(Jvp, OfWhatDoesNotDependIsZero) {
  const auto f = [](Inputs) { return f64({1, 2}); };
  const auto [y, along] = jvp(f, {f64({3})}, {f64({4})});
  EXPECT_TRUE(equal(y, f64({1, 2})));
  EXPECT_TRUE(equal(along, f64({0, 0})));
}

// Elements that share an extreme share it in the direction as in the gradient; where a slope is chosen, it is that one.
TEST(Jvp, AtTiesAndKinksIsTheGradientTimesTheDirection) {
  const Tensor x = f64({{1, 3, 3, 0}, {2, 2, -1, 2}}), v = f64({{1, 2, 5, 7}, {3, 4, 9, 8}});
  const auto along = [&](const TensorFunction& f) { return jvp(f, {x}, {v}).second; };
  EXPECT_TRUE(equal(along([](Inputs in) { return max(in[0], {1}); }), f64({3.5, 5})));
  EXPECT_TRUE(equal(along([](Inputs in) { return -1.0 * min(-1.0 * in[0], {1}); }), f64({3.5, 5})));
  EXPECT_TRUE(equal(along([](Inputs in) { return max(in[0], {1}, {.keepdims = true}); }), f64({{3.5}, {5}})));
  EXPECT_EQ(along([](Inputs in) { return max(in[0] - in[0] * 1.0); }).item(), 0);
  EXPECT_EQ(along([](Inputs in) { return sum(abs(in[0] - 2.0)); }).item(), -1 + 2 + 5 - 7 - 9);
  EXPECT_EQ(along([](Inputs in) { return sum(relu(in[0] - 2.0)); }).item(), 2 + 5);
  EXPECT_EQ(along([](Inputs in) { return norm(in[0] - stop_gradient(in[0])); }).item(), 0);
}

TEST(Derivatives, EachInputMustBeFloating) {
  const auto f = [](Inputs in) { return sum(in[0]); };
  for (std::size_t wrong = 0; wrong < 3; ++wrong) {
    std::vector<Tensor> xs = {f64({1}), f64({2}), f64({3})};
    xs[wrong] = tensor({1, 2}, DType::Int32);
    const std::string words = "input " + std::to_string(wrong) + " must be Float32 or Float64, got Int32 [2]";
    EXPECT_TRUE(refuses("jacobian", {words}, [&] { (void)jacobian(f, xs); }));
    EXPECT_TRUE(refuses("jvp", {words}, [&] { (void)jvp(f, xs, xs); }));
  }
}

TEST(Hvp, OfALinearFunctionIsZero) {
  EXPECT_EQ(hvp([](Inputs in) { return sum(in[0] * 3.0); }, {f64({1, 2})}, {f64({1, 1})})[0].at({1}), 0);
}

TEST(Directions, MustFitTheInputs) {
  const TensorFunction constant = [](Inputs) { return f64(1); };
  EXPECT_TRUE(refuses("jvp", {"at least one input"}, [&] { jvp(constant, {}, {}); }));
  EXPECT_TRUE(refuses("hvp", {"at least one input"}, [&] { hvp(constant, {}, {}); }));
  EXPECT_TRUE(refuses("jvp", {"1 directions", "2 inputs"}, [] {
    jvp(rosenbrock, {f64(1), f64(2)}, {f64(1)});
  }));
  EXPECT_TRUE(refuses("hvp", {"direction 0", "[2]", "[]"}, [] {
    hvp(rosenbrock, {f64(1), f64(2)}, {f64({1, 2}), f64(1)});
  }));
}

// Errors name the function that was called, not the tape that it uses.
TEST(Derivatives, NameThemselves) {
  const Tensor x = f64({1, 2}), whole = ones({2}, DType::Int32);
  const TensorFunction square_of = [](Inputs in) { return in[0] * in[0]; },
                       number = [](Inputs in) { return sum(in[0] * in[0]); }, empty,
                       mask = [](Inputs in) { return greater(in[0], 0); };
  const auto each = [&](const TensorFunction& f, const Tensor& at,
                        std::initializer_list<std::string_view> words) {
    EXPECT_TRUE(refuses("jacobian", words, [&] { (void)jacobian(f, {at}); }));
    EXPECT_TRUE(refuses("hessian", words, [&] { (void)hessian(f, {at}); }));
    EXPECT_TRUE(refuses("vjp", words, [&] { (void)vjp(f, {at}, x); }));
    EXPECT_TRUE(refuses("jvp", words, [&] { (void)jvp(f, {at}, {at}); }));
    EXPECT_TRUE(refuses("hvp", words, [&] { (void)hvp(f, {at}, {at}); }));
  };
  each(empty, x, {"function is empty"});
  each(number, whole, {"input 0", "Int32 [2]", "capture"});
  each(mask, x, {"result", "UInt8 [2]"});
  EXPECT_TRUE(refuses("vjp", {"Float64 [2]", "Float64 [3]"}, [&] {
    (void)vjp(square_of, {x}, f64({1, 2, 3}));
  }));
  EXPECT_TRUE(refuses("vjp", {"Float32 [2]"}, [&] { (void)vjp(square_of, {x}, ones({2})); }));
  EXPECT_TRUE(refuses("vjp", {"never given a value"}, [&] { (void)vjp(square_of, {x}, Tensor()); }));
}

// Before a backward pass for each of the 2^20 elements.
TEST(Jacobian, ThatHasNoRoomSaysSoAtOnce) {
  const Tensor x = zeros({index_t{1} << 20}, DType::Float64);
  int calls = 0;
  EXPECT_TRUE(refuses("jacobian", {"[1048576, 1048576]", "no memory"}, [&] {
    (void)jacobian(
        [&](const std::vector<Tensor>& in) {
          ++calls;
          return in[0] * 2.0;
        },
        {x});
  }));
  EXPECT_EQ(calls, 1);
}

TEST(Hessian, ErrorsAreItsOwn) {
  const Tensor x = f64({1, 2});
  EXPECT_TRUE(refuses("hessian", {"one element", "[2]"},
                      [&] { (void)hessian([](Inputs in) { return square(in[0]); }, {x}); }));
  const Tensor large = zeros({index_t{1} << 20}, DType::Float64);
  EXPECT_TRUE(refuses("hessian", {"[1048576, 1048576]", "no memory"},
                      [&] { (void)hessian([](Inputs in) { return sum(square(in[0])); }, {large}); }));
}

}  // namespace
}  // namespace tapegrad
