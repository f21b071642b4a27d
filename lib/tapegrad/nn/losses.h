#pragma once

// Losses: what a prediction costs, compared with its target.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// What becomes of the single losses.
enum class Reduction {
  PerElement,  ///< they stay as they are (PyTorch and Keras: "none")
  Mean,        ///< their mean
  Sum,         ///< their sum
};

struct LossOptions {
  Reduction reduction = Reduction::Mean;  ///< of the single losses to the result
};

// Losses of a prediction and a target of the same shape and dtype. All throw an Error that names both when
// they differ (nothing is broadcast: [n, 1] against [n] would compare everything with everything), and for a
// mean of nothing. Gradients pass to the target too.

/// (prediction - target)^2
[[nodiscard]] Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                              const LossOptions& options = {});

/// |prediction - target|; the derivative where they are equal is 0.
[[nodiscard]] Tensor mae_loss(const Tensor& prediction, const Tensor& target,
                              const LossOptions& options = {});

struct HuberOptions {
  double delta = 1;                       ///< the distance up to which the loss is a parabola
  Reduction reduction = Reduction::Mean;  ///< of the single losses to the result
};
/// With d = |prediction - target|: d^2 / 2 up to delta, delta (d - delta / 2) beyond (Huber 1964). Throws
/// unless delta is positive.
[[nodiscard]] Tensor huber_loss(const Tensor& prediction, const Tensor& target,
                                const HuberOptions& options = {});

/// -(t log p + (1 - t) log(1 - p)) for probabilities p and targets t in [0, 1]; others throw. Logarithms are taken
/// of 1e-37 at least, so that the loss is finite where p is 0 or 1. The slopes are those of the logarithm, -t / p
/// and (1 - t) / (1 - p), up to 1e37 (Float64: 1e300): the worst predictions are pulled back hardest. A term whose
/// weight t or 1 - t is 0 is 0, whatever p is.
[[nodiscard]] Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target,
                                          const LossOptions& options = {});

/// The same for p = sigmoid(logits), accurate for any logits. Throws unless targets are in [0, 1].
[[nodiscard]] Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                                      const LossOptions& options = {});

// Losses of distributions over classes, along the last axis. What is left without reduction, and averaged
// with Mean, are the losses of single distributions: [..., classes] -> [...].

struct CrossEntropyOptions {
  /// This part of the target is spread evenly over all classes (Szegedy et al. 2016).
  double label_smoothing = 0;
  Reduction reduction = Reduction::Mean;  ///< of the single losses to the result
};
/// -sum(t log softmax(logits)), accurate for any logits; a class with t = 0 adds 0, also with a logit of -infinity.
/// target holds labels, Int32, [...], each in 0..classes - 1; or the distributions t, of logits' shape and dtype,
/// each element in [0, 1]. Throws for shapes that do not fit, for a label or an element of t out of range, with its
/// position, and when label_smoothing is not in [0, 1].
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                                   const CrossEntropyOptions& options = {});

/// -log_probability of each label, for log_probability = log_softmax(logits) and labels as cross_entropy() takes them:
/// PyTorch's nll_loss. cross_entropy(logits, labels) is the same in one pass.
[[nodiscard]] Tensor nll_loss(const Tensor& log_probability, const Tensor& labels,
                              const LossOptions& options = {});

/// The divergence of Kullback and Leibler, sum(t (log t - log_probability)), for t of the same shape and
/// dtype; 0 where t is 0, also with a log_probability of -infinity. log_probability is log_softmax(logits). Throws
/// unless t is in [0, 1] and log_probability at most 0 (up to rounding): probabilities are no logarithms.
[[nodiscard]] Tensor kl_divergence(const Tensor& log_probability, const Tensor& target,
                                   const LossOptions& options = {});

/// The divergence of normal distributions with these means and logarithms of variances from the standard one,
/// summed over the last axis: sum(mean^2 + exp(log_variance) - 1 - log_variance) / 2 (Kingma and Welling
/// 2014, appendix B).
[[nodiscard]] Tensor kl_to_standard_normal(const Tensor& mean, const Tensor& log_variance,
                                           const LossOptions& options = {});

struct SmoothL1Options {
  double beta = 1;                        ///< where the parabola ends
  Reduction reduction = Reduction::Mean;  ///< of the single losses to the result
};
/// PyTorch's smooth_l1_loss: with d = |prediction - target|, d^2 / (2 beta) up to beta, d - beta / 2 beyond. It is
/// huber_loss with delta = beta, divided by beta. Throws unless beta is positive.
[[nodiscard]] Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target,
                                    const SmoothL1Options& options = {});

/// The part of the predictions that are right: 1 if argmax(scores, -1) equals labels everywhere. scores (logits
/// or probabilities) is [..., classes], labels [...], Int32 or UInt8. Throws when they do not fit, and for none.
[[nodiscard]] double accuracy(const Tensor& scores, const Tensor& labels);

}  // namespace v0
}  // namespace tapegrad
