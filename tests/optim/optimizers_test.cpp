#include <gtest/gtest.h>

#include <cmath>
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

template <class Options>
Options adam_options(const OracleCase& c, EpsilonConvention convention) {
  return {.learning_rate = c.number("lr"),
          .beta1 = c.number("beta1"),
          .beta2 = c.number("beta2"),
          .epsilon = c.number("epsilon"),
          .weight_decay = c.number("weight_decay", 0),
          .amsgrad = c.flag("amsgrad"),
          .epsilon_convention = convention};
}

std::unique_ptr<Optimizer> make_optimizer(const OracleCase& c, const Tensor& p) {
  const auto convention = c.text("family") == "keras" ? EpsilonConvention::Keras : EpsilonConvention::PyTorch;
  const std::vector<Tensor> ps = {p};
  if (c.op.starts_with("sgd"))
    return std::make_unique<SGD>(ps, SGDOptions{.learning_rate = c.number("lr"),
                                                .momentum = c.number("momentum", 0),
                                                .nesterov = c.flag("nesterov"),
                                                .weight_decay = c.number("weight_decay", 0)});
  if (c.op.starts_with("adamw"))
    return std::make_unique<AdamW>(ps, adam_options<AdamWOptions>(c, convention));
  if (c.op.starts_with("adam")) return std::make_unique<Adam>(ps, adam_options<AdamOptions>(c, convention));
  if (c.op.starts_with("rmsprop"))
    return std::make_unique<RMSprop>(ps, RMSpropOptions{.learning_rate = c.number("lr"),
                                                        .rho = c.number("rho"),
                                                        .epsilon = c.number("epsilon"),
                                                        .momentum = c.number("momentum", 0),
                                                        .centered = c.flag("centered"),
                                                        .epsilon_convention = convention});
  if (c.op.starts_with("adagrad"))
    return std::make_unique<Adagrad>(ps,
                                     AdagradOptions{.learning_rate = c.number("lr"),
                                                    .epsilon = c.number("epsilon"),
                                                    .initial_accumulator = c.number("initial_accumulator"),
                                                    .epsilon_convention = convention});
  throw std::runtime_error(c.name + ": optimizer " + c.op);
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
    ++run;
    for (index_t t = 1; t <= 20; ++t) {
      SCOPED_TRACE(c.name + ", step " + std::to_string(t));
      Tape tape;
      const Tensor loss = function_of(c, p);
      const double expected_loss = c.tensor("losses").at({t - 1});
      EXPECT_NEAR(loss.item(), expected_loss, tolerance * std::max(1.0, std::abs(expected_loss)));
      const Gradients gradients = tape.gradient(loss, {p});
      expect_close(gradients[0], row(c.tensor("grads"), t - 1), gradient_tolerance, "gradient");
      optimizer->step(gradients);
      expect_close(p, row(expected, t), tolerance, "parameter");
    }
    EXPECT_EQ(optimizer->steps(), 20);
  }
  EXPECT_EQ(run, 44);
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
      optimizer.step(Gradients(parameters, {normal({3, 2}, 0, 1, generator), normal({4}, 0, 1, generator)}));
    }
  }
  std::vector<Tensor> parameters;
};

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor>)>;
template <class O, class Options>
MakeOptimizer with(const Options& options) {
  return [options](const std::vector<Tensor>& ps) { return std::make_unique<O>(ps, options); };
}
// With everything that has a memory of its own.
const std::vector<std::pair<std::string, MakeOptimizer>> kOptimizers = {
    {"SGD", with<SGD>(SGDOptions{.learning_rate = 0.1})},
    {"SGD with momentum", with<SGD>(SGDOptions{.learning_rate = 0.1, .momentum = 0.9})},
    {"Adam", with<Adam>(AdamOptions{})},
    {"Adam with amsgrad", with<Adam>(AdamOptions{.weight_decay = 0.1, .amsgrad = true})},
    {"AdamW", with<AdamW>(AdamWOptions{.weight_decay = 0.1})},
    {"RMSprop", with<RMSprop>(RMSpropOptions{})},
    {"RMSprop with momentum", with<RMSprop>(RMSpropOptions{.momentum = 0.5})},
    {"RMSprop, centred, with momentum", with<RMSprop>(RMSpropOptions{.momentum = 0.5, .centered = true})},
    {"Adagrad", with<Adagrad>(AdagradOptions{.initial_accumulator = 0.1})},
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

TEST(Optimizers, StateOfAnotherOneIsRefused) {
  for (const auto& [name, make] : kOptimizers)
    for (const auto& [other_name, make_other] : kOptimizers) {
      SCOPED_TRACE(name + " from the state of " + other_name);
      Training training(1);
      const auto optimizer = make(training.parameters), other = make_other(training.parameters);
      if (name == other_name) {
        optimizer->load_state(other->state());
        continue;
      }
      other->set_learning_rate(0.75);
      const double rate = optimizer->learning_rate();
      EXPECT_THROW(optimizer->load_state(other->state()), Error);
      EXPECT_EQ(optimizer->learning_rate(), rate);
    }
}

// The tensors of these have the same names and shapes but mean something else.
TEST(Optimizers, StateOfAnotherClassOrConventionIsRefusedWithWords) {
  const Tensor p = parameter(ones({2}));
  const std::vector<Tensor> ps = {p};
  Adam adam(ps);
  AdamW adamw(ps);
  EXPECT_TRUE(refuses("AdamW", {"that of Adam"}, [&] { adamw.load_state(adam.state()); }));
  EXPECT_TRUE(refuses("Adam", {"that of AdamW"}, [&] { adam.load_state(adamw.state()); }));
  RMSprop centred(ps, {.centered = true});
  EXPECT_TRUE(refuses("RMSprop", {"that of Adam"}, [&] { centred.load_state(adam.state()); }));
  EXPECT_TRUE(refuses("Adam", {"that of RMSprop"}, [&] { adam.load_state(centred.state()); }));
  RMSprop pytorch(ps, {.momentum = 0.9}),
      keras(ps, {.momentum = 0.9, .epsilon_convention = EpsilonConvention::Keras});
  EXPECT_TRUE(refuses("RMSprop", {"'0.velocity'", "convention"}, [&] { pytorch.load_state(keras.state()); }));
  EXPECT_TRUE(refuses("RMSprop", {"velocity", "convention"}, [&] { keras.load_state(pytorch.state()); }));
  SGD sgd(ps);
  EXPECT_TRUE(refuses("SGD", {"that of Adagrad"}, [&] { sgd.load_state(Adagrad(ps).state()); }));
  State nameless = adam.state();
  nameless.integers.clear();
  EXPECT_TRUE(refuses("Adam", {"class.Adam"}, [&] { adam.load_state(nameless); }));
}

TEST(Optimizers, TheStateIsASnapshot) {
  for (const auto& [name, make] : kOptimizers) {
    SCOPED_TRACE(name);
    Training once(1), twice(1);
    const auto optimizer = make(once.parameters), other = make(twice.parameters);
    const State begin = optimizer->state();
    once.run(*optimizer, 0, 3);
    optimizer->load_state(begin);
    EXPECT_EQ(optimizer->steps(), 0);
    const State restored = optimizer->state();
    for (std::size_t i = 0; i < begin.tensors.size(); ++i)
      EXPECT_TRUE(equal(restored.tensors[i].second, other->state().tensors[i].second)) << i;
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
  sgd.step(Gradients({p}, {tensor({1, -2})}));
  EXPECT_TRUE(equal(other_handle, tensor({0.5, 3})));
  EXPECT_TRUE(p.is_parameter());
}

TEST(Optimizers, WrongArguments) {
  const std::vector<Tensor> good = {parameter(ones({2, 3})), parameter(ones({4}))};
  EXPECT_TRUE(refuses("SGD", {"tensor 1", "[2]", "parameter()"}, [&] { SGD({good[0], ones({2})}); }));
  EXPECT_TRUE(refuses("SGD", {"learning_rate must be finite and at least 0, got -1"},
                      [&] { SGD(good, {.learning_rate = -1}); }));
  EXPECT_TRUE(refuses("SGD", {"momentum", "1", "[0, 1)"}, [&] { SGD(good, {.momentum = 1}); }));
  EXPECT_TRUE(refuses("SGD", {"momentum", "-0.5"}, [&] { SGD(good, {.momentum = -0.5}); }));
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "inf"},
                      [&] { Adam(good, {.learning_rate = std::numeric_limits<double>::infinity()}); }));
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "nan"},
                      [&] { Adam(good, {.learning_rate = std::numeric_limits<double>::quiet_NaN()}); }));
  EXPECT_TRUE(refuses("Adam", {"beta1", "1"}, [&] { Adam(good, {.beta1 = 1}); }));
  EXPECT_TRUE(refuses("Adam", {"beta2", "-0.1"}, [&] { Adam(good, {.beta2 = -0.1}); }));
  EXPECT_TRUE(refuses("Adam", {"epsilon", "-1"}, [&] { Adam(good, {.epsilon = -1}); }));
  EXPECT_TRUE(refuses("Adam", {"tensor 1", "[4]", "frozen"}, [&] {
    Adam({good[0], stop_gradient(good[1])});
  }));
  Adam adam(good);
  EXPECT_TRUE(refuses("Adam", {"learning_rate", "-3"}, [&] { adam.set_learning_rate(-3); }));
  EXPECT_EQ(adam.learning_rate(), 1e-3);
}

TEST(Optimizers, WrongOptionsOfEach) {
  const std::vector<Tensor> ps = {parameter(ones({2}))};
  EXPECT_TRUE(refuses("SGD", {"weight_decay", "-1"}, [&] { SGD(ps, {.weight_decay = -1}); }));
  EXPECT_TRUE(refuses("SGD", {"nesterov", "momentum must be above 0"}, [&] { SGD(ps, {.nesterov = true}); }));
  EXPECT_TRUE(refuses("AdamW", {"beta1", "2"}, [&] { AdamW(ps, {.beta1 = 2}); }));
  EXPECT_TRUE(refuses("AdamW", {"weight_decay", "-1"}, [&] { AdamW(ps, {.weight_decay = -1}); }));
  EXPECT_TRUE(refuses("RMSprop", {"rho", "1"}, [&] { RMSprop(ps, {.rho = 1}); }));
  EXPECT_TRUE(refuses("RMSprop", {"momentum", "1"}, [&] { RMSprop(ps, {.momentum = 1}); }));
  EXPECT_TRUE(refuses("RMSprop", {"epsilon", "-1"}, [&] { RMSprop(ps, {.epsilon = -1}); }));
  EXPECT_TRUE(refuses("RMSprop", {"weight_decay", "-1"}, [&] { RMSprop(ps, {.weight_decay = -1}); }));
  EXPECT_TRUE(refuses("Adagrad", {"epsilon", "-1"}, [&] { Adagrad(ps, {.epsilon = -1}); }));
  EXPECT_TRUE(refuses("Adagrad", {"weight_decay", "-1"}, [&] { Adagrad(ps, {.weight_decay = -1}); }));
  EXPECT_TRUE(
      refuses("Adagrad", {"initial_accumulator", "-1"}, [&] { Adagrad(ps, {.initial_accumulator = -1}); }));
}

// With an epsilon of 0, also one that is 0 as a Float32, a gradient of 0 would give 0 / 0.
TEST(Optimizers, EpsilonIsPositive) {
  const std::vector<Tensor> narrow = {parameter(ones({2}))}, wide = {parameter(ones({2}, DType::Float64))};
  for (const double bad : {0.0, 1e-50}) {
    EXPECT_TRUE(refuses("Adam", {"epsilon", "positive"}, [&] { Adam(narrow, {.epsilon = bad}); }));
    EXPECT_TRUE(refuses("AdamW", {"epsilon", "positive"}, [&] { AdamW(narrow, {.epsilon = bad}); }));
    EXPECT_TRUE(refuses("RMSprop", {"epsilon", "positive"}, [&] { RMSprop(narrow, {.epsilon = bad}); }));
    EXPECT_TRUE(refuses("Adagrad", {"epsilon", "positive"}, [&] { Adagrad(narrow, {.epsilon = bad}); }));
  }
  Adam adam(wide, {.epsilon = 1e-50});
  adam.step(Gradients(wide, {zeros({2}, DType::Float64)}));
  EXPECT_TRUE(equal(wide[0], ones({2}, DType::Float64)));
}

// A gradient whose square leaves the dtype's range: the parameter stays finite and moves on afterwards.
TEST(Optimizers, MoveOnAfterAHugeGradient) {
  const std::vector<std::pair<std::string, MakeOptimizer>> optimizers = {
      {"Adam", with<Adam>(AdamOptions{.beta2 = 0.9})},
      {"Adam with amsgrad", with<Adam>(AdamOptions{.amsgrad = true})},
      {"AdamW", with<AdamW>(AdamWOptions{.beta2 = 0.9})},
      {"RMSprop", with<RMSprop>(RMSpropOptions{.rho = 0.9})},
      {"RMSprop, centred", with<RMSprop>(RMSpropOptions{.rho = 0.9, .centered = true})},
      {"RMSprop, centred, Keras",
       with<RMSprop>(RMSpropOptions{
           .rho = 0.9, .momentum = 0.5, .centered = true, .epsilon_convention = EpsilonConvention::Keras})},
      {"Adagrad", with<Adagrad>(AdagradOptions{})}};
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const double huge : {dtype == DType::Float32 ? 1e20 : 1e160, dtype == DType::Float32 ? 1e30 : 1e300})
      for (const auto& [name, make] : optimizers) {
        SCOPED_TRACE(name + " " + std::to_string(huge));
        const Tensor p = parameter(zeros({1}, dtype));
        const auto optimizer = make({p});
        const auto step = [&](double g) { optimizer->step(Gradients({p}, {full({1}, g, dtype)})); };
        step(huge);
        EXPECT_LT(p.item(), -1e-4);
        EXPECT_GT(p.item(), -0.1) << "a step of the usual length";
        for (const auto& [key, memory] : optimizer->state().tensors)
          EXPECT_TRUE(std::isfinite(memory.item())) << key;
        // What is remembered of the huge one fades; Adagrad and AMSGrad never forget, so they are given another.
        const bool forgets = name != "Adagrad" && name != "Adam with amsgrad";
        for (int i = 0; i < (dtype == DType::Float32 ? 2000 : 16000) && forgets; ++i)
          step(i % 2 == 0 ? 1.5 : 0.5);
        const double before = p.item();
        step(forgets ? 1 : huge);
        EXPECT_LT(p.item(), before - 1e-4);
        EXPECT_GT(p.item(), before - 0.1);
        step(std::numeric_limits<double>::infinity());
        EXPECT_FALSE(std::isfinite(p.item())) << "not hidden";
      }
}

// Twice in the list, a parameter would be trained twice with gradients of once.
TEST(Optimizers, AParameterIsGivenOnce) {
  const Tensor p = parameter(ones({2, 3})), q = parameter(ones({6}));
  EXPECT_TRUE(refuses("Adam", {"tensor 2", "tensor 0", "twice"}, [&] { Adam({p, q, reshape(p, {6})}); }));
  EXPECT_TRUE(refuses("SGD", {"tensor 1", "tensor 0"}, [&] { SGD({{{p}, {}}, {{p}, {}}}); }));
  const auto part = [&](index_t offset) { return TensorAccess::view(q, {3}, offset); };
  EXPECT_TRUE(refuses("SGD", {"tensor 1", "tensor 0", "twice"}, [&] { SGD({part(0), part(2)}); }));
  EXPECT_TRUE(refuses("SGD", {"tensor 1", "tensor 0", "twice"}, [&] { SGD({part(2), part(0)}); }));
  EXPECT_TRUE(refuses("SGD", {"tensor 2", "tensor 0", "twice"}, [&] { SGD({q, p, part(3)}); }));
  EXPECT_EQ(SGD({part(0), part(3)}).parameters().size(), 2u) << "parts that do not overlap";
}

// L2 decay is part of the gradient: as if it had been added by hand.
TEST(Optimizers, WeightDecayIsAddedToTheGradient) {
  const auto compare = [](const MakeOptimizer& plain, const MakeOptimizer& decaying) {
    Training by_hand(1), built_in(1);
    const auto first = plain(by_hand.parameters), second = decaying(built_in.parameters);
    for (std::uint64_t step = 0; step < 5; ++step) {
      Generator generator(99, step);
      const std::vector<Tensor> g = {normal({3, 2}, 0, 1, generator), normal({4}, 0, 1, generator)};
      std::vector<Tensor> with_decay;
      for (std::size_t i = 0; i < 2; ++i)
        with_decay.push_back(g[i] + stop_gradient(by_hand.parameters[i]) * 0.25);
      first->step(Gradients(by_hand.parameters, with_decay));
      second->step(Gradients(built_in.parameters, g));
    }
    for (std::size_t i = 0; i < 2; ++i)
      expect_close(built_in.parameters[i], by_hand.parameters[i], 1e-6, "parameter " + std::to_string(i));
  };
  compare(with<RMSprop>(RMSpropOptions{}), with<RMSprop>(RMSpropOptions{.weight_decay = 0.25}));
  compare(with<Adagrad>(AdagradOptions{}), with<Adagrad>(AdagradOptions{.weight_decay = 0.25}));
  compare(with<SGD>(SGDOptions{}), with<SGD>(SGDOptions{.weight_decay = 0.25}));
}

TEST(Optimizers, WorkPieceByPieceAsElementByElement) {
  constexpr index_t kSize = 40000;  // more than one piece of the parallel loop
  for (const auto& [name, make] : kOptimizers) {
    SCOPED_TRACE(name);
    Generator generator(7);
    const Tensor start = normal({kSize}, 0, 1, generator), gradient = normal({kSize}, 0, 1, generator);
    const Tensor whole = parameter(start), first = parameter(slice(start, {{0, 1}})),
                 last = parameter(slice(start, {{kSize - 1, kSize}}));
    const auto one = make({whole}), two = make({first, last});
    for (int step = 0; step < 3; ++step) {
      one->step(Gradients({whole}, {gradient}));
      two->step(Gradients({first, last}, {slice(gradient, {{0, 1}}), slice(gradient, {{kSize - 1, kSize}})}));
    }
    EXPECT_EQ(whole.at({0}), first.at({0}));
    EXPECT_EQ(whole.at({-1}), last.at({0}));
  }
}

TEST(ParameterGroups, TrainAsOptimizersOfTheirOwn) {
  Training grouped(1), alone(1);
  Adam adam({{{grouped.parameters[0]}, {.learning_rate = 0.1}},
             {{grouped.parameters[1]}, {.learning_rate = 0.01, .beta1 = 0.5, .amsgrad = true}}});
  Adam first({alone.parameters[0]}, {.learning_rate = 0.1}),
      second({alone.parameters[1]}, {.learning_rate = 0.01, .beta1 = 0.5, .amsgrad = true});
  EXPECT_EQ(adam.parameters().size(), 2u);
  EXPECT_EQ(adam.state().tensors.size(), 5u);
  for (std::uint64_t step = 0; step < 5; ++step) {
    Generator generator(99, step);
    const std::vector<Tensor> g = {normal({3, 2}, 0, 1, generator), normal({4}, 0, 1, generator)};
    adam.step(Gradients(grouped.parameters, g));
    first.step(Gradients({alone.parameters[0]}, {g[0]}));
    second.step(Gradients({alone.parameters[1]}, {g[1]}));
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(grouped.parameters[i], alone.parameters[i])) << i;
}

TEST(ParameterGroups, KeepTheRatioOfTheirLearningRates) {
  Training training(1);
  SGD sgd({{{training.parameters[0]}, {.learning_rate = 0.5}},
           {{training.parameters[1]}, {.learning_rate = 0.125}}});
  EXPECT_EQ(sgd.learning_rate(), 0.5);
  EXPECT_EQ(sgd.learning_rate(1), 0.125);
  sgd.set_learning_rate(2);
  EXPECT_EQ(sgd.learning_rate(0), 2);
  EXPECT_EQ(sgd.learning_rate(1), 0.5);
  const State saved = sgd.state();
  sgd.set_learning_rate(0);
  EXPECT_EQ(sgd.learning_rate(1), 0);
  sgd.load_state(saved);
  EXPECT_EQ(sgd.learning_rate(1), 0.5);
  EXPECT_TRUE(refuses("SGD", {"group must be less than 2, the number of groups, got 2"},
                      [&] { (void)sgd.learning_rate(2); }));
  EXPECT_TRUE(refuses("SGD", {"first group", "0.125"}, [&] {
    SGD({{{training.parameters[0]}, {.learning_rate = 0}},
         {{training.parameters[1]}, {.learning_rate = 0.125}}});
  }));
}

// A warm-up begins with 0: the ratio of two rates that are both 0 is 1.
TEST(ParameterGroups, ThatAllBeginWithZero) {
  Training training(1);
  SGD sgd(
      {{{training.parameters[0]}, {.learning_rate = 0}}, {{training.parameters[1]}, {.learning_rate = 0}}});
  EXPECT_EQ(sgd.learning_rate(1), 0);
  sgd.set_learning_rate(0.1);
  EXPECT_EQ(sgd.learning_rate(0), 0.1);
  EXPECT_EQ(sgd.learning_rate(1), 0.1);
}

TEST(ParameterGroups, OfEveryOptimizer) {
  Training training(1);
  const std::vector<Tensor> a = {training.parameters[0]}, b = {training.parameters[1]};
  const auto rates = [](const Optimizer& optimizer) {
    return std::pair(optimizer.learning_rate(0), optimizer.learning_rate(1));
  };
  const std::pair expected(0.5, 0.25);
  EXPECT_EQ(rates(AdamW({{a, {.learning_rate = 0.5}}, {b, {.learning_rate = 0.25}}})), expected);
  EXPECT_EQ(rates(RMSprop({{a, {.learning_rate = 0.5}}, {b, {.learning_rate = 0.25}}})), expected);
  EXPECT_EQ(rates(Adagrad({{a, {.learning_rate = 0.5}}, {b, {.learning_rate = 0.25}}})), expected);
  EXPECT_EQ(SGD({{a, {.learning_rate = 0.5}}}).learning_rate(), 0.5);  // one group
}

TEST(Optimizers, RefusedGradientsChangeNothing) {
  for (const auto& [name, make] : kOptimizers) {
    SCOPED_TRACE(name);
    Training training(3);
    const auto optimizer = make(training.parameters);
    const std::string op = name.substr(0, name.find_first_of(" ,"));
    const std::vector<Tensor> before = {copy(training.parameters[0]), copy(training.parameters[1])};
    const Tensor &p = training.parameters[0], &q = training.parameters[1], other = parameter(ones({4}));
    const auto step = [&](std::vector<Tensor> parameters, std::vector<Tensor> gradients) {
      return [=, &optimizer] { optimizer->step(Gradients(parameters, gradients)); };
    };
    EXPECT_TRUE(
        refuses(op, {"1 gradients", "2 parameters", "parameter 1", "[4]"}, step({p}, {ones({3, 2})})));
    EXPECT_TRUE(refuses(op, {"gradient 1", "[4]", "does not train", "new optimizer"},
                        step({p, other}, {ones({3, 2}), ones({4})})));
    EXPECT_TRUE(refuses(op, {"gradient 2", "does not train"},
                        step({p, q, other}, {ones({3, 2}), ones({4}), ones({4})})));
    EXPECT_TRUE(refuses(op, {"gradients 1 and 2", "parameter 1"},
                        step({p, q, q}, {ones({3, 2}), ones({4}), ones({4})})));
    Gradients misshapen(training.parameters, {ones({3, 2}), ones({4})});
    misshapen[1] = ones({5});
    EXPECT_TRUE(refuses(op, {"gradient 1", "[5]", "[4]"}, [&] { optimizer->step(misshapen); }));
    misshapen[1] = ones({4}, DType::Float64);
    EXPECT_TRUE(refuses(op, {"gradient 1", "Float64", "Float32"}, [&] { optimizer->step(misshapen); }));
    EXPECT_EQ(optimizer->steps(), 0);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal(training.parameters[i], before[i]));
  }
}

// Gradients are paired with parameters by their storage, not by their position.
TEST(Optimizers, TheOrderOfTheSourcesDoesNotMatter) {
  const Tensor w1 = parameter(tensor({0, 1})), w2 = parameter(tensor({10, 20}));
  SGD sgd({w1, w2}, {.learning_rate = 1});
  Tape tape;
  const Tensor loss = sum(w1) + 100.0 * sum(w2);
  sgd.step(tape.gradient(loss, {w2, w1}));
  EXPECT_TRUE(equal(w1, tensor({-1, 0})));
  EXPECT_TRUE(equal(w2, tensor({-90, -80})));
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
