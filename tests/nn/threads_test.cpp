#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "tapegrad/tapegrad.h"

// What the header of Tape says about threads: a Module may be called by several threads at once while none changes it;
// modules of their own may be trained at once.

namespace tapegrad::testing {
namespace {

void at_once(int threads, const std::function<void(int)>& f) {
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) all.emplace_back(f, i);
  for (std::thread& thread : all) thread.join();
}

Sequential make_net(std::uint64_t seed) {
  Generator generator(seed);
  return Sequential{
      Conv2D({.in_channels = 1, .filters = 4, .kernel_size = 3, .padding = Padding::Same, .activation = relu},
             generator),
      BatchNorm({.channels = 4}),
      MaxPooling2D({.pool_size = 2}),
      Dropout(0.25, generator),
      Flatten(),
      Dense({.in_features = 64, .units = 3, .activation = tanh}, generator)};
}

TEST(ModuleThreads, EightEvaluateOneModel) {
  Sequential net = make_net(3);
  Generator generator(4);
  const Tensor x = uniform({6, 8, 8, 1}, -1, 1, generator), targets = uniform({6, 3}, -1, 1, generator);
  (void)net(x);  // the running statistics have seen something
  net.eval();
  const Tensor alone = net(x);
  Gradients alone_gradients;
  {
    Tape tape;
    alone_gradients = tape.gradient(mse_loss(net(x), targets), net.parameters());
  }
  std::vector<Tensor> results(8);
  std::vector<Gradients> gradients(8);
  at_once(8, [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    for (int round = 0; round < 20; ++round) {
      results[at] = net(x);
      Tape tape;
      gradients[at] = tape.gradient(mse_loss(net(x), targets), net.parameters());
    }
  });
  for (const Tensor& y : results) EXPECT_TRUE(equal(y, alone));
  for (const Gradients& found : gradients)
    for (std::size_t k = 0; k < found.size(); ++k) EXPECT_TRUE(equal(found[k], alone_gradients[k]));
}

// Trains a net of its own, and returns its state.
State trained(std::uint64_t seed) {
  Sequential net = make_net(seed);
  Adam adam(net.parameters(), {.learning_rate = 1e-2});
  ExponentialMovingAverage average(net.parameters(), {.decay = 0.9});
  Generator generator(seed + 100);
  for (int step = 0; step < 10; ++step) {
    const Tensor x = uniform({6, 8, 8, 1}, -1, 1, generator), targets = uniform({6, 3}, -1, 1, generator);
    Tape tape;
    adam.step(tape.gradient(mse_loss(net(x), targets), net.parameters()));
    average.update();
  }
  average.apply();
  return net.state();
}

void expect_same(const State& a, const State& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i)
    EXPECT_TRUE(equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
}

TEST(ModuleThreads, TwoTrainTwoModels) {
  const State first = trained(1), second = trained(2);
  std::vector<State> states(2);
  at_once(2,
          [&](int i) { states[static_cast<std::size_t>(i)] = trained(static_cast<std::uint64_t>(i) + 1); });
  expect_same(states[0], first);
  expect_same(states[1], second);
}

// Each is used by one thread at a time: by one after the other, as well.
TEST(ModuleThreads, ATrainingRunMovesFromThreadToThread) {
  const State alone = trained(5);
  Sequential net = make_net(5);
  Adam adam(net.parameters(), {.learning_rate = 1e-2});
  ExponentialMovingAverage average(net.parameters(), {.decay = 0.9});
  Generator generator(105);
  for (int step = 0; step < 10; ++step)
    std::thread([&] {
      const Tensor x = uniform({6, 8, 8, 1}, -1, 1, generator), targets = uniform({6, 3}, -1, 1, generator);
      Tape tape;
      adam.step(tape.gradient(mse_loss(net(x), targets), net.parameters()));
      average.update();
    }).join();
  average.apply();
  expect_same(net.state(), alone);
}

TEST(ModuleThreads, ClonesAreMadeAndTrainedAtOnce) {
  const Sequential net = make_net(7);
  Generator generator(8);
  const Tensor x = uniform({6, 8, 8, 1}, -1, 1, generator);
  std::vector<State> states(4);
  at_once(4, [&](int i) {
    Sequential own = clone(net);
    SGD sgd(own.parameters(), {.learning_rate = 0.1});
    for (int step = 0; step < 5; ++step) {
      Tape tape;
      sgd.step(tape.gradient(sum(square(own(x))), own.parameters()));
    }
    states[static_cast<std::size_t>(i)] = own.state();
  });
  for (const State& state : states) expect_same(state, states[0]);
}

}  // namespace
}  // namespace tapegrad::testing
