#include "tapegrad/nn/losses.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/losses.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/select.h"

namespace tapegrad::inline v0 {
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

void require_some(const char* loss, const Shape& losses) {
  if (losses.size() == 0) fail(loss, "there is nothing to average in losses of shape {}", losses);
}

Tensor reduce(const char* loss, const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::PerElement) return losses;
  if (reduction == Reduction::Sum) return sum(losses);
  require_some(loss, losses.shape());
  return mean(losses);
}

// A loss that was computed together with its derivatives by the prediction, if the prediction is tracked.
struct Fused {
  Tensor loss;
  std::optional<Saved> slopes = {};
  double scale = 1;  // of the single losses in the loss
};

// Single losses of this shape, reduced. kernel(first, count, losses, slopes or nullptr, scale) computes some
// of them; they are reduced in pieces that depend on the sizes only, while they are in the cache.
template <class Kernel>
Fused fuse(const char* loss, const Tensor& x, const Shape& shape, Reduction reduction, Kernel kernel) {
  if (reduction == Reduction::Mean) require_some(loss, shape);
  const bool reduced = reduction != Reduction::PerElement;
  const index_t count = shape.size(), each = count == 0 ? 0 : x.size() / count;  // elements of x to a loss
  Fused fused{.loss = TensorAccess::empty(reduced ? Shape{} : shape, x.dtype()),
              .scale = reduction == Reduction::Mean ? 1 / static_cast<double>(count) : 1};
  Tensor slopes;
  if (detail::resolve(x).node != nullptr) slopes = TensorAccess::empty(x.shape(), x.dtype());
  constexpr index_t kElements = 4096;
  const index_t size = std::max<index_t>(1, kElements / std::max<index_t>(1, each));
  const index_t pieces = (count + size - 1) / size;
  std::vector<double> sums(reduced ? static_cast<std::size_t>(pieces) : 0);
  const auto run = [&]<class T>(std::type_identity<T>) {
    T* all = fused.loss.mutable_data<T>();
    T* derivatives = slopes.defined() ? slopes.mutable_data<T>() : nullptr;
    parallel_for(pieces, 4, [&](index_t begin, index_t end) {
      T own[kElements];
      for (index_t piece = begin; piece < end; ++piece) {
        const index_t first = piece * size, here = std::min(size, count - first);
        T* losses = reduced ? own : all + first;
        kernel(first, here, losses, derivatives == nullptr ? nullptr : derivatives + first * each,
               static_cast<T>(fused.scale));
        if (reduced)
          kernels::reduce(kernels::joiner<kernels::Sum>(x.dtype()), 1, here, 1, losses,
                          &sums[static_cast<std::size_t>(piece)]);
      }
    });
    if (!reduced) return;
    double total = 0;
    kernels::reduce(kernels::joiner<kernels::Sum>(DType::Float64), 1, pieces, 1, sums.data(), &total);
    *all = static_cast<T>(total * fused.scale);
  };
  x.dtype() == DType::Float32 ? run(std::type_identity<float>{}) : run(std::type_identity<double>{});
  if (slopes.defined()) fused.slopes.emplace(slopes);
  return fused;
}

// The rule for the prediction. The derivatives are at hand; where they shall be differentiated again,
// as_ops() makes them from differentiable ops.
template <class F>
auto rule_of(const Fused& fused, F as_ops) {
  return [slopes = fused.slopes, as_ops = std::move(as_ops)](const Tensor& g) {
    const Tensor by_prediction = is_recording() ? as_ops() : (*slopes)();
    if (g.rank() > 0 && g.rank() < by_prediction.rank()) return expand_dims(g, -1) * by_prediction;
    return is_recording() || g.rank() > 0 ? g * by_prediction : g.item() * by_prediction;
  };
}

// Throws unless there is a label for every row of logits, one of its classes.
void require_labels(const Tensor& labels, const Tensor& logits) {
  const Shape& shape = labels.shape();
  if (shape.rank() + 1 != logits.rank() || !std::equal(shape.begin(), shape.end(), logits.shape().begin()))
    fail("cross_entropy", "the labels have shape {} but the logits {}: it must be that without the last axis",
         shape, logits.shape());
  const index_t classes = logits.shape()[-1];
  const auto values = labels.values<std::int32_t>();
  const auto wrong = std::ranges::find_if(values, [&](auto label) { return label < 0 || label >= classes; });
  if (wrong == values.end()) return;
  std::vector<index_t> position(static_cast<std::size_t>(shape.rank()));
  auto left = static_cast<index_t>(wrong - values.begin());
  for (int axis = shape.rank(); axis-- > 0; left /= shape[axis])
    position[static_cast<std::size_t>(axis)] = left % shape[axis];
  fail("cross_entropy", "the label at [{}] is {}, which is none of the {} classes of logits of shape {}",
       join(position, ", "), *wrong, classes, logits.shape());
}

// cross_entropy() of labels.
Tensor of_labels(const Tensor& logits, const Tensor& labels, double spread, Reduction reduction) {
  require_labels(labels, logits);
  const index_t classes = logits.shape()[-1];
  const Fused fused = fuse("cross_entropy", logits, labels.shape(), reduction,
                           [&]<class T>(index_t first, index_t count, T* losses, T* slopes, T scale) {
                             kernels::cross_entropy(count, classes, logits.data<T>() + first * classes,
                                                    labels.data<std::int32_t>() + first,
                                                    static_cast<T>(spread), losses, slopes, scale);
                           });
  const auto slopes = [=, scale = fused.scale, x = Saved(logits), l = Saved(labels)] {
    const Tensor target =
        (1 - spread) * one_hot(l(), classes, x().dtype()) + spread / static_cast<double>(classes);
    return scale * (softmax(x()) - target);
  };
  return record("cross_entropy", fused.loss, {{logits, rule_of(fused, slopes)}});
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  require_alike("mse_loss", prediction, target);
  const Fused fused = fuse("mse_loss", prediction, prediction.shape(), options.reduction,
                           [&]<class T>(index_t first, index_t count, T* losses, T* slopes, T scale) {
                             kernels::squared_error(count, prediction.data<T>() + first,
                                                    target.data<T>() + first, losses, slopes, scale);
                           });
  const auto slopes = [scale = fused.scale, x = Saved(prediction), t = Saved(target)] {
    return 2 * scale * (x() - t());
  };
  return record("mse_loss", fused.loss,
                {{prediction, rule_of(fused, slopes)},
                 {target, [slopes](const Tensor& g) { return -(g * slopes()); }}});
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
  const Fused fused = fuse("binary_cross_entropy_with_logits", logits, logits.shape(), options.reduction,
                           [&]<class T>(index_t first, index_t count, T* losses, T* slopes, T scale) {
                             kernels::logistic_loss(count, logits.data<T>() + first, target.data<T>() + first,
                                                    losses, slopes, scale);
                           });
  const auto slopes = [scale = fused.scale, x = Saved(logits), t = Saved(target)] {
    return scale * ((1.0 - t()) * sigmoid(x()) - t() * sigmoid(-x()));
  };
  return record(
      "binary_cross_entropy_with_logits", fused.loss,
      {{logits, rule_of(fused, slopes)},
       {target, [scale = fused.scale, x = Saved(logits)](const Tensor& g) { return g * (-scale * x()); }}});
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  require_classes("cross_entropy", logits);
  const double spread = options.label_smoothing;
  if (!(spread >= 0 && spread <= 1))
    fail("cross_entropy", "label_smoothing is {} but must be in [0, 1]", spread);
  if (target.dtype() == DType::Int32) return of_labels(logits, target, spread, options.reduction);
  require_alike("cross_entropy", logits, target);
  const Tensor logs = log_softmax(logits);
  Tensor losses = -sum(target * logs, {-1});
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

Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, const SmoothL1Options& options) {
  if (!(options.beta > 0 && std::isfinite(options.beta)))
    fail("smooth_l1_loss", "beta must be positive and finite, got {}", options.beta);
  require_alike("smooth_l1_loss", prediction, target);
  return huber_loss(prediction, target, {.delta = options.beta, .reduction = options.reduction}) /
         options.beta;
}

double accuracy(const Tensor& scores, const Tensor& labels) {
  if (scores.rank() == 0 || labels.shape() != detail::with_sizes(scores.shape(), scores.rank() - 1, 1, {}))
    fail("accuracy", "the labels must have the shape of the scores without the last axis, got {} for {}",
         labels.shape(), scores.shape());
  if (is_floating(labels.dtype()))
    fail("accuracy", "the labels must be Int32 or UInt8, got {}: convert with cast()", labels.dtype());
  if (labels.size() == 0) fail("accuracy", "there must be at least one label, got shape {}", labels.shape());
  const Tensor is_right = equals(argmax(scores, -1), cast(labels, DType::Int32));
  const auto right = count_nonzero(is_right).item();
  return right / static_cast<double>(labels.size());
}

}  // namespace tapegrad::inline v0
