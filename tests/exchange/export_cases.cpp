#include "exchange/export_cases.h"

#include <array>
#include <cmath>

#include "common/lenet.h"
#include "dcgan/networks.h"
#include "mnist_autoencoder/net.h"
#include "mnist_vae/vae.h"
#include "tapegrad/tapegrad.h"
#include "unet_segmentation/unet.h"

namespace tapegrad::testing {
namespace {

class Cases {
 public:
  template <class M>
  void add(const std::string& name, M module, const Tensor& example) {
    auto held = std::make_shared<M>(std::move(module));
    randomize(*held, generator);
    held->eval();
    cases.push_back({name, held, example});
  }
  template <class M>
  void add(const std::string& name, M module, const Shape& shape) {
    add(name, std::move(module), uniform(shape, -1, 1, generator));
  }
  Generator generator{5};
  std::vector<ModuleCase> cases;
};

void add_convolutions(Cases& to) {
  Generator& g = to.generator;
  const auto conv = [&](const std::string& name, const Conv2DLayerOptions& options) {
    to.add("conv2d " + name, Conv2D(options, g), {3, 9, 7, options.in_channels});
  };
  conv("plain", {.in_channels = 2, .filters = 5, .kernel_size = {3, 2}});
  conv("Same, strides", {.in_channels = 3,
                         .filters = 4,
                         .kernel_size = 3,
                         .strides = {2, 3},
                         .padding = Padding::Same,
                         .activation = relu});
  conv("Full, dilated, tanh", {.in_channels = 2,
                               .filters = 3,
                               .kernel_size = {2, 3},
                               .padding = Padding::Full,
                               .dilations = {2, 1},
                               .activation = tanh});
  conv("groups, sides", {.in_channels = 4,
                         .filters = 6,
                         .kernel_size = 3,
                         .strides = 2,
                         .padding = Padding::Explicit(0, 2, 1, 0),
                         .groups = 2,
                         .use_bias = false});
  const auto transposed = [&](const std::string& name, const Conv2DTransposeLayerOptions& options) {
    to.add("conv2d_transpose " + name, Conv2DTranspose(options, g), {3, 5, 4, options.in_channels});
  };
  transposed("plain", {.in_channels = 3, .filters = 2, .kernel_size = {3, 2}});
  transposed("Same, strides", {.in_channels = 3,
                               .filters = 4,
                               .kernel_size = 3,
                               .strides = 2,
                               .padding = Padding::Same,
                               .activation = relu});
  transposed("output_padding", {.in_channels = 2,
                                .filters = 3,
                                .kernel_size = 3,
                                .strides = {3, 2},
                                .padding = Padding::Explicit(1),
                                .output_padding = Size2D{2, 1}});
  transposed(
      "groups, dilated",
      {.in_channels = 4, .filters = 6, .kernel_size = 2, .strides = 2, .dilations = {1, 3}, .groups = 2});
  to.add("depthwise_conv2d",
         DepthwiseConv2D({.in_channels = 3,
                          .kernel_size = {2, 3},
                          .strides = 2,
                          .padding = Padding::Same,
                          .depth_multiplier = 2},
                         g),
         {3, 6, 5, 3});
}

void add_other_layers(Cases& to) {
  Generator& g = to.generator;
  to.add("dense", Dense({.in_features = 5, .units = 3, .activation = gelu}, g), {3, 5});
  to.add("dense of sequences", Dense({.in_features = 5, .units = 3}, g), {3, 4, 5});
  to.add("embedding", Embedding({.input_dim = 6, .output_dim = 3}, g),
         tensor({{3, 0}, {5, 5}, {1, 2}}, DType::Int32));
  to.add("flatten", Flatten(), {3, 2, 4, 2});
  to.add("reshape", Reshape({2, 3, 2}), {3, 12});
  to.add("dropout", Dropout(0.5, g), {3, 4});
  for (const Shape& shape : {Shape{3, 4}, Shape{3, 5, 4}, Shape{3, 5, 2, 4}, Shape{3, 2, 2, 3, 4}})
    to.add("batch_norm of rank " + std::to_string(shape.rank()), BatchNorm({.channels = 4}), shape);
  to.add("batch_norm without scale and center", BatchNorm({.channels = 4, .center = false, .scale = false}),
         {3, 5, 2, 4});
  to.add("layer_norm", LayerNorm({.shape = {5}}), {3, 4, 5});
  to.add("layer_norm of two axes", LayerNorm({.shape = {4, 5}}), {3, 4, 5});
  to.add("group_norm", GroupNorm({.groups = 2, .channels = 6}), {3, 3, 5, 6});
  to.add("relu", ReLU(), {3, 4});
  to.add("leaky_relu", LeakyReLU(0.2), {3, 4});
  to.add("elu", ELU(), {3, 4});
  to.add("selu", SELU(), {3, 4});
  to.add("gelu", GELU(), {3, 4});
  to.add("gelu_tanh", GELU({.approximate = true}), {3, 4});
  to.add("silu", SiLU(), {3, 4});
  to.add("sigmoid", Sigmoid(), {3, 4});
  to.add("softplus", Softplus(), {3, 4});
  to.add("tanh", Tanh(), {3, 4});
  to.add("softmax", Softmax(), {3, 4});
  to.add("max_pooling2d", MaxPooling2D(), {3, 4, 6, 2});
  to.add("max_pooling2d, overlapping", MaxPooling2D({.pool_size = 3, .strides = 2, .padding = Padding::Same}),
         {3, 5, 6, 2});
  to.add("average_pooling2d", AveragePooling2D({.pool_size = {2, 3}, .strides = 2, .padding = Padding::Same}),
         {3, 5, 6, 2});
  to.add("global_max_pooling2d", GlobalMaxPooling2D(), {3, 4, 6, 2});
  to.add("global_average_pooling2d", GlobalAveragePooling2D(), {3, 4, 6, 2});
  to.add("global_average_pooling2d, kept", GlobalAveragePooling2D({.keepdims = true}), {3, 4, 6, 2});
  to.add("up_sampling2d", UpSampling2D({.size = {2, 3}}), {3, 4, 5, 2});
  to.add("up_sampling2d, bilinear", UpSampling2D({.size = {3, 2}, .interpolation = Interpolation::Bilinear}),
         {3, 4, 5, 2});
}

// Layers that stand between images in NCHW: ops that must not mistake one order for the other.
void add_mixtures(Cases& to) {
  Generator& g = to.generator;
  const auto conv = [&](index_t in, index_t out) {
    return Conv2D(
        {.in_channels = in, .filters = out, .kernel_size = 3, .padding = Padding::Same, .use_bias = false},
        g);
  };
  const auto between = [&](const std::string& name, std::function<Tensor(const Tensor&)> f,
                           index_t channels = 4) {
    to.add("between convolutions: " + name, Sequential(conv(2, 4), Lambda(std::move(f)), conv(channels, 3)),
           {3, 6, 4, 2});
  };
  const Tensor row = uniform({4}, -1, 1, g), map = uniform({4, 4}, -1, 1, g),
               image = uniform({6, 4, 4}, -1, 1, g), whole = uniform({1, 6, 4, 4}, -1, 1, g);
  between("a number", [](const Tensor& x) { return 2.0 - x * 0.5; });
  between("channels, a map, an image, a batch",
          [=](const Tensor& x) { return (x + row) * map + image * x - whole; });
  between(
      "concat along channels",
      [](const Tensor& x) {
        return concat({x, tanh(x)}, 3);
      },
      8);
  between("concat along height", [](const Tensor& x) { return concat({x, x * x}, 1); });
  between("softmax of channels", [](const Tensor& x) { return softmax(x); });
  between("log_softmax of columns", [](const Tensor& x) { return log_softmax(x, 1); });
  between("slices", [](const Tensor& x) { return slice(x, {{}, {1, 5, 2}, {0, 3}}); });
  between("flip", [](const Tensor& x) { return flip(x, {1, 3}); });
  between("pad", [](const Tensor& x) { return pad(x, {{}, {1, 2}, {0, 1}, {}}, 0.5); });
  between("permute", [](const Tensor& x) { return permute(x, {0, 2, 1, 3}); });
  between("to NCHW and back", [](const Tensor& x) { return nchw_to_nhwc(exp(nhwc_to_nchw(x))); });
  between("reductions that keep axes", [](const Tensor& x) {
    return x - mean(x, {1, 2}, {.keepdims = true}) + (max)(x, {3}, {.keepdims = true});
  });
  between("reductions", [](const Tensor& x) {
    const Tensor squeezed = sigmoid(sum(x, {1, 2}));
    return x * reshape(squeezed, {-1, 1, 1, 4}) + expand_dims(norm(x, {3}), 3) + expand_dims(sum(x, {1}), 1);
  });
  between("argmax",
          [](const Tensor& x) { return x * expand_dims(cast(equals(argmax(x, 3), 1), DType::Float32), 3); });
  between("where", [](const Tensor& x) { return where(x > 0.1, x, -0.25 * x); });
  between("group_norm", [=](const Tensor& x) { return group_norm(x, 2, full({4}, 1.5), row, 1e-3); });
  between("reshape", [](const Tensor& x) { return reshape(x, {-1, 4, 6, 4}); });
  between(
      "zeros of the batch's size",
      [](const Tensor& x) {
        return concat({x, zeros(x.shape())}, 3);
      },
      8);
}

// Views that go back to an earlier shape, or are made twice.
void add_sequences(Cases& to) {
  Generator& g = to.generator;
  const auto dense = [&](index_t in, index_t out) { return Dense({.in_features = in, .units = out}, g); };
  to.add("two dense layers on sequences", Sequential(dense(5, 6), dense(6, 4)), {3, 4, 5});
  to.add("flatten, dropout, reshape", Sequential(Flatten(), Dropout(0.5, g), Reshape({4, 5})), {3, 4, 5});
  to.add("the same view twice", Lambda([](const Tensor& x) {
           return concat({expand_dims(x, 1), expand_dims(exp(x), 1), expand_dims(x, 1)}, 1);
         }),
         {3, 5});
  struct Attention : Module {
    explicit Attention(Generator& generator)
        : query({.in_features = 6, .units = 6}, generator),
          key({.in_features = 6, .units = 6}, generator),
          value({.in_features = 6, .units = 6}, generator) {}
    Tensor forward(const Tensor& x) override {
      const auto heads = [&](Dense& layer) {
        return permute(reshape(layer(x), {-1, 4, 2, 3}), {0, 2, 1, 3});  // [n, heads, time, features]
      };
      const Tensor scores = matmul(heads(query), heads(key), {.transpose_b = true}) / std::sqrt(3.0);
      return x + reshape(permute(matmul(softmax(scores), heads(value)), {0, 2, 1, 3}), {-1, 4, 6});
    }
    void visit(Visitor& visitor) override {
      visitor("query", query);
      visitor("key", key);
      visitor("value", value);
    }
    Dense query, key, value;
  };
  to.add("attention", Attention(g), {3, 4, 6});
  to.add("halves of a batch", Lambda([](const Tensor& x) {
           const std::vector<Tensor> halves = chunk(concat({x, x * 2.0}, 0), 2, 0);
           return halves[1] - halves[0];
         }),
         {3, 5});
}

// Masks and whole numbers.
void add_whole_numbers(Cases& to) {
  const auto of = [&](const std::string& name, std::function<Tensor(const Tensor&)> f) {
    for (const DType dtype : {DType::Int32, DType::UInt8})
      to.add(name + " of " + to_string(dtype), Lambda(f), tensor({{3, 0, 5}, {1, 4, 4}, {2, 2, 0}}, dtype));
  };
  of("sum", [](const Tensor& x) { return sum(x, {1}); });
  of("mean", [](const Tensor& x) { return mean(x, {1}); });
  of("max", [](const Tensor& x) { return (max)(x, {1}, {.keepdims = true}); });
  of("argmax", [](const Tensor& x) { return argmax(x, 1); });
  of("any", [](const Tensor& x) { return any(x, {1}); });
  of("all", [](const Tensor& x) { return all(x, {1}); });
  of("x + x - 1", [](const Tensor& x) { return x + x - maximum(x, 1); });
  of("products", [](const Tensor& x) { return x * x + 2.0 * x; });
  of("comparisons",
     [](const Tensor& x) { return logical_or(logical_and(x > 1, x <= 3), logical_xor(equals(x, 0), x)); });
  of("where", [](const Tensor& x) { return where(logical_not(x), minimum(x, 1), x); });
  of("isnan", [](const Tensor& x) { return isnan(x) + isfinite(x); });
  of("cast", [](const Tensor& x) { return cast(x, DType::Float32) * 0.5; });
  of("concat", [](const Tensor& x) { return concat({x, slice(x, {{}, {0, 1}})}, 1); });
  to.add("negate", Lambda([](const Tensor& x) { return -x; }),
         tensor({{3, 0}, {-5, 1}, {2, 4}}, DType::Int32));
  for (const DType dtype : {DType::Float32, DType::Int32, DType::UInt8})
    to.add("one_hot to " + to_string(dtype),
           Lambda([dtype](const Tensor& x) { return one_hot(x, 6, dtype); }),
           tensor({{3, 0}, {5, 1}, {2, 4}}, DType::Int32));
  to.add("masks of numbers", Lambda([](const Tensor& x) {
           return where(logical_and(x > 0, any(x > 0.5, {1}, {.keepdims = true})), x, -x);
         }),
         {3, 4});
}

constexpr std::array kNetworks = {
    "tutorial autoencoder", "wide autoencoder",     "LeNet", "VAE's decoder", "VAE", "U-Net",
    "DCGAN's generator",    "DCGAN's discriminator"};

void add_networks(Cases& to) {
  std::size_t next = 0;
  const auto add = [&](auto net, const Shape& shape) { to.add(kNetworks.at(next++), std::move(net), shape); };
  Generator& g = to.generator;
  const Shape digits = {3, 28, 28, 1};
  add(make_net("tutorial", g), digits);
  add(make_net("wide", g), digits);
  add(common::make_lenet(g), digits);
  mnist_vae::Vae vae(10, g);
  add(std::move(vae.decoder), {3, 10});
  add(mnist_vae::Vae(10, g), digits);
  add(unet_segmentation::UNet({.filters = 4, .levels = 2}, g), {3, 16, 24, 3});
  add(dcgan::make_generator(g), {3, dcgan::kCode});
  add(dcgan::make_discriminator(g), digits);
}

// All but the networks of the examples.
const Cases& layers() {
  static const Cases cases = [] {
    Cases made;
    add_convolutions(made);
    add_other_layers(made);
    add_mixtures(made);
    add_sequences(made);
    add_whole_numbers(made);
    return made;
  }();
  return cases;
}

const std::vector<ModuleCase>& networks() {
  static const std::vector<ModuleCase> cases = [] {
    Cases made;
    made.generator = layers().generator;
    add_networks(made);
    return made.cases;
  }();
  return cases;
}

}  // namespace

void randomize(Module& module, Generator& generator) {
  State state = module.state();
  for (auto& [name, x] : state.tensors)
    if (x.dtype() == DType::Float32)
      x = name.ends_with("moving_variance") ? uniform(x.shape(), 0.5, 1.5, generator)
                                            : uniform(x.shape(), -0.3, 0.3, generator);
  module.load_state(state);
}

std::vector<ModuleName> module_names() {
  std::vector<ModuleName> names;
  for (const ModuleCase& c : layers().cases) names.push_back({names.size(), c.name});
  for (const char* network : kNetworks) names.push_back({names.size(), network});
  return names;
}

const ModuleCase& module_case(const ModuleName& named) {
  const std::vector<ModuleCase>& first = layers().cases;
  return named.index < first.size() ? first[named.index] : networks().at(named.index - first.size());
}

Tensor batch_like(const Tensor& x, index_t rows) {
  Tensor from = zeros({rows}, DType::Int32);
  for (index_t i = 0; i < rows; ++i)
    from.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(i % x.shape()[0]);
  const Tensor taken = gather(x, from, 0);
  if (!is_floating(x.dtype())) return taken;
  Tensor larger = zeros({rows}, x.dtype());
  for (index_t i = 0; i < rows; ++i) larger.set({i}, 1 + 0.01 * static_cast<double>(i));
  std::vector<index_t> sizes(static_cast<std::size_t>(x.rank()), 1);
  sizes[0] = rows;
  return taken * reshape(larger, sizes);
}

double largest_difference(const Tensor& got, const Tensor& right) {
  if (got.shape() != right.shape() || got.dtype() != right.dtype()) return HUGE_VAL;
  const Tensor a = cast(got, DType::Float64), b = cast(right, DType::Float64);
  double worst = 0;
  for (index_t i = 0; i < a.size(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double off = std::abs(x - y) / (1 + std::abs(y));
    worst = std::max(worst, std::isnan(off) ? HUGE_VAL : off);
  }
  return worst;
}

}  // namespace tapegrad::testing
