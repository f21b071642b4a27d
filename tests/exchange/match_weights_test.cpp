#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/exchange/exchange.h"

// The models are those of fixtures/pytorch_files.py, whose results PyTorch 1.13 computed.

namespace tapegrad::testing {
namespace {

constexpr double kEpsilon = 1e-5;  // of PyTorch's BatchNorm

// As Lenet there, with other names.
struct Lenet : Module {
  explicit Lenet(Generator& generator)
      : conv1({.in_channels = 1, .filters = 4, .kernel_size = 3, .padding = Padding::Same}, generator),
        norm({.channels = 4, .epsilon = kEpsilon}),
        conv2({.in_channels = 4, .filters = 6, .kernel_size = 3, .activation = relu}, generator),
        hidden({.in_features = 36, .units = 8, .activation = tanh}, generator),
        dropout(0.5, generator),
        last({.in_features = 8, .units = 5}, generator) {}
  Tensor forward(const Tensor& x) override {
    const Tensor features = max_pool2d(conv2(max_pool2d(relu(norm(conv1(x))))));
    return last(dropout(hidden(flatten(features))));
  }
  void visit(Visitor& visitor) override {
    visitor("conv1", conv1);
    visitor("norm", norm);
    visitor("conv2", conv2);
    visitor("flatten", flatten);
    visitor("hidden", hidden);
    visitor("dropout", dropout);
    visitor("last", last);
  }
  Conv2D conv1;
  BatchNorm norm;
  Conv2D conv2;
  Flatten flatten;
  Dense hidden;
  Dropout dropout;
  Dense last;
};

State lenet_weights() {
  return read_pytorch(fixture("pytorch/lenet.pt"));
}

MatchOptions lenet_options() {
  return {.layout = Layout::OIHW, .by_order = true, .flattened = {{"hidden", {6, 2, 3}}}};
}

void expect_pytorchs_result(Module& net, const std::string& name, bool is_image) {
  net.eval();
  const NamedTensors io = read_npz(fixture("pytorch/" + name + "_io.npz"));
  const Tensor x = io[0].second, y = io[1].second;
  const Tensor result = net(is_image ? nchw_to_nhwc(x) : x);
  expect_close(result, y.rank() == 4 ? nchw_to_nhwc(y) : y, 1e-6, name);
}

TEST(LoadWeights, ByOrderIntoOtherNames) {
  Generator generator(1);
  Lenet net(generator);
  const WeightMatch match = load_weights(net, lenet_weights(), lenet_options());
  expect_pytorchs_result(net, "lenet", true);
  EXPECT_EQ(
      match.table(),
      "tensor                shape         weight                   shape         matched\n"
      "conv1.kernel          [3, 3, 1, 4]  features.0.weight        [4, 1, 3, 3]  by order, OIHW to HWIO\n"
      "conv1.bias            [4]           features.0.bias          [4]           by order\n"
      "norm.gamma            [4]           features.1.weight        [4]           by order\n"
      "norm.beta             [4]           features.1.bias          [4]           by order\n"
      "norm.moving_mean      [4]           features.1.running_mean  [4]           by order\n"
      "norm.moving_variance  [4]           features.1.running_var   [4]           by order\n"
      "conv2.kernel          [3, 3, 4, 6]  features.4.weight        [6, 4, 3, 3]  by order, OIHW to HWIO\n"
      "conv2.bias            [6]           features.4.bias          [6]           by order\n"
      "hidden.kernel         [36, 8]       classifier.1.weight      [8, 36]       by order, transposed, channels last\n"
      "hidden.bias           [8]           classifier.1.bias        [8]           by order\n"
      "last.kernel           [8, 5]        classifier.4.weight      [5, 8]        by order, transposed\n"
      "last.bias             [5]           classifier.4.bias        [5]           by order\n"
      "ignored: features.1.num_batches_tracked\n");
}

TEST(LoadWeights, ByNameInASequential) {
  Generator generator(1);
  Sequential net{Dense({.in_features = 5, .units = 24}, generator),
                 BatchNorm({.channels = 24, .epsilon = kEpsilon}),
                 ReLU(),
                 Reshape({2, 3, 4}),
                 Conv2DTranspose({.in_channels = 4,
                                  .filters = 3,
                                  .kernel_size = 3,
                                  .strides = 2,
                                  .padding = Padding::Explicit(1),
                                  .output_padding = 1},
                                 generator),
                 BatchNorm({.channels = 3, .epsilon = kEpsilon}),
                 ReLU(),
                 Conv2D({.in_channels = 3, .filters = 1, .kernel_size = 1}, generator)};
  const State weights = read_pytorch(fixture("pytorch/decoder.pt"));
  EXPECT_TRUE(
      refuses("load_weights",
              {"'0'", "in front of a Reshape", "{.unflattened = {{\"0\", {channels, height, width}}}}"},
              [&] { load_weights(net, weights, {.layout = Layout::OIHW}); }));
  const MatchOptions options{.layout = Layout::OIHW, .unflattened = {{"0", {4, 2, 3}}, {"1", {4, 2, 3}}}};
  const WeightMatch match = load_weights(net, weights, options);
  EXPECT_EQ(match.rows[0].how, "by name, transposed, channels last");
  EXPECT_EQ(match.rows[0].name, "0.weight");
  expect_pytorchs_result(net, "decoder", false);
  // And back: what PyTorch had, but for the number of batches.
  const State back = pytorch_state(net, {.unflattened = options.unflattened});
  ASSERT_EQ(back.tensors.size(), weights.tensors.size());
  for (std::size_t i = 0; i < back.tensors.size(); ++i) {
    EXPECT_EQ(back.tensors[i].first, weights.tensors[i].first);
    EXPECT_TRUE(equal(back.tensors[i].second, weights.tensors[i].second)) << back.tensors[i].first;
  }
  EXPECT_TRUE(refuses("pytorch_state", {"'0'", "unflattened"}, [&] { (void)pytorch_state(net); }));
}

TEST(MatchWeights, ChangesNothing) {
  Generator generator(1);
  Lenet net(generator);
  const State before = net.state();
  const WeightMatch match = match_weights(net, lenet_weights(), lenet_options());
  for (const auto& [name, x] : net.state().tensors) EXPECT_TRUE(equal(x, *before.find(name))) << name;
  net.load_state(match.state);
  expect_pytorchs_result(net, "lenet", true);
}

TEST(LoadWeights, AllOrNothing) {
  Generator generator(1);
  Lenet net(generator);
  const State before = net.state();
  State weights = lenet_weights();
  const auto refused = [&](const State& state, const MatchOptions& options,
                           std::initializer_list<std::string_view> words) {
    const auto result = refuses("load_weights", words, [&] { load_weights(net, state, options); });
    for (const auto& [name, x] : net.state().tensors) EXPECT_TRUE(equal(x, *before.find(name))) << name;
    return result;
  };
  MatchOptions options = lenet_options();
  options.by_order = false;
  EXPECT_TRUE(refused(
      weights, options,
      {"nothing was loaded", "there is no weight for 'conv1.kernel' [3, 3, 1, 4]",
       "the module has no tensor for 'features.0.weight' [4, 1, 3, 3]", "and 4 more", "{.by_order = true}"}));
  options = lenet_options();
  options.flattened.clear();
  EXPECT_TRUE(refused(
      weights, options,
      {"'hidden' stands behind a Flatten", "{.flattened = {{\"hidden\", {channels, height, width}}}}"}));
  options.flattened = {{"hidden", {6, 3, 3}}};
  EXPECT_TRUE(refused(weights, options, {"'hidden' has 36 features", "got [6, 3, 3]"}));
  options.flattened = {{"hidden", {6, 2, 3}}, {"lost", {1, 2, 3}}};
  EXPECT_TRUE(refused(weights, options, {"no Dense or normalization called 'lost'"}));
  options = lenet_options();
  options.layout = Layout::HWIO;
  EXPECT_TRUE(refused(weights, options, {"flattened and unflattened are for weights of PyTorch"}));
  options.flattened.clear();
  EXPECT_TRUE(
      refused(weights, options, {"'features.0.weight' is a name of PyTorch's", "{.layout = Layout::OIHW}"}));

  State swapped = weights;
  std::swap(swapped.tensors[0], swapped.tensors[7]);
  EXPECT_TRUE(refused(
      swapped, lenet_options(),
      {"'features.4.weight' [6, 4, 3, 3], here [3, 3, 4, 6], does not fit 'conv1.kernel' [3, 3, 1, 4] (by order)",
       "'features.0.weight' [4, 1, 3, 3], here [3, 3, 1, 4], does not fit 'conv2.kernel' [3, 3, 4, 6]",
       "in the order of the file"}));
  State roles = weights;
  std::swap(roles.tensors[2], roles.tensors[3]);
  EXPECT_TRUE(
      refused(roles, lenet_options(), {"'features.1.bias' [4] would become 'norm.gamma' [4] (by order)"}));
  State more = weights;
  more.tensors.emplace_back("head.bias", zeros({3}));
  EXPECT_TRUE(refused(more, lenet_options(), {"no tensor for 'head.bias' [3]"}));
  State twice = weights;
  twice.tensors.push_back(twice.tensors[0]);
  EXPECT_TRUE(refused(twice, lenet_options(), {"features.0.weight"}));
}

// What NumPy saved of a model of this layout, under other names: Keras' kernels are HWIO.
TEST(LoadWeights, OfThisLayout) {
  Generator generator(1);
  Sequential net{Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 2}, generator), Flatten(),
                 Dense({.in_features = 12, .units = 2}, generator)};
  State weights = net.state();
  const char* names[] = {"conv2d/kernel", "conv2d/bias", "dense/kernel", "dense/bias"};
  for (std::size_t i = 0; i < 4; ++i) weights.tensors[i] = {names[i], weights.tensors[i].second + 1.0};
  const WeightMatch match = load_weights(net, weights, {.by_order = true});
  EXPECT_EQ(match.rows[2].how, "by order");
  const State after = net.state();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(equal(after.tensors[i].second, weights.tensors[i].second));
  const WeightMatch named = load_weights(net, after);
  EXPECT_EQ(named.rows[2].how, "by name");
}

// load_state() alone does so as well.
TEST(LoadWeights, DropoutKeepsItsGenerator) {
  Generator generator(1);
  Sequential net{Dense({.in_features = 2, .units = 2}, generator), Dropout(0.5, generator)};
  const Tensor before = *net.state().find("1.generator_state");
  const State weights{.tensors = {{"0.weight", tensor({{1, 2}, {3, 4}})}, {"0.bias", tensor({5, 6})}}};
  net.load_state(weights, {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(*net.state().find("0.kernel"), tensor({{1, 3}, {2, 4}})));
  load_weights(net, weights, {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(*net.state().find("1.generator_state"), before));
}

TEST(LoadWeights, NormalizationBehindFlatten) {
  Generator generator(1);
  Sequential net{Flatten(), LayerNorm({.shape = {6}})};
  const State weights{.tensors = {{"1.weight", arange(6)}, {"1.bias", arange(6)}}};
  EXPECT_TRUE(refuses("load_weights", {"'1' stands behind a Flatten"},
                      [&] { load_weights(net, weights, {.layout = Layout::OIHW}); }));
  load_weights(net, weights, {.layout = Layout::OIHW, .flattened = {{"1", {2, 1, 3}}}});
  EXPECT_TRUE(equal(*net.state().find("1.gamma"), tensor({0, 3, 1, 4, 2, 5})));
}

}  // namespace
}  // namespace tapegrad::testing
