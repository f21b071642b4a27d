#include "tapegrad/transforms/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "autograd/helpers.h"
#include "tapegrad/autograd/services.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/dropout.h"
#include "tapegrad/ops/matmul.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/tensor/storage.h"

namespace tapegrad {
namespace {

using testing::f64, testing::new_parameter, testing::number, testing::throws;

struct Net {
  Generator generator{1};
  Tensor w1 = parameter(normal({3, 50}, 0, 1, generator, DType::Float64));
  Tensor w2 = parameter(normal({50, 2}, 0, 1, generator, DType::Float64));
  Tensor x = normal({40, 3}, 0, 1, generator, DType::Float64);

  Tensor block(const Tensor& in) const { return sigmoid(tanh(matmul(in, w1)) * 2.0); }
  TensorFunction function() const {
    return [this](const std::vector<Tensor>& in) { return block(in[0]); };
  }
};

TEST(Checkpoint, FirstOrderIsTheSameToTheLastBit) {
  const Net net;
  std::vector<std::vector<Tensor>> found;
  for (const bool saves : {false, true}) {
    Tape tape;
    const Tensor x = tape.watch(net.x);
    const Tensor hidden = saves ? checkpoint(net.function(), {x}) : net.block(x);
    found.push_back(tape.gradient(mean(square(matmul(hidden, net.w2))), {x, net.w1, net.w2}));
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(equal(found[0][i], found[1][i])) << i;
}

TEST(Checkpoint, SecondOrderIsTheSameToRounding) {
  const Net net;
  std::vector<std::vector<Tensor>> found;
  for (const bool saves : {false, true}) {
    Tape tape;
    const Tensor x = tape.watch(net.x);
    const Tensor hidden = saves ? checkpoint(net.function(), {x}) : net.block(x);
    const Tensor g = tape.gradient(sum(square(matmul(hidden, net.w2))), x, {.create_graph = true});
    found.push_back(tape.gradient(sum(square(g)), {x, net.w1, net.w2}));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const Tensor difference = abs(found[0][i] - found[1][i]), size = abs(found[0][i]);
    EXPECT_LT(sum(difference).item(), 1e-12 * sum(size).item()) << i;
    EXPECT_GT(sum(size).item(), 0) << i;
  }
}

TEST(Checkpoint, KeepsOnlyTheInputs) {
  const Net net;
  std::size_t bytes[2];
  for (const bool saves : {false, true}) {
    Tape tape;
    const Tensor x = tape.watch(net.x);
    const Tensor hidden = saves ? checkpoint(net.function(), {x}) : net.block(x);
    bytes[saves] = tape.graph().bytes();
  }
  const std::size_t tensor = 40 * 50 * 8, inputs = (40 * 3 + 3 * 50) * 8;
  EXPECT_EQ(bytes[1], tensor + inputs) << "the result, and what goes in";
  EXPECT_GE(bytes[0], 2 * tensor + inputs);
}

// What a tape looks for, it finds inside: in results on the way, and in gradients.
TEST(Checkpoint, WhatIsNotFiniteInsideIsFound) {
  const auto logarithm = [](const std::vector<Tensor>& in) { return exp(log(in[0])); };
  const auto root = [](const std::vector<Tensor>& in) { return sqrt(in[0]) * 2.0; };
  Tape tape({.check_finite = true});
  const Tensor x = tape.watch(f64({1, 0}));
  EXPECT_TRUE(throws({"[log]"}, [&] { (void)checkpoint(logarithm, {x}); }));
  const Tensor y = checkpoint(root, {x});
  EXPECT_TRUE(throws({"sqrt"}, [&] { (void)tape.gradient(sum(y), x); }));
}

TEST(Checkpoint, ANestedOne) {
  const Tensor p = new_parameter({3});
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  const auto inner = [&](const std::vector<Tensor>& in) { return in[0] * p * p; };
  const Tensor y =
      checkpoint([&](const std::vector<Tensor>& in) { return checkpoint(inner, {in[0] * in[0]}); }, {x});
  const auto g = tape.gradient(y, {x, p});  // x^2 p^2
  EXPECT_EQ(g[0].item(), 36);
  EXPECT_EQ(g[1].item(), 24);
}

TEST(Checkpoint, SeveralInputsAndConstants) {
  Tape tape;
  const Tensor a = tape.watch(f64({2})), b = tape.watch(f64({5})), c = f64({7});
  const Tensor y =
      checkpoint([](const std::vector<Tensor>& in) { return in[0] * in[1] + in[2] * in[0]; }, {a, b, c});
  EXPECT_EQ(tape.gradient(y, b).item(), 2) << "only what is wanted";
}

TEST(Checkpoint, AParameterAsInputAndInside) {
  const Tensor p = new_parameter({3});
  Tape tape;
  const Tensor y = checkpoint([&](const std::vector<Tensor>& in) { return in[0] * p; }, {p});
  EXPECT_EQ(tape.gradient(y, p).item(), 6);
}

TEST(Checkpoint, ACapturedIntermediateIsAnError) {
  Tape tape;
  const Tensor x = tape.watch(number(2)), z = x * x;
  EXPECT_TRUE(throws({"another tape"},
                     [&] { checkpoint([&](const std::vector<Tensor>& in) { return in[0] * z; }, {x}); }));
}

TEST(Checkpoint, AChangedParameterIsNoticed) {
  Tensor p = new_parameter({3});
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  const Tensor y = checkpoint([&](const std::vector<Tensor>& in) { return in[0] * p; }, {x});
  p.set({0}, 4);
  EXPECT_TRUE(throws({"checkpoint", "changed in place"}, [&] { tape.gradient(y, x); }));
}

TEST(Checkpoint, WithoutATapeIsJustTheFunction) {
  int calls = 0;
  const Tensor y = checkpoint(
      [&](const std::vector<Tensor>& in) {
        ++calls;
        return in[0] * 2.0;
      },
      {number(4)});
  EXPECT_EQ(y.item(), 8);
  EXPECT_EQ(calls, 1);
}

// ---- The second run is compared with the first

// Runs `change` between the two runs of f, and asks for the gradient.
void take_gradient(
    const TensorFunction& f, const Tensor& x, const std::function<void()>& change = [] {}) {
  Tape tape;
  const Tensor watched = tape.watch(x);
  const Tensor y = sum(checkpoint(f, {watched}));
  change();
  (void)tape.gradient(y, watched);
}

TEST(Checkpoint, ASecondRunThatDiffersIsAnError) {
  const Tensor x = f64({1, 2, 3});
  Generator generator(1);
  EXPECT_TRUE(throws({"checkpoint", "another result", "3 of 3 elements", "as an input"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * uniform({3}, 0, 1, generator, DType::Float64); }, x);
  }));
  double factor = 1;
  EXPECT_TRUE(throws({"checkpoint", "3 of 3 elements", "element 0", "was 1 and is 7"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * factor; }, x, [&] { factor = 7; });
  }));
  Tensor constant = f64({1, 1, 1});
  EXPECT_TRUE(throws({"checkpoint", "1 of 3 elements", "element 1"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * constant; }, x, [&] { constant.set({1}, 7); });
  }));
  Tensor frozen = new_parameter({2, 2, 2});
  EXPECT_TRUE(throws({"checkpoint", "another result"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * stop_gradient(frozen); }, x,
                  [&] { frozen.set({0}, 20); });
  }));
  index_t rows = 1;
  EXPECT_TRUE(throws({"checkpoint", "[1, 3]", "[3, 1]"}, [&] {
    take_gradient([&](const auto& in) { return reshape(in[0], {rows, -1}); }, x, [&] { rows = 3; });
  }));
  // Of equal values, so that the results agree.
  const Tensor p = new_parameter({2, 2, 2}), q = new_parameter({2, 2, 2});
  bool second = false;
  EXPECT_TRUE(throws({"checkpoint", "another parameter", "[3]"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * (second ? q : p); }, x, [&] { second = true; });
  }));
}

// The result hides the change, but the gradient does not.
TEST(Checkpoint, ACapturedConstantThatWasChangedIsAnError) {
  const Tensor x = f64({0, 1, 2});
  Tensor factor = f64({5, 1, 1});
  EXPECT_TRUE(throws({"checkpoint", "[3]", "captured", "changed in place"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * factor; }, x, [&] { factor.set({0}, 7); });
  }));
  // Of several, each.
  const Tensor more = f64({1, 2, 3});
  for (int which = 0; which < 3; ++which) {
    std::vector<Tensor> all = {copy(more), copy(more), copy(more)};
    EXPECT_TRUE(throws({"checkpoint", "[3]", "captured", "changed in place"}, [&] {
      take_gradient([&](const auto& in) { return in[0] * all[0] + in[0] * all[1] * all[2] * all[1]; }, x,
                    [&] { all[static_cast<std::size_t>(which)].set({0}, 7); });
    })) << which;
  }
  Tensor chosen = tensor({1, 0, 1}, DType::UInt8);
  EXPECT_TRUE(throws({"checkpoint", "captured", "changed in place"}, [&] {
    take_gradient([&](const auto& in) { return where(chosen, in[0], in[0] * in[0]); }, x,
                  [&] { chosen.set({0}, 0); });
  }));
  Tensor frozen = new_parameter({5, 1, 1});
  EXPECT_TRUE(throws({"checkpoint", "captured", "changed in place"}, [&] {
    take_gradient([&](const auto& in) { return in[0] * stop_gradient(frozen); }, x,
                  [&] { frozen.set({0}, 7); });
  }));
  // What the function makes itself, or keeps from its first run, is no change.
  Tensor kept;
  EXPECT_NO_THROW(take_gradient(
      [&](const auto& in) {
        Tensor own = zeros({3}, DType::Float64);
        own.set({0}, 3);
        if (!kept.defined()) kept = exp(own);
        return in[0] * own + kept * in[0];
      },
      x, [&] { factor.set({0}, 9); }));
}

// A constant that the function makes is gone with the first run: its memory can be used again.
TEST(Checkpoint, KeepsNoConstantsOfTheFirstRun) {
  constexpr index_t kLarge = 1 << 16;
  const Tensor x = f64({0, 1, 2});
  Tape tape;
  const Tensor watched = tape.watch(x);
  release_memory();
  const Tensor y = checkpoint(
      [](const std::vector<Tensor>& in) { return in[0] + sum(ones({kLarge}, DType::Float64)); }, {watched});
  EXPECT_GE(cached_memory(), kLarge * sizeof(double));
  EXPECT_EQ(y.at({0}), static_cast<double>(kLarge));
}

// The same result, from fewer parameters than in the first run: their gradients would be 0.
TEST(Checkpoint, AParameterThatTheSecondRunLeavesOutIsAnError) {
  const Tensor x = parameter(f64({2, 5})), b = parameter(f64({1, 1}));
  bool first = true;
  Tape tape;
  const Tensor y = checkpoint(
      [&](const std::vector<Tensor>& in) {
        const Tensor result = in[0] * 1.0;
        return std::exchange(first, false) ? result * b : result;
      },
      {x});
  EXPECT_TRUE(throws({"checkpoint", "does not use a parameter", "[2]"}, [&] {
    (void)tape.gradient(sum(y), {x, b});
  }));
}

TEST(Checkpoint, AsksItsLayersForAsMuchInBothRuns) {
  const Tensor x = f64({1, 2, 3});
  for (const int change : {-1, 1}) {
    int draws = 2;
    const auto f = [&](const std::vector<Tensor>& in) {
      for (int i = 0; i < draws; ++i) (void)replayed(5);
      return in[0] * 2.0;
    };
    EXPECT_NO_THROW(take_gradient(f, x));
    EXPECT_TRUE(throws({"checkpoint", change < 0 ? "less" : "more", "first"},
                       [&] { take_gradient(f, x, [&] { draws += change; }); }));
  }
}

TEST(Checkpoint, NotANumberIsTheSameAsItself) {
  const Tensor x = f64({-1, 4});
  EXPECT_NO_THROW(take_gradient([](const auto& in) { return sqrt(in[0]); }, x));
}

// The mask of the second run is that of the first, and the generator has moved on once.
TEST(Checkpoint, DropoutWithAGeneratorIsReplayed) {
  const Tensor x = f64({1, 2, 3, 4, 5, 6, 7, 8});
  Generator generator(1), plain(1);
  Tape tape;
  const Tensor watched = tape.watch(x);
  const Tensor y =
      checkpoint([&](const auto& in) { return dropout(square(in[0]), 0.5, generator); }, {watched});
  const Tensor expected = dropout(square(watched), 0.5, plain);
  EXPECT_TRUE(equal(y, expected));
  const Tensor ones_of = TensorAccess::clone(not_equals(y, 0));
  const Tensor g = tape.gradient(sum(y), watched);
  for (index_t i = 0; i < 8; ++i) EXPECT_EQ(g.at({i}), ones_of.at({i}) * 2 * 2 * x.at({i}));
  EXPECT_EQ(generator.position(), plain.position());
}

// f is copied: what it holds by value may go.
TEST(Checkpoint, TheFunctionMayGoBeforeTheGradient) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  Tensor y;
  {
    const std::vector<double> scale(1000, 3);
    const TensorFunction f = [scale](const std::vector<Tensor>& in) { return in[0] * scale[500]; };
    y = checkpoint(f, {x});
  }
  EXPECT_TRUE(equal(tape.gradient(sum(y), x), f64({3, 3})));
  EXPECT_TRUE(throws({"checkpoint", "empty"}, [&] { (void)checkpoint(TensorFunction(), {x}); }));
}

// ---- Joint rules

Tensor both(const Tensor& a, const Tensor& b, std::vector<bool>* asked = nullptr) {
  return record_joint(
      "both", TensorAccess::clone(a * b), {a, b},
      [a = Saved(a), b = Saved(b), asked](const Tensor& g, const Tensor&, const std::vector<bool>& wanted) {
        if (asked != nullptr) *asked = wanted;
        return std::vector<Tensor>{g * b(), wanted[1] ? g * a() : Tensor()};
      });
}

TEST(JointRule, GivesAllGradients) {
  const Tensor p = new_parameter({3});
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(f64({2}));
  std::vector<bool> asked;
  const Tensor y = both(x, p, &asked);
  const auto g = tape.gradient(y, {x, p});
  EXPECT_EQ(g[0].item(), 3);
  EXPECT_EQ(g[1].item(), 2);
  EXPECT_EQ(asked, (std::vector<bool>{true, true}));
  EXPECT_EQ(tape.gradient(y, x).item(), 3);
  EXPECT_EQ(asked, (std::vector<bool>{true, false}));
}

TEST(JointRule, IsDifferentiableAgain) {
  const Tensor p = new_parameter({3});
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  const Tensor g = tape.gradient(sum(square(both(x, p))), x, {.create_graph = true});  // 2 x p^2
  EXPECT_EQ(tape.gradient(g, p).item(), 4 * 2 * 3);
}

TEST(JointRule, OfTheWrongNumberIsAnError) {
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  const Tensor y = record_joint(
      "short", f64({1}), {x},
      [](const Tensor&, const Tensor&, const std::vector<bool>&) { return std::vector<Tensor>{}; });
  EXPECT_TRUE(throws({"short", "the op's gradient rule must return one gradient for each of 1 inputs, got 0"},
                     [&] { tape.gradient(y, x); }));
}

// ---- Looking at a tape

TEST(Graph, TellsOpsShapesBytesAndNames) {
  const Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor y = sum(tanh(x * p));
  const Graph graph = tape.graph({.tensors = {{"scale", p}}, .numbers = {}});
  ASSERT_EQ(graph.nodes.size(), 5u);
  EXPECT_EQ(graph.nodes[0].op, "watch");
  EXPECT_EQ(graph.nodes[1].op, "parameter");
  EXPECT_EQ(graph.nodes[1].name, "scale");
  EXPECT_EQ(graph.nodes[2].op, "multiply");
  EXPECT_EQ(graph.nodes[2].inputs, (std::vector<int>{0, 1}));
  EXPECT_EQ(graph.nodes[2].bytes, 32u) << "both factors";
  EXPECT_EQ(graph.nodes[3].bytes, 16u) << "tanh keeps its output";
  EXPECT_EQ(graph.nodes[4].bytes, 0u) << "sum keeps nothing";
  EXPECT_EQ(graph.bytes(), 48u);
  const std::string text = to_string(graph);
  for (const char* word : {"parameter scale", "multiply", "tanh", "Float64", "0, 1", "5 nodes keep 48 bytes"})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

TEST(Hooks, SeeTheWholeGradientOnce) {
  const Tensor p = new_parameter({3});
  Tape tape;
  const Tensor x = tape.watch(f64({2}));
  const Tensor z = x * p;
  std::vector<double> of_z, of_p, of_x;
  tape.on_gradient(z, [&](const Tensor& g) { of_z.push_back(g.item()); });
  tape.on_gradient(p, [&](const Tensor& g) { of_p.push_back(g.item()); });
  tape.on_gradient(x, [&](const Tensor& g) { of_x.push_back(g.item()); });
  tape.gradient(z * z + z + p, {x, p});
  EXPECT_EQ(of_z, std::vector<double>{13});
  EXPECT_EQ(of_p, std::vector<double>{27});
  EXPECT_EQ(of_x, std::vector<double>{39});
  EXPECT_TRUE(throws({"spent"}, [&] { tape.on_gradient(z, {}); }));
}

TEST(Hooks, OfAConstantAreRefused) {
  Tape tape;
  EXPECT_TRUE(
      throws({"on_gradient", "constant"}, [&] { tape.on_gradient(number(1), [](const Tensor&) {}); }));
}

TEST(Hooks, ThatAreEmptyAreRefused) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(throws({"on_gradient", "empty"}, [&] { tape.on_gradient(x, {}); }));
}

// The gradient of a sum goes to both terms: the same tensor, so that a hook of one could spoil the other.
TEST(Hooks, MayNotChangeTheGradientInPlace) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(f64({1, 2})), z = tape.watch(f64({3, 4}));
  const Tensor y = sum(x + z);
  bool write = true;
  tape.on_gradient(x, [&](const Tensor& g) {
    Tensor same = g;
    if (write) same.mutable_data<double>()[0] = 99;
  });
  EXPECT_TRUE(throws({"on_gradient", "in place", "[2]", "copy"}, [&] { tape.gradient(y, {x, z}); }));
  write = false;
  EXPECT_TRUE(equal(tape.gradient(y, z), f64({1, 1})));
}

TEST(CheckFinite, NamesTheFirstOpOfTheForwardPass) {
  Tape tape({.check_finite = true});
  const Tensor x = tape.watch(f64({{1, 0, -1}}));
  EXPECT_TRUE(throws({"[log]", "not finite", "[1, 3]"}, [&] { exp(log(x)); }));
  EXPECT_EQ(sum(exp(x)).size(), 1);
}

TEST(CheckFinite, NamesTheFirstOpEvenAmongConstants) {
  Tape tape({.check_finite = true});
  const Tensor x = tape.watch(f64({1, 2})), constant = f64({0, 1});
  EXPECT_TRUE(throws({"[log]", "not finite", "[2]"}, [&] { sum(log(constant) * x); }));
  const NoGrad no_grad;
  EXPECT_TRUE(std::isinf(sum(log(constant)).item()));
}

TEST(CheckFinite, NamesTheOpWhoseGradientIsNot) {
  Tape tape({.check_finite = true});
  const Tensor x = tape.watch(f64({4, 0}));
  const Tensor y = sum(sqrt(x) * 2.0);
  EXPECT_TRUE(throws({"[sqrt]", "gradient", "[2]", "has none"}, [&] { tape.gradient(y, x); }));
}

TEST(CheckFinite, IsOffByDefault) {
  Tape tape;
  const Tensor x = tape.watch(number(0));
  EXPECT_TRUE(std::isinf(tape.gradient(sqrt(x), x).item()));
}

}  // namespace
}  // namespace tapegrad
