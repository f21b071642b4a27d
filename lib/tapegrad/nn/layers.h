#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tapegrad/nn/initializers.h"
#include "tapegrad/nn/module.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

/// What a layer does to its result: relu, sigmoid, tanh, any function of a tensor; none by default.
using Activation = Tensor (*)(const Tensor&);

struct DenseOptions {
  index_t in_features = 0;
  index_t units = 0;
  Activation activation = nullptr;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
};
/// y = activation(x kernel + bias): [n, in_features] -> [n, units]. Biases begin with 0.
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
  Initializer kernel_initializer = glorot_uniform;
};
/// activation(conv2d(x, kernel) + bias). Biases begin with 0.
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
  Initializer kernel_initializer = glorot_uniform;
};
/// activation(conv2d_transpose(x, kernel) + bias). Biases begin with 0.
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
  Initializer kernel_initializer = glorot_uniform;
};
/// Every input channel is convolved with depth_multiplier filters of its own; result channel c *
/// depth_multiplier + m is input channel c with its filter m. Biases begin with 0.
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

struct EmbeddingOptions {
  index_t input_dim = 0;
  index_t output_dim = 0;
  Initializer embeddings_initializer = uniform_initializer(0.05);
};
/// A vector for each of input_dim numbers: [...], Int32, each in 0..input_dim - 1 -> [..., output_dim].
class Embedding : public Module {
 public:
  Embedding(const EmbeddingOptions& options, Generator& generator);
  Tensor forward(const Tensor& indices) override;
  void visit(Visitor& visitor) override;

  Tensor embeddings;  // [input_dim, output_dim]
};

/// While it is trained, sets each element to 0 with probability `rate` and divides the others by 1 - rate;
/// otherwise it does nothing. Every sample it is given draws a mask of its own, numbered on from call to
/// call, so it does not matter how a batch is split.
class Dropout : public Module {
 public:
  /// Takes a seed from the generator. Throws unless 0 <= rate < 1.
  Dropout(double rate, Generator& generator);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  /// [4], Int32: seed and number of samples so far, the low word first. Saved with the model, so that
  /// training continues with the same masks.
  Tensor generator_state;

 private:
  double rate_;
};

/// Modules one after the other; their names are "0", "1", ... To make one use braces, Sequential
/// model{Flatten(), ReLU()}: in parentheses C++ takes this for the declaration of a function, and may make
/// the layers, and so draw their weights, in any order.
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
  /// For clone() only.
  Sequential(const Sequential& other);

  template <std::derived_from<Module> M>
  Sequential& add(M module) {
    items_.push_back({std::make_unique<M>(std::move(module)), copier<M>()});
    return *this;
  }

  std::size_t size() const { return items_.size(); }
  /// Throws when there is no such module.
  Module& operator[](std::size_t index);

  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

 private:
  using Copier = std::unique_ptr<Module> (*)(const Module& module);
  struct Item {
    std::unique_ptr<Module> module;
    Copier copy;  // nullptr for a class with members that cannot be copied
  };
  template <class M>
  static Copier copier() {
    if constexpr (std::copy_constructible<M>)
      return [](const Module& module) -> std::unique_ptr<Module> {
        return std::make_unique<M>(static_cast<const M&>(module));
      };
    else
      return nullptr;
  }

  std::vector<Item> items_;
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
