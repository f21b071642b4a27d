#pragma once

// Layers that normalize: BatchNorm, LayerNorm, GroupNorm. The formulas and papers are in ops/normalize.h.
// gamma begins with 1 and beta with 0; without scale there is no gamma, without center no beta. All throw for sizes
// below 1 and a negative epsilon.

#include "tapegrad/nn/module.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Which variance of a batch enters the moving variance. The batch itself is always normalized with the biased one.
enum class MovingVariance {
  Biased,    ///< divided by the number of elements, as in Keras 3
  Unbiased,  ///< divided by the number of elements minus 1, as in PyTorch and in TensorFlow's fused kernel
};

struct BatchNormOptions {
  index_t channels = 0;  ///< size of the input's last axis; must be given
  /// moving = momentum moving + (1 - momentum) batch, as in Keras: 1 minus the momentum of PyTorch.
  double momentum = 0.99;
  double epsilon = 1e-3;                                    ///< added to the variance
  bool center = true;                                       ///< whether there is a beta
  bool scale = true;                                        ///< whether there is a gamma
  MovingVariance moving_variance = MovingVariance::Biased;  ///< which variance of a batch is averaged
};
/// Normalizes each channel of x [n, ..., channels] over all other axes: in training mode with the mean and the variance
/// of the batch, which also update the moving averages; in eval mode with the moving averages.
class BatchNorm : public Module {
 public:
  /// Throws unless momentum is in [0, 1].
  explicit BatchNorm(const BatchNormOptions& options);
  BatchNorm(const BatchNorm& other, Cloning)
      : gamma(other.gamma),
        beta(other.beta),
        moving_mean(other.moving_mean),
        moving_variance(other.moving_variance),
        options_(other.options_) {}
  /// In training mode with MovingVariance::Unbiased, throws when a channel has only one element.
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor gamma, beta;                   ///< [channels]
  Tensor moving_mean, moving_variance;  ///< [channels], buffers

 private:
  BatchNormOptions options_;
};

struct LayerNormOptions {
  /// The sizes of the last axes, which are normalized together.
  Shape shape = {};
  double epsilon = 1e-3;  ///< added to the variance
  bool center = true;     ///< whether there is a beta
  bool scale = true;      ///< whether there is a gamma
};
/// Normalizes x [..., shape...] over its last axes, each sample by itself.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(const LayerNormOptions& options);
  LayerNorm(const LayerNorm& other, Cloning)
      : gamma(other.gamma), beta(other.beta), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor gamma, beta;  ///< shape

 private:
  LayerNormOptions options_;
};

struct GroupNormOptions {
  index_t groups = 32;    ///< must divide channels
  index_t channels = 0;   ///< size of the input's last axis; must be given
  double epsilon = 1e-3;  ///< added to the variance
  bool center = true;     ///< whether there is a beta
  bool scale = true;      ///< whether there is a gamma
};
/// Normalizes x [n, ..., channels] in groups of channels: each sample's group over its channels and all axes between.
class GroupNorm : public Module {
 public:
  /// Throws when channels is not a multiple of groups.
  explicit GroupNorm(const GroupNormOptions& options);
  GroupNorm(const GroupNorm& other, Cloning)
      : gamma(other.gamma), beta(other.beta), options_(other.options_) {}
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;

  Tensor gamma, beta;  ///< [channels]

 private:
  GroupNormOptions options_;
};

}  // namespace v0
}  // namespace tapegrad
