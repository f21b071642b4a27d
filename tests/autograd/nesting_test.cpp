// Tapes inside tapes: marks in one recording, or isolated by a pause.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "autograd/helpers.h"

namespace tapegrad {
namespace {

using testing::f64, testing::holders, testing::identity_op, testing::new_parameter, testing::number,
    testing::right_or_refused, testing::share_memory, testing::throws;

TEST(Nested, GradientPenalty) {
  const Tensor p = new_parameter({2, 3});
  Tape outer;
  Tensor penalty;
  {
    Tape inner;
    const Tensor x = inner.watch(f64({1, 2}));
    const Tensor g = inner.gradient(sum(p * x * x * x), x);  // 3 p x^2
    EXPECT_TRUE(equal(g, f64({6, 36})));
    penalty = sum(g * g);
  }
  EXPECT_TRUE(equal(outer.gradient(penalty, p), f64({36, 864})));  // 18 p x^4
}

TEST(Nested, PenaltyPlusLoss) {
  // What is lost in the penalty would go unnoticed beside the loss.
  const Tensor p = new_parameter({2});
  Tape outer;
  const Tensor x = outer.watch(f64({3}));
  const Tensor loss = p * p * x;
  Tape inner;
  const Tensor g = inner.gradient(p * x * x, x);  // 2 p x
  const auto gradients = outer.gradient(loss + g * g, {p, x});
  EXPECT_EQ(gradients[0].item(), 2 * 2 * 3 + 8 * 2 * 9);
  EXPECT_EQ(gradients[1].item(), 4 + 8 * 4 * 3);
}

TEST(Nested, CoversWhatCameAfterTheMark) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  const Tensor y = x * x;
  Tape inner({.persistent = true});
  const Tensor z = y * x;
  EXPECT_EQ(inner.gradient(z, x).item(), 9) << "y is as it is";
  EXPECT_EQ(inner.gradient(z, y).item(), 3);
  EXPECT_TRUE(throws({}, [&] { inner.gradient(y, x); })) << "y came before the mark";
  EXPECT_EQ(outer.gradient(z, x).item(), 27) << "the outer tape sees all of it";
}

TEST(Nested, SourcesFromBeforeTheMarkComeInAnyOrder) {
  Tape outer;
  const std::vector<Tensor> xs = outer.watch({number(2), number(3), number(5)});
  std::vector<std::size_t> order = {0, 1, 2};
  do {
    Tape inner;
    const Tensor y = xs[0] * xs[1] * xs[1] * xs[2];
    const auto gradients = inner.gradient(y, {xs[order[0]], xs[order[1]], xs[order[2]], xs[order[0]]});
    const double expected[] = {45, 60, 18};
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(gradients[i].item(), expected[order[i % 3]]) << i;
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Nested, RulesThatLeadOnlyBehindTheMarkDoNotRun) {
  int runs = 0;
  Tape outer;
  const Tensor x = outer.watch(number(3));
  const Tensor y = x * x;
  Tape inner;
  const Tensor z = identity_op("op", y, [&](const Tensor& g) {
    ++runs;
    return g;
  });
  EXPECT_EQ(inner.gradient(z * x, x).item(), 9);
  EXPECT_EQ(runs, 0);
}

TEST(Nested, SourcesThatOnlyTheEarlierPartReachesAreNotReached) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  const Tensor y = x * x;
  {
    Tape inner;
    EXPECT_TRUE(throws({"0"}, [&] { inner.gradient(y * 2.0, x); }));
  }
  Tape inner;
  EXPECT_EQ(inner.gradient(y * 2.0, x, {.zeros_for_unreached = true}).item(), 0);
}

TEST(Nested, AParameterUsedBeforeTheMarkIsItselfAfterIt) {
  const Tensor p = new_parameter({2});
  Tape outer;
  const Tensor q = p * 3.0;
  Tape inner({.persistent = true});
  EXPECT_EQ(inner.gradient(p * p, p).item(), 4);
  EXPECT_EQ(inner.gradient(q * p, p).item(), 6) << "q is as it is";
  EXPECT_EQ(inner.gradient(p * p * q, q).item(), 4);
  const Tensor view = reshape(p, {1, 1});
  EXPECT_EQ(inner.gradient(view * view, p).item(), 4);
}

TEST(Nested, AParameterFirstUsedInside) {
  const Tensor p = new_parameter({2});
  Tape outer;
  Tensor g;
  {
    Tape inner;
    g = inner.gradient(p * p * p, p);
  }
  const Tensor y = g * p;  // 3 p^3, p's leaf was made after the inner mark
  EXPECT_EQ(outer.gradient(y, p).item(), 36);
}

TEST(Nested, TheInnerGradientOfALinearFunctionIsAConstantForTheOuter) {
  const Tensor p = new_parameter({2});
  Tape outer;
  Tape inner;
  const Tensor x = inner.watch(f64({5}));
  const Tensor g = inner.gradient(x * 3.0, x);
  EXPECT_EQ(outer.gradient(g * p, p).item(), 3);
}

TEST(Nested, InnerGradientThatIsASavedTensor) {
  // d(p x)/dx is p: the outer tape must know it, though no arithmetic was done on it.
  const Tensor p = new_parameter({2});
  Tape outer;
  Tape inner;
  const Tensor x = inner.watch(f64({5}));
  const Tensor y = record("linear", f64({10}), {{x, [p = Saved(p)](const Tensor& g) { return g * p(); }}});
  const Tensor g = inner.gradient(y, x);
  EXPECT_FALSE(share_memory(g, p));
  EXPECT_EQ(outer.gradient(g * g * p, p).item(), 3 * 4);
}

TEST(Nested, InnerSpentOuterGoesOn) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  Tape inner;
  const Tensor y = x * x * x;
  const Tensor g = inner.gradient(y, x);
  EXPECT_TRUE(is_recording());
  EXPECT_TRUE(throws({"persistent"}, [&] { inner.gradient(y, x); }));
  EXPECT_TRUE(throws({}, [&] { (void)inner.watch(x); }));
  const Tensor z = g * x;  // recorded while the spent tape is still in scope
  EXPECT_EQ(outer.gradient(z + y, x).item(), 9 * 9 + 27);
  EXPECT_FALSE(is_recording());
}

TEST(Nested, InnerTapesOneAfterTheOther) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tensor total = x;
  for (int i = 0; i < 3; ++i) {
    Tape inner;
    total = total * inner.gradient(x * x, x);  // 2 x
  }
  EXPECT_EQ(outer.gradient(total, x).item(), 8 * 4 * 8);  // (8 x^4)'
}

TEST(Nested, ThirdOrder) {
  Tape first;
  const Tensor x = first.watch(number(2));
  Tensor d1, d2;
  {
    Tape second;
    {
      Tape third;
      d1 = third.gradient(x * x * x * x, x);
    }
    d2 = second.gradient(d1, x);
  }
  const Tensor d3 = first.gradient(d2, x);
  EXPECT_EQ(d1.item(), 32);
  EXPECT_EQ(d2.item(), 48);
  EXPECT_EQ(d3.item(), 48);
}

TEST(Nested, CreateGraphOnTheInnerTape) {
  const Tensor p = new_parameter({3});
  Tape outer;
  Tensor g2;
  {
    Tape inner;
    const Tensor x = inner.watch(f64({2}));
    const Tensor g = inner.gradient(p * x * x * x, x, {.create_graph = true});  // 3 p x^2
    g2 = inner.gradient(g, x);                                                  // 6 p x
    EXPECT_EQ(g2.item(), 36);
  }
  EXPECT_EQ(outer.gradient(g2 * g2, p).item(), 2 * 36 * 12);
}

TEST(Nested, PersistentInnerTape) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tensor a, b;
  {
    Tape inner({.persistent = true});
    const Tensor y = x * x * x;
    a = inner.gradient(y, x);
    b = inner.gradient(y * y, x);
  }
  EXPECT_EQ(a.item(), 12);
  EXPECT_EQ(b.item(), 6 * 32);
  EXPECT_EQ(outer.gradient(a + b, x).item(), 12 + 30 * 16);
}

TEST(Nested, SeedOfTheOuterTape) {
  Tape outer;
  const Tensor x = outer.watch(f64({1, 2})), u = outer.watch(f64({3, 4}));
  Tape inner;
  const Tensor g = inner.gradient(x * x, x, {.output_gradient = u});
  EXPECT_TRUE(equal(outer.gradient(sum(g * g), u), f64({24, 128})));  // 8 x^2 u
}

TEST(Nested, SumsOfRecordedGradientsAreNotMadeInPlace) {
  // x is used three times, so its inner gradient is a sum of values that the outer tape has recorded.
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tensor g;
  {
    Tape inner;
    const Tensor a = x * x, b = a * x, c = b * x;
    g = inner.gradient(a + b + c, x);  // 2x + 3x^2 + 4x^3
  }
  EXPECT_EQ(g.item(), 4 + 12 + 32);
  EXPECT_EQ(outer.gradient(g * g, x).item(), 2 * 48 * (2 + 12 + 48));
}

TEST(Nested, WatchedByTheInnerTapeIsIndependentOfItsOrigin) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  const Tensor y = x * x;
  Tape inner;
  const Tensor w = inner.watch(y);
  const auto gradients = inner.gradient(w * w * y, {w, y});
  EXPECT_EQ(gradients[0].item(), 32);
  EXPECT_EQ(gradients[1].item(), 16);
}

TEST(Nested, AWatchedParameterIsIndependentAsOnATapeOfItsOwn) {
  // The same function must give the same values inside of a tape and outside of any.
  const Tensor p = new_parameter({2});
  const auto f = [&] {
    Tape tape;
    const Tensor w = tape.watch(p);
    return tape.gradient(w * w * p, p);
  };
  EXPECT_EQ(f().item(), 4);
  Tape outer;
  EXPECT_EQ(f().item(), 4);
}

TEST(Nested, WhatTheInnerTapeWatchesIsItselfForTheOuter) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tensor g;
  {
    Tape inner;
    const Tensor w = inner.watch(x);
    g = inner.gradient(w * w * w, w);
  }
  EXPECT_EQ(outer.gradient(g + x, x).item(), 12 + 1) << "the way through the watched handle would be missed";
}

TEST(Nested, InnerVariablesAreSourcesOfTheOuterTape) {
  Tape outer;
  Tensor w, y;
  {
    Tape inner;
    w = inner.watch(number(3));
    y = inner.gradient(w * w * w, w);
  }
  EXPECT_EQ(outer.gradient(y, w).item(), 18);
}

TEST(Nested, TheOuterGradientEndsTheInnerTape) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  Tape inner;
  const Tensor y = x * x;
  EXPECT_EQ(outer.gradient(y, x).item(), 6);
  EXPECT_FALSE(is_recording());
  EXPECT_TRUE(throws({}, [&] { inner.gradient(y, x); }));
  EXPECT_TRUE(throws({}, [&] { (void)inner.watch(x); }));
  const index_t before = outer.size();
  const Tensor z = x * x;
  EXPECT_EQ(outer.size(), before) << "there is nobody to record for";
  EXPECT_NO_THROW(Tensor(y).set({}, 1)) << "nor to be protected";
  // A new tape is none of theirs.
  Tape next;
  const Tensor p = new_parameter({2});
  EXPECT_EQ(next.gradient(p * p, p).item(), 4);
}

TEST(Nested, APersistentOuterTapeWithAnInnerOneOpen) {
  Tape outer({.persistent = true});
  const Tensor x = outer.watch(number(3));
  Tape inner;
  const Tensor y = x * x * x;
  EXPECT_EQ(outer.gradient(y, x).item(), 27);
  EXPECT_TRUE(is_recording());
  const Tensor g = inner.gradient(y, x);
  EXPECT_EQ(outer.gradient(g, x).item(), 18);
  EXPECT_EQ(outer.gradient(g, x).item(), 18);
}

TEST(Nested, InsideASpentTapeATapeIsOnItsOwn) {
  const Tensor p = new_parameter({2});
  Tape spent;
  const Tensor y = p * p;
  spent.gradient(y, p);
  Tape tape;
  EXPECT_EQ(tape.gradient(p * p * p, p).item(), 12);
  EXPECT_TRUE(throws({}, [&] { spent.gradient(y, p); }));
}

TEST(Nested, FreesNothingThatTheOuterTapeNeeds) {
  const Tensor c = f64({5});
  {
    Tape outer;
    const Tensor x = outer.watch(f64({2}));
    {
      Tape inner;
      inner.gradient(x * c, x);
      EXPECT_GT(holders(c), 1u);
    }
    EXPECT_GT(holders(c), 1u);
    outer.gradient(x * x, x);
    EXPECT_EQ(holders(c), 1u);
  }
  EXPECT_EQ(holders(c), 1u);
}

TEST(Nested, ResultsShareMemoryWithNothing) {
  const Tensor seed = f64({1, 2});
  Tape outer;
  const Tensor a = outer.watch(f64({1, 2})), b = outer.watch(f64({3, 4}));
  std::vector<Tensor> all;
  {
    Tape inner;
    const Tensor y = a + reshape(b, {2});
    all = inner.gradient(y, {a, b, y, a}, {.output_gradient = seed});
    all.insert(all.end(), {seed, a, b, y});
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(share_memory(all[i], all[j])) << i << " and " << j;
}

TEST(Nested, AnExceptionInsideLeavesTheOuterTapeWhole) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  const Tensor y = x * x;
  {
    Tape inner;
    const Tensor z = identity_op("throws", y, [](const Tensor& g) {
      throw std::runtime_error("on purpose");
      return g;
    });
    EXPECT_THROW(inner.gradient(z * y, y), std::runtime_error);
    EXPECT_TRUE(is_recording());
  }
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(outer.gradient(y * x, x).item(), 27);
}

TEST(Nested, RefusedCallsLeaveTheOuterTapeWhole) {
  Tape outer;
  const Tensor x = outer.watch(number(3)), unused = outer.watch(number(1));
  {
    Tape inner;
    const Tensor y = x * x;
    EXPECT_TRUE(throws({"0"}, [&] { inner.gradient(y, unused); }));
    EXPECT_TRUE(is_recording());
  }
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(outer.gradient(x * x, x).item(), 6);
}

// ---- Isolated by a pause

TEST(Isolated, ByAPause) {
  const Tensor p = new_parameter({2});
  Tape outer;
  const Tensor y = p * p;
  const index_t before = outer.size();
  Tensor g;
  {
    const NoGrad no_grad;
    Tape inner;
    const Tensor x = inner.watch(stop_gradient(y));
    g = inner.gradient(x * x * p, p);
    EXPECT_EQ(outer.size(), before);
    EXPECT_FALSE(is_recording());
  }
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(g.item(), 16);
  EXPECT_EQ(outer.gradient(g * y, p).item(), 64) << "g is a constant";
}

TEST(Isolated, APauseInsideANestedTape) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tape inner;
  const Tensor y = x * x * x;
  Tensor c;
  {
    const NoGrad no_grad;
    c = y * 1.0;
    const NoGrad again;
  }
  const Tensor g = inner.gradient(c * y, x);
  EXPECT_EQ(g.item(), 8 * 12);
  EXPECT_EQ(outer.gradient(g, x).item(), 8 * 12) << "c 6 x";
}

TEST(Isolated, TheOuterGradientInsideAnIsolatedTape) {
  const Tensor p = new_parameter({3});
  for (const bool create_graph : {false, true}) {
    Tape outer;
    const Tensor y = p * p * p;
    Tensor g;
    {
      const NoGrad no_grad;
      Tape inner;
      g = outer.gradient(y, p, {.create_graph = create_graph});
      EXPECT_EQ(inner.size(), 0) << "the backward pass of another tape is none of its business";
      EXPECT_TRUE(is_recording());
    }
    EXPECT_EQ(g.item(), 27);
    if (create_graph) {
      EXPECT_TRUE(right_or_refused(f64({18 + 6}), [&] { return outer.gradient(g + p * p, p); }));
    }
  }
}

TEST(Isolated, AGradientInAPauseInsideANestedTape) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  Tape inner;
  const Tensor y = x * x * x;
  const NoGrad no_grad;
  EXPECT_EQ(inner.gradient(y, x).item(), 12);
  EXPECT_FALSE(is_recording());
}

// ---- Ended out of order

TEST(OutOfOrder, TheOuterTapeDiesFirst) {
  auto outer = std::make_unique<Tape>();
  const Tensor x = outer->watch(number(3));
  auto inner = std::make_unique<Tape>();
  const Tensor y = x * x;
  outer.reset();
  EXPECT_TRUE(right_or_refused(number(6), [&] { return inner->gradient(y, x); }));
  inner.reset();
  EXPECT_FALSE(is_recording());
  Tape next;
  const Tensor p = new_parameter({2});
  EXPECT_EQ(next.gradient(p * p, p).item(), 4);
}

TEST(OutOfOrder, TheOuterTapeDiesAndTheInnerGoesOnRecordingOrRefuses) {
  auto outer = std::make_unique<Tape>();
  const Tensor p = new_parameter({2});
  p* p;
  Tape inner;
  outer.reset();
  EXPECT_TRUE(right_or_refused(f64({12}), [&] {
    const Tensor y = p * p * p;
    return inner.gradient(y, p);
  }));
}

TEST(OutOfOrder, TheMiddleOneOfThree) {
  auto first = std::make_unique<Tape>();
  const Tensor x = first->watch(number(2));
  auto second = std::make_unique<Tape>();
  const Tensor y = x * x;
  auto third = std::make_unique<Tape>();
  const Tensor z = y * y * x;
  second.reset();
  EXPECT_TRUE(is_recording());
  const Tensor g = third->gradient(z, y);  // 2 y x
  third.reset();
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(first->gradient(g, x).item(), 6 * 4);  // (2 x^3)'
  first.reset();
  EXPECT_FALSE(is_recording());
}

TEST(OutOfOrder, ATapeDiesBeforeThePauseInsideIt) {
  std::optional<Tape> tape(std::in_place);
  const Tensor x = tape->watch(number(2));
  std::optional<NoGrad> pause(std::in_place);
  tape.reset();
  EXPECT_FALSE(is_recording());
  pause.reset();
  EXPECT_FALSE(is_recording());
  Tape next;
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { x* x; }));
}

TEST(OutOfOrder, APauseEndsBeforeTheTapeInsideIt) {
  const Tensor p = new_parameter({3});
  Tape outer;
  std::optional<NoGrad> pause(std::in_place);
  std::optional<Tape> isolated(std::in_place);
  const Tensor y = p * p;
  pause.reset();
  EXPECT_EQ(isolated->gradient(y, p).item(), 6);
  isolated.reset();
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(outer.gradient(p * p, p).item(), 6);
}

TEST(OutOfOrder, TheIsolatingTapeDiesFirst) {
  const Tensor p = new_parameter({3});
  auto outer = std::make_unique<Tape>();
  const Tensor y = p * p;
  const NoGrad no_grad;
  Tape isolated;
  const Tensor z = p * p * p;
  outer.reset();
  EXPECT_EQ(isolated.gradient(z, p).item(), 27);
}

}  // namespace
}  // namespace tapegrad
