#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

// The functions of the traces, as the tape sees them.
Tensor function_of(const OracleCase& c, const Tensor& p) {
  if (c.text("function") == "quadratic") {
    const Tensor column = reshape(p, {-1, 1});
    return 0.5 * sum(column * matmul(c.tensor("A", p.dtype()), column)) - sum(c.tensor("B", p.dtype()) * p);
  }
  const Tensor x = row(p, 0), y = row(p, 1);
  return square(1.0 - x) + 100.0 * square(y - square(x));
}

std::unique_ptr<Optimizer> make_optimizer(const OracleCase& c, const Tensor& p) {
  if (c.op == "sgd" || c.op == "sgd_momentum")
    return std::make_unique<SGD>(std::vector{p},
                                 SGDOptions{.learning_rate = c.number("lr"),
                                            .momentum = c.has("momentum") ? c.number("momentum") : 0});
  if ((c.op == "adam" || c.op == "adam_large_epsilon") && c.text("family") == "pytorch")
    return std::make_unique<Adam>(std::vector{p}, AdamOptions{.learning_rate = c.number("lr"),
                                                              .beta1 = c.number("beta1"),
                                                              .beta2 = c.number("beta2"),
                                                              .epsilon = c.number("epsilon")});
  return nullptr;
}

class OptimizerTraces : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, OptimizerTraces, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(OptimizerTraces, TwentySteps) {
  const bool wide = GetParam() == DType::Float64;
  // Rosenbrock's second derivatives, up to 1200, enlarge what the parameters are off by.
  const double tolerance = wide ? 1e-11 : 1e-4, gradient_tolerance = wide ? 1e-11 : 1e-3;
  int run = 0;
  for (const OracleCase& c : read_oracle("optimizer_traces")) {
    const Tensor expected = c.tensor("params", GetParam());
    const Tensor p = parameter(row(expected, 0));
    const auto optimizer = make_optimizer(c, p);
    if (optimizer == nullptr) continue;
    ++run;
    for (index_t t = 1; t <= 20; ++t) {
      SCOPED_TRACE(c.name + ", step " + std::to_string(t));
      Tape tape;
      const Tensor loss = function_of(c, p);
      const double expected_loss = c.tensor("losses").at({t - 1});
      EXPECT_NEAR(loss.item(), expected_loss, tolerance * std::max(1.0, std::abs(expected_loss)));
      const Tensor gradient = tape.gradient(loss, p);
      expect_close(gradient, row(c.tensor("grads"), t - 1), gradient_tolerance, "gradient");
      optimizer->step({gradient});
      expect_close(p, row(expected, t), tolerance, "parameter");
    }
    EXPECT_EQ(optimizer->steps(), 20);
  }
  EXPECT_EQ(run, 8);
}

// Two parameters of different shapes and made-up gradients: what the steps do is the same whether they are
// taken in one go or continued from a saved state.
struct Training {
  explicit Training(std::uint64_t seed) {
    Generator generator(seed);
    parameters = {parameter(normal({3, 2}, 0, 1, generator)), parameter(normal({4}, 0, 1, generator))};
  }
  void run(Optimizer& optimizer, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t step = first; step < last; ++step) {
      Generator generator(99, step);
      optimizer.step({normal({3, 2}, 0, 1, generator), normal({4}, 0, 1, generator)});
    }
  }
  std::vector<Tensor> parameters;
};

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor>)>;
const std::vector<std::pair<std::string, MakeOptimizer>> kOptimizers = {
    {"SGD", [](auto ps) { return std::make_unique<SGD>(ps, SGDOptions{.learning_rate = 0.1}); }},
    {"SGD with momentum",
     [](auto ps) { return std::make_unique<SGD>(ps, SGDOptions{.learning_rate = 0.1, .momentum = 0.9}); }},
    {"Adam", [](auto ps) { return std::make_unique<Adam>(ps); }},
};

TEST(Optimizers, ContinueFromTheirStateWithTheSameBits) {
  for (const auto& [name, make] : kOptimizers) {
    SCOPED_TRACE(name);
    Training whole(1), half(1);
    const auto first = make(whole.parameters), second = make(half.parameters);
    whole.run(*first, 0, 10);
    half.run(*second, 0, 4);
    const State saved = second->state();
    const auto continued = make(half.parameters);
    continued->set_learning_rate(7);  // the state brings its own
    continued->load_state(saved);
    EXPECT_EQ(continued->steps(), 4);
    half.run(*continued, 4, 10);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(whole.parameters[i], half.parameters[i]));
    EXPECT_EQ(continued->steps(), 10);
    EXPECT_EQ(continued->learning_rate(), first->learning_rate());
  }
}

TEST(Optimizers, LoadedStateIsACopy) {
  Training training(1);
  Adam adam(training.parameters);
  training.run(adam, 0, 1);
  const State saved = adam.state();
  Training other(2);
  Adam loaded(other.parameters);
  loaded.load_state(saved);
  std::vector<Tensor> before;
  for (const auto& [key, tensor] : loaded.state().tensors) before.push_back(copy(tensor));
  training.run(adam, 1, 3);
  const State after = loaded.state();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(equal(after.tensors[i].second, before[i]));
}

TEST(Optimizers, StepIsInPlaceAndSeenByEveryHandle) {
  const Tensor p = parameter(tensor({1, 2}));
  const Tensor other_handle = p;
  SGD sgd({p}, {.learning_rate = 0.5});
  sgd.step({tensor({1, -2})});
  EXPECT_TRUE(equal(other_handle, tensor({0.5, 3})));
  EXPECT_TRUE(p.is_parameter());
}

TEST(Optimizers, WrongArguments) {
  const std::vector<Tensor> good = {parameter(ones({2, 3})), parameter(ones({4}))};
  EXPECT_TRUE(refuses("SGD", {"tensor 1", "[2]", "parameter()"}, [&] { SGD({good[0], ones({2})}); }));
  EXPECT_TRUE(
      refuses("SGD", {"learning_rate", "-1", "0 or more"}, [&] { SGD(good, {.learning_rate = -1}); }));
  EXPECT_TRUE(refuses("SGD", {"momentum", "1", "[0, 1)"}, [&] { SGD(good, {.momentum = 1}); }));
  EXPECT_TRUE(refuses("SGD", {"momentum", "-0.5"}, [&] { SGD(good, {.momentum = -0.5}); }));
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "inf"},
                      [&] { Adam(good, {.learning_rate = std::numeric_limits<double>::infinity()}); }));
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "nan"},
                      [&] { Adam(good, {.learning_rate = std::numeric_limits<double>::quiet_NaN()}); }));
  EXPECT_TRUE(refuses("Adam", {"beta1", "1"}, [&] { Adam(good, {.beta1 = 1}); }));
  EXPECT_TRUE(refuses("Adam", {"beta2", "-0.1"}, [&] { Adam(good, {.beta2 = -0.1}); }));
  EXPECT_TRUE(refuses("Adam", {"epsilon", "-1"}, [&] { Adam(good, {.epsilon = -1}); }));
  Adam adam(good);
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "-3"}, [&] { adam.set_learning_rate(-3); }));
  EXPECT_EQ(adam.learning_rate(), 1e-3);
}

TEST(Optimizers, RefusedGradientsChangeNothing) {
  for (const auto& [name, make] : kOptimizers) {
    SCOPED_TRACE(name);
    Training training(3);
    const auto optimizer = make(training.parameters);
    const std::string op = name.substr(0, name.find(' '));
    const std::vector<Tensor> before = {copy(training.parameters[0]), copy(training.parameters[1])};
    EXPECT_TRUE(refuses(op, {"1 gradients", "2 parameters"}, [&] { optimizer->step({ones({3, 2})}); }));
    EXPECT_TRUE(refuses(op, {"gradient 1", "[5]", "[4]"}, [&] {
      optimizer->step({ones({3, 2}), ones({5})});
    }));
    EXPECT_TRUE(refuses(op, {"gradient 1", "Float64", "Float32"}, [&] {
      optimizer->step({ones({3, 2}), ones({4}, DType::Float64)});
    }));
    EXPECT_EQ(optimizer->steps(), 0);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(training.parameters[i], before[i]));
  }
}

TEST(Optimizers, RefusedStateChangesNothing) {
  Training training(4), same(4);
  Adam adam(training.parameters), twin(same.parameters);
  training.run(adam, 0, 2);
  same.run(twin, 0, 2);

  State no_steps = adam.state(), short_one = adam.state(), misnamed = adam.state(), misshapen = adam.state(),
        bad_rate = adam.state();
  no_steps.numbers.erase("steps");
  short_one.tensors.pop_back();
  misnamed.tensors[0].first = "x";
  misshapen.tensors[3].second = zeros({7});
  bad_rate.numbers["learning_rate"] = -1;
  for (const double steps : {-1.0, 2.5, std::numeric_limits<double>::quiet_NaN()}) {
    State bad_steps = adam.state();
    bad_steps.numbers["steps"] = steps;
    EXPECT_TRUE(refuses("Adam", {"steps", "whole number"}, [&] { adam.load_state(bad_steps); }));
  }
  EXPECT_TRUE(refuses("Adam", {"steps"}, [&] { adam.load_state(no_steps); }));
  EXPECT_TRUE(refuses("Adam", {"3 tensors", "4"}, [&] { adam.load_state(short_one); }));
  EXPECT_TRUE(refuses("Adam", {"no tensor"}, [&] { adam.load_state(misnamed); }));
  EXPECT_TRUE(refuses("Adam", {"[7]"}, [&] { adam.load_state(misshapen); }));
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "-1"}, [&] { adam.load_state(bad_rate); }));
  training.run(adam, 2, 5);
  same.run(twin, 2, 5);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(training.parameters[i], same.parameters[i]));
}

}  // namespace
}  // namespace tapegrad::testing
