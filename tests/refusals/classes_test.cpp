// Wrong layers, optimizers, schedules, loaders, files, pictures and transforms: what they are made with, and what they are given.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/temporary.h"
#include "process/work.h"
#include "refusals/public_headers.h"
#include "refusals/refused.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN(),
                 kNoEnd = std::numeric_limits<double>::infinity();
constexpr index_t kMost = std::numeric_limits<index_t>::max();
const std::vector<double> kNoFraction = {kNoNumber, kNoEnd, -kNoEnd, -0.1, 1.0, 2.0};
const std::vector<double> kBelowZero = {kNoNumber, kNoEnd, -kNoEnd, -1.0};
const std::vector<double> kZeroOrBelow = {kNoNumber, kNoEnd, -kNoEnd, -1.0, 0.0};
const std::vector<index_t> kNoSize = {0, -1, -kMost, index_t{1} << 50, kMost};

// Rows of one test, which count what they name.
class ClassRows {
 public:
  explicit ClassRows(std::vector<Tensor> tensors = {}) : tensors_(std::move(tensors)) {}
  template <class F>
  void refuse(std::string_view op, const F& call, int line = __builtin_LINE()) {
    refused(
        op, [&](const std::vector<Tensor>&) { call(); }, line);
  }
  template <class T, class F>
  void refuse_each(std::string_view op, const std::vector<T>& values, const F& f,
                   int line = __builtin_LINE()) {
    for (const T& value : values)
      refused(
          op, [&](const std::vector<Tensor>&) { f(value); }, line, ::testing::PrintToString(value));
  }

 private:
  void refused(std::string_view op, CallRef call, int line, const std::string& value = "") {
    EXPECT_TRUE(is_refused(op, tensors_, call)) << "classes_test.cpp:" << line << " " << value;
  }
  std::vector<Tensor> tensors_;
};

TEST(WrongClasses, LayersThatCannotBe) {
  Generator g(1);
  const Generator::Position before = g.position();
  ClassRows rows;
  rows.refuse_each("Dense", kNoSize, [&](index_t n) { Dense({.in_features = n, .units = 2}, g); });
  rows.refuse_each("Dense", kNoSize, [&](index_t n) { Dense({.in_features = 2, .units = n}, g); });
  rows.refuse_each("Conv2D", kNoSize,
                   [&](index_t n) { Conv2D({.in_channels = n, .filters = 2, .kernel_size = 3}, g); });
  rows.refuse_each("Conv2D", kNoSize,
                   [&](index_t n) { Conv2D({.in_channels = 2, .filters = n, .kernel_size = 3}, g); });
  rows.refuse_each("Conv2D", kNoSize,
                   [&](index_t n) { Conv2D({.in_channels = 1, .filters = 2, .kernel_size = n}, g); });
  const std::vector<index_t> no_step = {0, -1, -kMost};
  rows.refuse_each("Conv2D", no_step, [&](index_t n) {
    Conv2D({.in_channels = 1, .filters = 2, .kernel_size = 3, .strides = n}, g);
  });
  rows.refuse_each("Conv2D", no_step, [&](index_t n) {
    Conv2D({.in_channels = 1, .filters = 2, .kernel_size = 3, .dilations = n}, g);
  });
  rows.refuse_each("Conv2D", std::vector<index_t>{0, -1, 3, kMost}, [&](index_t n) {
    Conv2D({.in_channels = 2, .filters = 2, .kernel_size = 3, .groups = n}, g);
  });
  rows.refuse_each("Conv2DTranspose", kNoSize, [&](index_t n) {
    Conv2DTranspose({.in_channels = n, .filters = 2, .kernel_size = 3}, g);
  });
  rows.refuse_each("Conv2DTranspose", kNoSize, [&](index_t n) {
    Conv2DTranspose({.in_channels = 2, .filters = n, .kernel_size = 3}, g);
  });
  rows.refuse_each("Conv2DTranspose", kNoSize, [&](index_t n) {
    Conv2DTranspose({.in_channels = 2, .filters = 2, .kernel_size = n}, g);
  });
  rows.refuse_each("Conv2DTranspose", no_step, [&](index_t n) {
    Conv2DTranspose({.in_channels = 1, .filters = 2, .kernel_size = 3, .strides = n}, g);
  });
  rows.refuse_each("DepthwiseConv2D", kNoSize,
                   [&](index_t n) { DepthwiseConv2D({.in_channels = n, .kernel_size = 3}, g); });
  rows.refuse_each("DepthwiseConv2D", kNoSize,
                   [&](index_t n) { DepthwiseConv2D({.in_channels = 2, .kernel_size = n}, g); });
  rows.refuse_each("DepthwiseConv2D", kNoSize, [&](index_t n) {
    DepthwiseConv2D({.in_channels = 2, .kernel_size = 3, .depth_multiplier = n}, g);
  });
  rows.refuse_each("Embedding", kNoSize, [&](index_t n) { Embedding({.input_dim = n, .output_dim = 2}, g); });
  rows.refuse_each("Embedding", kNoSize, [&](index_t n) { Embedding({.input_dim = 2, .output_dim = n}, g); });
  rows.refuse_each("Dropout", kNoFraction, [&](double rate) { Dropout(rate, g); });
  rows.refuse_each("BatchNorm", kNoSize, [](index_t n) { BatchNorm({.channels = n}); });
  rows.refuse_each("BatchNorm", kBelowZero, [](double e) { BatchNorm({.channels = 2, .epsilon = e}); });
  rows.refuse_each("BatchNorm", std::vector<double>{kNoNumber, kNoEnd, -0.1, 1.1},
                   [](double m) { BatchNorm({.channels = 2, .momentum = m}); });
  rows.refuse_each("LayerNorm", kBelowZero, [](double e) { LayerNorm({.shape = {2}, .epsilon = e}); });
  rows.refuse_each("LayerNorm", std::vector<Shape>{{}, {0}, {2, 0}},
                   [](const Shape& s) { LayerNorm({.shape = s}); });
  rows.refuse_each("GroupNorm", kNoSize, [](index_t n) { GroupNorm({.groups = 1, .channels = n}); });
  rows.refuse_each("GroupNorm", std::vector<index_t>{0, -1, 3, kMost},
                   [](index_t n) { GroupNorm({.groups = n, .channels = 4}); });
  rows.refuse_each("GroupNorm", kBelowZero,
                   [](double e) { GroupNorm({.groups = 2, .channels = 4, .epsilon = e}); });
  rows.refuse("Lambda", [] { Lambda layer{Activation()}; });
  // What would be refused by every input is refused at once.
  const std::vector<index_t> no_window = {0, -1, kMost, -kMost};
  rows.refuse_each("MaxPooling2D", no_window, [](index_t n) { MaxPooling2D({.pool_size = n}); });
  rows.refuse_each("MaxPooling2D", no_window, [](index_t n) { MaxPooling2D({.pool_size = {2, n}}); });
  rows.refuse_each("MaxPooling2D", no_window, [](index_t n) { MaxPooling2D({.strides = Size2D(n)}); });
  rows.refuse("MaxPooling2D", [] { MaxPooling2D({.padding = Padding::Explicit(2)}); });
  rows.refuse_each("AveragePooling2D", no_window, [](index_t n) { AveragePooling2D({.pool_size = n}); });
  rows.refuse_each("AveragePooling2D", no_window,
                   [](index_t n) { AveragePooling2D({.strides = Size2D(1, n)}); });
  rows.refuse("AveragePooling2D", [] { AveragePooling2D({.padding = Padding::Explicit({0, 3})}); });
  rows.refuse_each("UpSampling2D", no_window, [](index_t n) { UpSampling2D({.size = n}); });
  rows.refuse_each("UpSampling2D", no_window, [](index_t n) {
    UpSampling2D({.size = {n, 1}, .interpolation = Interpolation::Bilinear});
  });
  rows.refuse_each("Reshape",
                   std::vector<std::vector<index_t>>{{-2}, {2, -kMost}, {-1, -1}, {1, 1, 1, 1, 1, 1, 1, 1}},
                   [](const std::vector<index_t>& shape) { Reshape{shape}; });
  rows.refuse_each("Softmax", std::vector<int>{8, -9, std::numeric_limits<int>::min()},
                   [](int axis) { Softmax{axis}; });
  rows.refuse_each("LeakyReLU", std::vector<double>{kNoNumber, kNoEnd}, [](double a) { LeakyReLU{a}; });
  rows.refuse_each("ELU", std::vector<double>{kNoNumber, kNoEnd}, [](double a) { ELU{a}; });
  const auto transposed = [&](const std::optional<Size2D>& more,
                              const std::optional<std::vector<index_t>>& shape) {
    Conv2DTranspose({.in_channels = 1,
                     .filters = 3,
                     .kernel_size = 3,
                     .strides = {2, 1},
                     .output_shape = shape,
                     .output_padding = more},
                    g);
  };
  rows.refuse_each("Conv2DTranspose", std::vector<Size2D>{{-1, 0}, {2, 0}, {0, 1}, {0, kMost}},
                   [&](Size2D more) { transposed(more, {}); });
  rows.refuse_each("Conv2DTranspose",
                   std::vector<std::vector<index_t>>{{}, {6}, {6, -6}, {0, 6}, {1, 6, 6}, {1, 6, 6, 2}},
                   [&](const std::vector<index_t>& shape) { transposed({}, shape); });
  rows.refuse("Conv2DTranspose", [&] { transposed(Size2D(1, 0), std::vector<index_t>{6, 6}); });
  for (const index_t n : no_step) {
    rows.refuse("DepthwiseConv2D",
                [&] { DepthwiseConv2D({.in_channels = 2, .kernel_size = 3, .strides = n}, g); });
    rows.refuse("DepthwiseConv2D",
                [&] { DepthwiseConv2D({.in_channels = 2, .kernel_size = 3, .dilations = n}, g); });
    rows.refuse("Conv2DTranspose", [&] {
      Conv2DTranspose({.in_channels = 1, .filters = 2, .kernel_size = 3, .dilations = n}, g);
    });
  }
  rows.refuse("Activation", [] { Activation(std::function<Tensor(const Tensor&)>()); });
  rows.refuse("Dense",
              [&] { Dense({.in_features = 2, .units = 2, .kernel_initializer = Initializer()}, g); });
  rows.refuse("Dense", [&] {
    Dense({.in_features = 2,
           .units = 2,
           .kernel_initializer = [](const Shape&, Generator&, DType) { return ones({3}); }},
          g);
  });
  EXPECT_EQ(g.position(), before) << "a layer that was refused has drawn numbers";
  // The bias comes after the kernel.
  rows.refuse("Dense", [&] {
    Dense({.in_features = 2,
           .units = 2,
           .bias_initializer = [](const Shape&, Generator&, DType) { return Tensor(); }},
          g);
  });
  for (const auto& [op, f] :
       std::initializer_list<std::pair<const char*, Tensor (*)(const Shape&, Generator&, DType)>>{
           {"glorot_uniform", glorot_uniform},
           {"glorot_normal", glorot_normal},
           {"he_uniform", he_uniform},
           {"he_normal", he_normal},
           {"lecun_uniform", lecun_uniform},
           {"lecun_normal", lecun_normal},
           {"orthogonal", orthogonal}}) {
    rows.refuse_each(op, std::vector<Shape>{{}, {3}},
                     [&, f = f](const Shape& shape) { f(shape, g, DType::Float32); });
    rows.refuse(op, [&, f = f] { f({2, 3}, g, DType::Int32); });
  }
  rows.refuse_each("uniform_initializer", kBelowZero, [](double limit) { uniform_initializer(limit); });
  rows.refuse_each("normal_initializer", kBelowZero, [](double deviation) { normal_initializer(deviation); });
}

// Each layer, with inputs that do not fit it.
TEST(WrongClasses, LayersGetWrongInputs) {
  Generator g(1);
  struct Row {
    const char* name;
    std::shared_ptr<Module> layer;
    Tensor right;
    std::vector<Shape> wrong;
    bool whole = false;  // takes whole numbers, too
  };
  const Tensor image = ones({1, 4, 4, 2}), matrix = ones({2, 4});
  const std::vector<Shape> no_image = {{}, {4, 4, 2}, {1, 4, 4, 3}, {1, 1, 1, 2}},
                           no_pixels = {{}, {4, 4}, {1, 1, 1, 2}};
  const std::vector<Row> layers = {
      {"Dense",
       std::make_shared<Dense>(DenseOptions{.in_features = 4, .units = 3}, g),
       matrix,
       {{}, {2, 3}, {4, 2}}},
      {"Conv2D",
       std::make_shared<Conv2D>(Conv2DLayerOptions{.in_channels = 2, .filters = 2, .kernel_size = 3}, g),
       image, no_image},
      {"Conv2DTranspose",
       std::make_shared<Conv2DTranspose>(
           Conv2DTransposeLayerOptions{.in_channels = 2, .filters = 2, .kernel_size = 3}, g),
       image,
       {{}, {4, 4, 2}, {1, 4, 4, 3}}},
      {"DepthwiseConv2D",
       std::make_shared<DepthwiseConv2D>(DepthwiseConv2DOptions{.in_channels = 2, .kernel_size = 3}, g),
       image, no_image},
      {"Flatten", std::make_shared<Flatten>(), image, {{}}, true},
      {"Reshape", std::make_shared<Reshape>(std::vector<index_t>{8, -1}), image, {{}, {2, 3}}, true},
      {"Embedding",
       std::make_shared<Embedding>(EmbeddingOptions{.input_dim = 2, .output_dim = 3}, g),
       zeros({2, 4}, DType::Int32),
       {},
       true},
      {"Dropout", std::make_shared<Dropout>(0.5, g), matrix, {{}}},
      {"BatchNorm",
       std::make_shared<BatchNorm>(BatchNormOptions{.channels = 4}),
       matrix,
       {{}, {4}, {2, 3}, {0, 4}}},
      {"LayerNorm", std::make_shared<LayerNorm>(LayerNormOptions{.shape = {4}}), matrix, {{}, {2, 3}}},
      {"GroupNorm",
       std::make_shared<GroupNorm>(GroupNormOptions{.groups = 2, .channels = 4}),
       matrix,
       {{}, {4}, {2, 2}}},
      {"MaxPooling2D", std::make_shared<MaxPooling2D>(), image, no_pixels},
      {"AveragePooling2D", std::make_shared<AveragePooling2D>(), image, no_pixels},
      {"GlobalMaxPooling2D", std::make_shared<GlobalMaxPooling2D>(), image, {{}, {4, 4}, {1, 0, 4, 1}}, true},
      {"GlobalAveragePooling2D",
       std::make_shared<GlobalAveragePooling2D>(),
       image,
       {{}, {4, 4}, {1, 0, 4, 1}},
       true},
      {"UpSampling2D", std::make_shared<UpSampling2D>(), image, {{}, {4, 4}}, true},
      {"ReLU", std::make_shared<ReLU>(), matrix, {}},
      {"LeakyReLU", std::make_shared<LeakyReLU>(), matrix, {}},
      {"ELU", std::make_shared<ELU>(), matrix, {}},
      {"SELU", std::make_shared<SELU>(), matrix, {}},
      {"GELU", std::make_shared<GELU>(), matrix, {}},
      {"SiLU", std::make_shared<SiLU>(), matrix, {}},
      {"Sigmoid", std::make_shared<Sigmoid>(), matrix, {}},
      {"Softplus", std::make_shared<Softplus>(), matrix, {}},
      {"Tanh", std::make_shared<Tanh>(), matrix, {}},
      {"Softmax", std::make_shared<Softmax>(), matrix, {{}}},
  };
  for (const Row& row : layers) {
    std::vector<Tensor> own = {row.right};
    for (const auto& [path, tensor] : row.layer->state_view().tensors) own.push_back(tensor);
    ClassRows rows(own);
    EXPECT_NO_THROW((void)(*row.layer)(row.right)) << row.name;
    own.assign(1, row.right);
    for (const auto& [path, tensor] : row.layer->state_view().tensors) own.push_back(tensor);
    Tensor moved = copy(row.right);
    const Tensor taken = std::move(moved);
    rows.refuse(row.name, [&] { (*row.layer)(Tensor()); });
    rows.refuse(row.name, [&] { (*row.layer)(moved); });
    for (const Shape& shape : row.wrong)
      rows.refuse(row.name, [&] { (*row.layer)(zeros(shape, row.right.dtype())); });
    if (!row.whole) {
      rows.refuse(row.name, [&] { (*row.layer)(cast(row.right, DType::Int32)); });
      rows.refuse(row.name, [&] { (*row.layer)(cast(row.right, DType::UInt8)); });
    }
    // Of another tape.
    if (!is_floating(row.right.dtype())) continue;
    Tape other;
    const Tensor foreign = 1.0 * other.watch(row.right);
    const NoGrad apart;
    const State before = row.layer->state();
    {
      Tape tape;
      ClassRows(std::vector<Tensor>{row.right}).refuse(row.name, [&] { (*row.layer)(foreign); });
    }
    EXPECT_TRUE(same(row.layer->state(), before)) << row.name;
  }
  ClassRows rows;
  Embedding embedding({.input_dim = 2, .output_dim = 3}, g);
  rows.refuse("Embedding", [&] { embedding(tensor({0, 2}, DType::Int32)); });
  rows.refuse("Embedding", [&] { embedding(tensor({-1}, DType::Int32)); });
  rows.refuse("Embedding", [&] { embedding(ones({2})); });
  Sequential none;
  rows.refuse("Sequential", [&] { (void)none[0]; });
  Sequential net{Dense({.in_features = 2, .units = 2}, g)};
  rows.refuse("Sequential", [&] { (void)net[1]; });
  rows.refuse("Sequential", [&] { (void)net[static_cast<std::size_t>(-1)]; });
  rows.refuse("Dense", [&] { (void)net.summary(Shape{2, 3}); });
  rows.refuse("load_state", [&] { net.load_state({}); });
  rows.refuse("load_state", [&] {
    net.load_state({.tensors = {{"0.kernel", ones({2, 2})}, {"0.bias", ones({3})}}});
  });
  rows.refuse("load_state", [&] {
    net.load_state(
        {.tensors = {{"0.kernel", ones({2, 2})}, {"0.kernel", ones({2, 2})}, {"0.bias", ones({2})}}});
  });
  rows.refuse("load_state", [&] {
    net.load_state({.tensors = {{"0.kernel", Tensor()}, {"0.bias", ones({2})}}});
  });
  rows.refuse("to", [&] { net.to(DType::Int32); });
}

TEST(WrongClasses, OptimizersAndSchedules) {
  const Tensor p = parameter(ones({2, 2})), q = parameter(ones({3}));
  ClassRows rows({p, q});
  const ParameterList ps = {p};
  const std::vector<ParameterList> lists = {{Tensor()},
                                            {ones({2})},
                                            {p, p},
                                            {p, slice(p, 0, 1)},
                                            {stop_gradient(p)},
                                            {q, Tensor()},
                                            ParameterList(NamedTensors{{"a", p}, {"a", q}})};
  for (const ParameterList& list : lists) {
    rows.refuse("SGD", [&] { SGD sgd(list); });
    rows.refuse("Adam", [&] { Adam adam(list); });
    rows.refuse("AdamW", [&] { AdamW adamw(list); });
    rows.refuse("RMSprop", [&] { RMSprop rmsprop(list); });
    rows.refuse("Adagrad", [&] { Adagrad adagrad(list); });
  }
  rows.refuse_each("SGD", kBelowZero, [&](double v) { SGD(ps, {.learning_rate = v}); });
  rows.refuse_each("SGD", kNoFraction, [&](double v) { SGD(ps, {.momentum = v}); });
  rows.refuse_each("SGD", kBelowZero, [&](double v) { SGD(ps, {.weight_decay = v}); });
  rows.refuse("SGD", [&] { SGD(ps, {.nesterov = true}); });
  rows.refuse_each("Adam", kBelowZero, [&](double v) { Adam(ps, {.learning_rate = v}); });
  rows.refuse_each("Adam", kNoFraction, [&](double v) { Adam(ps, {.beta1 = v}); });
  rows.refuse_each("Adam", kNoFraction, [&](double v) { Adam(ps, {.beta2 = v}); });
  rows.refuse_each("Adam", kZeroOrBelow, [&](double v) { Adam(ps, {.epsilon = v}); });
  rows.refuse("Adam", [&] { Adam(ps, {.epsilon = 1e-60}); });
  rows.refuse_each("Adam", kBelowZero, [&](double v) { Adam(ps, {.weight_decay = v}); });
  rows.refuse_each("AdamW", kBelowZero, [&](double v) { AdamW(ps, {.learning_rate = v}); });
  rows.refuse_each("AdamW", kBelowZero, [&](double v) { AdamW(ps, {.weight_decay = v}); });
  rows.refuse_each("AdamW", kZeroOrBelow, [&](double v) { AdamW(ps, {.epsilon = v}); });
  rows.refuse_each("RMSprop", kBelowZero, [&](double v) { RMSprop(ps, {.learning_rate = v}); });
  rows.refuse_each("RMSprop", kNoFraction, [&](double v) { RMSprop(ps, {.rho = v}); });
  rows.refuse_each("RMSprop", kNoFraction, [&](double v) { RMSprop(ps, {.momentum = v}); });
  rows.refuse_each("RMSprop", kZeroOrBelow, [&](double v) { RMSprop(ps, {.epsilon = v}); });
  rows.refuse_each("Adagrad", kBelowZero, [&](double v) { Adagrad(ps, {.learning_rate = v}); });
  rows.refuse_each("Adagrad", kZeroOrBelow, [&](double v) { Adagrad(ps, {.epsilon = v}); });
  rows.refuse_each("Adagrad", kBelowZero, [&](double v) { Adagrad(ps, {.initial_accumulator = v}); });

  Adam adam(ps);
  const State before = adam.state();
  rows.refuse_each("Adam", kBelowZero, [&](double v) { adam.set_learning_rate(v); });
  rows.refuse("Adam", [&] { (void)adam.learning_rate(1); });
  rows.refuse("Adam", [&] { adam.step(Gradients()); });
  rows.refuse("Adam", [&] { adam.step(Gradients({q}, {ones({3})})); });
  rows.refuse("Adam", [&] { adam.step(Gradients({p, q}, {ones({2, 2}), ones({3})})); });
  rows.refuse("Adam", [&] { adam.load_state({}); });
  rows.refuse("Adam", [&] { adam.load_state(SGD(ps).state()); });
  rows.refuse("Adam", [&] {
    State state = before;
    state.numbers["steps"] = kNoNumber;
    adam.load_state(state);
  });
  rows.refuse("Adam", [&] {
    State state = before;
    state.numbers["steps"] = -1;
    adam.load_state(state);
  });
  rows.refuse("Adam", [&] {
    State state = before;
    state.tensors[0].second = ones({3});
    adam.load_state(state);
  });
  EXPECT_EQ(adam.state().numbers, before.numbers);

  rows.refuse("Gradients", [&] { Gradients({p}, {}); });
  rows.refuse("Gradients", [&] { Gradients({p}, {ones({3})}); });
  rows.refuse("Gradients", [&] { Gradients({p}, {ones({2, 2}, DType::Float64)}); });
  rows.refuse("Gradients", [&] { Gradients({p}, {ones({2, 2})}).of({q}); });
  rows.refuse("Gradients", [&] { (void)Gradients().at(0); });
  rows.refuse("Gradients", [&] { (void)Gradients().front(); });
  rows.refuse("Gradients", [&] { (void)Gradients().back(); });
  Gradients gradients({p}, {ones({2, 2})}), infinite({p}, {full({2, 2}, kNoEnd)}), undefined;
  std::vector<Tensor> empty_one = {Tensor()};
  rows.refuse_each("clip_by_norm", std::vector<double>{kNoNumber, -kNoEnd, -1, 0},
                   [&](double v) { clip_by_norm(gradients, v); });
  rows.refuse("clip_by_norm", [&] { clip_by_norm(infinite, 1); });
  rows.refuse("clip_by_norm", [&] { clip_by_norm(empty_one, 1); });
  rows.refuse_each("clip_by_value", std::vector<double>{kNoNumber, -1, 0},
                   [&](double v) { clip_by_value(gradients, v); });
  rows.refuse("clip_by_value", [&] { clip_by_value(empty_one, 1); });
  rows.refuse("global_norm", [&] { (void)global_norm(empty_one); });
  EXPECT_TRUE(equal(gradients[0], ones({2, 2})));
  GradientAccumulator accumulator({p});
  rows.refuse_each("GradientAccumulator", kZeroOrBelow, [&](double v) { accumulator.add(gradients, v); });
  rows.refuse("GradientAccumulator", [&] { accumulator.add(Gradients({q}, {ones({3})})); });
  rows.refuse("GradientAccumulator", [&] { (void)accumulator.take(); });
  rows.refuse("GradientAccumulator", [&] { accumulator.load_state({}); });
  rows.refuse("GradientAccumulator", [&] { GradientAccumulator none({Tensor()}); });

  rows.refuse_each("ExponentialMovingAverage", kNoFraction,
                   [&](double v) { ExponentialMovingAverage(ps, {.decay = v}); });
  rows.refuse("ExponentialMovingAverage", [&] { ExponentialMovingAverage average(ParameterList{Tensor()}); });
  rows.refuse("ExponentialMovingAverage",
              [&] { ExponentialMovingAverage average(ParameterList{zeros({2}, DType::Int32)}); });
  ExponentialMovingAverage average(ps);
  rows.refuse("ExponentialMovingAverage", [&] { average.update({q}); });
  rows.refuse("ExponentialMovingAverage", [&] { average.load_state({}); });
  average.swap();
  rows.refuse("ExponentialMovingAverage", [&] { average.update(); });
  rows.refuse("ExponentialMovingAverage", [&] { average.apply(); });
  rows.refuse("ExponentialMovingAverage", [&] { (void)average.state(); });
  rows.refuse("ExponentialMovingAverage", [&] { AveragedWeights twice(average); });
  average.swap();

  const std::vector<std::int64_t> no_steps = {0, -1, std::numeric_limits<std::int64_t>::min()};
  rows.refuse_each("step_decay", kBelowZero, [](double v) { step_decay({.learning_rate = v}); });
  rows.refuse_each("step_decay", no_steps, [](std::int64_t n) { step_decay({.every = n}); });
  rows.refuse_each("step_decay", std::vector<double>{kNoNumber, kNoEnd, -1.0},
                   [](double v) { step_decay({.factor = v}); });
  rows.refuse_each("exponential_decay", kBelowZero,
                   [](double v) { exponential_decay({.learning_rate = v}); });
  rows.refuse_each("exponential_decay", std::vector<double>{kNoNumber, kNoEnd, -1.0},
                   [](double v) { exponential_decay({.factor = v}); });
  rows.refuse_each("cosine_decay", kBelowZero, [](double v) { cosine_decay({.learning_rate = v}); });
  rows.refuse_each("cosine_decay", no_steps, [](std::int64_t n) { cosine_decay({.steps = n}); });
  rows.refuse_each("cosine_decay", kBelowZero, [](double v) { cosine_decay({.min_learning_rate = v}); });
  const Schedule then = step_decay({});
  rows.refuse_each("warm_up", no_steps, [&](std::int64_t n) { warm_up({.steps = n}, then); });
  rows.refuse_each("warm_up", std::vector<double>{kNoNumber, kNoEnd, -1.0},
                   [&](double v) { warm_up({.start_factor = v}, then); });
  rows.refuse_each("one_cycle", kBelowZero, [](double v) { one_cycle({.max_learning_rate = v}); });
  rows.refuse_each("one_cycle", no_steps, [](std::int64_t n) { one_cycle({.steps = n}); });
  rows.refuse_each("one_cycle", std::vector<double>{kNoNumber, -0.1, 1.1},
                   [](double v) { one_cycle({.warm_up_fraction = v}); });
  rows.refuse_each("one_cycle", kZeroOrBelow, [](double v) { one_cycle({.div_factor = v}); });
  rows.refuse("Schedule", [&] { (void)then.at(-1); });
  rows.refuse("Schedule", [] { (void)Schedule(Schedule::Function()).at(0); });
  Schedule loaded = then;
  rows.refuse("Schedule", [&] { loaded.load_state({}); });
  rows.refuse_each("ReduceOnPlateau", kNoFraction, [](double v) { ReduceOnPlateau({.factor = v}); });
  rows.refuse_each("ReduceOnPlateau", kBelowZero, [](double v) { ReduceOnPlateau({.learning_rate = v}); });
  rows.refuse("ReduceOnPlateau", [] { ReduceOnPlateau({.patience = -1}); });
  rows.refuse("ReduceOnPlateau", [] { ReduceOnPlateau({.cooldown = -1}); });
  rows.refuse("ReduceOnPlateau", [] { ReduceOnPlateau().load_state({}); });
  rows.refuse("EarlyStopping", [] { EarlyStopping({.patience = -1}); });
  rows.refuse("EarlyStopping", [] { (void)EarlyStopping().best(); });
  rows.refuse("EarlyStopping", [] { EarlyStopping().load_state({}); });
  rows.refuse("BestValue", [] { (void)BestValue().best(); });
  rows.refuse_each("BestValue", kBelowZero, [](double v) { BestValue({.min_delta = v}); });
  rows.refuse("BestValue", [] { BestValue().load_state({}); });
}

TEST(WrongClasses, TapesAndTransforms) {
  const Tensor p = parameter(ones({2})), x = ones({2}), whole = zeros({2}, DType::Int32),
               x64 = ones({2}, DType::Float64);
  ClassRows rows({p, x, whole, x64});
  using List = std::vector<Tensor>;
  const TensorFunction f = [](const List&xs) { return sum(xs[0] * xs[0]); }, none = nullptr,
                       nothing = [](const List&) { return Tensor(); },
                       vector = [](const List&xs) { return xs[0] * xs[0]; };
  {
    Tape tape;
    const Tensor w = tape.watch(x), y = w * w;
    rows.refuse("gradient", [&] { tape.gradient(y, w); });
    rows.refuse("gradient", [&] { tape.gradient(sum(y), x); });
  }
  rows.refuse("gradient", [&] {  // which is known when the backward pass has ended, and with it the tape
    Tape tape;
    const Tensor w = tape.watch(x);
    tape.gradient(sum(w * w), p);
  });
  for (int again = 0; again < 2; ++again) {
    Tape tape;
    const Tensor w = tape.watch(x), y = sum(w * w);
    rows.refuse("gradient", [&] { tape.gradient(x, w); });
    rows.refuse("gradient", [&] { tape.gradient(y, w, {.output_gradient = ones({3})}); });
    rows.refuse("gradient", [&] { tape.gradient(y, w, {.output_gradient = ones({}, DType::Float64)}); });
    rows.refuse("gradient", [&] { tape.gradient(Tensor(), w); });
    rows.refuse("gradient", [&] { tape.gradient(y, Tensor()); });
    rows.refuse("watch", [&] { tape.watch(whole); });
    rows.refuse("watch", [&] { tape.watch(Tensor()); });
    rows.refuse("on_gradient", [&] { tape.on_gradient(w, nullptr); });
    rows.refuse("trace_ops", [&] { (void)trace_ops(nullptr); });
    rows.refuse("on_gradient", [&] { tape.on_gradient(x, [](const Tensor&) {}); });
    rows.refuse("on_gradient", [&] { tape.on_gradient(Tensor(), [](const Tensor&) {}); });
    (void)tape.gradient(y, w);
    rows.refuse("tape", [&] { tape.gradient(y, w); });
    rows.refuse("tape", [&] { tape.watch(x); });
    rows.refuse("tape", [&] { tape.on_gradient(w, [](const Tensor&) {}); });
    rows.refuse("tape", [&] { (void)tape.graph(); });
    rows.refuse("tape", [&] { (void)tape.parameters(); });
  }
  rows.refuse("user_op", [&] { record("user_op", Tensor(), {}); });
  rows.refuse("user_op", [&] {
    record("user_op", ones({2}), {{Tensor(), [](const Tensor& g) { return g; }}});
  });
  rows.refuse("user_op", [&] {
    record_joint("user_op", ones({2}), {Tensor()},
                 [](const Tensor&, const std::vector<bool>&) { return List(); });
  });
  rows.refuse("saved", [] { (void)Saved(Tensor())(); });

  const List bad[] = {{Tensor()}, {whole}};
  for (const List& xs : bad) {
    rows.refuse("jacobian", [&] { jacobian(f, xs); });
    rows.refuse("hessian", [&] { hessian(f, xs); });
    rows.refuse("vjp", [&] { vjp(vector, xs, x); });
    rows.refuse("jvp", [&] { jvp(f, xs, {x}); });
    rows.refuse("jvp", [&] { jvp(f, {x}, xs); });
    rows.refuse("hvp", [&] { hvp(f, xs, {x}); });
    rows.refuse("hvp", [&] { hvp(f, {x}, xs); });
    rows.refuse("gradcheck", [&] { gradcheck(f, xs); });
    rows.refuse("gradcheck", [&] { gradcheck_second_order(f, xs); });
    rows.refuse("gradcheck", [&] {
      gradcheck_backward(
          f, [](const List& in, const Tensor&, const Tensor&) { return in; }, xs);
    });
    rows.refuse("batch_gradient", [&] { batch_gradient(f, {x}, xs); });
  }
  for (const TensorFunction& wrong : {none, nothing}) {
    rows.refuse("jacobian", [&] { jacobian(wrong, {x}); });
    rows.refuse("hessian", [&] { hessian(wrong, {x}); });
    rows.refuse("vjp", [&] { vjp(wrong, {x}, x); });
    rows.refuse("jvp", [&] { jvp(wrong, {x}, {x}); });
    rows.refuse("hvp", [&] { hvp(wrong, {x}, {x}); });
    rows.refuse("gradcheck", [&] { gradcheck(wrong, {x64}); });
    rows.refuse("gradcheck", [&] { gradcheck_second_order(wrong, {x64}); });
    rows.refuse("batch_gradient", [&] { batch_gradient(wrong, {x}, {p}); });
    rows.refuse("checkpoint", [&] { checkpoint(wrong, {x}); });
  }
  rows.refuse("hessian", [&] { hessian(vector, {x}); });
  rows.refuse("hvp", [&] { hvp(vector, {x}, {x}); });
  rows.refuse("hvp", [&] { hvp(f, {x}, {ones({3})}); });
  rows.refuse("hvp", [&] { hvp(f, {x}, {}); });
  rows.refuse("jvp", [&] { jvp(f, {x}, {ones({3})}); });
  rows.refuse("jvp", [&] { jvp(f, {x}, {x64}); });
  rows.refuse("vjp", [&] { vjp(vector, {x}, ones({3})); });
  rows.refuse("vjp", [&] { vjp(vector, {x}, Tensor()); });
  rows.refuse("checkpoint", [&] { checkpoint(f, {Tensor()}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(f, {}, {p}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(f, {Tensor()}, {p}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(f, {ones({})}, {p}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(f, {ones({0, 2})}, {p}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(f, {x, ones({3})}, {p}); });
  rows.refuse("batch_gradient", [&] { batch_gradient(vector, {ones({2, 2})}, {p}); });
  rows.refuse_each("batch_gradient", std::vector<index_t>{0, -1, -kMost},
                   [&](index_t n) { batch_gradient(f, {x}, {p}, {.chunk = n}); });
  rows.refuse("batch_gradient", [&] {
    Tape tape;
    batch_gradient(f, {x}, {p});
  });
  rows.refuse("gradcheck", [&] { gradcheck(f, {x}); });
  rows.refuse_each("gradcheck", kBelowZero, [&](double v) { gradcheck(f, {x64}, {.step = v}); });
  rows.refuse_each("gradcheck", kBelowZero, [&](double v) { gradcheck(f, {x64}, {.tolerance = v}); });
  rows.refuse("gradcheck", [&] { gradcheck(f, {x64}, {.mode = GradcheckMode::Sample, .samples = 0}); });
  rows.refuse("gradcheck", [&] { gradcheck(f, {x64}, {.names = {"a", "b"}}); });
  rows.refuse("gradcheck", [&] { gradcheck(f, {x64}, {.order = 3}); });
  rows.refuse("gradcheck", [&] { gradcheck_backward(f, nullptr, {x64}); });
  rows.refuse("gradcheck", [&] { gradcheck_adjoint(nullptr, nullptr, {2}); });
  rows.refuse("gradcheck", [&] { gradcheck_parameters(nullptr, {.tensors = {{"p", x64}}}); });
  rows.refuse("ThreadCountScope", [] { ThreadCountScope scope(0); });
  rows.refuse("ThreadCountScope", [] { ThreadCountScope scope(1025); });
  rows.refuse("RealTimeScope", [] { RealTimeScope scope({Tensor()}); });
  rows.refuse("parallel_for", [] { parallel_for(2, 0, [](index_t, index_t) {}); });
}

TEST(WrongClasses, DataAndItsTransforms) {
  const Tensor images = ones({6, 4, 4, 1}), labels = zeros({6}, DType::Int32), image = ones({4, 4, 1});
  ClassRows rows({images, labels, image});
  Generator g(1);
  rows.refuse("loader", [] { Loader loader(Tensor{}); });
  rows.refuse("samples", [] { Loader loader(ones({})); });
  rows.refuse("loader", [&] { Loader loader(images, zeros({5})); });
  rows.refuse_each("loader", std::vector<index_t>{0, -1, -kMost},
                   [&](index_t n) { Loader loader(images, {.batch_size = n}); });
  rows.refuse_each("loader", std::vector<int>{0, -1, 1025},
                   [&](int n) { Loader loader(images, {.workers = n}); });
  rows.refuse("loader", [&] { Loader loader(images, {.dtype = DType::Int32}); });
  const Loader loader(images, labels, {.batch_size = 2});
  rows.refuse("loader", [&] { (void)loader.epoch(-1); });
  rows.refuse_each("loader", std::vector<index_t>{-1, 4, kMost},
                   [&](index_t n) { (void)loader.epoch(0, n); });
  const Samples samples(images);
  rows.refuse_each("samples", std::vector<index_t>{-1, 6, kMost}, [&](index_t i) { (void)samples[i]; });
  rows.refuse("samples", [] { (void)Samples()[0]; });
  rows.refuse("samples", [] { (void)Samples({3}, DType::Float32, nullptr); });
  rows.refuse("samples", [] { (void)Samples({3, 2}, DType::Float32, [](index_t) { return Tensor(); })[0]; });
  rows.refuse("samples", [] { (void)Samples({3, 2}, DType::Float32, [](index_t) { return ones({3}); })[0]; });
  rows.refuse("samples", [] { (void)Samples(Shape{}, DType::Float32, [](index_t) { return ones({}); }); });
  rows.refuse("read_all", [] { (void)read_all(Samples()); });
  rows.refuse("read_all", [&] { (void)read_all(images, DType::Int32); });
  const Dataset data{.inputs = images, .targets = labels};
  rows.refuse_each("subset", std::vector<index_t>{-1, 6, kMost}, [&](index_t i) {
    (void)subset(data, {0, i});
  });
  rows.refuse("concatenate", [] { (void)concatenate({}); });
  rows.refuse("concatenate", [&] { (void)concatenate({data, {.inputs = ones({2, 3}), .targets = labels}}); });
  rows.refuse("concatenate", [&] { (void)concatenate({data, {.inputs = images}}); });
  rows.refuse_each("split_counts", std::vector<index_t>{-1, 7, kMost},
                   [&](index_t n) { (void)split_counts(data, {n}, 1); });
  rows.refuse("split_counts", [&] { (void)split_counts(data, {kMost, kMost, 2}, 1); });
  rows.refuse_each("split_fractions", std::vector<double>{kNoNumber, kNoEnd, -0.1, 1.1},
                   [&](double v) { (void)split_fractions(data, {v}, 1); });
  rows.refuse("split_fractions", [&] { (void)split_fractions(data, {0.6, 0.6}, 1); });
  rows.refuse("read_mnist", [] { (void)read_mnist("/nowhere", Split::Train); });
  rows.refuse("image_folder", [] { (void)image_folder("/nowhere"); });
  rows.refuse_each("image_folder", std::vector<int>{0, 2, -1, 4},
                   [](int n) { (void)image_folder("/", {.channels = n}); });
  rows.refuse("image_folder", [] { (void)image_folder("/", {.height = 3}); });
  rows.refuse("read_csv", [] { (void)csv_dataset("/nowhere", {}); });

  rows.refuse_each("normalize", kZeroOrBelow, [](double v) { (void)normalize({0}, {v}); });
  rows.refuse_each("normalize", std::vector<double>{kNoNumber, kNoEnd},
                   [](double v) { (void)normalize({v}, {1}); });
  rows.refuse("normalize", [] { (void)normalize({0, 0}, {1}); });
  rows.refuse("normalize", [] { (void)normalize({}, {}); });
  rows.refuse_each("gaussian_noise", kBelowZero, [](double v) { (void)gaussian_noise(v); });
  rows.refuse_each("random_shift", std::vector<index_t>{-1, -kMost},
                   [](index_t n) { (void)random_shift(n); });
  rows.refuse_each("random_flip", std::vector<double>{kNoNumber, kNoEnd, -0.1, 1.1},
                   [](double v) { (void)random_flip(v); });
  rows.refuse_each("random_flip", std::vector<int>{-1, 2, 3}, [](int axis) { (void)random_flip(0.5, axis); });
  rows.refuse_each("random_crop", std::vector<index_t>{0, -1, -kMost},
                   [](index_t n) { (void)random_crop(n, 2); });
  rows.refuse_each("random_crop", std::vector<index_t>{-1, -kMost},
                   [](index_t n) { (void)random_crop(2, 2, n); });
  rows.refuse("random_crop", [&] { (void)random_crop(5, 5)(copy(image), g); });
  rows.refuse("compose", [] { (void)compose({Transform()}); });
  const std::vector<std::pair<const char*, Transform>> transforms = {{"normalize", normalize({0}, {1})},
                                                                     {"gaussian_noise", gaussian_noise(0.1)},
                                                                     {"random_shift", random_shift(1)},
                                                                     {"random_flip", random_flip(1)},
                                                                     {"random_crop", random_crop(2, 2)}};
  for (const auto& [op, f] : transforms) {
    rows.refuse(op, [&, f = f] { (void)f(Tensor(), g); });
    if (std::string_view(op) == "gaussian_noise") continue;  // for any shape
    rows.refuse(op, [&, f = f] { (void)f(ones({4, 4}), g); });
    rows.refuse(op, [&, f = f] { (void)f(ones({}), g); });
  }
  rows.refuse("normalize", [&] { (void)normalize({0, 0}, {1, 1})(copy(image), g); });
  rows.refuse("normalize", [&] { (void)normalize({0}, {1})(ones({4, 4, 1}, DType::Int32), g); });
  rows.refuse("gaussian_noise", [&] { (void)gaussian_noise(1)(ones({4, 4, 1}, DType::UInt8), g); });
}

TEST(WrongClasses, FilesAndPictures) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file", missing = folder.path() / "missing" / "file";
  const Tensor x = ones({2, 3}), image = ones({1, 4, 4, 1});
  ClassRows rows({x, image});
  rows.refuse("write_npy", [&] { write_npy(path, Tensor()); });
  rows.refuse("write_npy", [&] { write_npy(missing, x); });
  rows.refuse("write_npz", [&] { write_npz(path, {{"x", Tensor()}}); });
  rows.refuse("write_npz", [&] { write_npz(path, {{"x", x}, {"x", x}}); });
  rows.refuse("write_npz", [&] { write_npz(missing, {{"x", x}}); });
  rows.refuse("write_idx", [&] { write_idx(path, Tensor()); });
  rows.refuse("write_idx", [&] { write_idx(missing, x); });
  rows.refuse("write_safetensors", [&] { write_safetensors(path, {.tensors = {{"x", Tensor()}}}); });
  rows.refuse("write_safetensors", [&] { write_safetensors(path, {.tensors = {{"x", x}, {"x", x}}}); });
  rows.refuse("write_safetensors", [&] { write_safetensors(path, {.tensors = {{"\xff", x}}}); });
  rows.refuse("write_safetensors", [&] { write_safetensors(path, {.tensors = {{"__metadata__", x}}}); });
  rows.refuse("write_safetensors", [&] { write_safetensors(missing, {}); });
  rows.refuse("write_checkpoint", [&] { write_checkpoint(missing, {}); });
  rows.refuse("write_checkpoint", [&] { write_checkpoint(path, {.step = -1}); });
  rows.refuse("write_checkpoint", [&] {
    write_checkpoint(path, {.state = {.numbers = {{"tapegrad.x", 1}}}});
  });
  rows.refuse("write_checkpoint", [&] { write_checkpoint(path, {.state = {.tensors = {{"x", Tensor()}}}}); });
  rows.refuse("read_npy", [&] { (void)read_npy(missing); });
  rows.refuse("read_npy", [&] { (void)read_npy(folder.path()); });
  rows.refuse("read_npz", [&] { (void)read_npz(missing); });
  rows.refuse("open_npy", [&] { (void)open_npy(missing); });
  rows.refuse("read_idx", [&] { (void)read_idx(missing); });
  rows.refuse("open_idx", [&] { (void)open_idx(missing); });
  rows.refuse("read_csv", [&] { (void)read_csv(missing); });
  rows.refuse("read_csv", [&] { (void)read_csv(missing, {.dtype = DType::Int32}); });
  rows.refuse("read_safetensors", [&] { (void)read_safetensors(missing); });
  rows.refuse("read_safetensors", [&] { (void)read_safetensors_header(missing); });
  rows.refuse("read_checkpoint", [&] { (void)read_checkpoint(missing); });
  rows.refuse("read_image", [&] { (void)read_image(missing, 1); });
  rows.refuse_each("read_image", std::vector<int>{0, 2, 4, -1}, [&](int n) { (void)read_image(missing, n); });
  rows.refuse_each("checkpoints", std::vector<int>{0, -1}, [&](int n) { Checkpoints(path, {.keep = n}); });
  EXPECT_EQ(folder.entries(), 0u) << "a call that was refused has left a file";
  write_npy(path, x);
  const ArrayFile file = open_npy(path);
  rows.refuse("open_npy", [&] { (void)file.rows(-1, 1); });
  rows.refuse("open_npy", [&] { (void)file.rows(1, 2); });
  rows.refuse("open_npy", [&] { (void)file.rows(0, -1); });
  rows.refuse("open_npy", [&] { (void)file.rows(kMost, kMost); });
  for (const auto& read :
       {std::pair{"read_npz", +[](const std::filesystem::path& p) { (void)read_npz(p); }},
        std::pair{"read_idx", +[](const std::filesystem::path& p) { (void)read_idx(p); }},
        std::pair{"read_safetensors", +[](const std::filesystem::path& p) { (void)read_safetensors(p); }},
        std::pair{"read_checkpoint", +[](const std::filesystem::path& p) { (void)read_checkpoint(p); }},
        std::pair{"read_csv", +[](const std::filesystem::path& p) { (void)read_csv(p); }},
        std::pair{"read_image", +[](const std::filesystem::path& p) { (void)read_image(p, 1); }}})
    rows.refuse(read.first, [&] { read.second(path); });

  double number = 0;
  TrainingState run;
  run.add("a", number);
  rows.refuse("training_state", [&] { run.add("a", number); });
  rows.refuse("training_state", [&] { run.add("", number); });
  rows.refuse("training_state", [&] { run.add("a/b", number); });
  rows.refuse("training_state", [&] { run.load_state({}); });
  rows.refuse("training_state", [&] { run.load_state({.numbers = {{"a", 1}, {"b", 2}}}); });
  Generator generator;
  rows.refuse("generator", [&] { load_state(generator, {}); });

  rows.refuse("to_image", [] { (void)to_image(Tensor()); });
  rows.refuse_each("to_image",
                   std::vector<Shape>{{}, {3}, {2, 3, 2}, {2, 4, 4, 1}, {0, 4, 1}, {kMost / 64, 1, 0}},
                   [](const Shape& shape) { (void)to_image(zeros(shape)); });
  rows.refuse("to_image", [] { (void)to_image(full({2, 2, 1}, kNoNumber)); });
  rows.refuse("to_image", [] { (void)to_image(zeros({2, 2, 1}, DType::Int32)); });
  rows.refuse_each("image", std::vector<int>{0, -1, std::numeric_limits<int>::max()},
                   [](int n) { Image picture(n, 4, 3); });
  rows.refuse_each("image", std::vector<int>{0, 2, 4}, [](int n) { Image picture(4, 4, n); });
  rows.refuse("write_png", [&] { write_png(path, Image()); });
  rows.refuse("encode_png", [&] { (void)encode_png(Image()); });
  Image wrong(4, 4, 1);
  wrong.pixels.resize(3);
  rows.refuse("encode_png", [&] { (void)encode_png(wrong); });
  rows.refuse("write_png", [&] { write_png(path, wrong); });
  rows.refuse("resized", [&] { (void)resized(wrong, 2, 2); });
  rows.refuse("to_tensor", [&] { (void)to_tensor(wrong); });
  const Image right(4, 4, 1);
  rows.refuse_each("resized", std::vector<int>{0, -1, std::numeric_limits<int>::max()},
                   [&](int n) { (void)resized(right, n, 4); });

  rows.refuse("sheet", [] { (void)sheet({}); });
  rows.refuse("sheet", [] { (void)sheet({Tensor()}); });
  rows.refuse("sheet", [&] { (void)sheet({image, ones({1, 4, 5, 1})}); });
  rows.refuse_each("sheet", std::vector<Shape>{{}, {4, 4}, {1, 4, 4, 2}, {0, 4, 4, 1}},
                   [](const Shape& s) { (void)sheet({zeros(s)}); });
  for (const int n : {0, -1, std::numeric_limits<int>::max()}) {
    if (n < 1) rows.refuse("sheet", [&] { (void)sheet({image}, {.columns = n}); });
    rows.refuse("sheet", [&] { (void)sheet({image}, {.scale = n}); });
    if (n != 0) rows.refuse("sheet", [&] { (void)sheet({image}, {.gap = n}); });
  }
  rows.refuse("sheet", [&] { (void)sheet({image}, {.labels = {"a", "b"}}); });
  rows.refuse("sheet", [&] { (void)sheet({zeros({1, 4, 4, 1}, DType::Int32)}); });
  rows.refuse("grid", [] { (void)grid(Tensor()); });
  rows.refuse("grid", [] { (void)grid(ones({4, 4})); });
  rows.refuse("filters_image", [] { (void)filters_image(Tensor()); });
  rows.refuse_each("filters_image", std::vector<Shape>{{}, {3, 3}, {0, 3, 1, 1}, {3, 3, 0, 1}},
                   [](const Shape& s) { (void)filters_image(zeros(s)); });
  rows.refuse("filters_image", [] { (void)filters_image(zeros({3, 3, 1, 1}, DType::Int32)); });
  rows.refuse_each("filters_image", std::vector<int>{-1, std::numeric_limits<int>::max()}, [](int n) {
    (void)filters_image(ones({3, 3, 1, 1}), n);
  });

  const Series line{.name = "a", .x = {0, 1}, .y = {1, 2}};
  rows.refuse("line_chart", [] { (void)line_chart({}); });
  rows.refuse("line_chart", [] { (void)line_chart({Series{.name = "a", .x = {0, 1}, .y = {1}}}); });
  rows.refuse("line_chart", [] { (void)line_chart({Series{.name = "a", .x = {0}, .y = {kNoNumber}}}); });
  rows.refuse("line_chart",
              [] { (void)line_chart({Series{.name = "a", .x = {0}, .y = {-1}}}, {.log_y = true}); });
  for (const int n : {0, -1, 100, std::numeric_limits<int>::max()})
    rows.refuse("line_chart", [&] { (void)line_chart({line}, {.width = n}); });
  rows.refuse_each("line_chart", std::vector<int>{0, -1, std::numeric_limits<int>::max()},
                   [&](int n) { (void)line_chart({line}, {.scale = n}); });
  Report report("title");
  const std::string page = report.html();
  const std::vector<Report::Row> cells = {{"a"}};
  const std::vector<Tensor> none = {Tensor()};
  rows.refuse("report", [&] { report.table({"a", "b"}, cells); });
  rows.refuse("report", [&] { report.matrix(Tensor()); });
  rows.refuse("report", [&] { report.matrix(ones({2, 3})); });
  rows.refuse("report", [&] { report.matrix(full({2, 2}, -1)); });
  rows.refuse("report", [&] { report.matrix(full({2, 2}, kNoEnd)); });
  rows.refuse("report", [&] { report.matrix(ones({2, 2}), {.labels = {"a"}}); });
  rows.refuse("report", [&] { report.gallery({}); });
  rows.refuse("report", [&] { report.gallery(none); });
  rows.refuse("report", [&] { report.image(Image()); });
  rows.refuse("lines", [&] { report.lines({}); });
  rows.refuse("dots", [&] { report.dots({}); });
  rows.refuse("report", [&] { report.write(missing); });
  EXPECT_EQ(report.html(), page) << "a part that was refused has changed the page";
  rows.refuse("metrics", [&] { Metrics metrics(missing); });
  Metrics metrics(folder.path() / "metrics");
  rows.refuse("metrics", [&] { metrics.write({{"a", 1}, {"a", 2}}); });
  rows.refuse("metrics", [&] { metrics.write({{"\xff", 1}}); });
  rows.refuse("metrics", [&] { metrics.load_state({}); });
  const auto progress = [](const ProgressOptions& options) { Progress made(stderr, options); };
  rows.refuse("progress", [&] { progress({.epochs = 0, .samples = 3}); });
  rows.refuse("progress", [&] { progress({.samples = 0}); });
  rows.refuse("progress", [&] { progress({.samples = 3, .epochs_done = -1}); });
  rows.refuse("progress", [&] { progress({.samples = 3, .samples_done = -1}); });
}

}  // namespace
}  // namespace tapegrad::testing
