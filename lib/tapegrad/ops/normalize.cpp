#include "tapegrad/ops/normalize.h"

#include <memory>
#include <numeric>
#include <vector>

#include "tapegrad/autograd/services.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

struct Normalized {
  Tensor y, mean, variance;
};

// (x - mean) / sqrt(variance + epsilon) over these axes. The tape could differentiate this as it stands; the
// rule is half as much work:
//   dx = (g - mean(g) - y mean(g y)) / sqrt(variance + epsilon)
Normalized normalize(const char* op, const Tensor& x, const std::vector<int>& axes, double epsilon) {
  detail::require_floating(op, x);
  if (x.size() == 0) fail(op, "there is nothing to normalize in a tensor of shape {}", x.shape());
  Tensor average, variance, inverse, scaled;
  {
    const NoGrad no_grad;
    average = mean(x, axes, {.keepdims = true});
    const Tensor centred = x - average;
    variance = mean(square(centred), axes, {.keepdims = true});
    inverse = rsqrt(variance + epsilon);
    scaled = centred * inverse;
  }
  // The rule's factor is itself a function of x, for gradients of gradients. Its own rule needs no more than y:
  //   d factor / dx = -factor^3 (x - mean) / n = -factor^2 y / n
  // so that y is all that a training step keeps. Nobody else has the factor, so it need not be Saved.
  const auto factor = std::make_shared<Tensor>();
  Tensor y =
      record(op, std::move(scaled), {{x, [axes, factor](const Tensor& g, const Tensor& out) {
                                        return *factor * (g - mean(g, axes, {.keepdims = true}) -
                                                          out * mean(g * out, axes, {.keepdims = true}));
                                      }}});
  const double count = static_cast<double>(x.size()) / static_cast<double>(inverse.size());
  *factor =
      record("rsqrt", std::move(inverse), {{x, [y = Saved(y), count](const Tensor& g, const Tensor& out) {
                                              return y() * (square(out) * g * (-1 / count));
                                            }}});
  return {std::move(y), std::move(average), std::move(variance)};
}

void require_shape(const char* op, const Tensor& x, const Tensor& parameter, const char* name,
                   const Shape& expected) {
  detail::require_floating(op, x);
  detail::require_same_dtype(op, x, parameter);
  if (parameter.shape() != expected)
    fail(op, "{} has shape {} but must have {} (x: {})", name, parameter.shape(), expected, x.shape());
}

// [c]
Shape channels(const char* op, const Tensor& x) {
  if (x.rank() < 2) fail(op, "takes a tensor [n, ..., channels], not shape {}", x.shape());
  return {x.shape()[-1]};
}

std::vector<int> axes_between(int begin, int end) {
  std::vector<int> axes(static_cast<std::size_t>(end - begin));
  std::iota(axes.begin(), axes.end(), begin);
  return axes;
}

}  // namespace

BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  require_whole_batch("batch_norm");
  const Shape of_channels = channels("batch_norm", x);
  require_shape("batch_norm", x, gamma, "gamma", of_channels);
  require_shape("batch_norm", x, beta, "beta", of_channels);
  const auto [y, average, variance] = normalize("batch_norm", x, axes_between(0, x.rank() - 1), epsilon);
  return {y * gamma + beta, reshape(average, of_channels), reshape(variance, of_channels),
          x.size() / of_channels.size()};
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                  const Tensor& variance, double epsilon) {
  const Shape of_channels = channels("batch_norm", x);
  require_shape("batch_norm", x, gamma, "gamma", of_channels);
  require_shape("batch_norm", x, beta, "beta", of_channels);
  require_shape("batch_norm", x, mean, "the mean", of_channels);
  require_shape("batch_norm", x, variance, "the variance", of_channels);
  return (x - mean) * (gamma * rsqrt(variance + epsilon)) + beta;
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const int axes = gamma.rank();
  if (axes < 1 || axes > x.rank())
    fail("layer_norm", "gamma has shape {}: must be that of the last axes of x: {}", gamma.shape(),
         x.shape());
  const Shape last(std::span(x.shape().end() - axes, x.shape().end()));
  require_shape("layer_norm", x, gamma, "gamma", last);
  require_shape("layer_norm", x, beta, "beta", last);
  return layer_norm(x, axes, epsilon) * gamma + beta;
}

Tensor layer_norm(const Tensor& x, int axes, double epsilon) {
  if (axes < 1 || axes > x.rank())
    fail("layer_norm", "the last {} axes of a tensor of shape {}: must be 1 to {}", axes, x.shape(),
         x.rank());
  return normalize("layer_norm", x, axes_between(x.rank() - axes, x.rank()), epsilon).y;
}

Tensor group_norm(const Tensor& x, index_t groups, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const Shape of_channels = channels("group_norm", x);
  require_shape("group_norm", x, gamma, "gamma", of_channels);
  require_shape("group_norm", x, beta, "beta", of_channels);
  if (groups < 1 || of_channels[0] % groups != 0)
    fail("group_norm", "{} channels cannot be cut into {} groups (x: {})", of_channels[0], groups, x.shape());
  if (x.size() == 0) fail("group_norm", "there is nothing to normalize in a tensor of shape {}", x.shape());
  const Tensor grouped = reshape(x, {x.shape()[0], -1, groups, of_channels[0] / groups});
  return reshape(normalize("group_norm", grouped, {1, 3}, epsilon).y, x.shape()) * gamma + beta;
}

}  // namespace tapegrad::inline v0
