#include <gtest/gtest.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "tapegrad/base/error.h"
#include "tapegrad/io/checkpoint.h"

namespace tapegrad {
namespace {

struct Counter {
  double value = 1;
  State state() const { return {.numbers = {{"value", value}}}; }
  void load_state(const State& state) { value = state.number("counter", "value"); }
};

template <class Thrown>
struct Refusing {
  State state() const { return {.numbers = {{"value", 0}}}; }
  void load_state(const State&) { throw Thrown(); }
};

struct Mine : std::runtime_error {
  Mine() : std::runtime_error("mine") {}
};

// What a part throws is nested in an Error that names it, and the parts before it are as they were.
template <class Thrown>
bool holds() {
  Counter counter, other;
  Refusing<Thrown> refusing;
  TrainingState run;
  run.add("counter", counter).add("refusing", refusing).add("other", other);
  State state = run.state();
  state.numbers["counter/value"] = 7;
  try {
    run.load_state(state);
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), "training_state");
    EXPECT_NE(std::string(error.what()).find("'refusing' cannot be restored"), std::string::npos)
        << error.what();
    EXPECT_EQ(counter.value, 1);
    try {
      std::rethrow_if_nested(error);
    } catch (const Thrown&) {
      return true;
    }
  }
  return false;
}

TEST(TrainingState, HoldsWhatAPartThrew) {
  EXPECT_TRUE(holds<Mine>());
  EXPECT_TRUE(holds<int>());
  EXPECT_TRUE(holds<std::string>());
  Counter counter;
  Refusing<std::bad_alloc> refusing;
  TrainingState run;
  run.add("counter", counter).add("refusing", refusing);
  State state = run.state();
  state.numbers["counter/value"] = 7;
  EXPECT_THROW(run.load_state(state), std::bad_alloc);
  EXPECT_EQ(counter.value, 1);
}

}  // namespace
}  // namespace tapegrad
