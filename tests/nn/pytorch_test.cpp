#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

using Tensors = decltype(State::tensors);

State of(Tensors tensors) {
  State state;
  state.tensors = std::move(tensors);
  return state;
}

// The model of fixtures/pytorch_model.py.
struct Net : Module {
  explicit Net(Generator& generator)
      : conv({.in_channels = 3,
              .filters = 8,
              .kernel_size = 3,
              .strides = 2,
              .padding = Padding::Explicit(1),
              .activation = nullptr},
             generator),
        grouped({.in_channels = 8, .filters = 6, .kernel_size = {3, 2}, .groups = 2, .use_bias = false},
                generator),
        depthwise({.in_channels = 6, .kernel_size = 3, .depth_multiplier = 2}, generator),
        transposed({.in_channels = 12, .filters = 4, .kernel_size = {2, 3}, .strides = 2, .groups = 2},
                   generator),
        linear({.in_features = 4, .units = 5}, generator) {}
  Tensor forward(const Tensor& x) override {
    const Tensor features = groups(transposed(depthwise(grouped(relu(norm(conv(x)))))));
    return layer_norm(linear(mean(features, {1, 2})));
  }
  void visit(Visitor& visitor) override {
    visitor("0", conv);
    visitor("1", norm);
    visitor("2", grouped);
    visitor("3", depthwise);
    visitor("4", transposed);
    visitor("5", groups);
    visitor("6", linear);
    visitor("7", layer_norm);
  }
  Conv2D conv;
  BatchNorm norm{{.channels = 8, .epsilon = 1e-5}};
  Conv2D grouped;
  DepthwiseConv2D depthwise;
  Conv2DTranspose transposed;
  GroupNorm groups{{.groups = 2, .channels = 4, .epsilon = 1e-5}};
  Dense linear;
  LayerNorm layer_norm{{.shape = {5}, .epsilon = 1e-5}};
};

TEST(PyTorch, AModelOfItsComputesTheSame) {
  Generator generator(1);
  Net net(generator);
  net.to(DType::Float64);
  net.eval();
  net.load_state(read_safetensors(fixture("pytorch_model.safetensors")), {.layout = Layout::OIHW});
  const State io = read_safetensors(fixture("pytorch_model_io.safetensors"));
  expect_close(net(*io.find("x")), *io.find("y"), 1e-12, "y");
}

TEST(PyTorch, ALayerByItself) {
  Generator generator(1);
  Dense dense({.in_features = 2, .units = 2}, generator);
  dense.load_state(of({{"weight", tensor({{1, 2}, {3, 4}})}, {"bias", tensor({5, 6})}}),
                   {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(dense.kernel, tensor({{1, 3}, {2, 4}})));
  EXPECT_TRUE(equal(dense.bias, tensor({5, 6})));
  Embedding embedding({.input_dim = 2, .output_dim = 2}, generator);
  embedding.load_state(of({{"weight", tensor({{1, 2}, {3, 4}})}}), {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(embedding.embeddings, tensor({{1, 2}, {3, 4}})));
}

// A tensor of rank 4 that no layer of the library holds may be a filter or not: never a guess.
TEST(PyTorch, TensorsOfRank4InAModuleOfOnesOwn) {
  struct Own : Module {
    explicit Own(const Shape& shape) : table(parameter(zeros(shape))) {}
    Tensor forward(const Tensor& x) override { return x; }
    void visit(Visitor& visitor) override { visitor("table", table); }
    Tensor table;
  };
  const auto numbers = [](const Shape& shape) {
    return reshape(arange(static_cast<double>(shape.size())), shape);
  };
  Own filter({3, 3, 2, 5}), table({1, 2, 7, 3}), either({2, 2, 2, 2});
  filter.load_state(of({{"table", numbers({5, 2, 3, 3})}}), {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(filter.table, oihw_to_hwio(numbers({5, 2, 3, 3}))));
  table.load_state(of({{"table", numbers({1, 2, 7, 3})}}), {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(table.table, numbers({1, 2, 7, 3})));
  EXPECT_TRUE(refuses("load_state", {"'table'", "[2, 2, 2, 2]", "oihw_to_hwio()"}, [&] {
    either.load_state(of({{"table", numbers({2, 2, 2, 2})}}), {.layout = Layout::OIHW});
  }));
  EXPECT_TRUE(equal(either.table, zeros({2, 2, 2, 2})));
  Generator generator(1);
  Conv2D conv({.in_channels = 2, .filters = 2, .kernel_size = 2, .use_bias = false},
              generator);  // is known to hold one
  conv.load_state(of({{"weight", numbers({2, 2, 2, 2})}}), {.layout = Layout::OIHW});
  EXPECT_TRUE(equal(conv.kernel, oihw_to_hwio(numbers({2, 2, 2, 2}))));
}

TEST(PyTorch, WhatDoesNotFitIsRefused) {
  Generator generator(1);
  Conv2D conv({.in_channels = 2, .filters = 3, .kernel_size = {4, 5}}, generator);
  const Tensor before = copy(conv.kernel), weight = zeros({3, 2, 4, 5}), bias = zeros({3});
  const auto load = [&](State state, LoadOptions options = {.layout = Layout::OIHW}) {
    return [&conv, state = std::move(state), options] { conv.load_state(state, options); };
  };
  EXPECT_TRUE(refuses("load_state", {"'kernel'"}, load(of({{"weight", weight}, {"bias", bias}}), {})));
  EXPECT_TRUE(refuses("load_state", {"PyTorch", "[4, 5, 3, 2]", "[4, 5, 2, 3]"},
                      load(of({{"weight", zeros({2, 3, 4, 5})}, {"bias", bias}}))));
  EXPECT_TRUE(
      refuses("load_state", {"'kernel'", "[3, 2]"}, load(of({{"weight", zeros({3, 2})}, {"bias", bias}}))));
  EXPECT_TRUE(refuses("load_state", {"no tensor 'bias'"}, load(of({{"weight", weight}}))));
  EXPECT_TRUE(
      refuses("load_state", {"'more'"}, load(of({{"weight", weight}, {"bias", bias}, {"more", bias}}))));
  EXPECT_TRUE(equal(conv.kernel, before));
  load(of({{"weight", weight}, {"bias", bias}}))();
  EXPECT_TRUE(equal(conv.kernel, zeros({4, 5, 2, 3})));
}

}  // namespace
}  // namespace tapegrad::testing
