#include "tapegrad/optim/plateau.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "refuses.h"

namespace tapegrad::testing {
namespace {

TEST(BestValue, MarginsAndDirections) {
  BestValue lower({.min_delta = 0.5});
  EXPECT_TRUE(refuses("BestValue", {"no finite value"}, [&] { (void)lower.best(); }));
  EXPECT_TRUE(lower.improves(4));
  EXPECT_FALSE(lower.improves(3.5));
  EXPECT_EQ(lower.waited(), 1);
  EXPECT_TRUE(lower.improves(3.25));
  EXPECT_EQ(lower.waited(), 0);
  EXPECT_EQ(lower.best(), 3.25);

  BestValue higher({.mode = Improvement::Max, .min_delta = 0.25, .min_delta_is_relative = true});
  EXPECT_TRUE(higher.improves(4));
  EXPECT_FALSE(higher.improves(5));
  EXPECT_TRUE(higher.improves(5.125));

  BestValue negative({.min_delta = 0.25,
                      .min_delta_is_relative = true});  // the margin is one towards better, whatever the sign
  EXPECT_TRUE(negative.improves(-4));
  EXPECT_FALSE(negative.improves(-4.5));
  EXPECT_TRUE(negative.improves(-5.5));
}

TEST(BestValue, WhatIsNotFiniteNeverImproves) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  BestValue best({.mode = Improvement::Max});
  EXPECT_FALSE(best.improves(std::nan("")));
  EXPECT_FALSE(best.improves(kInfinity));
  EXPECT_TRUE(best.improves(1));
  EXPECT_FALSE(best.improves(kInfinity));
  EXPECT_FALSE(best.improves(std::nan("")));
  EXPECT_EQ(best.best(), 1);
  EXPECT_EQ(best.waited(), 2);
}

// By hand from PyTorch's ReduceLROnPlateau(factor=0.5, patience=2, threshold=0): it acts at the third value
// in a row that is no improvement.
TEST(ReduceOnPlateau, Reduces) {
  ReduceOnPlateau plateau({.learning_rate = 1, .factor = 0.5, .patience = 2, .improvement = {}});
  const std::vector<double> values = {5, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3};
  const std::vector<double> rates = {1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125};
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(plateau.step(values[i]), rates[i]) << i;
  EXPECT_EQ(plateau.learning_rate(), 0.125);
}

TEST(ReduceOnPlateau, CoolsDownAndHasAFloor) {
  ReduceOnPlateau plateau({.learning_rate = 1,
                           .factor = 0.25,
                           .patience = 0,
                           .cooldown = 2,
                           .min_learning_rate = 0.125,
                           .improvement = {}});
  const std::vector<double> rates = {1, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125};
  for (std::size_t i = 0; i < rates.size(); ++i) EXPECT_EQ(plateau.step(4), rates[i]) << i;
  ReduceOnPlateau below({.learning_rate = 0.5, .patience = 0, .min_learning_rate = 1});
  below.step(1);
  EXPECT_EQ(below.step(1), 0.5) << "the floor never raises it";
}

TEST(ReduceOnPlateau, ContinuesFromItsState) {
  const ReduceOnPlateauOptions options = {.learning_rate = 1, .factor = 0.5, .patience = 1, .cooldown = 1};
  const std::vector<double> values = {5, 6, 6, 6, 6, 4, 6, 6, 6, 6, 6, 6};
  for (std::size_t cut = 0; cut < values.size(); ++cut) {
    ReduceOnPlateau whole(options), half(options), continued(options);
    for (std::size_t i = 0; i < cut; ++i) half.step(values[i]);
    continued.load_state(half.state());
    EXPECT_EQ(continued.learning_rate(), half.learning_rate());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double rate = whole.step(values[i]);
      if (i >= cut) {
        EXPECT_EQ(continued.step(values[i]), rate) << cut << ", " << i;
      }
    }
  }
}

TEST(ReduceOnPlateau, RefusedStatesChangeNothing) {
  ReduceOnPlateau plateau({.learning_rate = 1, .factor = 0.5, .patience = 1, .improvement = {}});
  plateau.step(3);
  plateau.step(3);
  for (const char* key : {"learning_rate", "cooling", "waited"}) {
    State missing = plateau.state(), wrong = plateau.state();
    for (auto& [name, number] : missing.numbers) number += 1;
    missing.numbers.erase(key);
    wrong.numbers[key] = -1;
    EXPECT_THROW(plateau.load_state(missing), Error) << key;
    EXPECT_THROW(plateau.load_state(wrong), Error) << key;
  }
  EXPECT_EQ(plateau.learning_rate(), 1);
  EXPECT_EQ(plateau.step(3), 0.5);
}

TEST(ReduceOnPlateau, WrongOptions) {
  EXPECT_TRUE(refuses("ReduceOnPlateau", {"factor", "1"}, [] { ReduceOnPlateau({.factor = 1}); }));
  EXPECT_TRUE(refuses("ReduceOnPlateau", {"learning_rate"}, [] { ReduceOnPlateau({.learning_rate = -1}); }));
  EXPECT_TRUE(refuses("ReduceOnPlateau", {"patience"}, [] { ReduceOnPlateau({.patience = -1}); }));
  EXPECT_TRUE(refuses("ReduceOnPlateau", {"cooldown"}, [] { ReduceOnPlateau({.cooldown = -1}); }));
  EXPECT_TRUE(
      refuses("ReduceOnPlateau", {"min_learning_rate"}, [] { ReduceOnPlateau({.min_learning_rate = -1}); }));
  EXPECT_TRUE(
      refuses("ReduceOnPlateau", {"min_delta"}, [] { ReduceOnPlateau({.improvement = {.min_delta = -1}}); }));
  EXPECT_TRUE(refuses("EarlyStopping", {"patience"}, [] { EarlyStopping({.patience = -1}); }));
}

TEST(EarlyStopping, StopsAfterPatience) {
  EarlyStopping stopping({.patience = 2});
  const std::vector<double> values = {5, 4, 6, 3, 3, 3, 3};
  const std::vector<bool> improved = {true, true, false, true, false, false, false};
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(stopping.step(values[i]), i == 6) << i;
    EXPECT_EQ(stopping.improved(), improved[i]) << i;
  }
  EXPECT_EQ(stopping.best(), 3);
}

TEST(EarlyStopping, ContinuesFromItsState) {
  EarlyStopping first({.patience = 1, .improvement = {.mode = Improvement::Max}});
  EXPECT_FALSE(first.step(0.5));
  EXPECT_FALSE(first.step(0.5));
  EarlyStopping continued({.patience = 1, .improvement = {.mode = Improvement::Max}});
  continued.load_state(first.state());
  EXPECT_EQ(continued.best(), 0.5);
  EXPECT_FALSE(continued.improved());
  EXPECT_TRUE(continued.step(0.25));
  EXPECT_FALSE(continued.step(0.75));
  EarlyStopping fresh;
  continued.load_state(fresh.state());
  EXPECT_FALSE(continued.step(0.125)) << "nothing is known of the values before";
  EXPECT_TRUE(continued.improved());
  EarlyStopping another;
  another.load_state(continued.state());
  EXPECT_TRUE(another.improved()) << "the last value before was the best";
}

TEST(EarlyStopping, RefusedStatesChangeNothing) {
  EarlyStopping stopping({.patience = 1});
  stopping.step(2);
  for (const char* key : {"waited", "improved"}) {
    State missing = stopping.state(), wrong = stopping.state();
    missing.numbers["best"] = 1;
    missing.numbers.erase(key);
    wrong.numbers["best"] = 1;
    wrong.numbers[key] = 0.5;
    EXPECT_THROW(stopping.load_state(missing), Error) << key;
    EXPECT_THROW(stopping.load_state(wrong), Error) << key;
  }
  State endless = stopping.state();
  endless.numbers["best"] = -HUGE_VAL;
  EXPECT_THROW(stopping.load_state(endless), Error);
  EXPECT_EQ(stopping.best(), 2);
  EXPECT_TRUE(stopping.improved());
}

}  // namespace
}  // namespace tapegrad::testing
