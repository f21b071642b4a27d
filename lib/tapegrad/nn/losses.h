#pragma once

// Losses, which compare a prediction with its target.

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// How the losses of single elements (or samples) become the result.
enum class Reduction {
  PerElement,  ///< the single losses themselves (PyTorch and Keras: "none")
  Mean,        ///< the mean of the single losses
  Sum,         ///< the sum of the single losses
};

struct LossOptions {
  Reduction reduction = Reduction::Mean;  ///< how single losses become the result
};

// Losses of a prediction and a target of the same shape and dtype. All throw when shapes or dtypes differ (nothing is
// broadcast, as [n, 1] against [n] would compare every prediction with every target), and for the mean of no elements.
// Gradients flow to the target as well.

/// (prediction - target)^2
[[nodiscard]] Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                              const LossOptions& options = {});

/// |prediction - target|; the derivative where they are equal is 0.
[[nodiscard]] Tensor mae_loss(const Tensor& prediction, const Tensor& target,
                              const LossOptions& options = {});

struct HuberOptions {
  double delta = 1;                       ///< the distance up to which the loss is quadratic; positive
  Reduction reduction = Reduction::Mean;  ///< how single losses become the result
};
/// With d = |prediction - target|: d^2 / 2 up to delta, delta (d - delta / 2) beyond (Huber 1964). Throws
/// unless delta is positive.
[[nodiscard]] Tensor huber_loss(const Tensor& prediction, const Tensor& target,
                                const HuberOptions& options = {});

/// -(t log p + (1 - t) log(1 - p)) for probabilities p and targets t. Throws for p or t outside of [0, 1]. Arguments of
/// logarithms are at least 1e-37, so that the loss is finite where p is 0 or 1. Gradients are those of the logarithm,
/// -t / p and (1 - t) / (1 - p), so that the worst predictions have the largest gradients: the first is limited to 1e37
/// (Float64: 1e300), and the second, where p has been rounded to 1, to 2^24 (2^53). A term whose weight t or 1 - t is 0
/// counts as 0, whatever p is.
[[nodiscard]] Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target,
                                          const LossOptions& options = {});

/// binary_cross_entropy of p = sigmoid(logits), accurate for any logits. Throws for targets outside of [0, 1].
[[nodiscard]] Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                                      const LossOptions& options = {});

// Losses of distributions over classes, along the last axis: [..., classes] -> [...]. The single losses, which Mean
// averages, are those of single distributions.

struct CrossEntropyOptions {
  /// The part of the target, in [0, 1], that is spread evenly over all classes (Szegedy et al. 2016).
  double label_smoothing = 0;
  Reduction reduction = Reduction::Mean;  ///< how single losses become the result
};
/// -sum(t log softmax(logits)), accurate for any logits; a class with t = 0 adds 0, also with a logit of -infinity.
/// target holds labels, Int32, [...], each in 0..classes - 1; or the distributions t, of logits' shape and dtype,
/// each element in [0, 1]. Throws for shapes that do not fit, for a label or an element of t out of range, with its
/// position, and when label_smoothing is not in [0, 1].
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                                   const CrossEntropyOptions& options = {});

/// -log_probability of each label, for log_probability = log_softmax(logits) and labels as cross_entropy() takes them:
/// PyTorch's nll_loss. cross_entropy(logits, labels) is the same in one pass. Throws for log_probability above 0 (beyond
/// rounding): pass logarithms of probabilities, not logits.
[[nodiscard]] Tensor nll_loss(const Tensor& log_probability, const Tensor& labels,
                              const LossOptions& options = {});

/// The Kullback-Leibler divergence sum(t (log t - log_probability)) of the target t, for log_probability such as
/// log_softmax(logits). A term with t = 0 counts as 0, also with a log_probability of -infinity. Throws for t outside
/// of [0, 1], and for log_probability above 0 (beyond rounding): pass logarithms, not probabilities.
[[nodiscard]] Tensor kl_divergence(const Tensor& log_probability, const Tensor& target,
                                   const LossOptions& options = {});

/// The Kullback-Leibler divergence of the normal distributions with these means and logarithms of variances from the
/// standard normal distribution, summed over the last axis: sum(mean^2 + exp(log_variance) - 1 - log_variance) / 2
/// (Kingma and Welling 2014, appendix B).
[[nodiscard]] Tensor kl_to_standard_normal(const Tensor& mean, const Tensor& log_variance,
                                           const LossOptions& options = {});

struct SmoothL1Options {
  double beta = 1;                        ///< the distance up to which the loss is quadratic; positive
  Reduction reduction = Reduction::Mean;  ///< how single losses become the result
};
/// PyTorch's smooth_l1_loss: with d = |prediction - target|, d^2 / (2 beta) up to beta, d - beta / 2 beyond. It is
/// huber_loss with delta = beta, divided by beta. Throws unless beta is positive.
[[nodiscard]] Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target,
                                    const SmoothL1Options& options = {});

/// The fraction of correct predictions: 1 if argmax(scores, -1) equals labels everywhere. scores (logits or
/// probabilities) is [..., classes], labels is [...], Int32 or UInt8, each in 0..classes - 1. A prediction with a NaN is
/// not correct. Throws for labels out of range, for shapes that do not fit, and when there are no labels.
[[nodiscard]] double accuracy(const Tensor& scores, const Tensor& labels);

}  // namespace v0
}  // namespace tapegrad
