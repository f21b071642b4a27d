#include "tapegrad/mpi/sync_batch_norm.h"

#include <algorithm>
#include <limits>

#include "tapegrad/autograd/services.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

constexpr const char* kLayer = "SyncBatchNorm";

// As BatchNorm's: moving = momentum moving + (1 - momentum) batch. A variance beyond the dtype's range counts as its
// largest number.
void move(Tensor& moving, const Tensor& batch, double momentum, double factor) {
  const auto run = [&]<class T>(std::type_identity<T>) {
    const T keep = static_cast<T>(momentum), fresh = static_cast<T>((1 - momentum) * factor);
    const auto from = batch.values<T>();
    auto to = moving.mutable_values<T>();
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = keep * to[i] + fresh * std::min(from[i], std::numeric_limits<T>::max());
  };
  dispatch_floating(moving.dtype(), run);
}

}  // namespace

SyncBatchNorm::SyncBatchNorm(Communicator& world, const BatchNormOptions& options)
    : options_(options), world_(&world) {
  const BatchNorm like(options);  // which checks the options
  gamma = like.gamma;
  beta = like.beta;
  moving_mean = like.moving_mean;
  moving_variance = like.moving_variance;
}

Tensor SyncBatchNorm::forward(const Tensor& x) {
  const Shape shape = {options_.channels};
  if (!x.defined() || x.rank() < 2 || x.shape()[-1] != options_.channels)
    fail(kLayer, "the input must have the shape [n, ..., {}], got {}", options_.channels,
         x.defined() ? fmt::format("{}", x.shape()) : "a Tensor that was never given a value");
  if (x.dtype() != moving_mean.dtype())
    fail(kLayer, "the input is {} {} but the layer {}: convert one with cast() or to()", x.dtype(), x.shape(),
         moving_mean.dtype());
  const Tensor scale = gamma.defined() ? gamma : ones(shape, x.dtype());
  const Tensor shift = beta.defined() ? beta : zeros(shape, x.dtype());
  if (!training()) return batch_norm(x, scale, shift, moving_mean, moving_variance, options_.epsilon);
  require_whole_batch(kLayer);
  if (is_replaying()) fail(kLayer, "must not be called inside checkpoint(): its second run has no partner");
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank() - 1; ++axis) axes.push_back(axis);
  const Tensor own = full({1}, static_cast<double>(x.size() / options_.channels), DType::Float64);
  const double count = sum_over(*world_, own).item();
  if (count < 1) fail(kLayer, "the processes must have at least one sample together");
  if (options_.moving_variance == MovingVariance::Unbiased && count < 2)
    fail(kLayer, "the input must have at least two elements for each channel, as the variance is unbiased");
  const Tensor mean = sum_over(*world_, sum(x, axes)) / count;
  const Tensor centred = x - mean;
  const Tensor variance = sum_over(*world_, sum(square(centred), axes)) / count;
  const Tensor y = centred * (scale * rsqrt(variance + options_.epsilon)) + shift;
  const NoGrad no_grad;
  move(moving_mean, stop_gradient(mean), options_.momentum, 1);
  move(moving_variance, stop_gradient(variance), options_.momentum,
       options_.moving_variance == MovingVariance::Unbiased ? count / (count - 1) : 1);
  return y;
}

void SyncBatchNorm::visit(Visitor& visitor) {
  visitor("gamma", gamma);
  visitor("beta", beta);
  visitor("moving_mean", moving_mean);
  visitor("moving_variance", moving_variance);
}

}  // namespace tapegrad::inline v0
