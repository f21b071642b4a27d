// What a training step keeps in memory between its forward and its backward pass.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/normalize.h"

namespace tapegrad {
namespace {

constexpr int kLayers = 4;
constexpr index_t kChannels = 16;
// With its header it fills a block of memory exactly, so that what is counted is what is used.
const Shape kActivation{1, 129, 127, kChannels};
constexpr double kBytes = 1 << 20;

// The memory that is alive after kLayers calls of layer, in activations for each layer: what goes back to the thread's
// store when the tape ends.
double alive(const std::function<Tensor(int, const Tensor&)>& layer) {
  const ThreadCountScope one(1);
  release_memory();
  const Tensor x = zeros(kActivation);
  auto tape = std::make_unique<Tape>();
  {
    Tensor y = x;
    for (int i = 0; i < kLayers; ++i) y = layer(i, y);
  }
  const std::size_t before = cached_memory();
  tape.reset();
  return static_cast<double>(cached_memory() - before) / kBytes / kLayers;
}

std::vector<Conv2D> convolutions(Generator& generator) {
  std::vector<Conv2D> made;
  for (int i = 0; i < kLayers; ++i)
    made.push_back(
        Conv2D({.in_channels = kChannels, .filters = kChannels, .kernel_size = 3, .padding = Padding::Same},
               generator));
  return made;
}

TEST(Alive, ConvolutionBatchNormAndRelu) {
  Generator generator(1);
  std::vector<Conv2D> convs = convolutions(generator);
  std::vector<BatchNorm> norms;
  for (int i = 0; i < kLayers; ++i) norms.push_back(BatchNorm({.channels = kChannels}));
  const double found = alive([&](int i, const Tensor& x) {
    const auto at = static_cast<std::size_t>(i);
    return relu(norms[at](convs[at](x)));
  });
  EXPECT_LE(found, 2.1);
  EXPECT_GE(found, 1.9) << "the normalized activations, and relu's";
}

TEST(Alive, ConvolutionAndSigmoid) {
  Generator generator(1);
  std::vector<Conv2D> convs = convolutions(generator);
  const double found =
      alive([&](int i, const Tensor& x) { return sigmoid(convs[static_cast<std::size_t>(i)](x)); });
  EXPECT_LE(found, 1.1);
  EXPECT_GE(found, 0.9);
}

// What the rules of normalizations save is less than what a composition of ops saves: their gradients of first, second
// and third order must be the composition's all the same.
TEST(Alive, ANormalizationThatSavesLessHasTheSameGradientsOfEveryOrder) {
  Generator generator(7);
  const Tensor values = normal({5, 4}, 1, 2, generator, DType::Float64);
  const Tensor weights = normal({5, 4}, 0, 1, generator, DType::Float64);
  const auto composed = [](const Tensor& x) {
    const Tensor centred = x - mean(x, {1}, {.keepdims = true});
    return centred * rsqrt(mean(square(centred), {1}, {.keepdims = true}) + 0.1);
  };
  const auto normalized = [](const Tensor& x) { return layer_norm(x, 1, 0.1); };
  const auto orders = [&](const auto& f) {
    std::vector<Tensor> found;
    Tape tape;
    const Tensor x = tape.watch(values);
    Tensor y = sum(f(x) * weights * f(x));
    for (int order = 0; order < 3; ++order) {
      found.push_back(tape.gradient(y, x, {.create_graph = true}));
      y = sum(square(found.back()) * weights);
    }
    return found;
  };
  const std::vector<Tensor> expected = orders(composed), found = orders(normalized);
  for (std::size_t order = 0; order < 3; ++order) {
    const double scale = max(abs(expected[order])).item();
    EXPECT_GT(scale, 1e-3);
    EXPECT_LT(max(abs(found[order] - expected[order])).item(), 1e-12 * scale) << order + 1;
  }
}

}  // namespace
}  // namespace tapegrad
