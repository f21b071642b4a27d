#include "tapegrad/optim/gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

std::vector<Tensor> gradients() {
  return {tensor({{3, 0}, {0, -4}}), tensor({12.0}, DType::Float64)};
}

TEST(Clipping, GlobalNorm) {
  EXPECT_EQ(global_norm(gradients()), 13);
  EXPECT_EQ(global_norm({}), 0);
  EXPECT_TRUE(refuses("global_norm", {"Int32"}, [] { (void)global_norm({zeros({2}, DType::Int32)}); }));
}

TEST(Clipping, ByNormKeepsTheDirection) {
  std::vector<Tensor> clipped = gradients();
  EXPECT_EQ(clip_by_norm(clipped, 6.5), 13);
  EXPECT_TRUE(equal(clipped[0], tensor({{1.5, 0}, {0, -2}})));
  EXPECT_TRUE(equal(clipped[1], tensor({6.0}, DType::Float64)));
  EXPECT_EQ(global_norm(clipped), 6.5);
}

TEST(Clipping, ByNormLeavesShortOnesAlone) {
  std::vector<Tensor> clipped = gradients();
  EXPECT_EQ(clip_by_norm(clipped, 13), 13);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(clipped[i], gradients()[i]));
  std::vector<Tensor> nothing = {zeros({3})};
  EXPECT_EQ(clip_by_norm(nothing, 1), 0);
  EXPECT_TRUE(equal(nothing[0], zeros({3})));
}

TEST(Clipping, ByNormRefusesWhatHasNoDirection) {
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    std::vector<Tensor> broken = gradients();
    broken[1].set({0}, bad);
    EXPECT_TRUE(refuses("clip_by_norm", {"gradient 1", "[1]"}, [&] { clip_by_norm(broken, 1); }));
    std::vector<Tensor> first{tensor({bad, 1}), tensor({1})};
    EXPECT_TRUE(refuses("clip_by_norm", {"gradient 0", "[2]"}, [&] { clip_by_norm(first, 1); }));
    EXPECT_TRUE(equal(broken[0], gradients()[0])) << "nothing may have changed";
  }
  std::vector<Tensor> good = gradients();
  for (const double bad : {0.0, -1.0, std::nan("")})
    EXPECT_TRUE(refuses("clip_by_norm", {"max_norm"}, [&] { clip_by_norm(good, bad); }));
}

// Norms whose squares leave the range of double (right values: hypot).
TEST(Clipping, NormsOfHugeAndTinyElements) {
  const auto of = [](std::initializer_list<double> values) {
    std::vector<Tensor> made;
    for (const double v : values) made.push_back(full({1}, v, DType::Float64));
    return made;
  };
  const double half = std::sqrt(0.5), largest = std::numeric_limits<double>::max();
  struct Case {
    double element, norm, max_norm, clipped;
  };
  for (const Case& c : {Case{1.2e154, 1.697056274847714e154, 1, half},
                        {1e200, 1.4142135623730951e200, 1, half},
                        {1e200, 1.4142135623730951e200, 1e-170, half * 1e-170},
                        {1e-170, 1.4142135623730951e-170, 1e-175, half * 1e-175},
                        {3e-310, 4.242640687119285e-310, 1e-310, half * 1e-310},
                        {largest, std::numeric_limits<double>::infinity(), 2, half * 2}}) {
    SCOPED_TRACE(c.element);
    std::vector<Tensor> gradients = of({c.element, -c.element});
    const auto near = [](double found, double expected) {
      // Subnormal numbers have fewer digits.
      return found == expected ||
             (std::isfinite(expected) && std::abs(found - expected) <= 1e-14 * std::abs(expected) + 1e-323);
    };
    EXPECT_TRUE(near(global_norm(gradients), c.norm)) << global_norm(gradients);
    EXPECT_TRUE(near(clip_by_norm(gradients, c.max_norm), c.norm));
    EXPECT_TRUE(near(gradients[0].item(), c.clipped)) << gradients[0].item();
    EXPECT_TRUE(near(gradients[1].item(), -c.clipped)) << gradients[1].item();
  }
  EXPECT_EQ(global_norm({tensor({1e-200}, DType::Float64)}), 1e-200);
  EXPECT_DOUBLE_EQ(global_norm({tensor({3e200, 4e200}, DType::Float64), tensor({0, 0})}), 5e200);
}

// The factor is smaller than any Float32.
TEST(Clipping, ByNormFromTheEndsOfFloat32) {
  std::vector<Tensor> gradients = {tensor({3e38, 3e30})};
  clip_by_norm(gradients, 1e-30);
  EXPECT_NEAR(gradients[0].at({0}), 1e-30, 1e-36);
  EXPECT_NEAR(gradients[0].at({1}) * 1e38, 1, 1e-5) << "a Float32 of 1e-38 is not normal any more";
  gradients = {tensor({3e38, 3e37})};
  clip_by_norm(gradients, 1e-5);
  EXPECT_LE(global_norm(gradients), 1e-5);
  EXPECT_NEAR(global_norm(gradients), 1e-5, 1e-11);
  Generator generator(5);
  for (int i = 0; i < 50; ++i) {
    gradients = {normal({7}, 0, 1, generator), normal({20}, 0, 3, generator)};
    clip_by_norm(gradients, 0.7);
    EXPECT_LE(global_norm(gradients), 0.7);
    EXPECT_NEAR(global_norm(gradients), 0.7, 1e-6);
  }
}

TEST(Clipping, RefusesGradientsThatShareElements) {
  const Tensor g = ones({4});
  std::vector<Tensor> same = {g, g}, parts = {TensorAccess::view(g, {3}, 1), TensorAccess::view(g, {2}, 0)};
  EXPECT_TRUE(refuses("clip_by_norm", {"tensor 1", "tensor 0", "twice"}, [&] { clip_by_norm(same, 1); }));
  EXPECT_TRUE(refuses("clip_by_norm", {"tensor 1", "tensor 0", "twice"}, [&] { clip_by_norm(parts, 1); }));
  EXPECT_TRUE(equal(g, ones({4})));
}

TEST(Clipping, OfGradientsThatKnowTheirParameters) {
  const Tensor p = parameter(tensor({1, 1}));
  Gradients clipped({p}, {tensor({3, 4})});
  EXPECT_EQ(clip_by_norm(clipped, 2.5), 5);
  EXPECT_TRUE(equal(clipped[0], tensor({1.5, 2})));
  clip_by_value(clipped, 1.75);
  SGD sgd({p}, {.learning_rate = 1});
  sgd.step(clipped);
  EXPECT_TRUE(equal(p, tensor({-0.5, -0.75})));
}

TEST(Clipping, ByValue) {
  std::vector<Tensor> clipped = gradients();
  clipped.push_back(tensor({-3.5, 3.5, 0.25}));
  clip_by_value(clipped, 3.5);
  EXPECT_TRUE(equal(clipped[0], tensor({{3, 0}, {0, -3.5}})));
  EXPECT_TRUE(equal(clipped[1], tensor({3.5}, DType::Float64)));
  EXPECT_TRUE(equal(clipped[2], tensor({-3.5, 3.5, 0.25})));
  std::vector<Tensor> nan = {full({1}, std::nan(""))};
  clip_by_value(nan, 1);
  EXPECT_TRUE(std::isnan(nan[0].item()));
  for (const double bad : {0.0, -1.0, std::nan("")})
    EXPECT_TRUE(refuses("clip_by_value", {"limit"}, [&] { clip_by_value(clipped, bad); }));
}

// The parts of a batch, weighted by their sizes, give the gradient of the whole batch.
TEST(GradientAccumulator, GivesTheGradientOfTheWholeBatch) {
  Generator generator(3);
  const Tensor x = normal({7, 3}, 0, 1, generator, DType::Float64),
               t = normal({7, 2}, 0, 1, generator, DType::Float64);
  const Tensor w = parameter(normal({3, 2}, 0, 1, generator, DType::Float64)),
               b = parameter(normal({2}, 0, 1, generator, DType::Float64));
  const auto gradient = [&](index_t begin, index_t end) {
    Tape tape;
    const Tensor y = matmul(slice(x, {{begin, end}}), w) + b;
    return tape.gradient(mse_loss(y, slice(t, {{begin, end}})), std::vector{w, b});
  };
  const std::vector<Tensor> whole = gradient(0, 7);
  GradientAccumulator accumulator;
  for (int round = 0; round < 2; ++round) {  // it begins anew
    accumulator.add(gradient(0, 3), 3);
    accumulator.add(gradient(3, 6), 3);
    accumulator.add(gradient(6, 7), 1);
    EXPECT_EQ(accumulator.weight(), 7);
    const std::vector<Tensor> summed = accumulator.take();
    EXPECT_EQ(accumulator.weight(), 0);
    for (std::size_t i = 0; i < 2; ++i) expect_close(summed[i], whole[i], 1e-14, "gradient");
  }
}

TEST(GradientAccumulator, KeepsWhatItWasGiven) {
  const Tensor g = tensor({1, 2}), p = parameter(g);
  GradientAccumulator accumulator;
  accumulator.add(Gradients({p}, {g}));
  accumulator.add(Gradients({p}, {g}));
  EXPECT_TRUE(equal(accumulator.take()[0], g));
  EXPECT_TRUE(equal(g, tensor({1, 2})));
}

TEST(GradientAccumulator, WeightTimesGradientMayLeaveTheRange) {
  const Tensor p = parameter(ones({1}));
  GradientAccumulator accumulator;
  accumulator.add(Gradients({p}, {tensor({1e37})}), 128);
  EXPECT_TRUE(equal(accumulator.take()[0], tensor({1e37})));
  accumulator.add(Gradients({p}, {tensor({3e38})}), 100);
  accumulator.add(Gradients({p}, {tensor({-3e38})}), 300);
  EXPECT_NEAR(accumulator.take()[0].item(), -1.5e38, 1e31);
}

TEST(GradientAccumulator, KnowsItsParametersFromTheBeginning) {
  const Tensor p = parameter(ones({1})), q = parameter(ones({1})), other = parameter(ones({1}));
  GradientAccumulator first({p, q}), continued({p, q});
  EXPECT_TRUE(refuses("GradientAccumulator", {"parameter 1"}, [&] {
    first.add(Gradients({p, other}, {tensor({1}), tensor({2})}));
  }));
  first.add(Gradients({q, p}, {tensor({1}), tensor({2})}));
  const State saved = first.state();
  first.add(Gradients({q, p}, {tensor({3}), tensor({4})}));
  EXPECT_EQ(saved.tensors[0].second.item(), 2) << "a snapshot";
  continued.load_state(saved);
  EXPECT_EQ(continued.take().of({q})[0].item(), 1);
  // What has no class is a sum of an earlier version, or anything.
  const State old{.tensors = {{"0", tensor({6})}, {"1", tensor({3})}}, .numbers = {{"weight", 3}}};
  EXPECT_TRUE(
      refuses("GradientAccumulator", {"class.GradientAccumulator"}, [&] { continued.load_state(old); }));
}

TEST(GradientAccumulator, AddsUpByParameterInAnyOrder) {
  const Tensor p = parameter(ones({2})), q = parameter(ones({2}));
  GradientAccumulator accumulator;
  accumulator.add(Gradients({p, q}, {tensor({1, 2}), tensor({10, 20})}));
  accumulator.add(Gradients({q, p}, {tensor({30, 40}), tensor({3, 4})}));
  const Gradients taken = accumulator.take();
  EXPECT_TRUE(equal(taken.of({p})[0], tensor({2, 3})));
  EXPECT_TRUE(equal(taken.of({q})[0], tensor({20, 30})));
}

TEST(GradientAccumulator, RefusedCallsChangeNothing) {
  GradientAccumulator accumulator;
  EXPECT_TRUE(refuses("GradientAccumulator", {"nothing"}, [&] { accumulator.take(); }));
  const Tensor p = parameter(ones({2})), q = parameter(ones({1})), other = parameter(ones({1}));
  Gradients good({p, q}, {tensor({1, 2}), tensor({3})});
  accumulator.add(good);
  EXPECT_TRUE(refuses("GradientAccumulator", {"1 gradients", "2"}, [&] { accumulator.add(good.of({p})); }));
  EXPECT_TRUE(refuses("GradientAccumulator", {"parameter 1", "[1]"}, [&] {
    accumulator.add(Gradients({p, other}, {tensor({1, 2}), tensor({3})}));
  }));
  Gradients bad = good;
  bad[1] = tensor({1, 2});
  EXPECT_TRUE(refuses("GradientAccumulator", {"gradient 1", "[2]", "[1]"}, [&] { accumulator.add(bad); }));
  bad[1] = tensor({1}, DType::Float64);
  EXPECT_TRUE(refuses("GradientAccumulator", {"gradient 1", "Float64"}, [&] { accumulator.add(bad); }));
  EXPECT_TRUE(refuses("GradientAccumulator", {"weight", "0"}, [&] { accumulator.add(good, 0); }));
  EXPECT_EQ(accumulator.weight(), 1);
  const auto taken = accumulator.take();
  EXPECT_TRUE(equal(taken[0], tensor({1, 2})));
  EXPECT_TRUE(equal(taken[1], tensor({3})));
}

TEST(GradientAccumulator, ContinuesFromItsState) {
  GradientAccumulator first, continued;
  const Tensor p = parameter(ones({2}));
  first.add(Gradients({p}, {tensor({1, 2})}), 3);
  continued.load_state(first.state());
  EXPECT_TRUE(refuses("GradientAccumulator", {"before add()"}, [&] { continued.take(); }));
  first.add(Gradients({p}, {tensor({5, 6})}));
  continued.add(Gradients({p}, {tensor({5, 6})}));
  EXPECT_TRUE(equal(continued.take()[0], first.take()[0]));
  State wrong = first.state();
  wrong.numbers["weight"] = -1;
  EXPECT_TRUE(refuses("GradientAccumulator", {"weight"}, [&] { first.load_state(wrong); }));
  wrong = {
      .tensors = {{"0", tensor({1}, DType::Int32)}}, .numbers = {{"weight", 1}}, .integers = wrong.integers};
  EXPECT_TRUE(refuses("GradientAccumulator", {"Int32"}, [&] { first.load_state(wrong); }));
}

// A state whose tensors are not "0", "1", ...: it is refused before one of them is looked for in vain.
TEST(GradientAccumulator, AStateWithAGapIsRefused) {
  const Tensor p = parameter(ones({2})), q = parameter(ones({2}));
  GradientAccumulator accumulator;
  accumulator.add(Gradients({p, q}, {ones({2}), ones({2})}));
  State gap = accumulator.state();
  gap.tensors[1].first = "2";
  EXPECT_TRUE(refuses("GradientAccumulator", {"no tensor '1'"}, [&] { accumulator.load_state(gap); }));
  EXPECT_EQ(accumulator.weight(), 1);
}

TEST(GradientAccumulator, AStateOfOtherShapesIsRefused) {
  const Tensor p = parameter(ones({2})), q = parameter(ones({1}));
  GradientAccumulator accumulator({p, q});
  accumulator.add(Gradients({p, q}, {tensor({1, 2}), tensor({3})}));
  const State right = accumulator.state();
  State wrong = right;
  wrong.tensors[1].second = ones({3});
  EXPECT_TRUE(refuses("GradientAccumulator",
                      {"'1' is Float32 [3] in the state but its parameter is Float32 [1]"},
                      [&] { accumulator.load_state(wrong); }));
  wrong.tensors[1].second = ones({1}, DType::Float64);
  EXPECT_TRUE(refuses("GradientAccumulator",
                      {"'1' is Float64 [1] in the state but its parameter is Float32 [1]"},
                      [&] { accumulator.load_state(wrong); }));
  wrong = right;
  wrong.tensors.pop_back();
  EXPECT_TRUE(refuses("GradientAccumulator", {"1 gradients", "2 parameters"},
                      [&] { accumulator.load_state(wrong); }));
  EXPECT_TRUE(equal(accumulator.take()[1], tensor({3})));
}

// What was taken binds an accumulator to nobody, unless it was made for its parameters; nor does what a state replaced.
TEST(GradientAccumulator, BeginsAgainWithOtherParameters) {
  const Tensor p = parameter(ones({2})), q = parameter(ones({1}));
  const Gradients of_p({p}, {tensor({1, 2})}), of_q({q}, {tensor({3})});
  GradientAccumulator any, fixed({p});
  for (GradientAccumulator* each : {&any, &fixed}) {
    each->add(of_p);
    EXPECT_TRUE(equal(each->take()[0], tensor({1, 2})));
  }
  any.add(of_q);
  EXPECT_TRUE(refuses("GradientAccumulator", {"parameter 0"}, [&] { fixed.add(of_q); }));
  fixed.add(of_p);
  any.load_state(fixed.state());
  EXPECT_TRUE(refuses("GradientAccumulator", {"before add()"}, [&] { any.take(); }));
  any.add(of_p);
  EXPECT_TRUE(equal(any.take()[0], tensor({1, 2})));
}

TEST(ClippedGradients, OfReadOnlyMemoryAreRefusedByName) {
  const std::vector<float> memory = {3, 4};
  std::vector<Tensor> gradients = {Tensor::wrap(memory.data(), {2})};
  EXPECT_TRUE(refuses("clip_by_norm", {"[2]", "read-only"}, [&] { clip_by_norm(gradients, 1); }));
  EXPECT_TRUE(refuses("clip_by_value", {"[2]", "read-only"}, [&] { clip_by_value(gradients, 1); }));
}

}  // namespace
}  // namespace tapegrad::testing
