// Every object with a state refuses the state of every other class, whatever names their numbers and tensors have.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

struct Part {
  std::string name;
  std::function<State()> state;
  std::function<void(const State&)> load;
};

template <class T>
Part part(const std::string& name, const std::shared_ptr<T>& object) {
  return {name, [object] { return object->state(); }, [object](const State& s) { object->load_state(s); }};
}

std::vector<Part> parts() {
  const Tensor p = parameter(ones({2}));
  const std::vector<Tensor> ps = {p};
  Generator generator(1);
  std::vector<Part> all = {
      part("SGD", std::make_shared<SGD>(ps)),
      part("Adam", std::make_shared<Adam>(ps)),
      part("AdamW", std::make_shared<AdamW>(ps)),
      part("RMSprop", std::make_shared<RMSprop>(ps)),
      part("Adagrad", std::make_shared<Adagrad>(ps)),
      part("ExponentialMovingAverage", std::make_shared<ExponentialMovingAverage>(ps)),
      part("GradientAccumulator", std::make_shared<GradientAccumulator>()),
      part("Schedule", std::make_shared<Schedule>(step_decay({}))),
      part("BestValue", std::make_shared<BestValue>()),
      part("ReduceOnPlateau", std::make_shared<ReduceOnPlateau>()),
      part("EarlyStopping", std::make_shared<EarlyStopping>()),
      part("Dense", std::make_shared<Dense>(DenseOptions{.in_features = 2, .units = 1}, generator)),
      part("Dropout", std::make_shared<Dropout>(0.5, generator)),
  };
  const auto drawn = std::make_shared<Generator>(3);
  all.push_back(
      {"Generator", [drawn] { return state(*drawn); }, [drawn](const State& s) { load_state(*drawn, s); }});
  return all;
}

TEST(States, OfAnotherClassAreRefused) {
  for (const Part& to : parts())
    for (const Part& from : parts()) {
      SCOPED_TRACE(to.name + " from the state of " + from.name);
      if (to.name == from.name)
        EXPECT_NO_THROW(to.load(from.state()));
      else
        EXPECT_THROW(to.load(from.state()), Error);
    }
}

TEST(States, WhoseTheyAreIsSaid) {
  EarlyStopping stopping;
  stopping.step(1);
  BestValue best;
  EXPECT_TRUE(refuses("BestValue", {"same class", "that of EarlyStopping"},
                      [&] { best.load_state(stopping.state()); }));
  EXPECT_THROW(best.best(), Error) << "nothing was loaded";
  Schedule schedule = step_decay({});
  EXPECT_TRUE(refuses("Schedule", {"that of SGD"},
                      [&] { schedule.load_state(SGD(std::vector<Tensor>{parameter(ones({2}))}).state()); }));
  // Errors of a part inside name the whole.
  EXPECT_TRUE(refuses("EarlyStopping", {"no finite value"}, [] { (void)EarlyStopping().best(); }));
  State missing = stopping.state();
  missing.numbers.erase("waited");
  EXPECT_TRUE(refuses("EarlyStopping", {"waited"}, [&] { stopping.load_state(missing); }));
}

}  // namespace
}  // namespace tapegrad::testing
