#include "tapegrad/optim/schedules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "refuses.h"

namespace tapegrad::testing {
namespace {

TEST(Schedules, StepDecay) {
  const Schedule schedule = step_decay({.learning_rate = 0.5, .every = 3, .factor = 0.5});
  for (const auto& [step, rate] :
       {std::pair(0, 0.5), std::pair(2, 0.5), std::pair(3, 0.25), std::pair(5, 0.25), std::pair(6, 0.125),
        std::pair(300, std::ldexp(0.5, -100))})
    EXPECT_EQ(schedule.at(step), rate) << step;
}

TEST(Schedules, ExponentialDecay) {
  const Schedule schedule = exponential_decay({.learning_rate = 2, .factor = 0.5});
  for (int step = 0; step < 10; ++step) EXPECT_EQ(schedule.at(step), std::ldexp(2, -step));
}

TEST(Schedules, CosineDecay) {
  const Schedule schedule = cosine_decay({.learning_rate = 1, .steps = 6, .min_learning_rate = 0.5});
  EXPECT_EQ(schedule.at(0), 1);
  EXPECT_NEAR(schedule.at(2), 0.5 + 0.5 * 0.75, 1e-15);  // cos 60 degrees is 1/2
  EXPECT_NEAR(schedule.at(3), 0.75, 1e-15);
  EXPECT_NEAR(schedule.at(4), 0.5 + 0.5 * 0.25, 1e-15);
  EXPECT_EQ(schedule.at(6), 0.5);
  EXPECT_EQ(schedule.at(1000), 0.5) << "it does not rise again";
}

TEST(Schedules, WarmUp) {
  const Schedule then = exponential_decay({.learning_rate = 1, .factor = 0.5});
  const Schedule schedule = warm_up({.steps = 4, .start_factor = 0.5}, then);
  const double expected[] = {0.5, 0.625, 0.75, 0.875, 1, 0.5, 0.25};
  for (int step = 0; step < 7; ++step) EXPECT_EQ(schedule.at(step), expected[step]) << step;
}

// PyTorch: OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3, div_factor=25, final_div_factor=1e4) goes from
// 1/25 to 1 in steps 0 to 2, and down to 1/25/1e4 in steps 2 to 9, each by half a cosine.
TEST(Schedules, OneCycle) {
  const Schedule schedule = one_cycle({.max_learning_rate = 1, .steps = 10});
  const double first = 1.0 / 25, last = first / 1e4;
  EXPECT_NEAR(schedule.at(0), first, 1e-15);
  EXPECT_NEAR(schedule.at(1), (first + 1) / 2, 1e-15);
  for (int step = 2; step < 10; ++step)
    EXPECT_NEAR(schedule.at(step), last + (1 - last) * (1 + std::cos(std::numbers::pi * (step - 2) / 7)) / 2,
                1e-15)
        << step;
  EXPECT_NEAR(schedule.at(9), last, 1e-15);
  EXPECT_EQ(schedule.at(10), schedule.at(9));
  EXPECT_EQ(schedule.at(1000), schedule.at(9));
}

TEST(Schedules, OneCycleWithoutWarmUpAndWithNothingElse) {
  const Schedule falls = one_cycle({.max_learning_rate = 1, .steps = 5, .warm_up_fraction = 0});
  EXPECT_EQ(falls.at(0), 1);
  EXPECT_NEAR(falls.at(4), 1.0 / 25e4, 1e-15);
  const Schedule rises = one_cycle({.max_learning_rate = 1, .steps = 5, .warm_up_fraction = 1});
  EXPECT_NEAR(rises.at(0), 0.04, 1e-15);
  for (int step = 0; step < 4; ++step) EXPECT_LT(rises.at(step), rises.at(step + 1));
  EXPECT_EQ(rises.at(4), 1);
  const Schedule shortest = one_cycle({.max_learning_rate = 1, .steps = 2});
  EXPECT_EQ(shortest.at(0), 1);
  EXPECT_NEAR(shortest.at(1), 1.0 / 25e4, 1e-15);
}

TEST(Schedules, CountStepsAndContinue) {
  Schedule schedule = exponential_decay({.learning_rate = 1, .factor = 0.5});
  EXPECT_EQ(schedule.learning_rate(), 1);
  schedule.step();
  schedule.step();
  EXPECT_EQ(schedule.learning_rate(), 0.25);
  Schedule continued = exponential_decay({.learning_rate = 1, .factor = 0.5});
  continued.load_state(schedule.state());
  EXPECT_EQ(continued.steps(), 2);
  EXPECT_EQ(continued.learning_rate(), 0.25);

  for (const double steps : {-1.0, 0.5, std::nan("")}) {
    State wrong = schedule.state();
    wrong.numbers["steps"] = steps;
    EXPECT_TRUE(refuses("Schedule", {"steps", "whole number"}, [&] { continued.load_state(wrong); }));
  }
  EXPECT_TRUE(refuses("Schedule", {"class.Schedule"}, [&] { continued.load_state(State{}); }));
  EXPECT_EQ(continued.steps(), 2);
}

TEST(Schedules, OnesOwn) {
  const Schedule schedule([](std::int64_t step) { return 1.0 / static_cast<double>(1 + step); });
  EXPECT_EQ(schedule.at(3), 0.25);
  EXPECT_TRUE(refuses("Schedule", {"-1"}, [&] { (void)schedule.at(-1); }));
  EXPECT_TRUE(refuses("Schedule", {"empty"}, [] { (void)Schedule(Schedule::Function()).learning_rate(); }));
}

TEST(Schedules, WrongOptions) {
  const Schedule then = exponential_decay({});
  EXPECT_TRUE(refuses("step_decay", {"learning_rate", "-1"}, [] { step_decay({.learning_rate = -1}); }));
  EXPECT_TRUE(refuses("step_decay", {"every", "0"}, [] { step_decay({.every = 0}); }));
  EXPECT_TRUE(refuses("step_decay", {"factor", "-2"}, [] { step_decay({.factor = -2}); }));
  EXPECT_TRUE(refuses("exponential_decay", {"learning_rate", "nan"},
                      [] { exponential_decay({.learning_rate = std::nan("")}); }));
  EXPECT_TRUE(refuses("exponential_decay", {"factor"}, [] { exponential_decay({.factor = -1}); }));
  EXPECT_TRUE(refuses("cosine_decay", {"steps", "0"}, [] { cosine_decay({.steps = 0}); }));
  EXPECT_TRUE(
      refuses("cosine_decay", {"min_learning_rate", "-1"}, [] { cosine_decay({.min_learning_rate = -1}); }));
  EXPECT_TRUE(refuses("cosine_decay", {"learning_rate"}, [] { cosine_decay({.learning_rate = -1}); }));
  EXPECT_TRUE(refuses("warm_up", {"steps", "0"}, [&] { warm_up({.steps = 0}, then); }));
  EXPECT_TRUE(refuses("warm_up", {"start_factor", "-1"}, [&] { warm_up({.start_factor = -1}, then); }));
  EXPECT_TRUE(refuses("one_cycle", {"steps", "1"}, [] { one_cycle({.steps = 1}); }));
  EXPECT_TRUE(
      refuses("one_cycle", {"max_learning_rate", "-1"}, [] { one_cycle({.max_learning_rate = -1}); }));
  EXPECT_TRUE(refuses("one_cycle", {"warm_up_fraction", "2"}, [] { one_cycle({.warm_up_fraction = 2}); }));
  EXPECT_TRUE(refuses("one_cycle", {"div_factor must be finite and at least 1, got 0.5"},
                      [] { one_cycle({.div_factor = 0.5}); }));
  EXPECT_TRUE(refuses("one_cycle", {"final_div_factor must be finite and at least 1, got 0"},
                      [] { one_cycle({.final_div_factor = 0}); }));
}

}  // namespace
}  // namespace tapegrad::testing
