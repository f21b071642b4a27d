#include <gtest/gtest.h>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/nn/activations.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/nn/pooling.h"

namespace tapegrad::testing {
namespace {

TEST(Summary, IsATable) {
  Generator generator(1);
  Sequential model(
      Conv2D({.in_channels = 1, .filters = 16, .kernel_size = 3, .padding = Padding::Same}, generator),
      BatchNorm({.channels = 16}), ReLU(), MaxPooling2D(), Flatten(),
      Dense({.in_features = 3136, .units = 10}, generator));
  EXPECT_EQ(model.summary({1, 28, 28, 1}),
            R"(Layer (type)      Output shape     Parameters
=============================================
0 (Conv2D)        [1, 28, 28, 16]         160
1 (BatchNorm)     [1, 28, 28, 16]          32
2 (ReLU)          [1, 28, 28, 16]           0
3 (MaxPooling2D)  [1, 14, 14, 16]           0
4 (Flatten)       [1, 3136]                 0
5 (Dense)         [1, 10]              31,370
=============================================
Parameters: 31,562 (123.29 KB)
Trained: 31,562 (123.29 KB)
Not trained: 0 (0 B)
Buffers: 32 (128 B)
)");
}

struct Residual : Module {
  explicit Residual(Generator& generator)
      : inner(Dense({.in_features = 3, .units = 3}, generator), Tanh()),
        scale(parameter(ones({3}))),
        tied(scale) {}
  Tensor forward(const Tensor& x) override { return x + inner(inner(x)) * scale; }
  void visit(Visitor& visitor) override {
    visitor("inner", inner);
    visitor("scale", scale);
    visitor("tied", tied);
  }
  Sequential inner;
  Tensor scale, tied;
};

TEST(Summary, ShowsModulesInsideAndTensorsOfOnesOwnAndCountsTiesOnce) {
  Generator generator(1);
  Residual model(generator);
  model.inner.freeze();
  EXPECT_EQ(model.summary({2, 3}), R"(Layer (type)     Output shape  Parameters
=========================================
Residual         [2, 3]                 3
inner.0 (Dense)  [2, 3]                12
inner.1 (Tanh)   [2, 3]                 0
=========================================
Parameters: 15 (60 B)
Trained: 3 (12 B)
Not trained: 12 (48 B)
Buffers: 0 (0 B)
)");
}

struct Forgetful : Module {
  Tensor shown = parameter(ones({3})), forgotten = parameter(ones({2, 3}));
  Tensor forward(const Tensor& x) override { return matmul(x * shown, forgotten, {.transpose_b = true}); }
  void visit(Visitor& visitor) override { visitor("shown", shown); }
};

TEST(Summary, FindsParametersThatVisitForgot) {
  Forgetful model;
  const std::string text = model.summary({1, 3});
  EXPECT_NE(text.find("Neither trained nor saved: a parameter of shape [2, 3]"), std::string::npos) << text;
  EXPECT_EQ(text.find("[3]"), std::string::npos) << text;
}

TEST(Summary, ChangesNothing) {
  Generator generator(1);
  Sequential model(BatchNorm({.channels = 2}), Dropout(0.5, generator));
  model[0].eval();
  const State state = model.state_view();
  std::vector<Tensor> before;
  for (const auto& [path, tensor] : state.tensors) before.push_back(copy(tensor));
  Tape tape;
  (void)model.summary({4, 2});
  EXPECT_EQ(tape.size(), 0);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(equal(state.tensors[i].second, before[i]));
  EXPECT_TRUE(model.training());
  EXPECT_FALSE(model[0].training());
  EXPECT_TRUE(model[1].training());
  EXPECT_TRUE(refuses("BatchNorm", {"[4, 3]"}, [&] { (void)model.summary({4, 3}); }));
  EXPECT_TRUE(model.training());
  EXPECT_FALSE(model[0].training());
}

TEST(Summary, TakesTheModelsDTypeOrAnInput) {
  Generator generator(1);
  Sequential model(Dense({.in_features = 2, .units = 1}, generator));
  model.to(DType::Float64);
  EXPECT_NE(model.summary({5, 2}).find("Parameters: 3 (24 B)"), std::string::npos);
  Sequential words(Embedding({.input_dim = 1000, .output_dim = 2000}, generator));
  const std::string text = words.summary(zeros({3, 4}, DType::Int32));
  EXPECT_NE(text.find("[3, 4, 2000]"), std::string::npos) << text;
  EXPECT_NE(text.find("Trained: 2,000,000 (7.63 MB)"), std::string::npos) << text;
}

}  // namespace
}  // namespace tapegrad::testing
