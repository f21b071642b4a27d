#include "tapegrad/nn/losses.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/kernels/grain.h"
#include "tapegrad/kernels/losses.h"
#include "tapegrad/kernels/reduce.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/rounding.h"
#include "tapegrad/ops/select.h"

namespace tapegrad::inline v0 {
namespace {

// Logarithms of probabilities are taken of this at least.
constexpr double kLeast = 1e-37;
// Their slopes, 1 / p, are taken of this at least, and so are finite.
double least_of_slopes(DType dtype) {
  return dtype == DType::Float32 ? kLeast : 1e-300;
}

// The slopes of log(1 - p) are taken of this at least: a p of 1 is what has been rounded to it. More would meet the tiny slope
// of a saturated sigmoid, and their product would be far beyond the right one, which is 1.
double least_of_rest(DType dtype) {
  return dtype == DType::Float32 ? 0x1p-24 : 0x1p-53;
}

using detail::require_floating;
using detail::weighted;

// Broadcasting here is nearly always a mistake: [n, 1] against [n] would compare everything with everything.
void require_alike(const char* loss, const Tensor& prediction, const Tensor& target,
                   const char* name = "prediction", const char* other = "target") {
  require_floating(loss, prediction);
  detail::require_defined(loss, target);
  if (prediction.shape() != target.shape())
    fail(loss, "{} and {} must have the same shape, got {} and {}: {}; nothing is broadcast here", name,
         other, prediction.shape(), target.shape(),
         prediction.size() == target.size() ? "reshape() or squeeze() one"
                                            : "one loss is computed for each pair");
  if (prediction.dtype() != target.dtype())
    fail(loss, "{} and {} must have the same dtype, got {} {} and {}: convert one with cast()", name, other,
         prediction.dtype(), prediction.shape(), target.dtype());
}

// Throws for the first element that is not in [low, high]. NaN is, so that it reaches the loss.
void require_in(const char* loss, const char* name, const Tensor& x, double low, double high,
                const char* way_out) {
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto values = x.values<T>();
    const T least = static_cast<T>(low), most = static_cast<T>(high);
    bool wrong = false;
    for (const T v : values) wrong |= (v < least) | (v > most);
    if (!wrong) return;
    const auto at = std::ranges::find_if(values, [=](T v) { return v < least || v > most; });
    fail(loss, "{} must be in [{}, {}], got {} at [{}] (shape {}){}", name, low, high, *at,
         join(x.shape().position(at - values.begin()), ", "), x.shape(), way_out);
  });
}

void require_target(const char* loss, const Tensor& target) {
  require_in(loss, "the target", target, 0, 1, "");
}

// max(p, least), whose derivative is 1 everywhere: a divisor that does not stop gradients.
Tensor at_least(const Tensor& p, double least) {
  const auto f = [least](auto v) {
    return v < static_cast<decltype(v)>(least) ? static_cast<decltype(v)>(least) : v;
  };
  return record("maximum", detail::transform_floating("maximum", p, f),
                {{p, [](const Tensor& g) { return g; }}});
}

// log(max(p, least)), with the slope 1 / p of the logarithm: a probability of 0 is pulled back, not left alone.
Tensor log_of(const Tensor& p, double least, double least_of_slope) {
  const auto f = [least](auto v) {
    return std::log(v < static_cast<decltype(v)>(least) ? static_cast<decltype(v)>(least) : v);
  };
  detail::note("least", least);
  return record(
      "log", detail::transform_floating("log", p, f),
      {{p, [p = Saved(p), least_of_slope](const Tensor& g) { return g / at_least(p(), least_of_slope); }}});
}

// The same of 1 - p, accurate for small p.
Tensor log_of_rest(const Tensor& p) {
  const auto f = [](auto v) {
    using T = decltype(v);
    return std::max(std::log1p(-v), std::log(static_cast<T>(kLeast)));
  };
  detail::note("least", std::log(kLeast));
  return record(
      "log1p", detail::transform_floating("log1p", p, f),
      {{p, [p = Saved(p)](const Tensor& g) { return -g / at_least(1.0 - p(), least_of_rest(g.dtype())); }}});
}

// The shape without the last axis.
Shape rows_of(const Tensor& x) {
  return Shape(std::span(x.shape().begin(), x.shape().end() - 1));
}

void require_classes(const char* loss, const Tensor& x) {
  require_floating(loss, x);
  if (x.rank() == 0 || (x.shape()[-1] == 0 && rows_of(x).size() != 0))
    fail(loss, "shape {} has no classes in its last axis", x.shape());
}

void require_some(const char* loss, const Shape& losses) {
  if (losses.size() == 0) fail(loss, "the losses must have elements to average, got shape {}", losses);
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
  Fused fused{.loss = TensorAccess::empty(reduced ? Shape{} : shape, x.dtype(), loss),
              .scale = reduction == Reduction::Mean ? 1 / static_cast<double>(count) : 1};
  Tensor slopes;
  if (detail::resolve(x).node != nullptr) slopes = TensorAccess::empty(x.shape(), x.dtype(), loss);
  using kernels::kLossElements;
  const index_t size = kernels::units_in_piece(kLossElements, each);
  const index_t pieces = (count + size - 1) / size;
  detail::BlockVector<double> sums(reduced ? static_cast<std::size_t>(pieces) : 0);
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    T* all = fused.loss.mutable_data<T>();
    T* derivatives = slopes.defined() ? slopes.mutable_data<T>() : nullptr;
    parallel_for(pieces, kernels::kLossPiece, [&](index_t begin, index_t end) {
      T own[kLossElements];
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
    *all = static_cast<T>(reduction == Reduction::Mean ? total / static_cast<double>(count) : total);
  });
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

// Throws unless there is a label for every row of the input, one of its classes. name is that of the input.
void require_labels(const char* loss, const Tensor& labels, const Tensor& input, const char* name) {
  const Shape& shape = labels.shape();
  if (shape.rank() + 1 != input.rank() || shape != rows_of(input))
    fail(loss, "the labels must have the shape of {} without the last axis, got {} for {} of shape {}", name,
         shape, name, input.shape());
  const index_t classes = input.shape()[-1];
  const auto values = labels.values<std::int32_t>();
  const auto wrong = std::ranges::find_if(values, [&](auto label) { return label < 0 || label >= classes; });
  if (wrong == values.end()) return;
  fail(loss, "the label at [{}] is {}, which is not one of the {} classes of {} of shape {}",
       join(shape.position(wrong - values.begin()), ", "), *wrong, classes, name, input.shape());
}

// cross_entropy() of labels.
Tensor of_labels(const Tensor& logits, const Tensor& labels, double spread, Reduction reduction) {
  if (labels.shape() == logits.shape())
    fail("cross_entropy",
         "the target is Int32 and has the shape {} of logits: labels have one axis less; distributions (as "
         "one_hot() makes them) must have the dtype {} of logits: convert with cast()",
         labels.shape(), logits.dtype());
  require_labels("cross_entropy", labels, logits, "logits");
  const index_t classes = logits.shape()[-1];
  const Fused fused = fuse("cross_entropy", logits, labels.shape(), reduction,
                           [&]<class T>(index_t first, index_t count, T* losses, T* slopes, T scale) {
                             kernels::cross_entropy(count, classes, logits.data<T>() + first * classes,
                                                    labels.data<std::int32_t>() + first,
                                                    static_cast<T>(spread), losses, slopes, scale);
                           });
  const auto slopes = [=, scale = fused.scale, x = Saved(logits), l = Saved(labels)] {
    // softmax(x) - one_hot, without the difference at the label, which is minus the sum of the others.
    const Tensor hot = one_hot(l(), classes, x().dtype()), others = softmax(x()) * (1.0 - hot);
    const Tensor sharp = others - hot * sum(others, -1, {.keepdims = true});
    return scale * (spread == 0 ? sharp : sharp + spread * (hot - 1 / static_cast<double>(classes)));
  };
  detail::note_input(labels);
  detail::note("label_smoothing", spread);
  detail::note("reduction", static_cast<double>(reduction));
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
  Tensor loss = fused.loss;
  if (options.reduction == Reduction::Mean && std::isinf(loss.item())) {
    // A square may leave the dtype's range where the mean does not.
    const NoGrad no_grad;
    const double r = norm(prediction - target).item() / std::sqrt(static_cast<double>(prediction.size()));
    loss = full({}, r * r, prediction.dtype());
  }
  detail::note("reduction", static_cast<double>(options.reduction));
  return record("mse_loss", loss, {{prediction, rule_of(fused, slopes)}, {target, [slopes](const Tensor& g) {
                                                                            return -(g * slopes());
                                                                          }}});
}

Tensor mae_loss(const Tensor& prediction, const Tensor& target, const LossOptions& options) {
  const detail::CalledOp called("mae_loss", {&prediction, &target});
  require_alike("mae_loss", prediction, target);
  return called.result(reduce("mae_loss", abs(prediction - target), options.reduction));
}

namespace {

// Divided by `divisor`: as the first factor has the size of delta, nothing leaves the dtype's range on the way.
Tensor huber(const char* loss, const Tensor& prediction, const Tensor& target, const char* name, double delta,
             double divisor, Reduction reduction) {
  require_alike(loss, prediction, target);
  if (!(delta > 0) || (prediction.dtype() == DType::Float32 && static_cast<float>(delta) == 0))
    fail(loss, "{} must be positive as {}, got {}", name, prediction.dtype(), delta);
  const Tensor d = prediction - target;
  const Tensor cut = clamp(d, -delta, delta);
  return reduce(loss, (divisor == 1 ? cut : cut / divisor) * (d - 0.5 * cut), reduction);
}

}  // namespace

Tensor huber_loss(const Tensor& prediction, const Tensor& target, const HuberOptions& options) {
  const detail::CalledOp called("huber_loss", {&prediction, &target});
  return called.result(huber("huber_loss", prediction, target, "delta", options.delta, 1, options.reduction));
}

Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target, const LossOptions& options) {
  const detail::CalledOp called("binary_cross_entropy", {&probability, &target});
  constexpr const char* kLoss = "binary_cross_entropy";
  require_alike(kLoss, probability, target, "probability");
  require_in(kLoss, "the probability", probability, 0, 1,
             ": of logits take binary_cross_entropy_with_logits(), or sigmoid() first");
  require_target(kLoss, target);
  const Tensor losses =
      -(weighted(target, log_of(probability, kLeast, least_of_slopes(probability.dtype()))) +
        weighted(1.0 - target, log_of_rest(probability)));
  return called.result(reduce(kLoss, losses, options.reduction));
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const LossOptions& options) {
  require_alike("binary_cross_entropy_with_logits", logits, target, "logits");
  require_target("binary_cross_entropy_with_logits", target);
  const Fused fused = fuse("binary_cross_entropy_with_logits", logits, logits.shape(), options.reduction,
                           [&]<class T>(index_t first, index_t count, T* losses, T* slopes, T scale) {
                             kernels::logistic_loss(count, logits.data<T>() + first, target.data<T>() + first,
                                                    losses, slopes, scale);
                           });
  const auto slopes = [scale = fused.scale, x = Saved(logits), t = Saved(target)] {
    return scale * ((1.0 - t()) * sigmoid(x()) - t() * sigmoid(-x()));
  };
  detail::note("reduction", static_cast<double>(options.reduction));
  return record(
      "binary_cross_entropy_with_logits", fused.loss,
      {{logits, rule_of(fused, slopes)},
       {target, [scale = fused.scale, x = Saved(logits)](const Tensor& g) { return g * (-scale * x()); }}});
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  const detail::CalledOp called("cross_entropy", {&logits, &target});
  require_classes("cross_entropy", logits);
  const double spread = options.label_smoothing;
  if (!(spread >= 0 && spread <= 1))
    fail("cross_entropy", "label_smoothing must be in [0, 1], got {}", spread);
  detail::require_defined("cross_entropy", target);
  if (target.dtype() == DType::Int32)
    return called.result(of_labels(logits, target, spread, options.reduction));
  if (target.rank() + 1 == logits.rank())
    fail("cross_entropy", "labels must be Int32, got {} {} (logits: {}): convert with cast()", target.dtype(),
         target.shape(), logits.shape());
  require_alike("cross_entropy", logits, target, "logits");
  require_target("cross_entropy", target);
  const Tensor logs = log_softmax(logits);
  Tensor losses = -sum(weighted(target, logs), {-1});
  // Left out where it is 0: a class that is ruled out by a logit of -infinity has a logarithm of its own.
  if (spread == 1)
    losses = -mean(logs, {-1});
  else if (spread != 0)
    losses = (1 - spread) * losses - spread * mean(logs, {-1});
  return called.result(reduce("cross_entropy", losses, options.reduction));
}

// Throws for numbers that are no logarithms of probabilities.
static void require_logarithms(const char* loss, const Tensor& log_probability) {
  constexpr double kRounding = 1e-3;  // of logarithms near 0
  require_in(loss, "the logarithm of a probability", log_probability,
             -std::numeric_limits<double>::infinity(), kRounding,
             ": take log_softmax() of logits, log() of probabilities");
}

Tensor nll_loss(const Tensor& log_probability, const Tensor& labels, const LossOptions& options) {
  const detail::CalledOp called("nll_loss", {&log_probability, &labels});
  require_classes("nll_loss", log_probability);
  detail::require_defined("nll_loss", labels);
  if (labels.shape() == log_probability.shape())
    fail("nll_loss",
         "labels have one axis less than log_probability, got shape {} for both: for distributions take "
         "kl_divergence()",
         labels.shape());
  if (labels.dtype() != DType::Int32)
    fail("nll_loss", "labels must be Int32, got {} {}: convert with cast()", labels.dtype(), labels.shape());
  require_labels("nll_loss", labels, log_probability, "log_probability");
  require_logarithms("nll_loss", log_probability);
  const Tensor chosen = take_along_axis(log_probability, expand_dims(labels, -1), -1);
  return called.result(reduce("nll_loss", -squeeze(chosen, -1), options.reduction));
}

Tensor kl_divergence(const Tensor& log_probability, const Tensor& target, const LossOptions& options) {
  const detail::CalledOp called("kl_divergence", {&log_probability, &target});
  constexpr const char* kLoss = "kl_divergence";
  require_classes(kLoss, log_probability);
  require_alike(kLoss, log_probability, target, "log_probability");
  require_logarithms(kLoss, log_probability);
  require_target(kLoss, target);
  // No target but 0 is raised: the target's gradient is its logarithm.
  const double smallest = target.dtype() == DType::Float32 ? 0x1p-149 : 0x1p-1074;
  return called.result(
      reduce(kLoss, sum(weighted(target, log_of(target, smallest, smallest) - log_probability), {-1}),
             options.reduction));
}

namespace {

// exp(x) / 2
double half_exp(double x) {
  return x < 700 ? std::exp(x) / 2 : std::exp(x - 1) * (std::numbers::e / 2);
}

// (exp(x) - 1 - x) / 2, without the difference where x is small. Halves, as twice of them may leave the dtype's range.
Tensor half_spread(const char* loss, const Tensor& log_variance) {
  const auto curvature = [loss](const Tensor& x) {
    return record(loss, detail::transform_in_double(loss, x, half_exp),
                  {{x, [](const Tensor& g, const Tensor& y) { return g * y; }}});
  };
  const auto slope = [loss, curvature](const Tensor& x) {
    const auto f = [](double v) { return v < 40 ? std::expm1(v) / 2 : half_exp(v); };
    return record(loss, detail::transform_in_double(loss, x, f),
                  {{x, [curvature, x = Saved(x)](const Tensor& g) { return g * curvature(x()); }}});
  };
  const auto f = [](double x) {
    if (!(std::abs(x) < 0.5)) return x < 40 ? (std::expm1(x) - x) / 2 : half_exp(x);
    double series = 1;  // 1 + x / 3 (1 + x / 4 (...
    for (int k = 17; k > 2; --k) series = 1 + x / k * series;
    return x * x / 4 * series;
  };
  return record(
      loss, detail::transform_in_double(loss, log_variance, f),
      {{log_variance, [slope, x = Saved(log_variance)](const Tensor& g) { return g * slope(x()); }}});
}

// x^2 / 2
Tensor half_square(const char* loss, const Tensor& x) {
  return record(loss, detail::transform_in_double(loss, x, [](double v) { return v / 2 * v; }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * x(); }}});
}

}  // namespace

Tensor kl_to_standard_normal(const Tensor& mean, const Tensor& log_variance, const LossOptions& options) {
  const detail::CalledOp called("kl_to_standard_normal", {&mean, &log_variance});
  constexpr const char* kLoss = "kl_to_standard_normal";
  require_alike(kLoss, mean, log_variance, "mean", "log_variance");
  if (mean.rank() == 0)
    fail(kLoss, "mean must have a last axis, the dimensions of each distribution, got []");
  const Tensor losses = half_square(kLoss, mean) + half_spread(kLoss, log_variance);
  return called.result(reduce(kLoss, sum(losses, {-1}), options.reduction));
}

Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, const SmoothL1Options& options) {
  const detail::CalledOp called("smooth_l1_loss", {&prediction, &target});
  const double beta = options.beta;
  if (!std::isfinite(beta)) fail("smooth_l1_loss", "beta must be positive and finite, got {}", beta);
  return called.result(huber("smooth_l1_loss", prediction, target, "beta", beta, beta, options.reduction));
}

double accuracy(const Tensor& scores, const Tensor& labels) {
  detail::require_defined("accuracy", scores);
  detail::require_defined("accuracy", labels);
  if (scores.rank() == 0 ||
      labels.shape() != detail::with_sizes("accuracy", scores.shape(), scores.rank() - 1, 1, {}))
    fail("accuracy", "the labels must have the shape of the scores without the last axis, got {} for {}",
         labels.shape(), scores.shape());
  if (is_floating(labels.dtype()))
    fail("accuracy", "the labels must be Int32 or UInt8, got {}: convert with cast()", labels.dtype());
  if (labels.size() == 0) fail("accuracy", "there must be at least one label, got shape {}", labels.shape());
  const Tensor numbers = cast(labels, DType::Int32);
  const index_t classes = scores.shape()[-1];
  const auto values = numbers.values<std::int32_t>();
  const auto wrong = std::ranges::find_if(values, [&](auto label) { return label < 0 || label >= classes; });
  if (wrong != values.end())
    fail("accuracy", "the label at [{}] is {}, which is not one of the {} classes of scores of shape {}",
         join(labels.shape().position(wrong - values.begin()), ", "), *wrong, classes, scores.shape());
  const NoGrad no_grad;  // a number comes of it, and scores that are not finite are no fault of max()
  // argmax() takes a NaN for the largest score: a row with one is not right, whatever its label is.
  const Tensor is_number = logical_not(isnan(max(scores, -1)));
  const Tensor is_right = equals(argmax(scores, -1), numbers) * is_number;
  const auto right = count_nonzero(is_right).item();
  return right / static_cast<double>(labels.size());
}

}  // namespace tapegrad::inline v0
