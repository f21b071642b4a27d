#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "exchange/export_cases.h"
#include "io/temporary.h"
#include "oracle.h"
#include "tapegrad/exchange/exchange.h"

// PyTorch itself, where Debian's python3-torch is installed, loads what is written here, and computes the same.

namespace tapegrad::testing {
namespace {

struct ProofCase {
  std::string name;  // of the model in pytorch_proof.py
  std::function<Sequential(Generator&)> make;
  Shape x;
  std::map<std::string, Shape> flattened = {}, unflattened = {};
};

template <class Layer, class Options>
std::function<Sequential(Generator&)> layer(const Options& options) {
  return [options](Generator& generator) { return Sequential{Layer(options, generator)}; };
}

std::vector<ProofCase> convolutions() {
  const auto conv = [](const Conv2DLayerOptions& options) { return layer<Conv2D>(options); };
  const auto transposed = [](const Conv2DTransposeLayerOptions& options) {
    return layer<Conv2DTranspose>(options);
  };
  return {
      {"conv2d",
       conv({.in_channels = 3,
             .filters = 4,
             .kernel_size = {3, 2},
             .strides = {2, 1},
             .padding = Padding::Explicit(1, 1, 0, 0)}),
       {2, 7, 6, 3}},
      {"conv2d_dilated",
       conv({.in_channels = 2, .filters = 5, .kernel_size = 3, .dilations = {2, 1}}),
       {2, 7, 6, 2}},
      {"conv2d_grouped",
       conv({.in_channels = 4, .filters = 6, .kernel_size = 3, .groups = 2, .use_bias = false}),
       {2, 5, 6, 4}},
      {"depthwise",
       layer<DepthwiseConv2D>(
           DepthwiseConv2DOptions{.in_channels = 3, .kernel_size = {2, 3}, .depth_multiplier = 2}),
       {2, 5, 6, 3}},
      {"transposed",
       transposed({.in_channels = 3, .filters = 4, .kernel_size = {3, 2}, .strides = 2}),
       {2, 4, 3, 3}},
      {"transposed_padded",
       transposed({.in_channels = 2,
                   .filters = 3,
                   .kernel_size = 3,
                   .strides = 2,
                   .padding = Padding::Explicit(1),
                   .output_padding = 1}),
       {2, 4, 3, 2}},
      {"transposed_grouped",
       transposed({.in_channels = 4,
                   .filters = 6,
                   .kernel_size = 3,
                   .dilations = 2,
                   .groups = 2,
                   .use_bias = false}),
       {2, 4, 3, 4}},
  };
}

std::vector<ProofCase> cases() {
  constexpr double kItsEpsilon = 1e-5;  // of PyTorch's layers
  std::vector<ProofCase> made = convolutions();
  made.push_back({"dense", layer<Dense>(DenseOptions{.in_features = 5, .units = 3}), {4, 5}});
  made.push_back({"dense_without_bias",
                  layer<Dense>(DenseOptions{.in_features = 5, .units = 3, .use_bias = false}),
                  {4, 5}});
  made.push_back({"batch_norm",
                  [](Generator&) { return Sequential{BatchNorm({.channels = 4, .epsilon = kItsEpsilon})}; },
                  {2, 3, 5, 4}});
  made.push_back({"layer_norm",
                  [](Generator&) { return Sequential{LayerNorm({.shape = {5}, .epsilon = kItsEpsilon})}; },
                  {4, 5}});
  made.push_back(
      {"group_norm",
       [](Generator&) { return Sequential{GroupNorm({.groups = 2, .channels = 6, .epsilon = kItsEpsilon})}; },
       {2, 3, 5, 6}});
  made.push_back({"embedding", layer<Embedding>(EmbeddingOptions{.input_dim = 6, .output_dim = 3}), {6}});
  made.push_back(
      {"classifier",
       [](Generator& generator) {
         return Sequential{
             Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 3, .padding = Padding::Same}, generator),
             BatchNorm({.channels = 3, .epsilon = kItsEpsilon}),
             ReLU(),
             MaxPooling2D(),
             Flatten(),
             Dense({.in_features = 18, .units = 6}, generator),
             Dropout(0.5, generator),
             Dense({.in_features = 6, .units = 4}, generator)};
       },
       {3, 4, 6, 2},
       {{"5", {3, 2, 3}}}});
  made.push_back(
      {"decoder",
       [](Generator& generator) {
         return Sequential{
             Dense({.in_features = 4, .units = 12}, generator),
             BatchNorm({.channels = 12, .epsilon = kItsEpsilon}), ReLU(), Reshape({2, 3, 2}),
             Conv2DTranspose({.in_channels = 2, .filters = 1, .kernel_size = 3, .strides = 2}, generator)};
       },
       {3, 4},
       {},
       {{"0", {2, 2, 3}}, {"1", {2, 2, 3}}}});
  return made;
}

Tensor to_nchw(const Tensor& x) {
  return x.rank() == 4 ? nhwc_to_nchw(x) : x;
}

TEST(PyTorchProof, LoadsAndComputesTheSameAndSavesItBack) {
  const TemporaryFolder folder;
  Generator generator(1);
  for (const ProofCase& c : cases()) {
    Sequential net = c.make(generator);
    randomize(net, generator);
    net.eval();
    const Tensor x =
        c.name == "embedding" ? tensor({3, 0, 5, 5, 1, 2}, DType::Int32) : uniform(c.x, -1, 1, generator);
    write_pytorch(folder / (c.name + ".pt"),
                  pytorch_state(net, {.flattened = c.flattened, .unflattened = c.unflattened}));
    write_npz(folder / (c.name + ".npz"), {{"x", to_nchw(x)}, {"y", to_nchw(net(x))}});
  }
  const std::string command =
      "/usr/bin/python3 -B " TAPEGRAD_SOURCE "/tests/exchange/pytorch_proof.py " + folder.path().string();
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127)
    GTEST_SKIP() << "Debian's python3-torch is not installed";
  ASSERT_EQ(WEXITSTATUS(status), 0);

  Generator again(1);
  for (const ProofCase& c : cases()) {
    SCOPED_TRACE(c.name);
    Sequential net = c.make(again), loaded = c.make(generator);
    randomize(net, again);
    if (c.name != "embedding") (void)uniform(c.x, -1, 1, again);
    load_weights(loaded, read_pytorch(folder / (c.name + ".back.pt")),
                 {.layout = Layout::OIHW, .flattened = c.flattened, .unflattened = c.unflattened});
    const State expected = net.state(), state = loaded.state();
    for (const auto& [name, x] : expected.tensors)
      if (!name.ends_with("generator_state")) {
        EXPECT_TRUE(equal(*state.find(name), x)) << name;
      }
  }
}

}  // namespace
}  // namespace tapegrad::testing
