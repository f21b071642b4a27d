#include "tapegrad/nn/losses.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

// Logarithms of probabilities are taken of this at least.
constexpr double kLeast = 1e-37;

void require_floating(const char* loss, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(loss, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

// Broadcasting here is nearly always a mistake: [n, 1] against [n] would compare everything with everything.
void require_alike(const char* loss, const Tensor& prediction, const Tensor& target) {
  require_floating(loss, prediction);
  if (prediction.shape() != target.shape())
    fail(loss, "the prediction has shape {} but the target {}", prediction.shape(), target.shape());
  if (prediction.dtype() != target.dtype())
    fail(loss, "the prediction is {} {} but the target {}: convert one with cast()", prediction.dtype(),
         prediction.shape(), target.dtype());
}

void require_classes(const char* loss, const Tensor& x) {
  require_floating(loss, x);
  if (x.rank() == 0 || x.shape()[-1] == 0) fail(loss, "shape {} has no classes in its last axis", x.shape());
}

Tensor reduce(const char* loss, const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::None) return losses;
  if (reduction == Reduction::Sum) return sum(losses);
  if (losses.size() == 0) fail(loss, "there is nothing to average in losses of shape {}", losses.shape());
  return mean(losses);
}

// Where in the logits' memory the one of each label is. Throws unless there is a label for every row, one of
// its classes.
Tensor places_of(const Tensor& labels, const Tensor& logits) {
  const Shape& shape = labels.shape();
  if (shape.rank() + 1 != logits.rank() || !std::equal(shape.begin(), shape.end(), logits.shape().begin()))
    fail("cross_entropy", "the labels have shape {} but the logits {}: it must be that without the last axis",
         shape, logits.shape());
  if (logits.size() > std::numeric_limits<std::int32_t>::max())
    fail("cross_entropy", "logits of shape {} have more elements than Int32 can number: use smaller batches",
         logits.shape());
  const auto classes = static_cast<std::int32_t>(logits.shape()[-1]);
  Tensor places = TensorAccess::empty(shape, DType::Int32);
  const auto from = labels.values<std::int32_t>();
  const auto to = places.mutable_values<std::int32_t>();
  std::int32_t row = 0;
  for (std::size_t i = 0; i < from.size(); ++i, row += classes) {
    if (from[i] >= 0 && from[i] < classes) {
      to[i] = row + from[i];
      continue;
    }
    std::vector<index_t> position(static_cast<std::size_t>(shape.rank()));
    auto left = static_cast<index_t>(i);
    for (int axis = shape.rank(); axis-- > 0; left /= shape[axis])
      position[static_cast<std::size_t>(axis)] = left % shape[axis];
    fail("cross_entropy", "the label at [{}] is {}, which is none of the {} classes of logits of shape {}",
         fmt::join(position, ", "), from[i], classes, logits.shape());
  }
  return places;
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  require_alike("mse_loss", prediction, target);
  return reduce("mse_loss", square(prediction - target), options.reduction);
}

Tensor mae_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  require_alike("mae_loss", prediction, target);
  return reduce("mae_loss", abs(prediction - target), options.reduction);
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, const HuberOptions& options) {
  require_alike("huber_loss", prediction, target);
  if (!(options.delta > 0)) fail("huber_loss", "delta is {} but must be positive", options.delta);
  const Tensor d = prediction - target;
  const Tensor cut = clamp(d, -options.delta, options.delta);
  return reduce("huber_loss", cut * (d - 0.5 * cut), options.reduction);
}

Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target, const LossOptions& options) {
  require_alike("binary_cross_entropy", probability, target);
  const Tensor yes = log(clamp(probability, kLeast, 1));
  const Tensor no = log(clamp(1.0 - probability, kLeast, 1));
  return reduce("binary_cross_entropy", -(target * yes + (1.0 - target) * no), options.reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const LossOptions& options) {
  require_alike("binary_cross_entropy_with_logits", logits, target);
  // softplus(-x) is -log sigmoid(x). Both terms are positive: nothing cancels.
  return reduce("binary_cross_entropy_with_logits",
                target * softplus(-logits) + (1.0 - target) * softplus(logits), options.reduction);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  require_classes("cross_entropy", logits);
  const double spread = options.label_smoothing;
  if (!(spread >= 0 && spread <= 1))
    fail("cross_entropy", "label_smoothing is {} but must be in [0, 1]", spread);
  const Tensor logs = log_softmax(logits);
  Tensor losses;
  if (target.dtype() == DType::Int32) {
    losses = -gather(reshape(logs, {-1}), places_of(target, logits));
  } else {
    require_alike("cross_entropy", logits, target);
    losses = -sum(target * logs, {-1});
  }
  // Left out where it is 0: a class that is ruled out by a logit of -infinity has a logarithm of its own.
  if (spread != 0) losses = (1 - spread) * losses - spread * mean(logs, {-1});
  return reduce("cross_entropy", losses, options.reduction);
}

Tensor kl_divergence(const Tensor& log_probability, const Tensor& target, const LossOptions& options) {
  require_classes("kl_divergence", log_probability);
  require_alike("kl_divergence", log_probability, target);
  const Tensor own = log(clamp(target, kLeast, std::numeric_limits<double>::infinity()));
  return reduce("kl_divergence", sum(target * (own - log_probability), {-1}), options.reduction);
}

Tensor kl_to_standard_normal(const Tensor& mean, const Tensor& log_variance, const LossOptions& options) {
  require_classes("kl_to_standard_normal", mean);
  require_alike("kl_to_standard_normal", mean, log_variance);
  const Tensor twice = square(mean) + exp(log_variance) - 1.0 - log_variance;
  return reduce("kl_to_standard_normal", 0.5 * sum(twice, {-1}), options.reduction);
}

}  // namespace tapegrad
