#include "tapegrad/nn/layers.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "tapegrad/autograd/services.h"
#include "tapegrad/base/random.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/initializers.h"
#include "tapegrad/nn/layer_internal.h"
#include "tapegrad/ops/dropout.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/matmul.h"

namespace tapegrad::inline v0 {
namespace {

using detail::as_layer;
using detail::require_positive, detail::shape_for;

void require_divides(const char* layer, const char* what, index_t value, index_t groups) {
  require_positive(layer, what, value);
  require_positive(layer, "groups", groups);
  if (value % groups != 0) fail(layer, "{} must be a multiple of groups ({}), got {}", what, groups, value);
}

void require_taps(const char* layer, Size2D kernel_size) {
  if (kernel_size.height < 1 || kernel_size.width < 1)
    fail(layer, "kernel_size must be given, at least 1 x 1, got {} x {}", kernel_size.height,
         kernel_size.width);
}

void require_output_size(const Conv2DTransposeLayerOptions& options) {
  constexpr const char* kLayer = "Conv2DTranspose";
  if (options.output_shape && options.output_padding)
    fail(kLayer,
         "only one of output_shape and output_padding must be given, as each says how large the result is");
  if (const auto& shape = options.output_shape)
    if ((shape->size() != 2 && shape->size() != 4) || std::ranges::min(*shape) < 1 ||
        (shape->size() == 4 && shape->back() != options.filters))
      fail(kLayer,
           "output_shape must be [height, width] or [batch, height, width, {}], each at least 1, got [{}]",
           options.filters, join(*shape, ", "));
  if (const auto& extra = options.output_padding)
    if (extra->height < 0 || extra->width < 0 || extra->height >= options.strides.height ||
        extra->width >= options.strides.width)
      fail(
          kLayer,
          "output_padding must be at least 0 and less than strides ({} x {}), got {} x {}: give the size itself as "
          "output_shape",
          options.strides.height, options.strides.width, extra->height, extra->width);
}

// The activation, unless the convolution has applied it already.
Tensor activate(const Tensor& y, const Activation& activation) {
  return activation.is_relu() ? y : activation(y);
}

}  // namespace

Dense::Dense(const DenseOptions& options, Generator& generator) : options_(options) {
  require_positive("Dense", "in_features", options.in_features);
  require_positive("Dense", "units", options.units);
  kernel =
      draw_parameter(options.kernel_initializer, shape_for("Dense", {options.in_features, options.units}),
                     generator, "kernel_initializer");
  if (options.use_bias)
    bias = draw_parameter(options.bias_initializer, {options.units}, generator, "bias_initializer");
}

Tensor Dense::forward(const Tensor& x) {
  const index_t features = options_.in_features;
  if (x.rank() == 0 || x.shape()[-1] != features) {
    const bool is_flat = x.rank() > 2 && x.shape()[0] > 0 && x.size() / x.shape()[0] == features;
    fail("Dense", "takes [..., {}], got shape {}{}", features, x.shape(),
         is_flat ? ": put a Flatten before it" : "");
  }
  if (x.dtype() != kernel.dtype())
    fail("Dense", "the input must be {} as the layer's kernel, got {} {}: convert with cast() or to()",
         kernel.dtype(), x.dtype(), x.shape());
  Tensor y = as_layer("Dense", [&] {
    const Tensor rows = x.rank() == 2 ? x : reshape(x, Shape{x.size() / features, features});
    const Tensor product = matmul(rows, kernel);
    return bias.defined() ? product + bias : product;
  });
  if (x.rank() != 2) {
    index_t sizes[Shape::kMaxRank];
    std::ranges::copy(x.shape(), sizes);
    const std::span all(sizes, static_cast<std::size_t>(x.rank()));
    all.back() = options_.units;
    y = reshape(y, Shape(all));
  }
  return options_.activation(y);
}

void Dense::visit(Visitor& visitor) {
  visitor("kernel", kernel);
  visitor("bias", bias);
}

Conv2D::Conv2D(const Conv2DLayerOptions& options, Generator& generator) : options_(options) {
  require_divides("Conv2D", "in_channels", options.in_channels, options.groups);
  require_divides("Conv2D", "filters", options.filters, options.groups);
  require_taps("Conv2D", options.kernel_size);
  detail::require_sizes("Conv2D", "strides", options.strides);
  detail::require_sizes("Conv2D", "dilations", options.dilations);
  const auto [kh, kw] = options.kernel_size;
  kernel =
      draw_parameter(options.kernel_initializer,
                     shape_for("Conv2D", {kh, kw, options.in_channels / options.groups, options.filters}),
                     generator, "kernel_initializer");
  if (options.use_bias)
    bias = draw_parameter(options.bias_initializer, {options.filters}, generator, "bias_initializer");
}

Tensor Conv2D::forward(const Tensor& x) {
  return activate(fused_conv2d(x, kernel, bias, {.relu = options_.activation.is_relu(), .op = "Conv2D"},
                               {.strides = options_.strides,
                                .padding = options_.padding,
                                .dilations = options_.dilations,
                                .groups = options_.groups}),
                  options_.activation);
}

void Conv2D::visit(Visitor& visitor) {
  visitor("kernel", kernel);
  visitor("bias", bias);
}

Conv2DTranspose::Conv2DTranspose(const Conv2DTransposeLayerOptions& options, Generator& generator)
    : options_(options) {
  require_divides("Conv2DTranspose", "in_channels", options.in_channels, options.groups);
  require_divides("Conv2DTranspose", "filters", options.filters, options.groups);
  require_taps("Conv2DTranspose", options.kernel_size);
  detail::require_sizes("Conv2DTranspose", "strides", options.strides);
  detail::require_sizes("Conv2DTranspose", "dilations", options.dilations);
  require_output_size(options);
  const auto [kh, kw] = options.kernel_size;
  kernel = draw_parameter(
      options.kernel_initializer,
      shape_for("Conv2DTranspose", {kh, kw, options.filters / options.groups, options.in_channels}),
      generator, "kernel_initializer");
  if (options.use_bias)
    bias = draw_parameter(options.bias_initializer, {options.filters}, generator, "bias_initializer");
}

Tensor Conv2DTranspose::forward(const Tensor& x) {
  return activate(fused_conv2d_transpose(x, kernel, bias,
                                         {.relu = options_.activation.is_relu(), .op = "Conv2DTranspose"},
                                         {.strides = options_.strides,
                                          .padding = options_.padding,
                                          .dilations = options_.dilations,
                                          .groups = options_.groups,
                                          .output_shape = options_.output_shape,
                                          .output_padding = options_.output_padding}),
                  options_.activation);
}

void Conv2DTranspose::visit(Visitor& visitor) {
  visitor("kernel", kernel);
  visitor("bias", bias);
}

DepthwiseConv2D::DepthwiseConv2D(const DepthwiseConv2DOptions& options, Generator& generator)
    : options_(options) {
  require_positive("DepthwiseConv2D", "in_channels", options.in_channels);
  require_positive("DepthwiseConv2D", "depth_multiplier", options.depth_multiplier);
  require_taps("DepthwiseConv2D", options.kernel_size);
  detail::require_sizes("DepthwiseConv2D", "strides", options.strides);
  detail::require_sizes("DepthwiseConv2D", "dilations", options.dilations);
  const auto [kh, kw] = options.kernel_size;
  kernel =
      draw_parameter(options.kernel_initializer,
                     shape_for("DepthwiseConv2D", {kh, kw, options.in_channels, options.depth_multiplier}),
                     generator, "kernel_initializer");
  if (options.use_bias)
    bias = draw_parameter(options.bias_initializer, {options.in_channels * options.depth_multiplier},
                          generator, "bias_initializer");
}

Tensor DepthwiseConv2D::forward(const Tensor& x) {
  // A convolution with as many groups as channels; the filter's elements already lie in the right order for
  // it.
  const auto [kh, kw] = options_.kernel_size;
  const Tensor filter = reshape(kernel, Shape{kh, kw, 1, options_.in_channels * options_.depth_multiplier});
  return activate(
      fused_conv2d(x, filter, bias, {.relu = options_.activation.is_relu(), .op = "DepthwiseConv2D"},
                   {.strides = options_.strides,
                    .padding = options_.padding,
                    .dilations = options_.dilations,
                    .groups = options_.in_channels}),
      options_.activation);
}

void DepthwiseConv2D::visit(Visitor& visitor) {
  visitor("kernel", kernel);
  visitor("bias", bias);
}

Tensor Flatten::forward(const Tensor& x) {
  if (x.rank() == 0) fail("Flatten", "takes a batch [n, ...], not a scalar");
  const index_t batch = x.shape()[0];
  index_t rest = 1;
  for (int axis = 1; axis < x.rank(); ++axis) rest *= x.shape()[axis];
  return as_layer("Flatten", [&] { return reshape(x, Shape{batch, rest}); });
}

Reshape::Reshape(std::vector<index_t> shape) : shape_(std::move(shape)) {
  if (static_cast<int>(shape_.size()) >= Shape::kMaxRank)
    fail("Reshape", "shape must have at most {} sizes, got [{}]", Shape::kMaxRank - 1, join(shape_, ", "));
  if (std::ranges::count(shape_, -1) > 1 ||
      std::ranges::any_of(shape_, [](index_t size) { return size < -1; }))
    fail("Reshape", "sizes must be at least 0, one of them may be -1 for what is left, got [{}]",
         join(shape_, ", "));
}

Tensor Reshape::forward(const Tensor& x) {
  if (x.rank() == 0) fail("Reshape", "takes a batch [n, ...], not a scalar");
  std::vector<index_t> sizes = {x.shape()[0]};
  sizes.insert(sizes.end(), shape_.begin(), shape_.end());
  return as_layer("Reshape", [&] { return reshape(x, sizes); });
}

Embedding::Embedding(const EmbeddingOptions& options, Generator& generator) {
  require_positive("Embedding", "input_dim", options.input_dim);
  require_positive("Embedding", "output_dim", options.output_dim);
  embeddings = draw_parameter(options.embeddings_initializer,
                              shape_for("Embedding", {options.input_dim, options.output_dim}), generator,
                              "embeddings_initializer");
}

Tensor Embedding::forward(const Tensor& indices) {
  return as_layer("Embedding", [&] { return embedding(embeddings, indices); });
}

void Embedding::visit(Visitor& visitor) {
  visitor("embeddings", embeddings);
}

// Two words as one number, and back.
static std::uint64_t joined(std::int32_t low, std::int32_t high) {
  return static_cast<std::uint32_t>(low) | std::uint64_t{static_cast<std::uint32_t>(high)} << 32;
}

static void split(std::uint64_t number, std::int32_t* words) {
  words[0] = static_cast<std::int32_t>(static_cast<std::uint32_t>(number));
  words[1] = static_cast<std::int32_t>(static_cast<std::uint32_t>(number >> 32));
}

Dropout::Dropout(double rate, Generator& generator) : rate_(rate) {
  if (!(rate >= 0 && rate < 1)) fail("Dropout", "rate must be in [0, 1), got {}", rate);
  const auto seeded = [](Generator& from) {
    Tensor state = zeros({4}, DType::Int32);
    const std::uint64_t low = from.bits();
    split(low | std::uint64_t{from.bits()} << 32, state.mutable_data<std::int32_t>());
    return state;
  };
  const Generator::Position before = generator.position();
  generator_state = seeded(generator);
  remember_draw(generator_state, before, generator, seeded);
}

Tensor Dropout::forward(const Tensor& x) {
  if (!training()) return x;
  const std::int32_t* words = generator_state.data<std::int32_t>();
  const std::uint64_t seed = joined(words[0], words[1]), counted = joined(words[2], words[3]);
  // Before the samples are counted: what is refused leaves the count as it was.
  if (x.rank() == 0) fail("Dropout", "takes samples along a first axis, not a scalar");
  if (!is_floating(x.dtype()))
    fail("Dropout", "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
  const index_t samples = x.shape()[0];
  const std::uint64_t first = count_samples(this, counted, samples, [this](std::uint64_t next) {
    split(next, generator_state.mutable_data<std::int32_t>() + 2);
  });
  try {
    return as_layer("Dropout", [&] { return dropout(x, rate_, Generator(seed), first); });
  } catch (...) {
    if (joined(words[2], words[3]) != counted)
      split(counted, generator_state.mutable_data<std::int32_t>() + 2);
    throw;
  }
}

void Dropout::visit(Visitor& visitor) {
  visitor("generator_state", generator_state);
}

Sequential::Sequential(const Sequential& other, Cloning cloning) {
  for (const auto& [module, copy] : other.items_) {
    if (copy == nullptr) {
      const std::string name = detail::class_name(*module);
      fail("clone",
           "module {} of a Sequential, a {}, has no constructor {}(const {}& other, Cloning cloning)",
           items_.size(), name, name, name);
    }
    items_.push_back({copy(*module, cloning), copy});
  }
}

Module& Sequential::operator[](std::size_t index) {
  if (index >= items_.size())
    fail("Sequential", "the index of a module must be less than {}, got {}", items_.size(), index);
  return *items_[index].module;
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const Item& item : items_) y = (*item.module)(y);
  return y;
}

void Sequential::visit(Visitor& visitor) {
  for (std::size_t i = 0; i < items_.size(); ++i) visitor(std::to_string(i), *items_[i].module);
}

}  // namespace tapegrad::inline v0
