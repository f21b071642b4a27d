#include "tapegrad/nn/normalization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tapegrad/autograd/services.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/nn/layer_internal.h"
#include "tapegrad/ops/normalize.h"

namespace tapegrad::inline v0 {
namespace {

using detail::as_layer;
using detail::require_positive;

Tensor parameter_if(const char* layer, bool wanted, const Shape& shape, double value) {
  return wanted ? as_layer(layer, [&] { return parameter(full(shape, value)); }) : Tensor();
}

// A factor of 1, or a sum of 0, where the layer has none.
Tensor or_constant(const Tensor& own, const Shape& shape, double value, const Tensor& x) {
  return own.defined() ? own : full(shape, value, x.dtype());
}

// moving = momentum moving + (1 - momentum) batch, in place. A variance beyond the dtype's range counts as the largest
// number in it: one that is infinite once would stay so.
void move(Tensor& moving, const Tensor& batch, double momentum, double factor = 1) {
  const auto run = [&]<class T>(std::type_identity<T>) {
    const T keep = static_cast<T>(momentum), fresh = static_cast<T>((1 - momentum) * factor);
    T* out = moving.mutable_data<T>();
    kernels::map(
        moving.size(), out,
        [=](T m, T b) { return keep * m + fresh * std::min(b, std::numeric_limits<T>::max()); },
        static_cast<const T*>(out), batch.data<T>());
  };
  dispatch_floating(moving.dtype(), run);
}

}  // namespace

BatchNorm::BatchNorm(const BatchNormOptions& options) : options_(options) {
  require_positive("BatchNorm", "channels", options.channels);
  detail::require_not_negative("BatchNorm", "epsilon", options.epsilon);
  if (!(options.momentum >= 0 && options.momentum <= 1))
    fail("BatchNorm", "momentum must be in [0, 1], got {}", options.momentum);
  const Shape shape = detail::shape_for("BatchNorm", {options.channels});
  gamma = parameter_if("BatchNorm", options.scale, shape, 1);
  beta = parameter_if("BatchNorm", options.center, shape, 0);
  moving_mean = as_layer("BatchNorm", [&] { return zeros(shape); });
  moving_variance = as_layer("BatchNorm", [&] { return ones(shape); });
}

Tensor BatchNorm::forward(const Tensor& x) {
  const Shape shape = {options_.channels};
  const Tensor scale = or_constant(gamma, shape, 1, x), shift = or_constant(beta, shape, 0, x);
  if (!training())
    return as_layer("BatchNorm", [&] {
      return batch_norm(x, scale, shift, moving_mean, moving_variance, options_.epsilon);
    });
  if (x.dtype() != moving_mean.dtype())
    fail("BatchNorm", "the input is {} {} but the layer {}: convert one with cast() or to()", x.dtype(),
         x.shape(), moving_mean.dtype());
  BatchNormResult result;
  const Tensor y = as_layer("BatchNorm", [&] {
    result = batch_norm(x, scale, shift, options_.epsilon);
    return result.y;
  });
  double correction = 1;
  if (options_.moving_variance == MovingVariance::Unbiased) {
    if (result.count < 2)
      fail(
          "BatchNorm",
          "the input must have at least two elements for each channel, as the variance is unbiased, got shape {}",
          x.shape());
    correction = static_cast<double>(result.count) / static_cast<double>(result.count - 1);
  }
  if (!is_replaying()) {
    move(moving_mean, result.mean, options_.momentum);
    move(moving_variance, result.variance, options_.momentum, correction);
  }
  return y;
}

void BatchNorm::visit(Visitor& visitor) {
  visitor("gamma", gamma);
  visitor("beta", beta);
  visitor("moving_mean", moving_mean);
  visitor("moving_variance", moving_variance);
}

LayerNorm::LayerNorm(const LayerNormOptions& options) : options_(options) {
  if (options.shape.rank() == 0) fail("LayerNorm", "shape must have at least one axis, got []");
  for (const index_t size : options.shape) require_positive("LayerNorm", "a size of shape", size);
  detail::require_not_negative("LayerNorm", "epsilon", options.epsilon);
  gamma = parameter_if("LayerNorm", options.scale, options.shape, 1);
  beta = parameter_if("LayerNorm", options.center, options.shape, 0);
}

Tensor LayerNorm::forward(const Tensor& x) {
  return as_layer("LayerNorm", [&] {
    return layer_norm(x, or_constant(gamma, options_.shape, 1, x), or_constant(beta, options_.shape, 0, x),
                      options_.epsilon);
  });
}

void LayerNorm::visit(Visitor& visitor) {
  visitor("gamma", gamma);
  visitor("beta", beta);
}

GroupNorm::GroupNorm(const GroupNormOptions& options) : options_(options) {
  require_positive("GroupNorm", "groups", options.groups);
  require_positive("GroupNorm", "channels", options.channels);
  detail::require_not_negative("GroupNorm", "epsilon", options.epsilon);
  if (options.channels % options.groups != 0)
    fail("GroupNorm", "channels must be a multiple of groups ({}), got {}", options.groups, options.channels);
  const Shape shape = detail::shape_for("GroupNorm", {options.channels});
  gamma = parameter_if("GroupNorm", options.scale, shape, 1);
  beta = parameter_if("GroupNorm", options.center, shape, 0);
}

Tensor GroupNorm::forward(const Tensor& x) {
  const Shape shape = {options_.channels};
  return as_layer("GroupNorm", [&] {
    return group_norm(x, options_.groups, or_constant(gamma, shape, 1, x), or_constant(beta, shape, 0, x),
                      options_.epsilon);
  });
}

void GroupNorm::visit(Visitor& visitor) {
  visitor("gamma", gamma);
  visitor("beta", beta);
}

}  // namespace tapegrad::inline v0
