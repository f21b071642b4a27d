#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

// The weights of a Sequential do not depend on the order in which the compiler makes its arguments: GCC begins
// with the last one, Clang with the first.

namespace tapegrad::testing {
namespace {

Conv2D conv(index_t in, index_t out, Generator& generator) {
  return Conv2D({.in_channels = in, .filters = out, .kernel_size = 3}, generator);
}

Dense dense(index_t in, index_t out, Generator& generator, const Initializer& initializer = glorot_uniform) {
  return Dense({.in_features = in,
                .units = out,
                .kernel_initializer = initializer,
                .bias_initializer = normal_initializer(0.5)},
               generator);
}

// A module of one's own, with layers and a parameter of its own.
struct Block : Module {
  Block(index_t channels, Generator& generator)
      : first(conv(channels, channels, generator)),
        scale(draw_parameter(uniform_initializer(2), {channels}, generator)),
        second(conv(channels, channels, generator)) {}
  Tensor forward(const Tensor& x) override { return second(first(x) * scale); }
  void visit(Visitor& visitor) override {  // not in the order of drawing
    visitor("second", second);
    visitor("scale", scale);
    visitor("first", first);
  }
  Conv2D first;
  Tensor scale;
  Conv2D second;
};

void expect_same(Module& a, Module& b) {
  const State x = a.state(), y = b.state();
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  for (std::size_t i = 0; i < x.tensors.size(); ++i) {
    EXPECT_EQ(x.tensors[i].first, y.tensors[i].first);
    EXPECT_TRUE(equal(x.tensors[i].second, y.tensors[i].second)) << x.tensors[i].first;
  }
}

TEST(Sequential, DrawsInTheOrderOfItsList) {
  Generator one(7), two(7), three(7);
  Sequential parentheses(conv(1, 4, one), ReLU(), Dropout(0.5, one), conv(4, 2, one), Flatten(),
                         dense(8, 3, one, he_normal), dense(3, 3, one, orthogonal));
  Sequential braces{conv(1, 4, two),
                    ReLU(),
                    Dropout(0.5, two),
                    conv(4, 2, two),
                    Flatten(),
                    dense(8, 3, two, he_normal),
                    dense(3, 3, two, orthogonal)};
  Sequential added;
  added.add(conv(1, 4, three)).add(ReLU());
  added.add(Dropout(0.5, three)).add(conv(4, 2, three)).add(Flatten());
  added.add(dense(8, 3, three, he_normal));
  added.add(dense(3, 3, three, orthogonal));
  expect_same(parentheses, added);
  expect_same(braces, added);
  EXPECT_TRUE(one.position() == three.position() && two.position() == three.position());
  for (const Tensor& parameter : parentheses.parameters()) EXPECT_TRUE(parameter.is_parameter());
}

// The values that a program got that never wrote a Sequential in parentheses.
TEST(Sequential, WeightsOfASeedStay) {
  Generator one(7), two(7);
  const Tensor first = glorot_uniform({2, 3}, one), second = glorot_uniform({3, 1}, one);
  Sequential net(Dense({.in_features = 2, .units = 3}, two), Dense({.in_features = 3, .units = 1}, two));
  EXPECT_TRUE(equal(net.parameters()[0], first));
  EXPECT_TRUE(equal(net.parameters()[2], second));
}

TEST(Sequential, DrawsInOrderInsideOfModulesAndOfSequentials) {
  Generator one(8), two(8);
  Sequential parentheses(Sequential(conv(1, 2, one), ReLU(), Block(2, one)), Block(2, one),
                         Sequential(conv(2, 2, one), Sequential(conv(2, 3, one), conv(3, 1, one))));
  Sequential added, head, tail, end;
  head.add(conv(1, 2, two)).add(ReLU());
  head.add(Block(2, two));
  added.add(std::move(head));
  added.add(Block(2, two));
  tail.add(conv(2, 2, two));
  end.add(conv(2, 3, two));
  end.add(conv(3, 1, two));
  tail.add(std::move(end));
  added.add(std::move(tail));
  expect_same(parentheses, added);
}

TEST(Sequential, SeveralGeneratorsAreEachInOrder) {
  Generator a(1), b(2), c(1), d(2);
  Sequential parentheses(conv(1, 2, a), conv(2, 2, b), conv(2, 2, a), conv(2, 2, b));
  Sequential added;
  added.add(conv(1, 2, c)).add(conv(2, 2, d));
  added.add(conv(2, 2, c)).add(conv(2, 2, d));
  expect_same(parentheses, added);
}

// Layers with a name were made by statements of their own: what they drew is what they keep.
TEST(Sequential, NamedLayersKeepTheirWeights) {
  Generator generator(9);
  Dense last = dense(3, 3, generator), first = dense(3, 3, generator);
  const Tensor of_first = copy(first.kernel), of_last = copy(last.kernel);
  Sequential net(std::move(first), std::move(last));
  EXPECT_TRUE(equal(net.parameters()[0], of_first));
  EXPECT_TRUE(equal(net.parameters()[2], of_last));
}

// What a module's constructor did to its weights after they were drawn stays.
struct Halved : Module {
  explicit Halved(Generator& generator) : inner(dense(2, 2, generator)) {
    for (float& w : inner.kernel.mutable_values<float>()) w = 0.5F;
  }
  Tensor forward(const Tensor& x) override { return inner(x); }
  void visit(Visitor& visitor) override { visitor("inner", inner); }
  Dense inner;
};

TEST(Sequential, WeightsThatAConstructorSetStay) {
  Generator one(10), two(10);
  Sequential net(Halved(one), dense(2, 2, one), Halved(one));
  EXPECT_TRUE(equal(net.parameters()[0], full({2, 2}, 0.5)));
  EXPECT_TRUE(equal(net.parameters()[4], full({2, 2}, 0.5)));
  Halved same(two);
  EXPECT_TRUE(equal(net.parameters()[2], dense(2, 2, two).kernel));
}

// A kernel that a constructor replaced leaves its memory to whatever is made next: that is not drawn over.
struct Replaced : Module {
  explicit Replaced(Generator& generator) : inner(dense(8, 8, generator)) {
    inner.kernel = parameter(zeros({8, 8}));
    scale = parameter(ones({8, 8}));
  }
  Tensor forward(const Tensor& x) override { return inner(x) * scale; }
  void visit(Visitor& visitor) override {
    visitor("inner", inner);
    visitor("scale", scale);
  }
  Dense inner;
  Tensor scale;
};

TEST(Sequential, WhatReplacedADrawnParameterStays) {
  Generator generator(11);
  Sequential net(Replaced(generator), dense(8, 8, generator), Replaced(generator));
  const State state = net.state();
  for (const char* replaced : {"0", "2"}) {
    EXPECT_TRUE(equal(*state.find(std::string(replaced) + ".inner.kernel"), zeros({8, 8})));
    EXPECT_TRUE(equal(*state.find(std::string(replaced) + ".scale"), ones({8, 8})));
  }
  Generator again(11);
  const Replaced first(again);
  EXPECT_TRUE(equal(*state.find("1.kernel"), dense(8, 8, again).kernel));
}

// A module that draws more than its parameters' first values.
struct Noisy : Module {
  explicit Noisy(Generator& generator) : noise(normal({2}, 0, 1, generator)), inner(dense(2, 2, generator)) {}
  Tensor forward(const Tensor& x) override { return inner(x) + noise; }
  void visit(Visitor& visitor) override {
    visitor("inner", inner);
    visitor("noise", noise);
  }
  Tensor noise;
  Dense inner;
};

// Where the compiler makes the arguments in another order, what was drawn beside cannot be drawn again: an error.
TEST(Sequential, MoreThanFirstValuesIsAnErrorOrInOrder) {
  Generator one(12), two(12);
  Sequential braces{Noisy(two), dense(2, 2, two)};
  try {
    Sequential parentheses(Noisy(one), dense(2, 2, one));
    expect_same(parentheses, braces);
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), "Sequential");
    EXPECT_NE(error.message().find("write Sequential net{...} with braces"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace tapegrad::testing
