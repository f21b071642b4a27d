#pragma once

// Layers with weights (Dense, Conv2D, Conv2DTranspose, DepthwiseConv2D, Embedding), Dropout, layers that change the
// shape (Flatten, Reshape), and Sequential, which calls layers one after the other.

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tapegrad/nn/activations.h"
#include "tapegrad/nn/draws.h"
#include "tapegrad/nn/initializers.h"
#include "tapegrad/nn/module.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Generator;

// A layer takes its options by name, and a generator that draws its initial weights. Errors of a layer name its class:
// "[Dense] ...". Options without a sensible default must be given.

struct DenseOptions {
  index_t in_features = 0;                                ///< size of the input's last axis; must be given
  index_t units = 0;                                      ///< size of the result's last axis; must be given
  Activation activation = nullptr;                        ///< applied to the result
  bool use_bias = true;                                   ///< add a bias
  Initializer kernel_initializer = glorot_uniform;        ///< draws the first kernel
  Initializer bias_initializer = constant_initializer();  ///< the first bias, [units]: 0
};
/// y = activation(x kernel + bias), along the last axis: [..., in_features] -> [..., units].
class Dense : public Module {
 public:
  Dense(const DenseOptions& options, Generator& generator);
  Dense(const Dense& other, Cloning) : kernel(other.kernel), bias(other.bias), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel;  ///< [in_features, units]
  Tensor bias;    ///< [units]; not defined without use_bias

 private:
  DenseOptions options_;
};

/// The options of Conv2D: those of conv2d() and of Keras' layer, and the number of input channels, so that parameters
/// exist from the start.
struct Conv2DLayerOptions {
  index_t in_channels = 0;                                ///< must be given
  index_t filters = 0;                                    ///< channels of the result; must be given
  Size2D kernel_size = 0;                                 ///< height and width of the filters; must be given
  Size2D strides = 1;                                     ///< pixels from one window to the next
  Padding padding = Padding::Valid;                       ///< zeros around the image
  Size2D dilations = 1;                                   ///< pixels from one tap of a filter to the next
  index_t groups = 1;                                     ///< parts of the channels, each convolved by itself
  Activation activation = nullptr;                        ///< applied to the result
  bool use_bias = true;                                   ///< add a bias
  Initializer kernel_initializer = glorot_uniform;        ///< draws the first kernel
  Initializer bias_initializer = constant_initializer();  ///< the first bias, [filters]: 0
};
/// activation(conv2d(x, kernel) + bias).
class Conv2D : public Module {
 public:
  Conv2D(const Conv2DLayerOptions& options, Generator& generator);
  Conv2D(const Conv2D& other, Cloning) : kernel(other.kernel), bias(other.bias), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel;  ///< [kh, kw, in_channels / groups, filters]
  Tensor bias;    ///< [filters]; not defined without use_bias

 private:
  Conv2DLayerOptions options_;
};

/// The options of Conv2DTranspose: those of conv2d_transpose() and of Keras' layer, and the number of input channels.
struct Conv2DTransposeLayerOptions {
  index_t in_channels = 0;           ///< must be given
  index_t filters = 0;               ///< channels of the result; must be given
  Size2D kernel_size = 0;            ///< height and width of the filters; must be given
  Size2D strides = 1;                ///< how far apart neighbouring pixels' stamps of the filter are
  Padding padding = Padding::Valid;  ///< of the convolution that this is the transpose of
  /// The result's [height, width], where several lead back to the input's (see conv2d_transpose).
  std::optional<std::vector<index_t>> output_shape = std::nullopt;
  /// Pixels added to the smallest size, 0 to strides - 1. Not with output_shape.
  std::optional<Size2D> output_padding = std::nullopt;
  Size2D dilations = 1;                                   ///< pixels from one tap of a filter to the next
  index_t groups = 1;                                     ///< parts of the channels, each convolved by itself
  Activation activation = nullptr;                        ///< applied to the result
  bool use_bias = true;                                   ///< add a bias
  Initializer kernel_initializer = glorot_uniform;        ///< draws the first kernel
  Initializer bias_initializer = constant_initializer();  ///< the first bias, [filters]: 0
};
/// activation(conv2d_transpose(x, kernel) + bias).
class Conv2DTranspose : public Module {
 public:
  Conv2DTranspose(const Conv2DTransposeLayerOptions& options, Generator& generator);
  Conv2DTranspose(const Conv2DTranspose& other, Cloning)
      : kernel(other.kernel), bias(other.bias), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel;  ///< [kh, kw, filters / groups, in_channels]
  Tensor bias;    ///< [filters]; not defined without use_bias

 private:
  Conv2DTransposeLayerOptions options_;
};

struct DepthwiseConv2DOptions {
  index_t in_channels = 0;                                ///< must be given
  Size2D kernel_size = 0;                                 ///< height and width of the filters; must be given
  Size2D strides = 1;                                     ///< pixels from one window to the next
  Padding padding = Padding::Valid;                       ///< zeros around the image
  index_t depth_multiplier = 1;                           ///< filters for each channel
  Size2D dilations = 1;                                   ///< pixels from one tap of a filter to the next
  Activation activation = nullptr;                        ///< applied to the result
  bool use_bias = true;                                   ///< add a bias
  Initializer kernel_initializer = glorot_uniform;        ///< draws the first kernel
  Initializer bias_initializer = constant_initializer();  ///< the first bias: 0
};
/// Every input channel is convolved with depth_multiplier filters of its own; result channel c *
/// depth_multiplier + m is input channel c with its filter m.
class DepthwiseConv2D : public Module {
 public:
  DepthwiseConv2D(const DepthwiseConv2DOptions& options, Generator& generator);
  DepthwiseConv2D(const DepthwiseConv2D& other, Cloning)
      : kernel(other.kernel), bias(other.bias), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor kernel;  ///< [kh, kw, in_channels, depth_multiplier]
  Tensor bias;    ///< [in_channels * depth_multiplier]; not defined without use_bias

 private:
  DepthwiseConv2DOptions options_;
};

/// [n, ...] -> [n, product of the rest].
class Flatten : public Module {
 public:
  Flatten() = default;
  Flatten(const Flatten&, Cloning) {}
  Tensor forward(const Tensor& x) override;
};

/// [n, ...] -> [n, shape...]; one size may be -1.
class Reshape : public Module {
 public:
  /// Throws for a size below -1, several of -1, and more sizes than a shape has room for.
  explicit Reshape(std::vector<index_t> shape);
  Reshape(const Reshape& other, Cloning) : shape_(other.shape_) {}
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<index_t> shape_;
};

struct EmbeddingOptions {
  index_t input_dim = 0;   ///< how many vectors there are; must be given
  index_t output_dim = 0;  ///< their size; must be given
  Initializer embeddings_initializer = uniform_initializer(0.05);  ///< draws the first vectors
};
/// A table with a vector of size output_dim for each number 0 to input_dim - 1. Maps Int32 indices [...] to their
/// vectors [..., output_dim].
class Embedding : public Module {
 public:
  Embedding(const EmbeddingOptions& options, Generator& generator);
  Embedding(const Embedding& other, Cloning) : embeddings(other.embeddings) {}
  Tensor forward(const Tensor& indices) override;
  void visit(Visitor& visitor) override;

  Tensor embeddings;  ///< [input_dim, output_dim]
};

/// In training mode, sets each element to 0 with probability `rate` and divides the other elements by 1 - rate; in eval
/// mode, returns its input. The layer numbers its samples from call to call, and each sample has a mask of its own that
/// depends on its number only, so that results do not depend on how a batch is split.
class Dropout : public Module {
 public:
  /// Takes a seed from the generator. Throws unless 0 <= rate < 1.
  Dropout(double rate, Generator& generator);
  Dropout(const Dropout& other, Cloning) : generator_state(other.generator_state), rate_(other.rate_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  /// Buffer [4], Int32: the seed and the number of samples so far, each as two words, low word first. Part of the
  /// model's state, so that a training run that is resumed draws the same masks.
  Tensor generator_state;

 private:
  double rate_;
};

/// Calls modules one after the other; their names are "0", "1", ... Initial weights are drawn in the order of the list,
/// also in Sequential net(Conv2D({...}, g), Dense({...}, g)), where C++ lets a compiler construct the arguments in any
/// order (a Module of your own gets this by drawing with draw_parameter()). Prefer braces, Sequential net{...}: C++
/// takes Sequential net(Flatten(), ReLU()) for the declaration of a function.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <std::derived_from<Module> First, std::derived_from<Module>... Rest>
  explicit Sequential(First first, Rest... rest) {
    detail::draw_in_order({&first, &rest...}, *this);
    add(std::move(first));
    (add(std::move(rest)), ...);
  }
  Sequential(Sequential&&) = default;
  Sequential& operator=(Sequential&&) = default;
  /// Throws when the class of one of the modules has no such constructor.
  Sequential(const Sequential& other, Cloning cloning);

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
  using Copier = std::unique_ptr<Module> (*)(const Module& module, Cloning cloning);
  struct Item {
    std::unique_ptr<Module> module;
    Copier copy;  // nullptr for a class that has no constructor for it
  };
  template <class M>
  static Copier copier() {
    if constexpr (std::constructible_from<M, const M&, Cloning>)
      return [](const Module& module, Cloning cloning) -> std::unique_ptr<Module> {
        return std::make_unique<M>(static_cast<const M&>(module), cloning);
      };
    else
      return nullptr;
  }

  std::vector<Item> items_;
};

}  // namespace v0
}  // namespace tapegrad
