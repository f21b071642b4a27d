#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tapegrad/tapegrad.h"

// What the header of Tape says about threads: an Optimizer is used by one thread at a time, several by several threads.

namespace tapegrad::testing {
namespace {

using Make = std::function<std::unique_ptr<Optimizer>(const std::vector<Tensor>&)>;

const std::vector<Make>& optimizers() {
  static const std::vector<Make> all = {
      [](const auto& p) {
        return std::make_unique<SGD>(p, SGDOptions{.momentum = 0.9, .weight_decay = 0.1});
      },
      [](const auto& p) { return std::make_unique<Adam>(p, AdamOptions{.amsgrad = true}); },
      [](const auto& p) { return std::make_unique<AdamW>(p); },
      [](const auto& p) {
        return std::make_unique<RMSprop>(p, RMSpropOptions{.momentum = 0.5, .centered = true});
      },
      [](const auto& p) { return std::make_unique<Adagrad>(p); }};
  return all;
}

// A parameter of several blocks and pieces after some steps.
Tensor after_steps(const Make& make) {
  Generator generator(2);
  const Tensor p = parameter(uniform({70000}, -1, 1, generator));
  const std::unique_ptr<Optimizer> optimizer = make({p});
  for (int step = 0; step < 5; ++step) {
    Tape tape;
    optimizer->step(tape.gradient(sum(square(square(p))), {p}));
  }
  return copy(p);
}

TEST(OptimizerThreads, SeveralTrainAtOnce) {
  std::vector<Tensor> alone, together(optimizers().size());
  for (const Make& make : optimizers()) alone.push_back(after_steps(make));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < optimizers().size(); ++i)
    threads.emplace_back([&, i] { together[i] = after_steps(optimizers()[i]); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(equal(together[i], alone[i])) << i;
}

// Two optimizers share one backward pass, and each takes its step on a thread of its own.
TEST(OptimizerThreads, TwoStepAtOnceOnGradientsOfOneTape) {
  const auto run = [](bool at_once) {
    Generator generator(3);
    const Tensor a = parameter(uniform({500}, -1, 1, generator)),
                 b = parameter(uniform({500}, -1, 1, generator));
    Adam first({a}, {.learning_rate = 0.1});
    SGD second({b}, {.learning_rate = 0.1});
    for (int step = 0; step < 5; ++step) {
      Tape tape;
      const Gradients gradients = tape.gradient(sum(square(a) * exp(b)), {a, b});
      if (!at_once) {
        first.step(gradients.of({a}));
        second.step(gradients.of({b}));
        continue;
      }
      std::thread one([&] { first.step(gradients.of({a})); });
      second.step(gradients.of({b}));
      one.join();
    }
    return concat({a, b});
  };
  EXPECT_TRUE(equal(run(true), run(false)));
}

}  // namespace
}  // namespace tapegrad::testing
