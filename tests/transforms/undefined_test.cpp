#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/tapegrad.h"

// A Tensor that was declared but never given a value, as each argument of each public function that takes tensors: an
// error that names that function, not one that it calls.

namespace tapegrad::testing {
namespace {

struct Call {
  std::string op;
  std::function<void()> run;
};

const Tensor none;

// f(x) and what it is called.
using Unary = Tensor (*)(const Tensor&);
void add_unary(std::vector<Call>& calls) {
  const std::vector<std::pair<const char*, Unary>> functions = {
      {"negate", negate},
      {"exp", exp},
      {"expm1", expm1},
      {"log", log},
      {"log1p", log1p},
      {"log2", log2},
      {"log10", log10},
      {"sqrt", sqrt},
      {"rsqrt", rsqrt},
      {"reciprocal", reciprocal},
      {"square", square},
      {"abs", abs},
      {"sign", sign},
      {"sin", sin},
      {"cos", cos},
      {"tan", tan},
      {"tanh", tanh},
      {"erf", erf},
      {"erfc", erfc},
      {"sigmoid", sigmoid},
      {"relu", relu},
      {"softplus", softplus},
      {"leaky_relu", leaky_relu},
      {"elu", elu},
      {"selu", selu},
      {"gelu", gelu},
      {"gelu_tanh", gelu_tanh},
      {"silu", silu},
      {"softmax", softmax},
      {"log_softmax", log_softmax},
      {"floor", floor},
      {"ceil", ceil},
      {"round", round},
      {"trunc", trunc},
      {"isnan", isnan},
      {"isinf", isinf},
      {"isfinite", isfinite},
      {"logical_not", logical_not},
      {"sum", sum},
      {"mean", mean},
      {"prod", prod},
      {"var", var},
      {"stddev", stddev},
      {"max", max},
      {"min", min},
      {"logsumexp", logsumexp},
      {"norm", norm},
      {"any", any},
      {"all", all},
      {"median", median},
      {"transpose", transpose},
      {"squeeze", squeeze},
      {"copy", copy},
      {"nonzero", nonzero},
      {"count_nonzero", count_nonzero},
      {"nhwc_to_nchw", nhwc_to_nchw},
      {"nchw_to_nhwc", nchw_to_nhwc},
      {"hwio_to_oihw", hwio_to_oihw},
      {"oihw_to_hwio", oihw_to_hwio},
      {"hwoi_to_iohw", hwoi_to_iohw},
      {"iohw_to_hwoi", iohw_to_hwoi},
      {"rot180", rot180},
      {"zeros_like", zeros_like},
      {"ones_like", ones_like},
      {"parameter", parameter},
      {"stop_gradient", stop_gradient},
  };
  for (const auto& [op, f] : functions) calls.push_back({op, [f = f] { return f(none); }});
}

// f(a, b), each undefined, and both.
using Binary = Tensor (*)(const Tensor&, const Tensor&);
void add_binary(std::vector<Call>& calls) {
  const std::vector<std::pair<const char*, Binary>> functions = {
      {"add", add},
      {"subtract", subtract},
      {"multiply", multiply},
      {"divide", divide},
      {"maximum", maximum},
      {"minimum", minimum},
      {"pow", pow},
      {"less", less},
      {"less_equal", less_equal},
      {"greater", greater},
      {"greater_equal", greater_equal},
      {"equals", equals},
      {"not_equals", not_equals},
      {"logical_and", logical_and},
      {"logical_or", logical_or},
      {"logical_xor", logical_xor},
      {"dot", dot},
      {"atan2", atan2},
      {"masked_select", masked_select},
      {"embedding", embedding},
  };
  const Tensor x = ones({2, 3});
  for (const auto& [op, f] : functions)
    for (const auto& [a, b] : {std::pair{none, x}, std::pair{x, none}, std::pair{none, none}})
      calls.push_back({op, [f = f, a = a, b = b] { return f(a, b); }});
}

void add_with_numbers(std::vector<Call>& calls) {
  const auto one = [&](const char* op, std::function<void()> run) { calls.push_back({op, std::move(run)}); };
  one("add", [] { return none + 1.0; });
  one("subtract", [] { return none - 1.0; });
  one("subtract", [] { return 1.0 - none; });
  one("multiply", [] { return none * 2.0; });
  one("divide", [] { return none / 2.0; });
  one("divide", [] { return 2.0 / none; });
  one("negate", [] { return -none; });
  one("add", [] { return none + none; });
  one("maximum", [] { return maximum(none, 1); });
  one("maximum", [] { return maximum(1, none); });
  one("minimum", [] { return minimum(none, 1); });
  one("minimum", [] { return minimum(1, none); });
  one("pow", [] { return pow(none, 2); });
  one("pow", [] { return pow(2, none); });
  one("less", [] { return less(none, 1); });
  one("less_equal", [] { return less_equal(none, 1); });
  one("greater", [] { return greater(none, 1); });
  one("greater_equal", [] { return greater_equal(none, 1); });
  one("equals", [] { return equals(none, 1); });
  one("not_equals", [] { return not_equals(none, 1); });
  one("clamp", [] { return clamp(none, 0, 1); });
  one("leaky_relu", [] { return leaky_relu(none, 0.1); });
  one("elu", [] { return elu(none, 0.5); });
  one("softmax", [] { return softmax(none, 0); });
  one("log_softmax", [] { return log_softmax(none, 0); });
  one("full_like", [] { return full_like(none, 1); });
  const auto assigned = [&](const char* op, Tensor& (*f)(Tensor&, const Tensor&)) {
    one(op, [f] {
      Tensor a = ones({2});
      f(a, none);
    });
    one(op, [f] {
      Tensor a;
      f(a, ones({2}));
    });
  };
  assigned("add", operator+=);
  assigned("subtract", operator-=);
  assigned("multiply", operator*=);
  assigned("divide", operator/=);
}

void add_shapes(std::vector<Call>& calls) {
  const auto one = [&](const char* op, std::function<void()> run) { calls.push_back({op, std::move(run)}); };
  one("reshape", [] { return reshape(none, Shape{1}); });
  one("reshape", [] { return reshape(none, {-1}); });
  one("permute", [] { return permute(none, {}); });
  one("slice", [] { return slice(none, {{0, 1}}); });
  one("slice", [] { return slice(none, 0, 1); });
  one("row", [] { return row(none, 0); });
  one("flip", [] { return flip(none, {}); });
  one("pad", [] { return pad(none, {}); });
  one("zero_insert", [] { return zero_insert(none, {}); });
  one("squeeze", [] { return squeeze(none, 0); });
  one("expand_dims", [] { return expand_dims(none, 0); });
  one("split", [] { return split(none, {1, 2}); });
  one("chunk", [] { return chunk(none, 2); });
  one("repeat", [] { return repeat(none, 2, 0); });
  one("tile", [] { return tile(none, {2}); });
  one("cast", [] { return cast(none, DType::Float64); });
  one("broadcast_to", [] { return broadcast_to(none, {2}); });
  one("sum_to", [] { return sum_to(none, {}); });
  one("triu", [] { return triu(none); });
  one("tril", [] { return tril(none); });
  one("diag", [] { return diag(none); });
  for (const std::vector<Tensor>& list :
       {std::vector{none}, std::vector{none, ones({2})}, std::vector{ones({2}), none}}) {
    one("concat", [list] { return concat(list); });
    one("stack", [list] { return stack(list); });
  }
  for (const int axis : {0, -1}) {
    one("sum", [axis] { return sum(none, axis); });
    one("mean", [axis] { return mean(none, axis); });
    one("prod", [axis] { return prod(none, axis); });
    one("var", [axis] { return var(none, axis); });
    one("stddev", [axis] { return stddev(none, axis); });
    one("max", [axis] { return max(none, axis); });
    one("min", [axis] { return min(none, axis); });
    one("logsumexp", [axis] { return logsumexp(none, axis); });
    one("norm", [axis] { return norm(none, axis); });
    one("any", [axis] { return any(none, axis); });
    one("all", [axis] { return all(none, axis); });
    one("count_nonzero", [axis] { return count_nonzero(none, axis); });
    one("cumsum", [axis] { return cumsum(none, axis); });
    one("roll", [axis] { return roll(none, 1, axis); });
    one("median", [axis] { return median(none, axis); });
    one("argmax", [axis] { return argmax(none, axis); });
    one("argmin", [axis] { return argmin(none, axis); });
    one("argsort", [axis] { return argsort(none, axis); });
    one("sort", [axis] { return sort(none, axis); });
    one("topk", [axis] { return topk(none, 1, axis); });
  }
}

void add_several(std::vector<Call>& calls) {
  const auto one = [&](const char* op, std::function<void()> run) { calls.push_back({op, std::move(run)}); };
  const Tensor x = ones({2, 3}), at = zeros({2, 3}, DType::Int32), mask = ones({2, 3}, DType::UInt8);
  // Each argument in turn.
  const auto each = [&](const char* op, const std::vector<Tensor>& arguments,
                        std::function<void(const std::vector<Tensor>&)> f) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      std::vector<Tensor> given = arguments;
      given[i] = none;
      one(op, [f, given] { f(given); });
    }
    one(op, [f, given = std::vector<Tensor>(arguments.size())] { f(given); });
  };
  using In = const std::vector<Tensor>&;
  each("where", {mask, x, x}, [](In in) { return where(in[0], in[1], in[2]); });
  each("where", {mask, x}, [](In in) { return where(in[0], in[1], 2); });
  each("where", {mask, x}, [](In in) { return where(in[0], 2, in[1]); });
  each("gather", {x, at}, [](In in) { return gather(in[0], in[1], 1); });
  each("take_along_axis", {x, at}, [](In in) { return take_along_axis(in[0], in[1], 1); });
  each("scatter", {x, at, x}, [](In in) { return scatter(in[0], in[1], in[2], 1); });
  each("scatter_add", {x, at, x}, [](In in) { return scatter_add(in[0], in[1], in[2], 1); });
  each("one_hot", {at}, [](In in) { return one_hot(in[0], 3); });
  each("matmul", {x, ones({3, 2})}, [](In in) { return matmul(in[0], in[1]); });
  each("matmul", {x, x}, [](In in) { return matmul(in[0], in[1], {.transpose_b = true}); });
  each("einsum", {x, ones({3, 2})}, [](In in) { return einsum("ij,jk->ik", in[0], in[1]); });
  each("equal", {x, x}, [](In in) { return equal(in[0], in[1]); });
  each("dropout", {x}, [](In in) {
    Generator generator;
    return dropout(in[0], 0.5, generator);
  });
  each("dropout", {x}, [](In in) { return dropout(in[0], 0.5, Generator()); });
  each("dropout", {x}, [](In in) { return dropout(in[0], 0.5, Generator(), 3); });
  const Tensor three = ones({3});
  each("batch_norm", {x, three, three}, [](In in) { return batch_norm(in[0], in[1], in[2]); });
  each("batch_norm", {x, three, three, three, three},
       [](In in) { return batch_norm(in[0], in[1], in[2], in[3], in[4]); });
  each("layer_norm", {x, three, three}, [](In in) { return layer_norm(in[0], in[1], in[2]); });
  each("layer_norm", {x}, [](In in) { return layer_norm(in[0], 1); });
  each("group_norm", {x, three, three}, [](In in) { return group_norm(in[0], 1, in[1], in[2]); });

  const Tensor image = ones({1, 4, 4, 1}), filter = ones({3, 3, 1, 1}), dy = ones({1, 2, 2, 1});
  each("conv2d", {image, filter}, [](In in) { return conv2d(in[0], in[1]); });
  each("conv2d_backprop_input", {filter, dy}, [](In in) {
    return conv2d_backprop_input({1, 4, 4, 1}, in[0], in[1]);
  });
  each("conv2d_backprop_filter", {image, dy}, [](In in) {
    return conv2d_backprop_filter(in[0], {3, 3, 1, 1}, in[1]);
  });
  each("conv2d_transpose", {image, filter}, [](In in) { return conv2d_transpose(in[0], in[1]); });
  // A bias that is not defined is none.
  each("fused_conv2d", {image, filter}, [](In in) { return fused_conv2d(in[0], in[1], ones({1}), {}); });
  each("fused_conv2d_transpose", {image, filter},
       [](In in) { return fused_conv2d_transpose(in[0], in[1], ones({1}), {}); });
  each("unfold", {image}, [](In in) { return unfold(in[0], 3); });
  each("fold", {image}, [](In in) { return fold(in[0], {1, 4, 4, 1}, 3); });
  each("conv2d_matrix", {filter}, [](In in) {
    return conv2d_matrix(in[0], conv2d_geometry({1, 4, 4, 1}, {3, 3, 1, 1}));
  });
  each("max_pool2d", {image}, [](In in) { return max_pool2d(in[0]); });
  each("avg_pool2d", {image}, [](In in) { return avg_pool2d(in[0]); });
  each("global_max_pool2d", {image}, [](In in) { return global_max_pool2d(in[0]); });
  each("global_avg_pool2d", {image}, [](In in) { return global_avg_pool2d(in[0]); });
  each("upsample_nearest", {image}, [](In in) { return upsample_nearest(in[0]); });
  each("upsample_bilinear", {image}, [](In in) { return upsample_bilinear(in[0]); });

  const Tensor labels = zeros({2}, DType::Int32);
  each("mse_loss", {x, x}, [](In in) { return mse_loss(in[0], in[1]); });
  each("mae_loss", {x, x}, [](In in) { return mae_loss(in[0], in[1]); });
  each("huber_loss", {x, x}, [](In in) { return huber_loss(in[0], in[1]); });
  each("smooth_l1_loss", {x, x}, [](In in) { return smooth_l1_loss(in[0], in[1]); });
  each("binary_cross_entropy", {x, x}, [](In in) { return binary_cross_entropy(in[0], in[1]); });
  each("binary_cross_entropy_with_logits", {x, x},
       [](In in) { return binary_cross_entropy_with_logits(in[0], in[1]); });
  each("cross_entropy", {x, labels}, [](In in) { return cross_entropy(in[0], in[1]); });
  each("cross_entropy", {x, x}, [](In in) { return cross_entropy(in[0], in[1]); });
  each("nll_loss", {x, labels}, [](In in) { return nll_loss(in[0], in[1]); });
  each("isclose", {x, x}, [](In in) { return isclose(in[0], in[1]); });
  each("allclose", {x, x}, [](In in) { return allclose(in[0], in[1]); });
  each("kl_divergence", {x, x}, [](In in) { return kl_divergence(in[0], in[1]); });
  each("kl_to_standard_normal", {x, x}, [](In in) { return kl_to_standard_normal(in[0], in[1]); });
  each("accuracy", {x, labels}, [](In in) { return accuracy(in[0], in[1]); });
}

std::vector<Call> all_calls() {
  std::vector<Call> calls;
  add_unary(calls);
  add_binary(calls);
  add_with_numbers(calls);
  add_shapes(calls);
  add_several(calls);
  return calls;
}

TEST(Undefined, EveryFunctionNamesItself) {
  const std::vector<Call> calls = all_calls();
  EXPECT_GE(calls.size(), 250u);
  for (const Call& call : calls) EXPECT_TRUE(refuses(call.op, {"never given a value"}, call.run)) << call.op;
}

// On a tape as well, where rules are made before an op looks at its arguments.
TEST(Undefined, EveryFunctionNamesItselfOnATape) {
  for (const Call& call : all_calls()) {
    const Tape tape;
    EXPECT_TRUE(refuses(call.op, {"never given a value"}, call.run)) << call.op;
  }
}

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

// Every function of these headers that takes a tensor is called above.
TEST(Undefined, NoFunctionIsLeftOut) {
  std::set<std::string> called;
  for (const Call& call : all_calls()) called.insert(call.op);
  std::vector<std::filesystem::path> headers = {TAPEGRAD_SOURCE "/lib/tapegrad/nn/losses.h"};
  for (const auto& entry : std::filesystem::directory_iterator(TAPEGRAD_SOURCE "/lib/tapegrad/ops"))
    if (entry.path().extension() == ".h" && !entry.path().stem().string().ends_with("_internal"))
      headers.push_back(entry.path());
  int found = 0;
  for (const auto& path : headers) {
    std::ifstream file(path);
    ASSERT_TRUE(file) << path;
    for (std::string line; std::getline(file, line);) {
      static const std::regex declaration(
          R"((?:\[\[nodiscard\]\] )?(?:inline )?[A-Za-z:<>]+ ?\(?([a-z0-9_]+)\)?\(.*Tensor.*)");
      std::smatch match;
      if (!std::regex_match(line, match, declaration)) continue;
      ++found;
      EXPECT_TRUE(called.contains(match[1])) << match[1] << " of " << path;
    }
  }
  EXPECT_GE(found, 120);
}

}  // namespace
}  // namespace tapegrad::testing
