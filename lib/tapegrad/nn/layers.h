#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <vector>

#include "tapegrad/nn/module.h"
#include "tapegrad/ops/conv2d.h"

namespace tapegrad {

class Generator;

/// What a layer does to its result: relu, sigmoid, tanh, any function of a tensor; none by default.
using Activation = Tensor (*)(const Tensor&);

struct DenseOptions {
  index_t in_features = 0;
  index_t units = 0;
  Activation activation = nullptr;
  bool use_bias = true;
};
/// y = activation(x kernel + bias): [n, in_features] -> [n, units]. Glorot uniform kernel, zero bias.
class Dense : public Module {
 public:
  Dense(const DenseOptions& options, Generator& generator);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel, bias;  // [in_features, units], [units]

 private:
  DenseOptions options_;
};

/// The arguments of Keras' layer. The number of input channels is one of them, so that parameters exist from
/// the start.
struct Conv2DLayerOptions {
  index_t in_channels = 0;
  index_t filters = 0;
  Size2D kernel_size = 1;
  Size2D strides = 1;
  Padding padding = Padding::Valid;
  Size2D dilation_rate = 1;
  index_t groups = 1;
  Activation activation = nullptr;
  bool use_bias = true;
};
/// activation(conv2d(x, kernel) + bias). Glorot uniform kernel, zero bias.
class Conv2D : public Module {
 public:
  Conv2D(const Conv2DLayerOptions& options, Generator& generator);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel, bias;  // [kh, kw, in_channels / groups, filters], [filters]

 private:
  Conv2DLayerOptions options_;
};

struct Conv2DTransposeLayerOptions {
  index_t in_channels = 0;
  index_t filters = 0;
  Size2D kernel_size = 1;
  Size2D strides = 1;
  Padding padding = Padding::Valid;
  std::optional<Size2D> output_padding = std::nullopt;
  Size2D dilation_rate = 1;
  index_t groups = 1;
  Activation activation = nullptr;
  bool use_bias = true;
};
/// activation(conv2d_transpose(x, kernel) + bias). Glorot uniform kernel, zero bias.
class Conv2DTranspose : public Module {
 public:
  Conv2DTranspose(const Conv2DTransposeLayerOptions& options, Generator& generator);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel, bias;  // [kh, kw, filters / groups, in_channels], [filters]

 private:
  Conv2DTransposeLayerOptions options_;
};

struct DepthwiseConv2DOptions {
  index_t in_channels = 0;
  Size2D kernel_size = 1;
  Size2D strides = 1;
  Padding padding = Padding::Valid;
  index_t depth_multiplier = 1;
  Size2D dilation_rate = 1;
  Activation activation = nullptr;
  bool use_bias = true;
};
/// Every input channel is convolved with depth_multiplier filters of its own; result channel c *
/// depth_multiplier + m is input channel c with its filter m. Glorot uniform kernel, zero bias.
class DepthwiseConv2D : public Module {
 public:
  DepthwiseConv2D(const DepthwiseConv2DOptions& options, Generator& generator);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel, bias;  // [kh, kw, in_channels, depth_multiplier], [in_channels * depth_multiplier]

 private:
  DepthwiseConv2DOptions options_;
};

/// [n, ...] -> [n, product of the rest].
class Flatten : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};

/// [n, ...] -> [n, shape...]; one size may be -1.
class Reshape : public Module {
 public:
  explicit Reshape(std::vector<index_t> shape) : shape_(std::move(shape)) {}
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<index_t> shape_;
};

/// Modules one after the other; their names are "0", "1", ...
class Sequential : public Module {
 public:
  Sequential() = default;
  template <class First, class... Rest>
  requires std::derived_from<First, Module> &&(std::derived_from<Rest, Module>&&...) &&
      (sizeof...(Rest) > 0 || !std::same_as<First, Sequential>)explicit Sequential(First first,
                                                                                   Rest... rest) {
    add(std::move(first));
    (add(std::move(rest)), ...);
  }
  Sequential(Sequential&&) = default;
  Sequential& operator=(Sequential&&) = default;

  template <std::derived_from<Module> M>
  Sequential& add(M module) {
    modules_.push_back(std::make_unique<M>(std::move(module)));
    return *this;
  }

  std::size_t size() const { return modules_.size(); }
  /// Throws when there is no such module.
  Module& operator[](std::size_t index);

  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

 private:
  std::vector<std::unique_ptr<Module>> modules_;
};

}  // namespace tapegrad
