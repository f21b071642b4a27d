// What on_gradient() promises.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "autograd/helpers.h"

namespace tapegrad {
namespace {

using testing::f64, testing::new_parameter, testing::number, testing::throws;

// Keeps what a hook hears.
struct Heard {
  std::function<void(const Tensor&)> hook() {
    return [this](const Tensor& g) { gradients.push_back(TensorAccess::clone(g)); };
  }
  std::vector<Tensor> gradients;
};

TEST(Hooks, OfAParameterHearOfAllItsUsesThroughViewsMadeBeforeTheTape) {
  const Tensor p = new_parameter({1, 2, 3, 4}), square_view = reshape(p, {2, 2});
  const Tensor part = slice(p, {{0, 2}});
  for (const bool before_use : {false, true}) {
    Heard whole, as_square;
    Tape tape;
    const auto listen = [&] {
      tape.on_gradient(p, whole.hook());
      tape.on_gradient(square_view, as_square.hook());
    };
    if (before_use) listen();
    const Tensor y = sum(square(square_view)) + sum(part * 10.0);
    if (!before_use) listen();
    const Tensor g = tape.gradient(y, p);
    EXPECT_TRUE(equal(g, f64({12, 14, 6, 8})));
    ASSERT_EQ(whole.gradients.size(), 1u);
    EXPECT_TRUE(equal(whole.gradients[0], g));
    ASSERT_EQ(as_square.gradients.size(), 1u);
    EXPECT_TRUE(equal(as_square.gradients[0], f64({{12, 14}, {6, 8}}))) << "in the shape that was given";
  }
}

TEST(Hooks, OfAPartOfAParameterAreRefused) {
  const Tensor p = new_parameter({1, 2, 3, 4}), part = slice(p, {{0, 2}});
  Tape tape;
  EXPECT_TRUE(throws({"[on_gradient]", "[2]", "[4]"}, [&] { tape.on_gradient(part, [](const Tensor&) {}); }));
  Heard heard;
  const Tensor inside = slice(p, {{0, 2}});  // an intermediate of the tape
  tape.on_gradient(inside, heard.hook());
  tape.gradient(sum(square(inside)), p);
  ASSERT_EQ(heard.gradients.size(), 1u);
  EXPECT_TRUE(equal(heard.gradients[0], f64({2, 4})));
}

TEST(Hooks, RefuseAnUndefinedTensor) {
  Tape tape;
  EXPECT_TRUE(throws({"[on_gradient]", "never given a value"},
                     [&] { tape.on_gradient(Tensor(), [](const Tensor&) {}); }));
}

TEST(Hooks, MayAddHooks) {
  const Tensor p = new_parameter({1, 2});
  Tape tape({.persistent = true});
  int added = 0, late = 0;
  const Tensor y = sum(square(p));
  tape.on_gradient(p, [&](const Tensor&) {
    for (int i = 0; i < 100; ++i) tape.on_gradient(p, [&](const Tensor&) { ++late; });
    tape.on_gradient(y, [](const Tensor&) {});
    ++added;
  });
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({2, 4})));
  EXPECT_EQ(added, 1);
  EXPECT_EQ(late, 0) << "of the next gradient";
  tape.gradient(y, p);
  EXPECT_EQ(late, 100);
}

TEST(Hooks, MayEndTheirTape) {
  const Tensor p = new_parameter({1, 2});
  for (const bool persistent : {false, true})
    for (const bool create_graph : {false, true}) {
      auto tape = std::make_unique<Tape>(TapeOptions{.persistent = persistent});
      const Tensor y = square(p), z = sum(y * p);
      tape->on_gradient(y, [&](const Tensor&) { tape.reset(); });
      EXPECT_TRUE(equal(tape->gradient(z, p, {.create_graph = create_graph}), f64({3, 12})));
      EXPECT_EQ(tape, nullptr);
      EXPECT_FALSE(is_recording());
      EXPECT_EQ(testing::holders(p), 1u);
    }
}

TEST(Hooks, SeeNoGraphThatIsHalfFreed) {
  const Tensor p = new_parameter({1, 2});
  for (const bool persistent : {false, true}) {
    Tape tape({.persistent = persistent});
    const Tensor y = sum(square(p));
    bool refused = false;
    tape.on_gradient(p, [&](const Tensor&) {
      EXPECT_EQ(tape.parameters().size(), 1u);
      refused =
          static_cast<bool>(throws({"graph", "frees"}, [&] { EXPECT_EQ(tape.graph().nodes.size(), 3u); }));
    });
    tape.gradient(y, p);
    EXPECT_EQ(refused, !persistent);
  }
}

// Without an end to it, the stack would overflow.
TEST(Hooks, AndRulesThatAskForTheGradientThatCallsThemAreRefused) {
  const Tensor p = new_parameter({1, 2});
  {
    Tape tape({.persistent = true});
    const Tensor y = sum(square(p));
    tape.on_gradient(p, [&](const Tensor&) { (void)tape.gradient(y, p); });
    EXPECT_TRUE(throws({"[gradient]", "100 calls", "inside each other"}, [&] { (void)tape.gradient(y, p); }));
  }
  Tape tape({.persistent = true});
  Tensor y;
  y = sum(record("mine", TensorAccess::clone(p), {{p, [&](const Tensor& g) {
                                                     (void)tape.gradient(y, p);
                                                     return g;
                                                   }}}));
  EXPECT_TRUE(throws({"[mine]", "100 calls", "inside each other"}, [&] { (void)tape.gradient(y, p); }));
  // A hook may ask again as often as it wants to, but not for ever.
  int calls = 0;
  const Tensor z = sum(square(p));
  tape.on_gradient(z, [&](const Tensor&) {
    if (++calls < 90) (void)tape.gradient(z, p);
  });
  EXPECT_TRUE(equal(tape.gradient(z, p), f64({2, 4})));
  EXPECT_EQ(calls, 90);
}

TEST(Hooks, WhatTheyThrowIsThrownAsItIs) {
  const Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor y = sum(square(p));
  tape.on_gradient(p, [](const Tensor&) { throw std::out_of_range("mine"); });
  EXPECT_THROW(tape.gradient(y, p), std::out_of_range);
  EXPECT_TRUE(throws({"spent"}, [&] { tape.gradient(y, p); }));
}

// A gradient penalty: the inner gradient is a step of the outer tape's computation.
TEST(Hooks, HearOfTheirOwnTapesGradientOnly) {
  const Tensor p = new_parameter({1, 2});
  Heard of_outer, of_inner;
  Tape outer;
  outer.on_gradient(p, of_outer.hook());
  const Tensor penalty = [&] {
    Tape inner;
    const Tensor y = sum(p * p * p);
    inner.on_gradient(p, of_inner.hook());
    return sum(square(inner.gradient(y, p)));  // 9 p^4
  }();
  EXPECT_EQ(of_outer.gradients.size(), 0u);
  ASSERT_EQ(of_inner.gradients.size(), 1u);
  EXPECT_TRUE(equal(of_inner.gradients[0], f64({3, 12})));
  EXPECT_TRUE(equal(outer.gradient(penalty, p), f64({36, 288})));
  ASSERT_EQ(of_outer.gradients.size(), 1u);
  EXPECT_TRUE(equal(of_outer.gradients[0], f64({36, 288})));
  EXPECT_EQ(of_inner.gradients.size(), 1u);
}

}  // namespace
}  // namespace tapegrad
