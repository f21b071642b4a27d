#include "tapegrad/tensor/state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "refuses.h"
#include "tapegrad/base/random.h"

namespace tapegrad::testing {
namespace {

TEST(State, NumbersByName) {
  const State state{
      .numbers = {{"half", 0.5}, {"two", 2}, {"minus", -1}, {"nan", std::nan("")}, {"big", 1e300}},
      .integers = {{"most", ~std::uint64_t{0}}}};
  EXPECT_EQ(state.number("op", "half"), 0.5);
  EXPECT_EQ(state.count("op", "two"), 2);
  EXPECT_EQ(state.integer("op", "most"), ~std::uint64_t{0});
  EXPECT_TRUE(refuses("op", {"no number 'most'"}, [&] { (void)state.number("op", "most"); }));
  EXPECT_TRUE(refuses("op", {"no number 'x'"}, [&] { (void)state.count("op", "x"); }));
  EXPECT_TRUE(refuses("op", {"no integer 'two'"}, [&] { (void)state.integer("op", "two"); }));
  for (const char* bad : {"half", "minus", "nan", "big"})
    EXPECT_TRUE(refuses("op", {bad, "whole number"}, [&] { (void)state.count("op", bad); })) << bad;
}

TEST(State, OfAGenerator) {
  Generator first(0xfedcba9876543210, ~std::uint64_t{0});
  for (int drawn = 0; drawn < 9; ++drawn) {
    Generator continued;
    load_state(continued, state(first));
    EXPECT_EQ(continued.position(), first.position());
    Generator copy = first;
    for (int i = 0; i < 9; ++i) EXPECT_EQ(continued.bits(), copy.bits()) << drawn << ", " << i;
    first.bits();
  }
  for (const char* key : {"seed", "stream", "drawn"}) {
    State missing = state(first);
    missing.integers.erase(key);
    const auto before = first.position();
    EXPECT_TRUE(refuses("generator", {key}, [&] { load_state(first, missing); }));
    EXPECT_EQ(first.position(), before);
  }
}

}  // namespace
}  // namespace tapegrad::testing
