#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

// A Tensor that was never given a value, as each argument of transforms, tapes, layers and optimizers: an error
// that names that function, not one that it calls. The ops are in refusals/calls.h.

namespace tapegrad::testing {
namespace {

struct Call {
  std::string op;
  std::function<void()> run;
};

const Tensor none;

TEST(Undefined, TransformsAndTapes) {
  const TensorFunction f = [](const std::vector<Tensor>& xs) { return sum(xs[0] * xs[0]); };
  const TensorFunction nothing = [](const std::vector<Tensor>&) { return Tensor(); };
  const Tensor x = ones({2});
  const std::vector<Call> calls = {
      {"jacobian", [&] { return jacobian(f, {none}); }},
      {"jacobian", [&] { return jacobian(nothing, {x}); }},
      {"hessian", [&] { return hessian(f, {none}); }},
      {"hessian", [&] { return hessian(nothing, {x}); }},
      {"vjp", [&] { return vjp(f, {none}, x); }},
      {"vjp", [&] { return vjp(nothing, {x}, x); }},
      {"jvp", [&] { return jvp(f, {none}, {x}); }},
      {"jvp", [&] { return jvp(f, {x}, {none}); }},
      {"jvp", [&] { return jvp(nothing, {x}, {x}); }},
      {"hvp", [&] { return hvp(f, {none}, {x}); }},
      {"hvp", [&] { return hvp(f, {x}, {none}); }},
      {"hvp", [&] { return hvp(nothing, {x}, {x}); }},
      {"checkpoint", [&] { return checkpoint(f, {none}); }},
      {"checkpoint",
       [&] {
         Tape tape;
         return checkpoint(f, {tape.watch(x), none});
       }},
      {"batch_gradient", [&] { return batch_gradient(f, {none}, {parameter(x)}); }},
      {"batch_gradient", [&] { return batch_gradient(f, {x}, {none}); }},
      {"watch", [&] { return Tape().watch(none); }},
      {"watch",
       [&] {
         return Tape().watch({x, none});
       }},
      {"gradient", [&] { return Tape().gradient(none, x); }},
      {"gradient",
       [&] {
         Tape tape;
         const Tensor w = tape.watch(x);
         return tape.gradient(sum(w), {w, none});
       }},
      {"on_gradient", [&] { Tape().on_gradient(none, [](const Tensor&) {}); }},
      {"gradcheck", [&] { return gradcheck(f, {none}); }},
      {"gradcheck", [&] { return gradcheck(nothing, {ones({2}, DType::Float64)}); }},
      {"gradcheck", [&] { return gradcheck_second_order(f, {none}); }},
      {"gradcheck", [&] { return gradcheck_second_order(nothing, {ones({2}, DType::Float64)}); }},
      {"gradcheck",
       [&] {
         return gradcheck_backward(f, [](const auto& xs, const auto&, const auto&) { return xs; }, {none});
       }},
  };
  for (const Call& call : calls) EXPECT_TRUE(refuses(call.op, {"never given a value"}, call.run)) << call.op;
}

// A module, an optimizer, a transform of data: what was called is named, not the op inside of it.
std::vector<Call> calls_of_layers() {
  std::vector<Call> calls;
  Generator generator(1);
  const auto layer = [&](const char* name, const std::shared_ptr<Module>& module) {
    calls.push_back({name, [module] { (*module)(none); }});
    calls.push_back({"Sequential", [module] {
                       Sequential net;
                       net.add(Lambda([module](const Tensor& x) { return (*module)(x); }));
                       net(none);
                     }});
  };
  layer("Dense", std::make_shared<Dense>(DenseOptions{.in_features = 2, .units = 3}, generator));
  layer("Conv2D", std::make_shared<Conv2D>(
                      Conv2DLayerOptions{.in_channels = 1, .filters = 2, .kernel_size = 3}, generator));
  layer("Conv2DTranspose",
        std::make_shared<Conv2DTranspose>(
            Conv2DTransposeLayerOptions{.in_channels = 1, .filters = 2, .kernel_size = 3}, generator));
  layer("DepthwiseConv2D", std::make_shared<DepthwiseConv2D>(
                               DepthwiseConv2DOptions{.in_channels = 1, .kernel_size = 3}, generator));
  layer("Flatten", std::make_shared<Flatten>());
  layer("Reshape", std::make_shared<Reshape>(std::vector<index_t>{2}));
  layer("Embedding",
        std::make_shared<Embedding>(EmbeddingOptions{.input_dim = 2, .output_dim = 3}, generator));
  layer("Dropout", std::make_shared<Dropout>(0.5, generator));
  layer("BatchNorm", std::make_shared<BatchNorm>(BatchNormOptions{.channels = 2}));
  layer("LayerNorm", std::make_shared<LayerNorm>(LayerNormOptions{.shape = {2}}));
  layer("GroupNorm", std::make_shared<GroupNorm>(GroupNormOptions{.groups = 1, .channels = 2}));
  layer("MaxPooling2D", std::make_shared<MaxPooling2D>());
  layer("AveragePooling2D", std::make_shared<AveragePooling2D>());
  layer("GlobalMaxPooling2D", std::make_shared<GlobalMaxPooling2D>());
  layer("GlobalAveragePooling2D", std::make_shared<GlobalAveragePooling2D>());
  layer("UpSampling2D", std::make_shared<UpSampling2D>());
  layer("ReLU", std::make_shared<ReLU>());
  layer("LeakyReLU", std::make_shared<LeakyReLU>());
  layer("ELU", std::make_shared<ELU>());
  layer("SELU", std::make_shared<SELU>());
  layer("GELU", std::make_shared<GELU>());
  layer("SiLU", std::make_shared<SiLU>());
  layer("Sigmoid", std::make_shared<Sigmoid>());
  layer("Softplus", std::make_shared<Softplus>());
  layer("Tanh", std::make_shared<Tanh>());
  layer("Softmax", std::make_shared<Softmax>());
  layer("Lambda", std::make_shared<Lambda>(relu));
  return calls;
}

TEST(Undefined, Layers) {
  const std::vector<Call> calls = calls_of_layers();
  for (const Call& call : calls) EXPECT_TRUE(refuses(call.op, {"never given a value"}, call.run)) << call.op;
  // Every class of these headers that is a module is there.
  std::set<std::string> called;
  for (const Call& call : calls) called.insert(call.op);
  int found = 0;
  for (const char* header : {"activations.h", "layers.h", "normalization.h", "pooling.h"}) {
    std::ifstream file(std::string(TAPEGRAD_SOURCE "/lib/tapegrad/nn/") + header);
    ASSERT_TRUE(file) << header;
    static const std::regex declaration(
        R"((?:class|struct) (\w+)(?: final)? : (?:public )?(?:Module|Lambda) \{.*)");
    std::smatch match;
    for (std::string line; std::getline(file, line);)
      if (std::regex_match(line, match, declaration)) {
        ++found;
        EXPECT_TRUE(called.contains(match[1])) << match[1];
      }
  }
  EXPECT_GE(found, 28);
}

TEST(Undefined, StatesOptimizersAndData) {
  const Tensor p = parameter(ones({2}));
  const std::vector<Tensor> ps = {p};
  Generator generator(1);
  Dense dense({.in_features = 1, .units = 1}, generator);
  const auto with_undefined = [](State state) {
    state.tensors.at(0).second = none;
    return state;
  };
  std::vector<Call> calls;
  const auto one = [&](const char* op, std::function<void()> run) { calls.push_back({op, std::move(run)}); };
  const std::vector<Tensor> lists[] = {{none}, {p, none}, {none, p}};
  for (const std::vector<Tensor>& list : lists) {
    one("SGD", [list] { SGD sgd(list); });
    one("Adam", [list] { Adam adam(list); });
    one("AdamW", [list] { AdamW adam(list); });
    one("RMSprop", [list] { RMSprop rmsprop(list); });
    one("Adagrad", [list] { Adagrad adagrad(list); });
    one("ExponentialMovingAverage", [list] { ExponentialMovingAverage average(list); });
    one("GradientAccumulator", [list] { GradientAccumulator accumulator(list); });
    one("global_norm", [list] { global_norm(list); });
    one("clip_by_norm", [own = std::vector<Tensor>(list)]() mutable { clip_by_norm(own, 1); });
    one("clip_by_value", [own = std::vector<Tensor>(list)]() mutable { clip_by_value(own, 1); });
    one("Gradients", [list] { Gradients(list, list); });
    one("Gradients", [list] { Gradients().of(list); });
  }
  one("Adam", [&] {
    Adam adam(ps);
    adam.load_state(with_undefined(adam.state()));
  });
  one("ExponentialMovingAverage", [&] {
    ExponentialMovingAverage average(ps);
    average.load_state(with_undefined(average.state()));
  });
  one("ExponentialMovingAverage", [&] {
    ExponentialMovingAverage average(ps);
    average.update(std::vector<Tensor>{none});
  });
  one("GradientAccumulator", [&] {
    GradientAccumulator accumulator(ps);
    accumulator.add(Gradients(ps, {ones({2})}));
    accumulator.load_state(with_undefined(accumulator.state()));
  });
  one("load_state", [&] { dense.load_state(with_undefined(dense.state())); });
  one("load_state", [&] { dense.load_state(with_undefined(dense.state()), {.layout = Layout::OIHW}); });
  one("normalize", [&] { normalize({0}, {1})(none, generator); });
  one("gaussian_noise", [&] { gaussian_noise(1)(none, generator); });
  one("random_shift", [&] { random_shift(1)(none, generator); });
  one("random_flip", [&] { random_flip()(none, generator); });
  one("random_crop", [&] { random_crop(1, 1)(none, generator); });
  for (const Call& call : calls) EXPECT_TRUE(refuses(call.op, {"never given a value"}, call.run)) << call.op;
}

}  // namespace
}  // namespace tapegrad::testing
