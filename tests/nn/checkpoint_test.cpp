// Layers that remember something, run twice by a checkpoint.

#include "tapegrad/transforms/checkpoint.h"

#include <gtest/gtest.h>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/random.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

Sequential make_net() {
  Generator generator(1);
  return Sequential{Dense({.in_features = 6, .units = 8}, generator), BatchNorm({.channels = 8}),
                    Dropout(0.5, generator), Dense({.in_features = 8, .units = 3}, generator),
                    Dropout(0.25, generator)};
}

// The gradients of three steps, and the state after them; nested: a checkpoint within a checkpoint.
std::pair<std::vector<Tensor>, State> train(int checkpoints) {
  Sequential net = make_net();
  Generator generator(2);
  std::vector<Tensor> gradients;
  const TensorFunction plain = [&](const std::vector<Tensor>& in) { return net(in[0]); };
  const TensorFunction once = [&](const std::vector<Tensor>& in) { return checkpoint(plain, in); };
  for (int step = 0; step < 3; ++step) {
    const Tensor x = uniform({16, 6}, -1, 1, generator);
    Tape tape;
    const Tensor watched = tape.watch(x);
    Tensor y;
    if (checkpoints == 0) y = net(watched);
    if (checkpoints == 1) y = checkpoint(plain, {watched});
    if (checkpoints == 2) y = checkpoint(once, {watched});
    const Tensor other = net(x);  // a call in between moves what the layers remember
    std::vector<Tensor> sources = net.parameters();
    sources.push_back(watched);
    for (const Tensor& g : tape.gradient(sum(square(y)) + 0.0 * sum(other), sources)) gradients.push_back(g);
  }
  return {gradients, net.state()};
}

TEST(CheckpointedLayers, GradientsAndStateAreTheSameToTheLastBit) {
  const auto [expected, state] = train(0);
  for (const int checkpoints : {1, 2}) {
    const auto [found, after] = train(checkpoints);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(equal(found[i], expected[i])) << checkpoints << " " << i;
    ASSERT_EQ(after.tensors.size(), state.tensors.size());
    for (std::size_t i = 0; i < state.tensors.size(); ++i)
      EXPECT_TRUE(equal(after.tensors[i].second, state.tensors[i].second))
          << checkpoints << " " << state.tensors[i].first;
  }
}

TEST(CheckpointedLayers, ReplayedIsTheValueItselfElsewhere) {
  EXPECT_EQ(replayed(7), 7u);
  EXPECT_FALSE(is_replaying());
}

}  // namespace
}  // namespace tapegrad
