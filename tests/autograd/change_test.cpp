// Elements that are changed in place while a tape relies on them.

#include <gtest/gtest.h>

#include <thread>

#include "autograd/helpers.h"

namespace tapegrad {
namespace {

using testing::f64, testing::identity_op, testing::new_parameter, testing::number, testing::right_or_refused,
    testing::throws;

TEST(Changed, AParameterBetweenForwardAndBackward) {
  Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor y = sum(p * x);
  p.mutable_values<double>()[0] = 5;
  EXPECT_TRUE(throws({"multiply"}, [&] { tape.gradient(y, x); }));
}

TEST(Changed, OneElementIsEnough) {
  Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor y = sum(square(p));
  p.set({1}, 7);
  EXPECT_TRUE(throws({"square"}, [&] { tape.gradient(y, p); }));
}

TEST(Changed, ThroughAViewOfTheParameter) {
  const Tensor p = new_parameter({1, 2, 3});
  Tensor tail = slice(p, {{1, 3}});
  Tape tape;
  const Tensor y = sum(square(p));
  tail.set({0}, 7);
  EXPECT_TRUE(throws({"square"}, [&] { tape.gradient(y, p); }));
}

TEST(Changed, ThroughTheHandleThatWasWatched) {
  Tensor x0 = f64({1, 2});
  Tape tape;
  const Tensor x = tape.watch(x0);
  const Tensor y = sum(square(x));
  x0.set({0}, 7);
  EXPECT_TRUE(throws({"square"}, [&] { tape.gradient(y, x); }));
}

TEST(Changed, AConstant) {
  Tensor c = f64({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor y = sum(c * x);
  c.set({0}, 7);
  EXPECT_TRUE(throws({"multiply"}, [&] { tape.gradient(y, x); }));
}

TEST(Changed, WhatNoRuleNeedsIsNoError) {
  Tensor p = new_parameter({1, 2}), c = f64({3, 4});
  Tape tape;
  const Tensor y = sum((p + c) * 2.0);
  p.set({0}, 7);
  c.set({0}, 7);
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({2, 2})));
}

TEST(Changed, WhatOnlyAnUnaskedRuleNeedsIsNoError) {
  Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor y = sum(p * x);
  p.set({0}, 7);
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({3, 4})));
}

TEST(Changed, BetweenTwoGradientsOfAPersistentTape) {
  Tensor p = new_parameter({1, 2});
  Tape tape({.persistent = true});
  const Tensor y = sum(square(p));
  tape.gradient(y, p);
  p.set({0}, 7);
  EXPECT_TRUE(throws({"square"}, [&] { tape.gradient(y, p); }));
  EXPECT_TRUE(equal(tape.gradient(sum(square(p)), p), f64({14, 4}))) << "computed anew it is right";
}

TEST(Changed, BetweenInnerAndOuterGradient) {
  Tensor p = new_parameter({1, 2});
  Tape outer;
  Tensor g;
  {
    Tape inner;
    g = inner.gradient(sum(p * p * p), p);
  }
  p.set({0}, 7);
  EXPECT_TRUE(throws({"multiply"}, [&] { outer.gradient(sum(g), p); }));
}

TEST(Changed, TheOutputThatARuleTakes) {
  // The op's result is its input's memory, so the parameter's update changes the output as well.
  Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor y = record("mine", p, {{p, [](const Tensor& g, const Tensor& output) { return g * output; }}});
  EXPECT_TRUE(right_or_refused(f64({1, 2}), [&] {
    p.set({0}, 7);
    return tape.gradient(sum(y), p);
  }));
}

TEST(Changed, TheOutputThatARuleTakesFromAConstantsMemory) {
  Tensor memory = f64({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor y =
      record("mine", memory, {{x, [](const Tensor& g, const Tensor& output) { return g * output; }}});
  EXPECT_TRUE(right_or_refused(f64({1, 2}), [&] {
    memory.set({0}, 7);
    return tape.gradient(sum(y), x);
  }));
}

TEST(Changed, TheOutputThatARuleTakesThroughAStoppedHandle) {
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor values = f64({1, 2});  // the op's author still holds a handle when record() is called
  const Tensor y =
      record("mine", values, {{x, [](const Tensor& g, const Tensor& output) { return g * output; }}});
  Tensor stopped = stop_gradient(y);
  EXPECT_TRUE(right_or_refused(f64({1, 2}), [&] {
    stopped.set({0}, 7);
    return tape.gradient(sum(y), x);
  }));
}

TEST(Changed, TheOutputOfALibraryOpFromAnotherThread) {
  Tape tape;
  const Tensor x = tape.watch(f64({0.5, 1}));
  Tensor y = exp(x);
  const Tensor expected = copy(stop_gradient(y));
  EXPECT_TRUE(right_or_refused(expected, [&] {
    std::thread([&] {
      try {
        y.set({0}, 7);
      } catch (const Error&) {
        // refused: good
      }
    }).join();
    return tape.gradient(sum(y), x);
  }));
}

TEST(Changed, ByTheRuleItself) {
  // add hands the same gradient on to both of its inputs; a rule that scribbles over the one it got must not
  // silently change the other.
  Tape tape;
  const Tensor a = tape.watch(f64({1, 2})), b = tape.watch(f64({1, 2}));
  const Tensor left = identity_op("scribbles", a, [](const Tensor& g) {
    Tensor mine = g;
    mine.set({0}, 99);
    return mine;
  });
  const Tensor seed = f64({1, 1});
  const Tensor y = b + left;
  EXPECT_TRUE(right_or_refused(f64({1, 1}), [&] {
    const auto gradients = tape.gradient(y, {a, b}, {.output_gradient = seed});
    return gradients[1];
  }));
}

// ---- Which tensors may be written to

TEST(Writing, IntermediatesOfAnOpenTapeAreRefused) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  Tensor y = square(x), view = reshape(y, {2, 1}), stopped = stop_gradient(y), part = row(y, 0);
  EXPECT_TRUE(throws({}, [&] { y.mutable_values<double>(); }));
  EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); }));
  EXPECT_TRUE(throws({}, [&] { view.set({0, 0}, 1); }));
  EXPECT_TRUE(throws({}, [&] { part.set({}, 1); }));
  EXPECT_TRUE(throws({}, [&] { stopped.set({0}, 1); }));
  const NoGrad no_grad;
  EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); })) << "a pause does not close the tape";
  Tensor made_now = reshape(y, {2, 1});
  EXPECT_TRUE(throws({}, [&] { made_now.set({0, 0}, 1); }));
}

TEST(Writing, IsAllowedOnceTheTapeIsSpentOrGone) {
  Tensor y, z;
  {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    y = square(x);
    z = exp(y);
    tape.gradient(sum(z), x);
    z.set({0}, 1);
  }
  y.set({0}, 7);
  EXPECT_EQ(y.at({0}), 7);
}

TEST(Writing, IsRefusedAfterAGradientThatKeepsTheTape) {
  for (const bool persistent : {false, true}) {
    Tape tape({.persistent = persistent});
    const Tensor x = tape.watch(f64({1, 2}));
    Tensor y = square(x);
    Tensor g = tape.gradient(sum(y), x, {.create_graph = !persistent});
    EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); }));
    if (persistent)
      g.set({0}, 1);
    else
      EXPECT_TRUE(throws({}, [&] { g.set({0}, 1); }));
  }
}

TEST(Writing, IntermediatesOfAnInnerTapeAreTheOutersToo) {
  Tape outer;
  const Tensor x = outer.watch(f64({1, 2}));
  Tensor before = square(x), y, g;
  {
    Tape inner;
    EXPECT_TRUE(throws({}, [&] { before.set({0}, 1); }));
    y = square(before);
    g = inner.gradient(sum(y), before);
    EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); }));
  }
  EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); }));
  EXPECT_TRUE(throws({}, [&] { g.set({0}, 1); }));
}

TEST(Writing, IntermediatesOfATapeAroundAnIsolatedOneAreRefused) {
  Tape outer;
  const Tensor x = outer.watch(f64({1, 2}));
  Tensor y = square(x);
  const NoGrad no_grad;
  Tape inner;
  EXPECT_TRUE(throws({}, [&] { y.set({0}, 1); }));
}

TEST(Writing, ConstantsAndParametersMayBeWrittenTo) {
  Tensor p = new_parameter({1, 2}), c = square(f64({1, 2}));
  Tape tape;
  const Tensor view = reshape(p, {2, 1});
  Tensor computed = square(c);
  p.set({0}, 3);
  c.set({0}, 3);
  computed.set({0}, 3);
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({6, 4})));
}

TEST(Writing, AViewMadeOnTheTapeDoesNotLockTheParameter) {
  Tensor p = new_parameter({1, 2});
  Tape tape({.persistent = true});
  const Tensor y = sum(square(reshape(p, {2, 1})));
  const Tensor g = tape.gradient(y, p);
  p.set({0}, 3);  // what an optimizer does
  EXPECT_TRUE(throws({"square"}, [&] { tape.gradient(y, p); }));
  EXPECT_TRUE(equal(tape.gradient(sum(square(reshape(p, {2, 1}))), p), f64({6, 4})));
}

TEST(Writing, AnOpThatReturnsItsInputsMemoryDoesNotLockTheParameter) {
  Tensor p = new_parameter({1, 2});
  Tape tape({.persistent = true});
  const Tensor y = record("reverse", p, {{p, [](const Tensor& g) { return -g; }}});
  EXPECT_TRUE(equal(tape.gradient(sum(y), p), f64({-1, -1})));
  EXPECT_NO_THROW(p.set({0}, 3));
}

}  // namespace
}  // namespace tapegrad
