#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/nn/activations.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/nn/pooling.h"

namespace tapegrad::testing {
namespace {

// A user's module: a tied weight, used as it is and transposed; buffers; modules inside.
struct Tied : Module {
  explicit Tied(Generator& generator)
      : code(parameter(uniform({3, 2}, -1, 1, generator))),
        decode(reshape(code, {3, 2})),
        centre(uniform({3}, -1, 1, generator)),
        body(Dense({.in_features = 2, .units = 2, .activation = tanh}, generator), Flatten()) {}
  Tied(const Tied& other, Cloning cloning)
      : code(other.code), decode(other.decode), centre(other.centre), body(other.body, cloning) {}
  Tensor forward(const Tensor& x) override {
    return matmul(body(matmul(x - centre, code)), decode, {.transpose_b = true});
  }
  void visit(Visitor& visitor) override {
    visitor("code", code);
    visitor("decode", decode);
    visitor("centre", centre);
    visitor("body", body);
  }
  Tensor code, decode, centre;
  Sequential body;
};

class Clone : public ::testing::Test {
 protected:
  Generator generator{3};
  Tied model{generator};
  Tensor x = uniform({4, 3}, -1, 1, generator);

  void train(Tied& trained) {
    SGD sgd(trained.parameters(), {.learning_rate = 0.5});
    Tape tape;
    const Tensor loss = mse_loss(trained(x), x);
    sgd.step(tape.gradient(loss, trained.parameters()));
  }
};

TEST_F(Clone, ComputesTheSame) {
  Tied copied = clone(model);
  EXPECT_TRUE(equal(copied(x), model(x)));
  const State a = model.state_view(), b = copied.state_view();
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(equal(a.tensors[i].second, b.tensors[i].second));
    EXPECT_EQ(a.tensors[i].second.is_parameter(), b.tensors[i].second.is_parameter());
    EXPECT_NE(a.tensors[i].second.data<float>(), b.tensors[i].second.data<float>());
  }
}

TEST_F(Clone, TrainsByItself) {
  Tied copied = clone(model);
  const Tensor before = model(x);
  train(copied);
  EXPECT_FALSE(equal(copied(x), before));
  EXPECT_TRUE(equal(model(x), before));
  train(model);
  EXPECT_TRUE(equal(copied(x), model(x))) << "the same step from the same start";
  copied.centre.set({0}, 9);
  EXPECT_NE(model.centre.at({0}), 9) << "buffers too";
}

TEST_F(Clone, KeepsTies) {
  Tied copied = clone(model);
  EXPECT_EQ(copied.code.data<float>(), copied.decode.data<float>());
  EXPECT_EQ(model.parameters().size(), 3u) << "a tied parameter is listed once";
  EXPECT_EQ(copied.parameters().size(), 3u);
  copied.to(DType::Float64);
  EXPECT_EQ(copied.code.data<double>(), copied.decode.data<double>());
  copied.code.set({0, 0}, 5);
  EXPECT_EQ(copied.decode.at({0, 0}), 5);
}

// A parameter that is used in parts: they are trained as one, and stay parts of one.
struct Parts : Module {
  Parts() : whole(parameter(arange(6))), first(slice(whole, {{0, 2}})), last(slice(whole, {{2, 6}})) {}
  Parts(const Parts& other, Cloning) : whole(other.whole), first(other.first), last(other.last) {}
  Tensor forward(const Tensor& input) override { return input * sum(first) + sum(last); }
  void visit(Visitor& visitor) override {
    visitor("first", first);
    visitor("whole", whole);
    visitor("last", last);
  }
  Tensor whole, first, last;
};

TEST(CloneOfViews, PartsOfAParameter) {
  Parts parts;
  Parts copied = clone(parts);
  EXPECT_TRUE(equal(copied.last, tensor({2, 3, 4, 5})));
  EXPECT_EQ(copied.first.data<float>(), copied.whole.data<float>());
  EXPECT_EQ(copied.last.data<float>(), copied.whole.data<float>() + 2);
  ASSERT_EQ(copied.parameters().size(), 1u);
  EXPECT_EQ(copied.parameters()[0].shape().str(), "[6]");
  Tape tape;
  const auto gradients = tape.gradient(copied(tensor(3)), copied.parameters());
  EXPECT_TRUE(equal(gradients[0], tensor({3, 3, 1, 1, 1, 1})));
}

TEST_F(Clone, KeepsModeAndFreezing) {
  model.body.freeze();
  model.body.eval();
  Tied copied = clone(model);
  EXPECT_TRUE(copied.training());
  EXPECT_FALSE(copied.body.training());
  EXPECT_FALSE(copied.body[0].training());
  EXPECT_EQ(copied.parameters().size(), 1u);
  copied.unfreeze();
  EXPECT_EQ(copied.parameters().size(), 3u);
  EXPECT_EQ(model.parameters().size(), 1u);
}

TEST_F(Clone, IsNotRecorded) {
  Tape tape;
  Tied copied = clone(model);
  EXPECT_EQ(tape.size(), 0);
}

TEST_F(Clone, OfSequentialsOfAnything) {
  Sequential inner(Dense({.in_features = 3, .units = 2}, generator), ReLU());
  Sequential outer(std::move(inner), LayerNorm({.shape = {2}}),
                   Lambda([](const Tensor& t) { return 2.0 * t; }));
  Sequential copied = clone(outer);
  const Tensor before = outer(x);
  EXPECT_TRUE(equal(copied(x), before));
  Tensor first = copied.parameters()[0];
  first.set({0, 0}, 100);
  EXPECT_TRUE(equal(outer(x), before));
  EXPECT_FALSE(equal(copied(x), before));
}

template <class M>
constexpr bool is_moved_only = !std::is_copy_constructible_v<M> && !std::is_copy_assignable_v<M> &&
                               std::is_nothrow_move_constructible_v<M> && std::is_move_assignable_v<M>;

TEST_F(Clone, OtherwiseModulesAreMoved) {
  // A vector that grows moves what cannot throw.
  static_assert(is_moved_only<Dense> && is_moved_only<Conv2D> && is_moved_only<Sequential> &&
                is_moved_only<Tied> && is_moved_only<ReLU> && is_moved_only<Flatten> &&
                is_moved_only<BatchNorm> && is_moved_only<MaxPooling2D>);
  std::vector<Tied> grown;
  for (int i = 0; i < 3; ++i) grown.emplace_back(generator);
  EXPECT_EQ(grown[2].parameters().size(), 3u);
}

// Modules in a vector, and one more inside of a Sequential.
struct Stack : Module {
  explicit Stack(Generator& generator) {
    for (int i = 0; i < 3; ++i) layers.emplace_back(DenseOptions{.in_features = 3, .units = 3}, generator);
  }
  Stack(const Stack& other, Cloning cloning) : layers(cloning(other.layers)) {}
  Tensor forward(const Tensor& input) override {
    Tensor y = input;
    for (Dense& layer : layers) y = tanh(layer(y));
    return y;
  }
  void visit(Visitor& visitor) override {
    for (std::size_t i = 0; i < layers.size(); ++i) visitor(std::to_string(i), layers[i]);
  }
  std::vector<Dense> layers;
};

TEST_F(Clone, OfAVectorOfLayersInASequential) {
  Sequential net;
  net.add(Stack(generator)).add(Dense({.in_features = 3, .units = 1}, generator));
  net[0].eval();
  Sequential copied = clone(net);
  EXPECT_TRUE(equal(copied(x), net(x)));
  EXPECT_FALSE(copied[0].training());
  EXPECT_FALSE(dynamic_cast<Stack&>(copied[0]).layers[2].training());
  EXPECT_TRUE(copied.training());
  EXPECT_EQ(copied.parameters().size(), 8u);
  Tensor kernel = dynamic_cast<Stack&>(copied[0]).layers[1].kernel;
  kernel.set({0, 0}, 9);
  EXPECT_FALSE(equal(copied(x), net(x)));
}

// Each kind of layer is copied whole: the copy computes the same, while it is trained and afterwards.
TEST_F(Clone, OfEveryLayer) {
  Sequential net{
      Conv2D({.in_channels = 2, .filters = 4, .kernel_size = 3, .padding = Padding::Same, .activation = relu},
             generator),
      BatchNorm({.channels = 4}),
      ReLU(),
      DepthwiseConv2D({.in_channels = 4, .kernel_size = 2}, generator),
      GroupNorm({.groups = 2, .channels = 4}),
      LeakyReLU(0.3),
      MaxPooling2D({.pool_size = 2, .strides = 1}),
      UpSampling2D({.size = 2, .interpolation = Interpolation::Bilinear}),
      ELU(0.5),
      SELU(),
      GELU({.approximate = true}),
      AveragePooling2D({.pool_size = 3}),
      SiLU(),
      Dropout(0.5, generator),
      Conv2DTranspose({.in_channels = 4, .filters = 3, .kernel_size = 2, .strides = 2}, generator),
      Sigmoid(),
      Softplus(),
      LayerNorm({.shape = {3}}),
      Tanh(),
      Lambda([](const Tensor& t) { return 2.0 * t; }),
      Reshape({-1, 3, 1}),
      Softmax(1),
      Flatten(),
      Dense({.in_features = 192, .units = 2}, generator)};
  const Tensor images = uniform({3, 8, 8, 2}, -1, 1, generator);
  for (Module* module : std::initializer_list<Module*>{&net[13], &net[1]}) module->train();
  Sequential copied = clone(net);
  EXPECT_TRUE(equal(copied(images), net(images)));
  net.eval();
  Sequential later = clone(net);
  EXPECT_TRUE(equal(later(images), net(images)));
  const Tensor numbers = uniform({2, 4, 4, 3}, -1, 1, generator);
  Sequential pools{GlobalMaxPooling2D({.keepdims = true}), GlobalAveragePooling2D()};
  EXPECT_TRUE(equal(clone(pools)(numbers), pools(numbers)));
  Embedding words({.input_dim = 5, .output_dim = 2}, generator);
  const Tensor numbered = tensor({1, 4, 0}, DType::Int32);
  EXPECT_TRUE(equal(clone(words)(numbered), words(numbered)));
}

struct Longer : Tied {
  using Tied::Tied;
  Tensor more = parameter(ones({2}));
};

TEST_F(Clone, IsNotCutOff) {
  const Longer longer(generator);
  const Tied& as_tied = longer;
  EXPECT_TRUE(refuses("clone", {"Longer", "Tied"}, [&] { clone(as_tied); }));
}

// Constructors that forget a member.
struct Forgetting : Module {
  explicit Forgetting(Generator& generator)
      : weight(parameter(ones(2))), layer({.in_features = 2, .units = 2}, generator) {}
  Forgetting(const Forgetting& other, Cloning cloning) : layer(other.layer, cloning) {}
  Tensor forward(const Tensor& input) override { return layer(input) * weight; }
  void visit(Visitor& visitor) override {
    visitor("weight", weight);
    visitor("layer", layer);
  }
  Tensor weight;
  Dense layer;
};
struct Renewing : Tied {
  explicit Renewing(Generator& generator) : Tied(generator) {}
  Renewing(const Renewing& other, Cloning cloning) : Tied(other, cloning) { centre = copy(centre); }
};
struct Shorter : Sequential {
  Shorter() = default;
  Shorter(const Shorter&, Cloning) {}
};

TEST_F(Clone, NoticesWhatWasNotCopied) {
  const Forgetting forgetting(generator);
  EXPECT_TRUE(refuses("clone", {"'weight'", "Forgetting(const Forgetting& other, Cloning cloning)"},
                      [&] { clone(forgetting); }));
  const Renewing renewing(generator);
  EXPECT_TRUE(refuses("clone", {"'centre'"}, [&] { clone(renewing); }));
  Shorter shorter;
  shorter.add(Flatten());
  EXPECT_TRUE(refuses("clone", {"2 modules", "1", "Shorter"}, [&] { clone(shorter); }));
}

struct Owner : Module {
  Tensor forward(const Tensor& input) override { return input; }
  std::unique_ptr<int> unique = std::make_unique<int>(1);
};

TEST_F(Clone, SequentialNamesWhatHasNoConstructorForIt) {
  Sequential sequential{ReLU(), Owner()};
  EXPECT_TRUE(refuses("clone", {"module 1", "Owner(const Owner& other, Cloning cloning)"},
                      [&] { clone(sequential); }));
  Sequential moved = std::move(sequential);
  EXPECT_EQ(moved.size(), 2u);
}

class Freezing : public Clone {};

TEST_F(Freezing, FrozenParametersAreConstants) {
  model.body.freeze();
  ASSERT_EQ(model.parameters().size(), 1u);
  EXPECT_EQ(model.parameters()[0].data<float>(), model.code.data<float>());
  EXPECT_EQ(model.state_view().tensors.size(), 5u) << "they are still saved";
  EXPECT_TRUE(model.state_view().tensors[3].second.is_parameter()) << "and are no buffers";
  Tape tape;
  const Tensor loss = mse_loss(model(x), x);
  const Tensor kernel = model.state_view().tensors[3].second;
  EXPECT_THROW(tape.gradient(loss, kernel), Error);
}

TEST_F(Freezing, TrainingLeavesThemAlone) {
  const Tensor kernel = copy(model.state_view().tensors[3].second), code = copy(model.code);
  model.body.freeze();
  train(model);
  EXPECT_TRUE(equal(model.state_view().tensors[3].second, kernel));
  EXPECT_FALSE(equal(model.code, code));
  model.unfreeze();
  EXPECT_EQ(model.parameters().size(), 3u);
  train(model);
  EXPECT_FALSE(equal(model.state_view().tensors[3].second, kernel));
}

TEST_F(Freezing, SurvivesConversionAndLoading) {
  model.freeze();
  model.to(DType::Float64);
  EXPECT_TRUE(model.parameters().empty());
  Generator other_generator(8);
  Tied other(other_generator);
  model.load_state(other.state_view());
  EXPECT_TRUE(model.parameters().empty());
  expect_close(model(cast(x, DType::Float64)), other(x), 1e-6, "loaded");
  model.unfreeze();
  EXPECT_EQ(model.parameters().size(), 3u);
}

TEST_F(Freezing, BuffersStayBuffers) {
  model.freeze();
  model.unfreeze();
  EXPECT_FALSE(model.centre.is_parameter());
  EXPECT_FALSE(model.centre.is_stopped());
}

TEST(TrainingMode, ReachesEveryModule) {
  Generator generator(1);
  Sequential model(Sequential(ReLU(), Dense({.in_features = 2, .units = 2}, generator)), Flatten());
  Module& deep = dynamic_cast<Sequential&>(model[0])[1];
  EXPECT_TRUE(model.training());
  EXPECT_TRUE(deep.training());
  model.eval();
  EXPECT_FALSE(model.training());
  EXPECT_FALSE(model[1].training());
  EXPECT_FALSE(deep.training());
  deep.train();
  EXPECT_TRUE(deep.training());
  EXPECT_FALSE(model.training());
  const Sequential moved = std::move(model);
  EXPECT_FALSE(moved.training());
}

}  // namespace
}  // namespace tapegrad::testing
