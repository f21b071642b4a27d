// Gradients know whose they are: whatever is exchanged, replaced or frozen, training goes on rightly or an error says why.

#include <gtest/gtest.h>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

struct Net : Module {
  explicit Net(std::uint64_t seed) : Net(Generator(seed)) {}
  explicit Net(Generator generator)
      : a({.in_features = 3, .units = 3}, generator), b({.in_features = 3, .units = 3}, generator) {}
  Net(const Net& other, Cloning cloning) : a(other.a, cloning), b(other.b, cloning) {}
  Tensor forward(const Tensor& x) override { return b(tanh(a(x))); }
  void visit(Visitor& visitor) override {
    visitor("a", a);
    visitor("b", b);
  }
  Dense a, b;
};

class Identity : public ::testing::Test {
 protected:
  Gradients gradients() {
    Tape tape;
    return tape.gradient(mse_loss(net(x), x), net.parameters());
  }
  Net net{1};
  Generator generator{2};
  Tensor x = uniform({4, 3}, -1, 1, generator);
};

// As of a model that is frozen as a whole: parameters() is empty.
TEST_F(Identity, AnOptimizerOfNothingIsNoticed) {
  net.freeze();
  Adam adam(net.parameters());
  SGD sgd(std::vector<Tensor>{});
  Tape tape;
  const Gradients none;
  EXPECT_TRUE(refuses("Adam", {"nothing to train", "frozen"}, [&] { adam.step(none); }));
  EXPECT_TRUE(refuses("SGD", {"nothing to train"}, [&] { sgd.step(none); }));
  EXPECT_EQ(adam.steps(), 0);
}

TEST_F(Identity, AReplacedModelIsNoticed) {
  Adam adam(net.named_parameters());
  adam.step(gradients());
  Net best = clone(net);
  const State before = best.state();
  net = clone(best);
  EXPECT_TRUE(refuses("Adam", {"gradient 0", "does not train", "'a.kernel'", "new optimizer"},
                      [&] { adam.step(gradients()); }));
  net = std::move(best);
  EXPECT_TRUE(refuses("Adam", {"gradient 0", "does not train"}, [&] { adam.step(gradients()); }));
  for (const auto& [path, tensor] : net.state().tensors) EXPECT_TRUE(equal(tensor, *before.find(path)));
  EXPECT_EQ(adam.steps(), 1);
}

TEST_F(Identity, AReplacedParameterIsNoticed) {
  SGD sgd(net.named_parameters());
  net.b.kernel = parameter(copy(net.b.kernel));
  EXPECT_TRUE(refuses("SGD", {"gradient 2", "does not train", "'b.kernel'"}, [&] { sgd.step(gradients()); }));
}

TEST_F(Identity, OtherLayersAreFrozen) {
  net.b.freeze();
  SGD sgd(net.parameters(), {.learning_rate = 1});
  net.a.freeze();
  net.b.unfreeze();
  const State before = net.state();
  EXPECT_TRUE(refuses("SGD", {"gradient 0", "does not train"}, [&] { sgd.step(gradients()); }));
  net.a.unfreeze();
  EXPECT_TRUE(refuses("SGD", {"gradient 2", "does not train"}, [&] { sgd.step(gradients()); }));
  for (const auto& [path, tensor] : net.state().tensors) EXPECT_TRUE(equal(tensor, *before.find(path)));
  net.b.freeze();
  sgd.step(gradients());
  EXPECT_FALSE(equal(net.a.kernel, *before.find("a.kernel")));
  EXPECT_TRUE(equal(net.b.kernel, *before.find("b.kernel")));
}

TEST_F(Identity, WhatIsFrozenAfterwardsIsNamed) {
  SGD sgd(net.named_parameters());
  net.b.freeze();
  EXPECT_TRUE(refuses("SGD", {"2 gradients", "4 parameters", "'b.kernel'"}, [&] { sgd.step(gradients()); }));
}

TEST_F(Identity, StatesOfNamedParametersArePairedByName) {
  Adam one(NamedTensors{{"k", net.a.kernel}, {"l", net.b.kernel}}),
      other(NamedTensors{{"l", net.b.kernel}, {"k", net.a.kernel}});
  const auto step = [&](Adam& adam) {
    adam.step(Gradients({net.a.kernel, net.b.kernel}, {full({3, 3}, 1), full({3, 3}, 2)}));
  };
  step(one);
  other.load_state(one.state());
  EXPECT_NEAR(other.state().find("k.mean")->at({0, 0}), 0.1, 1e-7);
  EXPECT_NEAR(other.state().find("l.mean")->at({0, 0}), 0.2, 1e-7);
  EXPECT_TRUE(refuses("Adam", {"two parameters", "'k'"}, [&] {
    Adam(NamedTensors{{"k", net.a.kernel}, {"k", net.b.kernel}});
  }));
}

TEST_F(Identity, TheStateOfTheBestBringsItBack) {
  SGD sgd(net.parameters(), {.learning_rate = 0.5});
  const Tensor best_y = net(x);
  const State best = net.state();
  for (int i = 0; i < 3; ++i) sgd.step(gradients());
  EXPECT_FALSE(equal(net(x), best_y));
  net.load_state(best);
  EXPECT_TRUE(equal(net(x), best_y));
  sgd.step(gradients());  // and training goes on
  EXPECT_FALSE(equal(net(x), best_y));
}

TEST(GradientsTest, OneSourceOrSeveralGiveTheSameKind) {
  const Tensor a = parameter(tensor({2, 3})), b = parameter(tensor({5, 7}));
  Tape tape({.persistent = true});
  const Tensor y = sum(a * b);
  const std::vector<Tensor> one = tape.gradient(y, {a});
  const std::vector<Tensor> two = tape.gradient(y, {a, b});
  const Gradients none = tape.gradient(y, {});
  const Tensor alone = tape.gradient(y, a);
  ASSERT_EQ(one.size(), 1u);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_TRUE(none.empty());
  EXPECT_TRUE(equal(one[0], alone));
  const Gradients gradients = tape.gradient(y, {b, a});
  EXPECT_TRUE(equal(gradients.of({a})[0], alone));
  const Gradients exchanged = gradients.of({a, b, a});
  ASSERT_EQ(exchanged.size(), 3u);
  EXPECT_TRUE(equal(exchanged[0], two[0]) && equal(exchanged[1], two[1]) && equal(exchanged[2], two[0]));
  EXPECT_TRUE(equal(gradients.front(), two[1]));
  EXPECT_TRUE(equal(gradients.back(), two[0]));
  std::size_t count = 0;
  for (const Tensor& g : gradients) count += g.defined() ? 1 : 0;
  EXPECT_EQ(count, 2u);
  EXPECT_TRUE(refuses("Gradients", {"parameter 0", "no gradient"},
                      [&] { (void)gradients.of({parameter(ones({2}))}); }));
  for (const auto& [given, number] :
       {std::pair{std::vector{Tensor(), a}, "parameter 0"}, {std::vector{a, Tensor()}, "parameter 1"}})
    EXPECT_TRUE(refuses("Gradients", {number, "never given a value"},
                        [&, given = given] { (void)gradients.of(given); }));
  EXPECT_TRUE(refuses("Gradients", {"index must be less than 2, the number of gradients, got 2"},
                      [&] { (void)gradients.at(2); }));
  EXPECT_TRUE(refuses("Gradients", {"1 gradients", "2 parameters"}, [&] { Gradients({a, b}, {ones({2})}); }));
  EXPECT_TRUE(refuses("Gradients", {"gradient 0", "[3]", "[2]"}, [&] { Gradients({a}, {ones({3})}); }));
}

struct Forgetful : Module {
  Forgetful() = default;
  Forgetful(const Forgetful& other, Cloning) : shown(other.shown), forgotten(other.forgotten) {}
  Tensor shown = parameter(ones({3})), forgotten = parameter(ones({2, 3}));
  Tensor forward(const Tensor& x) override { return matmul(x * shown, forgotten, {.transpose_b = true}); }
  void visit(Visitor& visitor) override { visitor("shown", shown); }
};

TEST(AllParameters, FindsWhatVisitForgot) {
  Forgetful net;
  const Tensor x = ones({1, 3});
  const auto ask = [&](const std::vector<Tensor>& sources, bool all) {
    Tape tape;
    return tape.gradient(sum(net(x)), sources, {.all_parameters = all});
  };
  EXPECT_EQ(ask(net.parameters(), false).size(), 1u);
  EXPECT_TRUE(refuses("gradient",
                      {"depends on a parameter that is not among the sources (shape [2, 3])", "visit()"},
                      [&] { ask(net.parameters(), true); }));
  EXPECT_TRUE(refuses("gradient",
                      {"depends on 2 parameters that are not among the sources (shapes [3], [2, 3])"},
                      [&] { ask({}, true); }));
  EXPECT_EQ(ask({net.forgotten, net.shown}, true).size(), 2u);
  Forgetful copied = clone(net);  // shares what it does not show
  Tape tape;
  EXPECT_TRUE(refuses("gradient", {"[2, 3]"},
                      [&] { tape.gradient(sum(copied(x)), copied.parameters(), {.all_parameters = true}); }));
}

TEST(AllParameters, DoesNotMindWhatTheResultDoesNotDependOn) {
  const Tensor a = parameter(ones({2})), b = parameter(ones({2})), c = parameter(ones({2}));
  Tape tape;
  const Tensor unused = sum(a * b), frozen = sum(stop_gradient(c) * a);
  {
    Tape inner;
    EXPECT_EQ(inner.gradient(sum(a) + frozen, {a}, {.all_parameters = true})[0].at({0}), 1);
  }
  EXPECT_EQ(tape.gradient(sum(a) + frozen, {a}, {.all_parameters = true}).size(), 1u);
}

}  // namespace
}  // namespace tapegrad::testing
