#include "tapegrad/nn/module.h"

#include <gtest/gtest.h>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

// A module with everything a module can have: modules inside, parameters, a tensor that is not trained, whole
// numbers, and a tensor that was never given a value.
struct Everything : Module {
  explicit Everything(Generator& generator)
      : head({.in_features = 3, .units = 2}, generator),
        body(Dense({.in_features = 2, .units = 2, .use_bias = false}, generator),
             Sequential(Dense({.in_features = 2, .units = 2}, generator), Flatten())),
        scale(parameter(ones({2}))),
        mean(full({2}, 0.25)),
        counter(full({}, 3, DType::Int32)) {}
  Tensor forward(const Tensor& x) override { return body(head(x)) * scale - mean; }
  void visit(Visitor& visitor) override {
    visitor("head", head);
    visitor("body", body);
    visitor("scale", scale);
    visitor("mean", mean);
    visitor("counter", counter);
    visitor("absent", absent);
  }
  Dense head;
  Sequential body;
  Tensor scale, mean, counter, absent;
};

std::vector<std::string> paths(const State& state) {
  std::vector<std::string> found;
  for (const auto& [path, tensor] : state.tensors) found.push_back(path);
  return found;
}

State copy_of(const State& state) {
  State copied;
  for (const auto& [path, tensor] : state.tensors) copied.tensors.emplace_back(path, copy(tensor));
  return copied;
}

bool equal_tensors(const State& a, const State& b) {
  if (paths(a) != paths(b)) return false;
  for (std::size_t i = 0; i < a.tensors.size(); ++i)
    if (!equal(a.tensors[i].second, b.tensors[i].second)) return false;
  return true;
}

class ModuleTest : public ::testing::Test {
 protected:
  Generator generator{5};
  Everything module{generator};
};

TEST_F(ModuleTest, PathsAndParametersAreInTheOrderOfVisit) {
  EXPECT_EQ(paths(module.state()),
            (std::vector<std::string>{"head.kernel", "head.bias", "body.0.kernel", "body.1.0.kernel",
                                      "body.1.0.bias", "scale", "mean", "counter"}));
  const std::vector<Tensor> parameters = module.parameters();
  ASSERT_EQ(parameters.size(), 6u);
  const Tensor expected[] = {module.head.kernel, module.head.bias, parameters[2],
                             parameters[3],      parameters[4],    module.scale};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(parameters[i].is_parameter());
    EXPECT_EQ(parameters[i].data<float>(), expected[i].data<float>()) << i;
  }
  EXPECT_EQ(parameters[2].shape().str(), "[2, 2]");
}

TEST_F(ModuleTest, TheStateIsASnapshot) {
  const State best = module.state();
  const State before = copy_of(best);
  module.scale.set({1}, 8);
  module.counter.set({}, 5);
  EXPECT_TRUE(equal_tensors(best, before));
  EXPECT_FALSE(equal_tensors(module.state(), before));
  module.load_state(best);
  EXPECT_TRUE(equal_tensors(module.state(), before));
  for (const auto& [path, tensor] : best.tensors) EXPECT_FALSE(tensor.is_parameter()) << path;
}

TEST_F(ModuleTest, ParametersByName) {
  const NamedTensors named = module.named_parameters();
  const std::vector<Tensor> parameters = module.parameters();
  ASSERT_EQ(named.size(), parameters.size());
  for (std::size_t i = 0; i < named.size(); ++i)
    EXPECT_EQ(named[i].second.data<float>(), parameters[i].data<float>());
  EXPECT_EQ(named[0].first, "head.kernel");
  EXPECT_EQ(named.back().first, "scale");
  EXPECT_EQ(module.parameter_count(), 3 * 2 + 2 + 2 * 2 + 2 * 2 + 2 + 2) << "without mean and counter";
  module.head.freeze();
  EXPECT_EQ(module.parameter_count(), 20);
  EXPECT_EQ(module.named_parameters()[0].first, "body.0.kernel");
}

// Whatever a state shares with the module is read before it is overwritten.
TEST_F(ModuleTest, AStateOfTheModulesOwnTensors) {
  struct Two : Module {
    Tensor a = parameter(tensor({1, 2})), b = parameter(tensor({3, 4}));
    Tensor forward(const Tensor& x) override { return x * a + b; }
    void visit(Visitor& visitor) override {
      visitor("a", a);
      visitor("b", b);
    }
  } two;
  State exchanged = two.state_view();
  std::swap(exchanged.tensors[0].second, exchanged.tensors[1].second);
  two.load_state(exchanged);
  EXPECT_TRUE(equal(two.a, tensor({3, 4})));
  EXPECT_TRUE(equal(two.b, tensor({1, 2})));
}

TEST_F(ModuleTest, LoadStateAsksForWriteAccessFirst) {
  const std::vector<float> memory = {7, 8};
  module.mean = Tensor::wrap(memory.data(), {2});
  const State before = copy_of(module.state());
  State state = copy_of(before);
  for (auto& [path, tensor] : state.tensors)
    if (tensor.dtype() == DType::Float32) tensor = tensor + 1.0;
  EXPECT_TRUE(refuses("load_state", {"read-only"}, [&] { module.load_state(state); }));
  EXPECT_TRUE(equal_tensors(module.state(), before));
}

TEST_F(ModuleTest, NamesThatRepeatAreRefused) {
  struct Twice : Module {
    Tensor a = parameter(ones({2})), b = parameter(zeros({2}));
    Tensor forward(const Tensor& x) override { return x * a + b; }
    void visit(Visitor& visitor) override {
      visitor("w", a);
      visitor("w", b);
    }
  } twice;
  EXPECT_TRUE(refuses("module", {"'w'"}, [&] { (void)twice.state(); }));
  State state = module.state();
  state.tensors.push_back(state.tensors.front());
  EXPECT_TRUE(refuses("load_state", {"'head.kernel'"}, [&] { module.load_state(state); }));
}

// Of two different values for the same elements the last one would win.
TEST_F(ModuleTest, TiedWeightsMustAgreeInAState) {
  struct TiedTwice : Module {
    Tensor w = parameter(tensor({1, 2, 3})), part = TensorAccess::view(w, {2}, 1);
    Tensor forward(const Tensor& x) override { return x * w + sum(part); }
    void visit(Visitor& visitor) override {
      visitor("w", w);
      visitor("part", part);
    }
  } tied;
  const State before = tied.state();
  State differs = before;
  differs.tensors[0].second = tensor({4, 5, 6});
  EXPECT_TRUE(refuses("load_state", {"'w'", "'part'", "tied"}, [&] { tied.load_state(differs); }));
  EXPECT_TRUE(equal(tied.w, tensor({1, 2, 3})));
  differs.tensors[1].second = tensor({5, 6});
  tied.load_state(differs);
  EXPECT_TRUE(equal(tied.w, tensor({4, 5, 6})));
}

TEST_F(ModuleTest, TheViewSharesMemoryWithTheModule) {
  State state = module.state_view();
  state.tensors[5].second.set({1}, 8);
  EXPECT_EQ(module.scale.at({1}), 8);
}

TEST_F(ModuleTest, LoadStateCopiesTheValues) {
  Generator other_generator(6);
  Everything other(other_generator);
  other.counter.set({}, 17);
  ASSERT_FALSE(equal_tensors(module.state(), other.state()));
  const float* memory = module.head.kernel.data<float>();
  module.load_state(other.state());
  EXPECT_TRUE(equal_tensors(module.state(), other.state()));
  EXPECT_EQ(module.head.kernel.data<float>(), memory) << "an optimizer would train another tensor";
  other.scale.set({0}, -1);
  EXPECT_EQ(module.scale.at({0}), 1);
}

TEST_F(ModuleTest, LoadStateConverts) {
  State state = copy_of(module.state());
  state.tensors[5].second = tensor({0.5, 0.25}, DType::Float64);
  module.load_state(state);
  EXPECT_TRUE(equal(module.scale, tensor({0.5, 0.25})));
}

TEST_F(ModuleTest, RefusedStatesChangeNothing) {
  const State before = copy_of(module.state());
  const auto altered = [&](auto alter) {
    State state = copy_of(before);
    for (auto& [path, tensor] : state.tensors)
      if (tensor.dtype() == DType::Float32) tensor = tensor + 1.0;
    alter(state);
    return state;
  };
  const State missing = altered([](State& state) { state.tensors.erase(state.tensors.begin() + 6); });
  const State superfluous = altered([](State& s) { s.tensors.emplace_back("tail.kernel", ones({2})); });
  const State misshapen = altered([](State& state) { state.tensors[5].second = ones({3}); });
  const State not_whole = altered([](State& state) { state.tensors[7].second = full({}, 1e12); });
  EXPECT_TRUE(refuses("load_state", {"'mean'", "[2]"}, [&] { module.load_state(missing); }));
  EXPECT_TRUE(refuses("load_state", {"'tail.kernel'", "[2]"}, [&] { module.load_state(superfluous); }));
  EXPECT_TRUE(refuses("load_state", {"'scale'", "[3]", "[2]"}, [&] { module.load_state(misshapen); }));
  EXPECT_TRUE(refuses("load_state", {"counter", "Int32"}, [&] { module.load_state(not_whole); }));
  EXPECT_TRUE(equal_tensors(module.state(), before));
}

TEST_F(ModuleTest, ToConvertsFloatingTensorsAndKeepsWhatIsTrained) {
  const State before = copy_of(module.state());
  module.to(DType::Float64);
  EXPECT_EQ(module.scale.dtype(), DType::Float64);
  EXPECT_EQ(module.mean.dtype(), DType::Float64);
  EXPECT_EQ(module.counter.dtype(), DType::Int32);
  EXPECT_EQ(module.parameters().size(), 6u);
  EXPECT_FALSE(module.mean.is_parameter());
  const Tensor x = ones({1, 3}, DType::Float64);
  EXPECT_EQ(module(x).dtype(), DType::Float64);
  module.to(DType::Float32);
  EXPECT_TRUE(equal_tensors(module.state(), before));
  EXPECT_TRUE(refuses("to", {"Int32", "Float32 or Float64"}, [&] { module.to(DType::Int32); }));
}

TEST_F(ModuleTest, ToTheSameTypeKeepsTheParameters) {
  const float* memory = module.scale.data<float>();
  module.to(DType::Float32);
  EXPECT_EQ(module.scale.data<float>(), memory);
}

TEST_F(ModuleTest, ConversionsAndLoadingAreNotRecorded) {
  const State state = copy_of(module.state());
  Tape tape;
  module.load_state(state);
  module.to(DType::Float64);
  EXPECT_EQ(tape.size(), 0);
}

TEST_F(ModuleTest, MovedModulesKeepTheirParameters) {
  const std::vector<Tensor> before = module.parameters();
  const Tensor x = ones({2, 3}), y = module(x);
  Everything moved = std::move(module);
  const std::vector<Tensor> after = moved.parameters();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].data<float>(), before[i].data<float>());
  EXPECT_TRUE(equal(moved(x), y));
}

TEST(SequentialTest, NestsAndRunsInOrder) {
  Generator generator(1);
  Sequential inner(Dense({.in_features = 6, .units = 4, .activation = relu}, generator),
                   Dense({.in_features = 4, .units = 6}, generator));
  Sequential model(Flatten(), std::move(inner), Reshape({3, -1}));
  EXPECT_EQ(model.size(), 3u);
  EXPECT_EQ(model.parameters().size(), 4u);
  EXPECT_EQ(paths(model.state()),
            (std::vector<std::string>{"1.0.kernel", "1.0.bias", "1.1.kernel", "1.1.bias"}));
  const Tensor x = uniform({5, 2, 3}, -1, 1, generator), y = model(x);
  EXPECT_EQ(y.shape().str(), "[5, 3, 2]");
  const std::vector<Tensor> p = model.parameters();
  const Tensor by_hand = matmul(relu(matmul(reshape(x, {5, 6}), p[0]) + p[1]), p[2]) + p[3];
  EXPECT_TRUE(equal(y, reshape(by_hand, {5, 3, 2})));
  EXPECT_TRUE(equal(model[2](model[1](model[0](x))), y));
  EXPECT_TRUE(refuses("Sequential", {"less than 3", "got 3"}, [&] { model[3]; }));
}

TEST(SequentialTest, MovingATemporaryDoesNotWrapIt) {
  Generator generator(1);
  Sequential model(Dense({.in_features = 2, .units = 2}, generator));
  Sequential moved(std::move(model));
  EXPECT_EQ(paths(moved.state()), (std::vector<std::string>{"0.kernel", "0.bias"}));
  Sequential assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.size(), 1u);
}

TEST(SequentialTest, EmptyIsTheIdentity) {
  Sequential nothing;
  const Tensor x = ones({2});
  EXPECT_TRUE(equal(nothing(x), x));
  EXPECT_TRUE(nothing.parameters().empty());
}

// One module used twice: its parameter's gradient is the sum of what both uses would give alone.
// What a module shows of a parameter may be parts of it: the parameter itself is trained, and only once.
TEST(TiedWeights, PartsOfAParameterAreTheWholeOne) {
  struct Parts : Module {
    Tensor whole = parameter(tensor({1, 2, 3, 4, 5, 6}));
    Tensor square = reshape(slice(whole, 0, 4), {2, 2}), rest = slice(whole, 4, 6);
    Tensor forward(const Tensor& x) override { return x * sum(square) + 2 * sum(rest); }
    void visit(Visitor& visitor) override {
      visitor("square", square);
      visitor("rest", rest);
    }
  } module;
  const std::vector<Tensor> parameters = module.parameters();
  ASSERT_EQ(parameters.size(), 1U);
  EXPECT_EQ(parameters[0].shape(), Shape({6}));
  EXPECT_EQ(module.parameter_count(), 6);
  Tape tape;
  const Gradients g = tape.gradient(sum(module(tensor({3}))), parameters);
  EXPECT_TRUE(equal(g[0], tensor({3, 3, 3, 3, 2, 2}))) << g[0];
  SGD(parameters, {.learning_rate = 1}).step(g);
  EXPECT_TRUE(equal(module.square, tensor({{-2, -1}, {0, 1}}))) << module.square;
}

TEST(TiedWeights, GradientsOfBothUsesAddUp) {
  Generator generator(3);
  Dense layer({.in_features = 3, .units = 3, .activation = tanh}, generator);
  layer.to(DType::Float64);
  Dense first({.in_features = 3, .units = 3, .activation = tanh}, generator),
      second = [&] { return Dense({.in_features = 3, .units = 3, .activation = tanh}, generator); }();
  for (Dense* untied : {&first, &second}) {
    untied->to(DType::Float64);
    untied->load_state(layer.state());
  }
  const Tensor x = uniform({4, 3}, -1, 1, generator, DType::Float64);
  Tape tape({.persistent = true});
  const auto tied = tape.gradient(sum(square(layer(layer(x)))), layer.parameters());
  std::vector<Tensor> sources = first.parameters();
  for (const Tensor& parameter : second.parameters()) sources.push_back(parameter);
  const auto untied = tape.gradient(sum(square(second(first(x)))), sources);
  for (std::size_t i = 0; i < 2; ++i)
    for (index_t k = 0; k < tied[i].size(); ++k)
      EXPECT_NEAR(tied[i].data<double>()[k], untied[i].data<double>()[k] + untied[i + 2].data<double>()[k],
                  1e-14);
}

// An autoencoder whose decoder uses the encoder's filter: the transpose of the same convolution.
TEST(TiedWeights, EncoderAndDecoderShareAFilter) {
  Generator generator(4);
  const Tensor w = parameter(uniform({3, 3, 1, 2}, -1, 1, generator, DType::Float64));
  const Tensor image = uniform({1, 6, 6, 1}, -1, 1, generator, DType::Float64);
  const auto loss = [&](const std::vector<Tensor>& in) {
    const Tensor code = tanh(conv2d(image, in[0], {.strides = 2, .padding = Padding::Same}));
    const Tensor back = conv2d_transpose(code, in[0], {.strides = 2, .padding = Padding::Same});
    return mse_loss(back, image);
  };
  const GradcheckReport report = gradcheck(loss, {w});
  EXPECT_TRUE(report.passed) << report.str();
}

struct Whole : Module {
  explicit Whole(DType dtype) : numbers(zeros({2}, dtype)) {}
  Tensor forward(const Tensor& x) override { return x; }
  void visit(Visitor& visitor) override { visitor("numbers", numbers); }
  Tensor numbers;
};

// All that an integer of the module holds, to its ends, and nothing beside.
TEST(LoadState, OfFractionsIntoWholeNumbers) {
  for (const auto& [dtype, low, high] :
       {std::tuple{DType::UInt8, 0.0, 255.0}, std::tuple{DType::Int32, -0x1p31, 0x1p31 - 1}}) {
    Whole module(dtype);
    const auto load = [&m = module](double a, double b) {
      m.load_state({.tensors = {{"numbers", tensor({a, b}, DType::Float64)}}});
    };
    load(low, high);
    EXPECT_EQ(module.numbers.at({0}), low);
    EXPECT_EQ(module.numbers.at({1}), high);
    for (const double wrong : {low - 1, high + 1, 0.5})
      EXPECT_TRUE(refuses("load_state", {"'numbers'", "whole and fit"}, [&] { load(1, wrong); })) << wrong;
    EXPECT_EQ(module.numbers.at({1}), high);
  }
}

TEST(Reshape, SaysHowManySizesThereMayBe) {
  EXPECT_TRUE(refuses("Reshape", {"at most 7 sizes"}, [] { Reshape({1, 1, 1, 1, 1, 1, 1, 1}); }));
  EXPECT_EQ(Reshape({1, 1, 1, 1, 1, 1, 2})(ones({3, 2})).rank(), 8);
}

}  // namespace
}  // namespace tapegrad::testing
