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

// Memories of parameters without names belong to their places: the values say whether these are the same.
TEST(States, OfParametersThatHaveChangedPlacesAreRefused) {
  const Tensor a = parameter(tensor({1, 2})), b = parameter(tensor({3, 4})), c = parameter(tensor({3, 5}));
  const Gradients gradients({a, b, c}, {tensor({1, 1}), tensor({2, 2}), tensor({3, 3})});
  const auto stepped = [&](auto optimizer) {
    optimizer->step(gradients);
    return optimizer;
  };
  const auto parts_of = [&](const ParameterList& list) {
    std::vector<Part> all = {
        part("SGD", std::make_shared<SGD>(list, SGDOptions{.momentum = 0.5})),
        part("Adam", std::make_shared<Adam>(list)),
        part("AdamW", std::make_shared<AdamW>(list)),
        part("RMSprop", std::make_shared<RMSprop>(list)),
        part("Adagrad", std::make_shared<Adagrad>(list)),
        part("ExponentialMovingAverage", std::make_shared<ExponentialMovingAverage>(list))};
    const auto sums = std::make_shared<GradientAccumulator>(list);
    sums->add(gradients);
    all.push_back(part("GradientAccumulator", sums));
    return all;
  };
  (void)stepped(std::make_shared<Adam>(ParameterList({a, b, c})));
  const std::vector<Part> from = parts_of({a, b, c});
  for (const ParameterList& other : {ParameterList({b, a, c}), ParameterList({b, c, a})}) {
    const std::vector<Part> to = parts_of(other);
    for (std::size_t i = 0; i < to.size(); ++i)
      EXPECT_TRUE(
          refuses(to[i].name, {"order", "[2]", "named_parameters()"}, [&] { to[i].load(from[i].state()); }));
  }
  for (std::size_t i = 0; i < from.size(); ++i) EXPECT_NO_THROW(parts_of({a, b, c})[i].load(from[i].state()));
  // Names find their own, in whatever order.
  const std::vector<Part> named = parts_of(NamedTensors{{"a", a}, {"b", b}, {"c", c}}),
                          turned = parts_of(NamedTensors{{"c", c}, {"a", a}, {"b", b}});
  for (std::size_t i = 0; i < named.size(); ++i) {
    EXPECT_NO_THROW(turned[i].load(named[i].state())) << named[i].name;
    const State before = named[i].state(), after = turned[i].state();
    for (const auto& [key, tensor] : before.tensors) EXPECT_TRUE(equal(*after.find(key), tensor)) << key;
  }
}

// An accumulator that is told its parameters by the first add() is told of the order then.
TEST(States, OfAnAccumulatorAreCheckedByTheFirstAdd) {
  const Tensor a = parameter(tensor({1, 2})), b = parameter(tensor({3, 4}));
  const Gradients right({a, b}, {tensor({1, 1}), tensor({2, 2})}),
      wrong({b, a}, {tensor({2, 2}), tensor({1, 1})});
  GradientAccumulator first, second;
  first.add(right);
  second.load_state(first.state());
  EXPECT_TRUE(refuses("GradientAccumulator", {"order"}, [&] { second.add(wrong); }));
  second.add(right);
  EXPECT_TRUE(equal(second.take()[1], tensor({2, 2})));
}

// New weights are no change of places, be they zeros as those that another parameter still had.
TEST(States, OfOtherValuesAreTaken) {
  Tensor a = parameter(zeros({2})), b = parameter(zeros({2}));
  Adam trained({a, b});
  trained.step(Gradients({a, b}, {tensor({1, 1}), zeros({2})}));  // b stays 0
  const Tensor fresh_a = parameter(zeros({2})), fresh_b = parameter(zeros({2}));
  Adam fresh({fresh_a, fresh_b});
  EXPECT_NO_THROW(fresh.load_state(trained.state()));
  // One that has become what another was has not taken its place: that one went elsewhere.
  Tensor x = parameter(tensor({1, 1})), y = parameter(zeros({2}));
  Adam both({x, y});
  const State before = both.state();
  for (float& v : x.mutable_values<float>()) v = 0;
  for (float& v : y.mutable_values<float>()) v = 7;
  EXPECT_NO_THROW(both.load_state(before));
  State old = trained.state();
  std::erase_if(old.integers, [](const auto& entry) { return entry.first.starts_with("values."); });
  EXPECT_TRUE(refuses("Adam", {"values.0"}, [&] { Adam({a, b}).load_state(old); }));
}

// A step may exchange the values of two parameters: who goes back to an earlier state has not exchanged these.
TEST(States, AreTakenBackAfterAStepThatExchangedValues) {
  Tensor a = parameter(tensor({1})), b = parameter(tensor({0}));
  SGD sgd({a, b}, {.learning_rate = 1, .momentum = 0.5});
  ExponentialMovingAverage average({a, b});
  const State before = sgd.state(), average_before = average.state();
  sgd.step(Gradients({a, b}, {tensor({1}), tensor({-1})}));
  average.update();
  ASSERT_TRUE(a.item() == 0 && b.item() == 1);
  EXPECT_NO_THROW(sgd.load_state(before));
  EXPECT_EQ(sgd.steps(), 0);
  EXPECT_NO_THROW(average.load_state(average_before));
  // A new optimizer knows of no step.
  EXPECT_TRUE(refuses("SGD", {"order", "named_parameters()"}, [&] {
    SGD({a, b}, {.learning_rate = 1, .momentum = 0.5}).load_state(before);
  }));
}

}  // namespace
}  // namespace tapegrad::testing
