#include "tapegrad/autograd/tape.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/transforms/checkpoint.h"

namespace tapegrad {
namespace {

using testing::f64, testing::holders, testing::identity_op, testing::new_parameter, testing::number,
    testing::right_or_refused, testing::share_memory, testing::throws;

// ---- Who is who

TEST(WhoIsWho, ParametersAreWatchedByThemselves) {
  const Tensor p = new_parameter({1, 2, 3});
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4, 6})));
}

TEST(WhoIsWho, CopiesOfAHandleAreTheSameParameter) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor same = p;
  Tape tape;
  const Tensor y = sum(p * same);
  EXPECT_TRUE(equal(tape.gradient(y, same), f64({2, 4, 6})));
}

TEST(WhoIsWho, EverythingElseIsAConstant) {
  const Tensor c = f64({1, 2, 3});
  Tape tape;
  const Tensor y = sum(c * c);
  EXPECT_EQ(tape.size(), 0);
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, c); }));
}

TEST(WhoIsWho, WhatIsComputedFromConstantsIsAConstantOfEveryTape) {
  Tensor c;
  {
    Tape tape;
    c = square(f64({1, 2}));
  }
  const Tensor p = new_parameter({3, 4});
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(c * p), p), f64({1, 4})));
}

TEST(WhoIsWho, StoppedComesBeforeParameter) {
  const Tensor p = new_parameter({1, 2, 3});
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(stop_gradient(p) * p), p), f64({1, 2, 3})));
}

TEST(WhoIsWho, StoppedComesBeforeThisRecording) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2, 3}));
  const Tensor y = square(x);
  const Tensor stopped = stop_gradient(y);
  EXPECT_TRUE(equal(tape.gradient(sum(stopped * y), x), f64({2, 16, 54})));
  EXPECT_FALSE(y.is_stopped()) << "the mark belongs to the new handle only";
}

TEST(WhoIsWho, StoppedComesBeforeAnotherTape) {
  Tensor y;
  {
    Tape tape;
    y = square(tape.watch(f64({1, 2, 3})));
  }
  Tape tape;
  const Tensor x = tape.watch(f64({1, 1, 1}));
  EXPECT_TRUE(equal(tape.gradient(sum(stop_gradient(y) * x), x), f64({1, 4, 9})));
}

TEST(WhoIsWho, ViewsInheritTheStop) {
  const Tensor p = new_parameter({{1, 2}, {3, 4}});
  const Tensor stopped = stop_gradient(p);
  const Tensor before = reshape(stopped, {4});
  Tape tape;
  const Tensor flat = reshape(stopped, {4});
  const Tensor y = sum(flat) + sum(before * before) + sum(row(stopped, 1)) + sum(slice(stopped, {{0, 1}})) +
                   sum(row(reshape(flat, {2, 2}), 0)) + sum(p);
  EXPECT_TRUE(flat.is_stopped());
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({{1, 1}, {1, 1}})));
}

TEST(WhoIsWho, ViewsOfAParameterAreThatParameter) {
  const Tensor p = new_parameter({{1, 2}, {3, 4}, {5, 6}});
  const Tensor flat = reshape(p, {6});                                  // made before the tape
  const Tensor inner = row(slice(reshape(p, {3, 2, 1}), {{1, 3}}), 1);  // a view of a view: {5, 6}
  Tape tape;
  const Tensor y = sum(flat * flat) + sum(inner * 10.0) + sum(row(p, 0) * 100.0) + sum(p * 1000.0);
  EXPECT_TRUE(equal(tape.gradient(y, p), f64({{1102, 1104}, {1006, 1008}, {1020, 1022}})));
}

TEST(WhoIsWho, OverlappingViewsOfAParameterAddUp) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor head = slice(p, {{0, 2}}), tail = slice(p, {{1, 3}});
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(head * tail), p), f64({2, 4, 2})));
}

TEST(WhoIsWho, TheFirstUseOfAParameterMayBeAView) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor last = row(p, -1);
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(last * last, p), f64({0, 0, 6})));
}

// A module whose query and key matrices are slices of one parameter.
TEST(WhoIsWho, AParameterFirstUsedThroughAPartIsTheWholeParameter) {
  const Tensor p = new_parameter({{1, 2}, {3, 4}, {5, 6}});
  const Tensor first = slice(p, {{0, 1}}), flat = reshape(p, {6});
  for (const Tensor& used : {first, flat}) {
    Tape tape;
    const Tensor y = sum(square(used));
    const std::vector<Tensor> parameters = tape.parameters();
    ASSERT_EQ(parameters.size(), 1u);
    EXPECT_EQ(parameters[0].shape(), (Shape{3, 2}));
    const Tensor g = tape.gradient(y, parameters)[0];
    EXPECT_EQ(g.at({0, 1}), 4);
    EXPECT_EQ(g.at({2, 1}), used.size() == 6 ? 12 : 0);
  }
  Tape tape;
  const Tensor z = checkpoint([&](const std::vector<Tensor>& in) { return first * in[0]; }, {number(3)});
  EXPECT_TRUE(equal(tape.gradient(sum(z), p), f64({{3, 3}, {0, 0}, {0, 0}})));
}

TEST(WhoIsWho, AViewMadeBeforeTheTapeAsTheSource) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor tail = slice(p, {{1, 3}});
  Tape tape({.persistent = true});
  const Tensor y = sum(p * p);
  EXPECT_TRUE(right_or_refused(f64({4, 6}), [&] { return tape.gradient(y, tail); }));
  EXPECT_TRUE(right_or_refused(f64({{2, 4, 6}}), [&] { return tape.gradient(y, reshape(p, {1, 3})); }));
}

TEST(WhoIsWho, AViewAsTheSourceOfARecordedGradient) {
  const Tensor p = new_parameter({1, 2, 3}), line = reshape(p, {1, 3});
  Tape tape;
  const Tensor g = tape.gradient(sum(p * p * p), line, {.create_graph = true});
  EXPECT_TRUE(equal(g, f64({{3, 12, 27}})));
  EXPECT_TRUE(equal(tape.gradient(sum(g), line), f64({{6, 12, 18}})));
}

TEST(WhoIsWho, AnUnreachedViewAsTheSourceGetsZerosOfItsShape) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor tail = slice(p, {{1, 3}});
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const Tensor y = x * x;
  EXPECT_TRUE(
      right_or_refused(f64({0, 0}), [&] { return tape.gradient(y, tail, {.zeros_for_unreached = true}); }));
}

TEST(WhoIsWho, AViewMadeOnTheTapeIsAnIntermediate) {
  const Tensor p = new_parameter({1, 2, 3});
  Tape tape;
  const Tensor tail = slice(p, {{1, 3}});
  const Tensor y = sum(tail * tail) + sum(p);
  const auto gradients = tape.gradient(y, {tail, p});
  EXPECT_TRUE(equal(gradients[0], f64({4, 6})));
  EXPECT_TRUE(equal(gradients[1], f64({1, 5, 7})));
}

TEST(WhoIsWho, AParameterOfTrackedValuesStartsAnew) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor p = parameter(x * x);
  const auto gradients = tape.gradient(sum(p * x), {x, p});
  EXPECT_TRUE(equal(gradients[0], f64({1, 4})));
  EXPECT_TRUE(equal(gradients[1], f64({1, 2})));
}

TEST(WhoIsWho, ParametersThatDieOnTheTapeAreNotMistakenForLaterOnes) {
  const Tensor q = new_parameter({1, 1});
  Tape tape;
  Tensor total = sum(q);
  for (int i = 0; i < 50; ++i) {
    const Tensor p = new_parameter({i, i});  // may get the memory of its predecessor
    total = total + sum(p + q);              // which saves neither of them
  }
  const Tensor last = new_parameter({1, 2});
  const auto gradients = tape.gradient(total + sum(last * q), {q, last});
  EXPECT_TRUE(equal(gradients[0], f64({52, 53})));
  EXPECT_TRUE(equal(gradients[1], f64({1, 1})));
}

TEST(WhoIsWho, ACopyOfAParameterOutsideOfTheTapeIsAConstant) {
  const Tensor p = new_parameter({1, 2});
  const Tensor c = copy(p);
  EXPECT_FALSE(c.is_parameter());
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(c * p), p), f64({1, 2})));
}

// ---- watch()

TEST(Watch, IsANewHandleOnTheSameElements) {
  const Tensor x0 = f64({1, 2, 3});
  Tape tape;
  const Tensor x = tape.watch(x0);
  EXPECT_TRUE(share_memory(x, x0));
  EXPECT_TRUE(equal(tape.gradient(sum(x0 * x), x), f64({1, 2, 3}))) << "x0 itself stays a constant";
}

TEST(Watch, TheOriginalIsNotAVariable) {
  const Tensor x0 = f64({1, 2, 3});
  Tape tape;
  const Tensor x = tape.watch(x0);
  const Tensor y = sum(x * x);
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, x0); }));
}

TEST(Watch, TwiceTheSameTensorGivesTwoVariables) {
  const Tensor x0 = number(3);
  Tape tape;
  const Tensor a = tape.watch(x0), b = tape.watch(x0);
  const auto gradients = tape.gradient(a * a * b, {a, b});
  EXPECT_EQ(gradients[0].item(), 18);
  EXPECT_EQ(gradients[1].item(), 9);
}

TEST(Watch, AWatchedParameterIsAVariableBesideTheParameter) {
  const Tensor p = new_parameter({2, 3});
  Tape tape;
  const Tensor x = tape.watch(p);
  const auto gradients = tape.gradient(sum(x * x * p) + sum(reshape(x, {2, 1})), {x, p});
  EXPECT_TRUE(equal(gradients[0], f64({9, 19})));
  EXPECT_TRUE(equal(gradients[1], f64({4, 9})));
}

TEST(Watch, AStoppedTensorCanBeWatched) {
  Tape tape;
  const Tensor x = tape.watch(stop_gradient(f64({1, 2})));
  EXPECT_TRUE(equal(tape.gradient(sum(x * x), x), f64({2, 4})));
}

TEST(Watch, AnotherTapesTensorBecomesAVariableHere) {
  Tensor y;
  {
    Tape tape;
    y = square(tape.watch(f64({1, 2})));
  }
  Tape tape;
  const Tensor x = tape.watch(y);
  EXPECT_TRUE(equal(tape.gradient(sum(x * x), x), f64({2, 8})));
}

TEST(Watch, AWatchedIntermediateIsIndependent) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  const Tensor w = tape.watch(y);
  const auto gradients = tape.gradient(w * y, {w, y, x});
  EXPECT_EQ(gradients[0].item(), 9);
  EXPECT_EQ(gradients[1].item(), 9);
  EXPECT_EQ(gradients[2].item(), 54);
}

TEST(Watch, RefusesWhatHasNoGradient) {
  Tape tape;
  EXPECT_TRUE(throws({}, [&] { (void)tape.watch(tensor({1, 2}, DType::Int32)); }));
  EXPECT_TRUE(throws({}, [&] { (void)tape.watch(tensor({1, 2}, DType::UInt8)); }));
  EXPECT_TRUE(throws({}, [&] { (void)tape.watch(Tensor()); }));
  EXPECT_EQ(tape.size(), 0);
}

TEST(Watch, SeveralTensorsWithAChoiceForConstants) {
  Tape tape;
  const Tensor a = f64({1, 2}), integers = tensor({1, 2}, DType::Int32), stopped = stop_gradient(f64({3, 4}));
  const std::vector<Tensor> kept = tape.watch({a, integers, stopped}, Constants::Keep);
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(tape.size(), 1) << "one variable";
  EXPECT_EQ(kept[1].dtype(), DType::Int32);
  EXPECT_TRUE(kept[2].is_stopped());
  EXPECT_TRUE(throws({"watch", "Int32"}, [&] { (void)tape.watch({a, integers}); }));
  const std::vector<Tensor> variables = tape.watch({a, stopped});
  EXPECT_FALSE(variables[1].is_stopped());
  const Gradients g =
      tape.gradient(sum(kept[0] * variables[0] * variables[1]), {kept[0], variables[0], variables[1]});
  EXPECT_TRUE(equal(g[0], f64({3, 8})));
  EXPECT_TRUE(equal(g[1], f64({3, 8})));
  EXPECT_TRUE(equal(g[2], f64({1, 4})));
  for (const Constants constants : {Constants::Refuse, Constants::Keep}) {
    Tape other;
    EXPECT_TRUE(throws({"watch", "never given a value"}, [&] {
      (void)other.watch({a, Tensor()}, constants);
    }));
  }
}

TEST(Watch, RefusesATensorWithoutAValue) {
  Tape tape;
  EXPECT_TRUE(throws({"[watch]", "never given a value"}, [&] { (void)tape.watch(Tensor()); }));
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(throws({"[gradient]", "source 1", "never given a value"}, [&] {
    tape.gradient(x * x, {x, Tensor()});
  }));
}

TEST(Watch, RefusesOnASpentTape) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  tape.gradient(x * x, x);
  EXPECT_TRUE(throws({}, [&] { (void)tape.watch(number(3)); }));
}

// ---- Tensors of other tapes

TEST(OtherTapes, ATensorOfADeadTapeIsRefusedWithTheWayOut) {
  Tensor watched, y;
  {
    Tape tape;
    watched = tape.watch(f64({1, 2}));
    y = square(watched);
  }
  Tape tape;
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { square(y); }));
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { square(watched); }));
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { reshape(y, {2, 1}); }));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, watched); }));
}

TEST(OtherTapes, ATensorOfASpentTapeIsRefused) {
  Tape spent;
  const Tensor x = spent.watch(number(3));
  const Tensor y = x * x;
  spent.gradient(y, x);
  Tape tape;
  const Tensor p = new_parameter({1, 2});
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { p* y; }));
  EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4}))) << "a refusal leaves the tape as it was";
}

TEST(OtherTapes, ATensorOfALiveTapeIsRefused) {
  Tape outer;
  const Tensor x = outer.watch(number(3));
  const Tensor y = x * x;
  const NoGrad no_grad;
  Tape tape;
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { y* y; }));
  EXPECT_TRUE(throws({"stop_gradient"}, [&] { x* x; }));
}

TEST(OtherTapes, ManyDeadTapesAreAllRecognized) {
  std::vector<Tensor> stale;
  for (int i = 0; i < 100; ++i) {
    Tape tape;
    stale.push_back(square(tape.watch(number(i))));
  }
  Tape tape;
  const Tensor x = tape.watch(number(1));
  for (const Tensor& y : stale) EXPECT_TRUE(throws({"stop_gradient"}, [&] { x* y; }));
}

TEST(OtherTapes, AreNoMatterWhileNothingIsRecorded) {
  Tensor y;
  {
    Tape tape;
    y = square(tape.watch(number(3)));
  }
  const Tensor z = y * y;  // plain arithmetic: a constant for whoever uses it
  Tape tape;
  const Tensor x = tape.watch(number(2));
  EXPECT_EQ(tape.gradient(z * x, x).item(), 81);
}

TEST(OtherTapes, ASourceOfAnotherTapeIsRefused) {
  Tensor stale;
  {
    Tape tape;
    stale = tape.watch(number(3));
  }
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = x * x;
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, stale); }));
}

// ---- When is recorded

TEST(Recording, FromConstructionToTheEndOfTheScope) {
  EXPECT_FALSE(is_recording());
  {
    Tape tape;
    EXPECT_TRUE(is_recording());
    {
      const NoGrad no_grad;
      EXPECT_FALSE(is_recording());
      const NoGrad again;
      EXPECT_FALSE(is_recording());
    }
    EXPECT_TRUE(is_recording());
  }
  EXPECT_FALSE(is_recording());
}

TEST(Recording, ASecondTapeAfterTheFirst) {
  const Tensor p = new_parameter({1, 2});
  for (int i = 0; i < 3; ++i) {
    Tape tape;
    EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), f64({2, 4})));
  }
}

TEST(Recording, ThePauseIsAConstantForTheTape) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  Tensor c;
  {
    const NoGrad no_grad;
    c = x * x;
  }
  EXPECT_EQ(tape.gradient(c * x, x).item(), 9);
}

TEST(Recording, SizeCountsNodes) {
  const Tensor p = new_parameter({1, 2}), c = f64({1, 2});
  Tape tape;
  EXPECT_EQ(tape.size(), 0);
  const Tensor x = tape.watch(c);
  EXPECT_EQ(tape.size(), 1);
  square(c);
  EXPECT_EQ(tape.size(), 1);
  square(x);
  EXPECT_EQ(tape.size(), 2);
  identity_op("mine", p, [](const Tensor& g) { return g; });
  EXPECT_EQ(tape.size(), 4) << "the parameter and the op";
  identity_op("mine", p, [](const Tensor& g) { return g; });
  EXPECT_EQ(tape.size(), 5);
  const NoGrad no_grad;
  square(x);
  EXPECT_EQ(tape.size(), 5);
}

TEST(Recording, SizeOfAnInnerTapeCountsWhatCameAfterItBegan) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  const Tensor y = x * x;
  Tape inner;
  EXPECT_EQ(inner.size(), 0);
  const Tensor z = y * y;
  EXPECT_EQ(inner.size(), 1);
  EXPECT_EQ(outer.size(), 3);
}

TEST(Recording, PlainGradientEndsIt) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  tape.gradient(x * x, x);
  EXPECT_FALSE(is_recording());
  Tape next;
  EXPECT_TRUE(is_recording());
}

TEST(Recording, PersistentAndCreateGraphContinueIt) {
  {
    Tape tape({.persistent = true});
    const Tensor x = tape.watch(number(3));
    tape.gradient(x * x, x);
    EXPECT_TRUE(is_recording());
    EXPECT_EQ(tape.gradient(x * x * x, x).item(), 27);
  }
  Tape tape;
  const Tensor x = tape.watch(number(3));
  tape.gradient(x * x, x, {.create_graph = true});
  EXPECT_TRUE(is_recording());
  EXPECT_EQ(tape.gradient(x * x * x, x).item(), 27);
  EXPECT_FALSE(is_recording());
}

TEST(Recording, PlainGradientOfAPersistentTapeIsNotRecorded) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  const index_t before = tape.size();
  const Tensor g = tape.gradient(y, x);
  EXPECT_EQ(tape.size(), before);
  EXPECT_EQ(tape.gradient(g * x, x).item(), 6) << "g is a constant";
}

// ---- What gradient() gives

TEST(Gradient, HasShapeAndDtypeOfEachSource) {
  Tape tape;
  const Tensor a = tape.watch(tensor({{1, 2, 3}}, DType::Float32)), b = tape.watch(number(2));
  const Tensor e = tape.watch(zeros({0, 3}, DType::Float64));
  const Tensor y = sum(cast(a, DType::Float64) * b) + sum(e * e);
  const auto gradients = tape.gradient(y, {a, b, e});
  EXPECT_TRUE(equal(gradients[0], tensor({{2, 2, 2}})));
  EXPECT_TRUE(equal(gradients[1], number(6)));
  EXPECT_TRUE(equal(gradients[2], zeros({0, 3}, DType::Float64)));
}

TEST(Gradient, OfOneElementNeedsNoOutputGradientWhateverTheRank) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1, 1}}) {
    Tape tape;
    const Tensor x = tape.watch(full(shape, 3, DType::Float64));
    EXPECT_TRUE(equal(tape.gradient(x * x, x), full(shape, 6, DType::Float64)));
  }
}

TEST(Gradient, OfSeveralElementsNeedsAnOutputGradient) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = x * x;
  EXPECT_TRUE(throws({"output_gradient"}, [&] { tape.gradient(y, x); }));
  EXPECT_TRUE(equal(tape.gradient(y, x, {.output_gradient = f64({10, 100})}), f64({20, 400})))
      << "a wrong call spends nothing";
}

TEST(Gradient, OfNoElementsNeedsAnOutputGradient) {
  Tape tape;
  const Tensor x = tape.watch(zeros({0}, DType::Float64));
  const Tensor y = x * x;
  EXPECT_TRUE(throws({"output_gradient"}, [&] { tape.gradient(y, x); }));
}

TEST(Gradient, RefusesAWrongOutputGradient) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = x * x;
  EXPECT_TRUE(throws({"[3]", "[2]"}, [&] { tape.gradient(y, x, {.output_gradient = f64({1, 2, 3})}); }));
  EXPECT_TRUE(throws({"[1, 2]"}, [&] { tape.gradient(y, x, {.output_gradient = f64({{1, 2}})}); }));
  EXPECT_TRUE(throws({"[]"}, [&] { tape.gradient(y, x, {.output_gradient = number(1)}); }));
  EXPECT_TRUE(throws({"Float32", "Float64"}, [&] {
    tape.gradient(y, x, {.output_gradient = tensor({1, 2})});
  }));
}

TEST(Gradient, ScalesWithTheOutputGradientOfAScalar) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  EXPECT_EQ(tape.gradient(x * x, x, {.output_gradient = number(10)}).item(), 60);
}

TEST(Gradient, RefusesWhatWasNotComputedOnTheTape) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  EXPECT_TRUE(throws({}, [&] { tape.gradient(number(1), x); }));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(stop_gradient(y), x); }));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(Tensor(), x); }));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, Tensor()); }));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, stop_gradient(x)); }));
  EXPECT_EQ(tape.gradient(y, x).item(), 6);
}

TEST(Gradient, OfAConstantIsZeroWhereZerosWereAskedFor) {
  // As the gradient of a linear function is a constant for the next order.
  Tape tape;
  const Tensor x = tape.watch(number(3));
  EXPECT_EQ(tape.gradient(number(1) * 2.0, x, {.zeros_for_unreached = true}).item(), 0);
  EXPECT_EQ(tape.gradient(stop_gradient(x * x), x, {.zeros_for_unreached = true}).item(), 0);
  EXPECT_TRUE(throws({}, [&] { tape.gradient(Tensor(), x, {.zeros_for_unreached = true}); }));
}

TEST(Gradient, OfIntermediatesIsTotal) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor z = x * x;
  const Tensor w = z * z;
  const Tensor y = w * z * x;
  const auto gradients = tape.gradient(y, {w, z, x});
  EXPECT_EQ(gradients[0].item(), 27);          // z x
  EXPECT_EQ(gradients[1].item(), 3 * 81 * 3);  // 3 z^2 x
  EXPECT_EQ(gradients[2].item(), 7 * 729);     // 7 x^6
}

TEST(Gradient, OfYItself) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = x * x;
  const Tensor seed = f64({5, 7});
  const auto gradients = tape.gradient(y, {y, x}, {.output_gradient = seed});
  EXPECT_TRUE(equal(gradients[0], seed));
  EXPECT_TRUE(equal(gradients[1], f64({10, 28})));
  EXPECT_TRUE(equal(tape.gradient(x, x, {.output_gradient = seed}), seed));
}

TEST(Gradient, OfAParameterByItself) {
  const Tensor p = new_parameter({3});
  Tape tape({.persistent = true});
  EXPECT_TRUE(right_or_refused(f64({1}), [&] { return tape.gradient(p, p); }));
  const Tensor y = p * p;
  EXPECT_TRUE(equal(tape.gradient(p, p), f64({1})));
  EXPECT_TRUE(throws({}, [&] { tape.gradient(p, y); }));
}

TEST(Gradient, OfAViewOfAParameterMadeBeforeTheTape) {
  const Tensor p = new_parameter({1, 2, 3});
  const Tensor middle = row(p, 1), tail = slice(p, {{1, 3}}), column = reshape(p, {3, 1});
  Tape tape({.persistent = true});
  sum(p * p);
  EXPECT_TRUE(right_or_refused(f64({0, 1, 0}), [&] { return tape.gradient(middle, p); }));
  EXPECT_TRUE(right_or_refused(f64({0, 5, 7}), [&] {
    return tape.gradient(tail, p, {.output_gradient = f64({5, 7})});
  }));
  EXPECT_TRUE(right_or_refused(f64({5, 6, 7}), [&] {
    return tape.gradient(column, p, {.output_gradient = f64({{5}, {6}, {7}})});
  }));
  EXPECT_TRUE(right_or_refused(number(1), [&] { return tape.gradient(middle, middle); }));
}

TEST(Gradient, DuplicatesAmongTheSources) {
  const Tensor p = new_parameter({1, 2});
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  auto gradients = tape.gradient(sum(x * p), {p, x, p, x});
  ASSERT_EQ(gradients.size(), 4u);
  for (const std::size_t i : {0u, 2u}) EXPECT_TRUE(equal(gradients[i], f64({3, 4})));
  for (const std::size_t i : {1u, 3u}) EXPECT_TRUE(equal(gradients[i], f64({1, 2})));
  gradients[0].set({0}, 99);
  EXPECT_TRUE(equal(gradients[2], f64({3, 4})));
}

TEST(Gradient, OfNoSources) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  EXPECT_TRUE(tape.gradient(x * x, std::vector<Tensor>{}).empty());
}

TEST(Gradient, NamesTheSourceThatIsNotReached) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(number(3)), unused = tape.watch(f64({{1, 2, 3}}));
  const Tensor aside = x * x, y = x * 2.0;
  EXPECT_TRUE(throws({"1", "[1, 3]"}, [&] { tape.gradient(y, {x, unused, x}); }));
  EXPECT_TRUE(throws({"2", "[1, 3]"}, [&] { tape.gradient(y, {x, x, unused}); }));
  EXPECT_TRUE(throws({"1"}, [&] { tape.gradient(y, {x, aside}); })) << "computed from x, but not part of y";
  EXPECT_TRUE(throws({"0"}, [&] { tape.gradient(y, {new_parameter({1})}); }));
  EXPECT_EQ(tape.gradient(y, x).item(), 2);
}

TEST(Gradient, ReachedOnlyThroughAStopIsNotReached) {
  Tape tape;
  const Tensor x = tape.watch(number(3)), z = tape.watch(number(4));
  const Tensor y = stop_gradient(x * x) * z;
  EXPECT_TRUE(throws({"1"}, [&] { tape.gradient(y, {z, x}); }));
}

TEST(Gradient, ZerosForTheUnreachedIfAskedFor) {
  const Tensor p = new_parameter({{1, 2}}), c = f64({1});
  Tape tape;
  const Tensor x = tape.watch(number(3)), late = tape.watch(tensor({1, 2}));
  const Tensor y = x * x, after = y * x;
  auto gradients = tape.gradient(y, {late, x, p, late, after}, {.zeros_for_unreached = true});
  EXPECT_TRUE(equal(gradients[0], tensor({0, 0})));
  EXPECT_TRUE(equal(gradients[1], number(6)));
  EXPECT_TRUE(equal(gradients[2], f64({{0, 0}})));
  EXPECT_TRUE(equal(gradients[4], number(0)));
  gradients[0].set({0}, 5);
  EXPECT_TRUE(equal(gradients[3], tensor({0, 0})));
}

TEST(Gradient, UsesOfTheSameValueInOneOp) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = record("thrice", number(9),
                          {{x, [](const Tensor& g) { return g; }},
                           {x, [](const Tensor& g) { return g; }},
                           {x, [](const Tensor& g) { return g; }}});
  EXPECT_EQ(tape.gradient(y + y, x).item(), 6);
}

TEST(Gradient, OfADiamondOfDiamonds) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  Tensor y = x;
  for (int i = 0; i < 50; ++i) y = y + y;  // 2^50 paths
  EXPECT_EQ(tape.gradient(y, x).item(), 1125899906842624.0);
}

TEST(Gradient, WithAnOutputGradientOfTheSameTape) {
  // A plain gradient takes it as the value it is.
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = x * x;
  EXPECT_TRUE(equal(tape.gradient(y, x, {.output_gradient = y}), f64({2, 16})));
}

TEST(Gradient, WithAnOutputGradientOfADeadTape) {
  Tensor seed;
  {
    Tape tape;
    seed = square(tape.watch(f64({1, 2})));
  }
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  EXPECT_TRUE(equal(tape.gradient(x * x + x, x, {.output_gradient = seed}), f64({3, 20})));
}

// ---- The results are values of their own

TEST(GradientValues, AreUntrackedConstants) {
  const Tensor p = new_parameter({1, 2});
  Tensor g;
  {
    Tape tape;
    g = tape.gradient(sum(p * p), p);
  }
  EXPECT_FALSE(g.is_parameter());
  EXPECT_FALSE(g.is_stopped());
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(g * p), p), f64({2, 4})));
}

// Gradients through all sorts of rules that pass on, share or invent memory; whatever is written to one
// result must not be seen in another, in the seed, or in the values.
void expect_separate_memory(bool create_graph, bool nested) {
  const Tensor seed = f64({1, 2, 3});
  const Tensor p = new_parameter({4, 5, 6}), q = new_parameter({7, 8, 9});
  const Tensor constant = f64({10, 11, 12});
  std::vector<Tensor> gradients;
  Tensor y, flat, x;
  {
    std::optional<Tape> outer;
    if (nested) outer.emplace();
    Tape tape;
    x = tape.watch(f64({1, 1, 1}));
    // A rule that hands out its own constant is legal only while nobody differentiates the gradient.
    const Tensor linear =
        identity_op("keeps", q, [=](const Tensor& g) { return create_graph || nested ? g : constant; });
    flat = reshape(x, {3, 1});
    y = p + reshape(flat, {3}) + linear;
    gradients =
        tape.gradient(y, {p, x, flat, y, q, p}, {.create_graph = create_graph, .output_gradient = seed});
  }
  std::vector<Tensor> all = gradients;
  all.insert(all.end(), {seed, p, q, x, y, constant});
  for (std::size_t i = 0; i < gradients.size(); ++i)
    for (std::size_t j = 0; j < all.size(); ++j)
      EXPECT_EQ(share_memory(gradients[i], all[j]), i == j) << i << " and " << j;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    gradients[i].mutable_values<double>()[1] = 1000.0 + static_cast<double>(i);
    for (std::size_t j = 0; j < gradients.size(); ++j)
      EXPECT_EQ(gradients[j].values<double>()[1] >= 1000, j <= i) << i << " and " << j;
  }
  EXPECT_TRUE(equal(seed, f64({1, 2, 3})));
  EXPECT_TRUE(equal(p, f64({4, 5, 6})));
  EXPECT_TRUE(equal(constant, f64({10, 11, 12})));
}

TEST(GradientValues, ShareMemoryWithNothing) {
  expect_separate_memory(false, false);
}
TEST(GradientValues, ShareMemoryWithNothingWhenAGraphIsCreated) {
  expect_separate_memory(true, false);
}
TEST(GradientValues, ShareMemoryWithNothingOnANestedTape) {
  expect_separate_memory(false, true);
}

TEST(GradientValues, DoNotShareTheMemoryThatARuleHands) {
  double mine[] = {1, 2};
  const double read_only[] = {3, 4};
  const Tensor constant = f64({5, 6});
  Tape tape;
  const Tensor a = tape.watch(f64({0, 0})), b = tape.watch(f64({0, 0})), c = tape.watch(f64({0, 0})),
               d = tape.watch(f64({0, 0}));
  const Tensor y = record("hands", f64({0, 0}),
                          {{a, [&](const Tensor&) { return Tensor::wrap(mine, {2}); }},
                           {b, [&](const Tensor&) { return Tensor::wrap(read_only, {2}); }},
                           {c, [&](const Tensor&) { return constant; }},
                           {d, [](const Tensor&, const Tensor& output) { return output; }}});
  auto gradients = tape.gradient(y, {a, b, c, d}, {.output_gradient = f64({1, 1})});
  for (Tensor& gradient : gradients) gradient.set({0}, 99);
  EXPECT_EQ(mine[0], 1);
  EXPECT_EQ(read_only[0], 3);
  EXPECT_TRUE(equal(constant, f64({5, 6})));
  EXPECT_TRUE(equal(y, f64({0, 0})));
}

TEST(GradientValues, AreConstantsEvenIfARuleReturnsATrackedValue) {
  Tensor g;
  {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    const Tensor y =
        record("fused", number(1), {{x, [slope = Saved(x * 3.0)](const Tensor&) { return slope(); }}});
    g = tape.gradient(y, x);
  }
  const Tensor p = new_parameter({1, 1});
  Tape tape;
  EXPECT_TRUE(equal(tape.gradient(sum(g * p), p), f64({3, 6})));
}

TEST(GradientValues, DoNotKeepALargerBufferAlive) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = identity_op("part", x, [](const Tensor& g) { return row(broadcast_to(g, {1000, 2}), 7); });
  const Tensor g = tape.gradient(y, x, {.output_gradient = f64({3, 4})});
  EXPECT_TRUE(equal(g, f64({3, 4})));
  EXPECT_EQ(TensorAccess::storage(g)->count(), 2);
}

TEST(GradientValues, AreNotTheRestOfALargerBuffer) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2})), z = tape.watch(f64({1, 2}));
  const Tensor both = f64({{3, 4}, {5, 6}});
  Tensor stash;
  const Tensor y = record("rows", f64({0, 0}),
                          {{x,
                            [&](const Tensor& g) {
                              stash = both * sum(g);
                              return row(stash, 0);
                            }},
                           {z, [&](const Tensor&) { return row(stash, 1); }}});
  auto gradients = tape.gradient(y, {x, z}, {.output_gradient = f64({1, 0})});
  gradients[0].set({0}, 99);
  EXPECT_TRUE(equal(stash, both));
  EXPECT_TRUE(equal(gradients[1], f64({5, 6})));
}

// ---- Sums of gradients

TEST(Accumulation, DoesNotWriteIntoTheSeed) {
  double memory[] = {1, 2};
  const double read_only[] = {1, 2};
  for (const Tensor& seed : {f64({1, 2}), Tensor::wrap(memory, {2}), Tensor::wrap(read_only, {2})}) {
    Tape tape;
    const Tensor x = tape.watch(f64({3, 4}));
    EXPECT_TRUE(equal(tape.gradient(x + x + x, x, {.output_gradient = seed}), f64({3, 6})));
    EXPECT_TRUE(equal(seed, f64({1, 2})));
  }
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  EXPECT_TRUE(equal(tape.gradient(x + x, x, {.output_gradient = Tensor::wrap(memory, {2})}), f64({2, 4})));
  EXPECT_EQ(memory[0], 1);
}

TEST(Accumulation, DoesNotWriteIntoAGradientThatAnotherInputShares) {
  // add hands the same gradient to both inputs. Each then gets more, in either order.
  for (const bool first : {false, true}) {
    Tape tape;
    const Tensor a = tape.watch(f64({1, 2})), b = tape.watch(f64({3, 4}));
    Tensor y = a + b;
    const Tensor more = first ? a * 10.0 : b * 10.0;
    y = y + more + (y + y);
    const auto gradients = tape.gradient(y, {a, b, more}, {.output_gradient = f64({1, 1})});
    EXPECT_TRUE(equal(gradients[0], first ? f64({13, 13}) : f64({3, 3})));
    EXPECT_TRUE(equal(gradients[1], first ? f64({3, 3}) : f64({13, 13})));
    EXPECT_TRUE(equal(gradients[2], f64({1, 1})));
  }
}

TEST(Accumulation, DoesNotWriteThroughViews) {
  Tape tape;
  const Tensor a = tape.watch(f64({1, 2})), b = tape.watch(f64({{3}, {4}}));
  const Tensor total = a + reshape(b, {2});
  const Tensor y = total + reshape(b, {2}) + a * 2.0;
  const auto gradients = tape.gradient(y, {a, b, total}, {.output_gradient = f64({1, 10})});
  EXPECT_TRUE(equal(gradients[0], f64({3, 30})));
  EXPECT_TRUE(equal(gradients[1], f64({{2}, {20}})));
  EXPECT_TRUE(equal(gradients[2], f64({1, 10})));
}

TEST(Accumulation, DoesNotWriteIntoWhatARuleKeeps) {
  // A rule may keep the gradient it is given, or hand out memory that others see.
  Tensor seen, constant = f64({100});
  double mine[] = {1000};
  Tape tape;
  const Tensor x = tape.watch(f64({1}));
  const Tensor a = identity_op("stash", x, [&](const Tensor& g) {
    seen = g * 1.0;
    return seen;
  });
  const Tensor b = identity_op("constant", x, [&](const Tensor&) { return constant; });
  const Tensor c = identity_op("wrapped", x, [&](const Tensor&) { return Tensor::wrap(mine, {1}); });
  EXPECT_EQ(tape.gradient(a + c + b + c + a, x).item(), 1102);
  EXPECT_EQ(seen.item(), 2);
  EXPECT_EQ(constant.item(), 100);
  EXPECT_EQ(mine[0], 1000);
}

TEST(Accumulation, OfIntermediatesThatAreAskedFor) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor z = x * 2.0;
  const Tensor w = reshape(z, {2});  // passes its gradient on
  const Tensor y = w + z + z * 3.0;
  const auto gradients = tape.gradient(y, {w, z, x}, {.output_gradient = f64({1, 1})});
  EXPECT_TRUE(equal(gradients[0], f64({1, 1})));
  EXPECT_TRUE(equal(gradients[1], f64({5, 5})));
  EXPECT_TRUE(equal(gradients[2], f64({10, 10})));
}

// ---- What is kept, and when it is freed

TEST(Memory, WithoutATapeNothingIsKept) {
  const Tensor p = new_parameter({1, 2});
  const Tensor y = square(p) * p;
  EXPECT_EQ(holders(p), 1u);
  EXPECT_EQ(holders(y), 1u);
}

TEST(Memory, PlainGradientFreesWhatWasSaved) {
  const Tensor p = new_parameter({1, 2}), c = f64({1, 2}), aside = f64({1, 2});
  Tape tape;
  const Tensor z = exp(p * c);
  const Tensor unused = p * aside;  // not on the way from y to p
  EXPECT_GT(holders(c), 1u);
  tape.gradient(sum(z), p);
  for (const Tensor* x : {&p, &c, &z, &unused, &aside}) EXPECT_EQ(holders(*x), 1u);
}

TEST(Memory, TheEndOfTheScopeFreesWhatWasSaved) {
  const Tensor p = new_parameter({1, 2}), c = f64({1, 2});
  Tensor z;
  {
    Tape tape;
    z = exp(p * c);
    EXPECT_GT(holders(c), 1u);
  }
  for (const Tensor* x : {&p, &c, static_cast<const Tensor*>(&z)}) EXPECT_EQ(holders(*x), 1u);
}

TEST(Memory, PersistentAndCreateGraphKeepItUntilTheEndOfTheScope) {
  for (const bool persistent : {false, true}) {
    const Tensor p = new_parameter({1, 2}), c = f64({1, 2});
    {
      Tape tape({.persistent = persistent});
      const Tensor y = sum(p * c);
      tape.gradient(y, p, {.create_graph = !persistent});
      EXPECT_GT(holders(c), 1u);
      tape.gradient(y, p);
      EXPECT_EQ(holders(c) > 1, persistent);
    }
    EXPECT_EQ(holders(c), 1u);
    EXPECT_EQ(holders(p), 1u);
  }
}

TEST(Memory, IsFreedAsTheLoopPasses) {
  const Tensor c = f64({1, 2});
  std::uint32_t during = 0;
  Tape tape;
  const Tensor x = tape.watch(f64({3, 4}));
  const Tensor early = identity_op("early", x, [&](const Tensor& g) {
    during = holders(c);
    return g;
  });
  const Tensor y = sum(early * c);
  EXPECT_GT(holders(c), 1u);
  tape.gradient(y, x);
  EXPECT_EQ(during, 1u);
}

TEST(Memory, GradientsOfIntermediatesDoNotAccumulate) {
  // 1000 steps on 80 kB each: the loop must reuse the memory of the gradients it has passed.
  Tape tape;
  const Tensor x = tape.watch(zeros({10000}, DType::Float64));
  Tensor y = x;
  for (int i = 0; i < 1000; ++i) y = identity_op("step", y, [](const Tensor& g) { return g * 1.0; });
  release_memory();
  y = sum(y);
  tape.gradient(y, x);
  EXPECT_LT(cached_memory(), std::size_t{8} << 20);
}

TEST(Memory, ASecondCallSaysWhyNot) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = x * x;
  tape.gradient(y, x);
  EXPECT_TRUE(throws({"persistent"}, [&] { tape.gradient(y, x); }));
}

TEST(Memory, ATensorOutlivesItsTape) {
  Tensor y;
  {
    Tape tape;
    y = square(tape.watch(f64({3, 4})));
  }
  EXPECT_TRUE(equal(y * y, f64({81, 256})));
  y.set({0}, 1);
  EXPECT_EQ(y.at({0}), 1);
}

// ---- Persistent tapes, and graphs of gradients

TEST(Persistent, GivesTheSameBitsAgain) {
  const Tensor p = new_parameter({0.1, 0.2, 0.3});
  Tape tape({.persistent = true});
  const Tensor y = sum(exp(p) * sin(p) + p / (square(p) + 1.0));
  const Tensor first = tape.gradient(y, p);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(equal(tape.gradient(y, p), first));
}

TEST(Persistent, DifferentOutputsAndSources) {
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(number(3)), z = tape.watch(number(5));
  const Tensor a = x * z, b = a * a;
  EXPECT_EQ(tape.gradient(b, x).item(), 150);
  EXPECT_EQ(tape.gradient(a, z).item(), 3);
  EXPECT_EQ(tape.gradient(b, a).item(), 30);
  EXPECT_EQ(tape.gradient(b, z).item(), 90);
}

TEST(CreateGraph, HigherOrders) {
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = x * x * x * x;
  const Tensor g1 = tape.gradient(y, x, {.create_graph = true});
  const Tensor g2 = tape.gradient(g1, x, {.create_graph = true});
  const Tensor g3 = tape.gradient(g2, x, {.create_graph = true});
  const Tensor g4 = tape.gradient(g3, x);
  EXPECT_EQ(g1.item(), 32);
  EXPECT_EQ(g2.item(), 48);
  EXPECT_EQ(g3.item(), 48);
  EXPECT_EQ(g4.item(), 24);
}

TEST(CreateGraph, TwiceOfTheSame) {
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = x * x * x;
  const Tensor a = tape.gradient(y, x, {.create_graph = true});
  const Tensor b = tape.gradient(y, x, {.create_graph = true});
  EXPECT_EQ(a.item(), 12);
  EXPECT_EQ(b.item(), 12);
  EXPECT_EQ(tape.gradient(a * b, x).item(), 2 * 12 * 12);
}

TEST(CreateGraph, GradientsMixWithOtherTerms) {
  const Tensor p = new_parameter({2, 3});
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor g = tape.gradient(sum(p * x * x), x, {.create_graph = true});  // 2 p x
  const auto gradients = tape.gradient(sum(g * g) + sum(p), {p, x});
  EXPECT_TRUE(equal(gradients[0], f64({17, 97})));   // 8 p x^2 + 1
  EXPECT_TRUE(equal(gradients[1], f64({32, 144})));  // 8 p^2 x
}

TEST(CreateGraph, OfAConstantGradientDoesNotReach) {
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor g = tape.gradient(x * 3.0, x, {.create_graph = true});
  EXPECT_EQ(g.item(), 3);
  EXPECT_TRUE(throws({}, [&] { tape.gradient(g, x); }));
}

TEST(CreateGraph, DifferentiatesByTheOutputGradient) {
  // Twice reverse is forward: the gradient of <J^T u, v> by u is J v.
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2, 3})), u = tape.watch(f64({1, 1, 1}));
  const Tensor y = x * x;
  const Tensor back = tape.gradient(y, x, {.create_graph = true, .output_gradient = u});
  EXPECT_TRUE(equal(tape.gradient(back, u, {.output_gradient = f64({1, 10, 100})}), f64({2, 40, 600})));
}

TEST(CreateGraph, DifferentiatesByAParameterAsTheOutputGradient) {
  const Tensor p = new_parameter({5, 7});
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = x * x;
  const auto gs = tape.gradient(y, {x, y}, {.create_graph = true, .output_gradient = p});
  EXPECT_TRUE(equal(tape.gradient(sum(gs[0]) + sum(gs[1]), p), f64({3, 5})));
}

TEST(CreateGraph, AParameterAsTheOutputGradientIsNotLostInASum) {
  const Tensor p = new_parameter({5});
  Tape tape;
  const Tensor x = tape.watch(f64({1.5}));
  const Tensor passed = identity_op("passes", x, [](const Tensor& g) { return g; });
  const Tensor floored = identity_op("floor", x, [](const Tensor& g) { return zeros_like(g); });
  const Tensor y = passed + floored;  // x gets the zeros first, then p as it is
  EXPECT_TRUE(right_or_refused(f64({1 + 2}), [&] {
    const Tensor g = tape.gradient(y, x, {.create_graph = true, .output_gradient = p});
    return tape.gradient(g + p * 2.0, p);
  }));
}

TEST(CreateGraph, IsRecordedOrRefusedInAPause) {
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = x * x * x;
  EXPECT_TRUE(right_or_refused(number(12 + 2), [&] {
    Tensor g;
    {
      const NoGrad no_grad;
      g = tape.gradient(y, x, {.create_graph = true});
    }
    return tape.gradient(g + x * 2.0, x);
  }));
}

TEST(CreateGraph, ZerosForTheUnreachedAreConstants) {
  Tape tape;
  const Tensor x = tape.watch(number(2)), z = tape.watch(number(2));
  const auto gs = tape.gradient(x * x, {x, z}, {.create_graph = true, .zeros_for_unreached = true});
  EXPECT_EQ(gs[1].item(), 0);
  EXPECT_EQ(tape.gradient(gs[0] * (gs[1] + 1.0), x).item(), 2);
}

}  // namespace
}  // namespace tapegrad
