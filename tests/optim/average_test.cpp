#include "tapegrad/optim/average.h"

#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

void set(const Tensor& parameter, double value) {
  Tensor handle = parameter;
  handle.set({0}, value);
}

TEST(ExponentialMovingAverage, ForgetsExponentially) {
  const Tensor p = parameter(tensor({8}));
  ExponentialMovingAverage average({p}, {.decay = 0.75});
  set(p, 16);
  average.update();
  EXPECT_EQ(average.state().tensors[0].second.item(), 0.75 * 8 + 0.25 * 16);
  average.update();
  EXPECT_EQ(average.state().tensors[0].second.item(), 0.75 * 10 + 0.25 * 16);
  EXPECT_EQ(p.item(), 16);
}

TEST(ExponentialMovingAverage, WarmsUp) {
  const Tensor p = parameter(tensor({0}, DType::Float64));
  ExponentialMovingAverage average({p}, {.decay = 0.2, .warm_up = true});
  set(p, 1);
  double expected = 0;
  for (const double decay : {1.0 / 10, 2.0 / 11, 0.2, 0.2}) {
    average.update();
    expected = decay * expected + (1 - decay);
    EXPECT_NEAR(average.state().tensors[0].second.item(), expected, 1e-15);
  }
}

TEST(ExponentialMovingAverage, SwapsInAndBack) {
  const Tensor p = parameter(tensor({2})), q = parameter(tensor({{1, 1}}, DType::Float64));
  ExponentialMovingAverage average({p, q}, {.decay = 0.5});
  set(p, 4);
  average.update();
  const float* memory = p.data<float>();
  {
    const AveragedWeights averaged(average);
    EXPECT_TRUE(average.swapped());
    EXPECT_EQ(p.item(), 3);
    EXPECT_EQ(p.data<float>(), memory) << "other handles must see it";
    EXPECT_TRUE(refuses("ExponentialMovingAverage", {"update()", "swapped"}, [&] { average.update(); }));
    EXPECT_TRUE(refuses("ExponentialMovingAverage", {"apply()", "swapped"}, [&] { average.apply(); }));
    EXPECT_TRUE(refuses("ExponentialMovingAverage", {"state()", "swapped"}, [&] { (void)average.state(); }));
    EXPECT_TRUE(
        refuses("ExponentialMovingAverage", {"already"}, [&] { const AveragedWeights again(average); }));
    EXPECT_EQ(p.item(), 3);
  }
  EXPECT_FALSE(average.swapped());
  EXPECT_EQ(p.item(), 4);
  EXPECT_TRUE(equal(q, tensor({{1, 1}}, DType::Float64)));
  average.apply();
  EXPECT_EQ(p.item(), 3);
}

TEST(ExponentialMovingAverage, ContinuesFromItsState) {
  const Tensor p = parameter(tensor({2}));
  ExponentialMovingAverage first({p}, {.decay = 0.9, .warm_up = true});
  set(p, 7);
  first.update();
  ExponentialMovingAverage continued({p}, {.decay = 0.9, .warm_up = true});
  continued.load_state(first.state());
  for (const double value : {3.0, -5.0}) {
    set(p, value);
    first.update();
    continued.update();
  }
  EXPECT_TRUE(equal(first.state().tensors[0].second, continued.state().tensors[0].second));
  EXPECT_EQ(continued.state().numbers.at("updates"), 3);
}

// Tied weights, as a module's state names them twice: averaged once, and the trained weights come back.
TEST(ExponentialMovingAverage, TiedWeightsAreAveragedOnce) {
  const Tensor w = parameter(tensor({-1, -2}));
  ExponentialMovingAverage average({w, w, reshape(w, {2, 1})}, {.decay = 0.5});
  EXPECT_EQ(average.state().tensors.size(), 1u);
  set(w, -9);
  average.update();
  {
    const AveragedWeights averaged(average);
    EXPECT_EQ(w.at({0}), -5);
  }
  EXPECT_TRUE(equal(w, tensor({-9, -2})));
  average.apply();
  EXPECT_TRUE(equal(w, tensor({-5, -2})));
  const Tensor part = TensorAccess::view(w, {1}, 1);
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"tensor 1", "tensor 0", "shares"}, [&] {
    ExponentialMovingAverage({w, part});
  }));
}

TEST(ExponentialMovingAverage, NoticesThatTheModelWasReplaced) {
  const Tensor w = parameter(tensor({1})), replaced = parameter(tensor({1}));
  ExponentialMovingAverage average({w});
  average.update(std::vector<Tensor>{w});
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"parameter 1", "never given a value"}, [&] {
    average.update({w, Tensor()});
  }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"parameter 0", "replaced"},
                      [&] { average.update(std::vector<Tensor>{replaced}); }));
  EXPECT_EQ(average.state().numbers.at("updates"), 1);
}

TEST(ExponentialMovingAverage, TheStateIsASnapshotAndCanHaveNames) {
  const Tensor w = parameter(tensor({1})), v = parameter(tensor({2}));
  ExponentialMovingAverage average(NamedTensors{{"head.w", w}, {"head.v", v}}, {.decay = 0.5});
  const State begin = average.state();
  EXPECT_EQ(begin.tensors[1].first, "head.v");
  set(w, 3);
  average.update();
  EXPECT_EQ(begin.tensors[0].second.item(), 1);
  average.load_state(begin);
  EXPECT_EQ(average.state().tensors[0].second.item(), 1);
}

TEST(ExponentialMovingAverage, RefusedStatesChangeNothing) {
  const Tensor p = parameter(tensor({2})), q = parameter(tensor({3}));
  ExponentialMovingAverage average({p, q});
  State short_one = average.state(), misshapen = average.state(), other_type = average.state(),
        no_number = average.state();
  short_one.tensors.pop_back();
  misshapen.tensors[0].second = ones({1});
  misshapen.tensors[1].second = ones({2});
  other_type.tensors[1].second = ones({1}, DType::Float64);
  no_number.numbers.clear();
  EXPECT_TRUE(
      refuses("ExponentialMovingAverage", {"1 tensors", "2"}, [&] { average.load_state(short_one); }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"'1'", "[2]"}, [&] { average.load_state(misshapen); }));
  EXPECT_TRUE(
      refuses("ExponentialMovingAverage", {"'1'", "Float64"}, [&] { average.load_state(other_type); }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"updates"}, [&] { average.load_state(no_number); }));
  State renamed = average.state();
  renamed.tensors[1].first = "2";
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"no tensor '1'"}, [&] { average.load_state(renamed); }));
  State undefined = average.state();
  undefined.tensors[1].second = Tensor();
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"'1'", "never given a value"},
                      [&] { average.load_state(undefined); }));
  EXPECT_EQ(average.state().tensors[0].second.item(), 2);
}

TEST(ExponentialMovingAverage, WrongArguments) {
  const Tensor p = parameter(tensor({2}));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"decay", "1"},
                      [&] { ExponentialMovingAverage({p}, {.decay = 1}); }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"decay", "-1"},
                      [&] { ExponentialMovingAverage({p}, {.decay = -1}); }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"tensor 1", "Int32"}, [&] {
    ExponentialMovingAverage({p, zeros({2}, DType::Int32)});
  }));
}

TEST(ExponentialMovingAverage, RefusesReadOnlyMemoryInItsOwnName) {
  const std::vector<float> memory = {1, 2};
  ExponentialMovingAverage average({Tensor::wrap(memory.data(), {2})});
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"[2]", "read-only"}, [&] { average.swap(); }));
  EXPECT_TRUE(refuses("ExponentialMovingAverage", {"[2]", "read-only"}, [&] { average.apply(); }));
}

}  // namespace
}  // namespace tapegrad::testing
