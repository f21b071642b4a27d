#include "tapegrad/ops/normalize.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "tapegrad/autograd/services.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/autograd/view.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/reduce_internal.h"
#include "tapegrad/ops/rounding.h"

namespace tapegrad::inline v0 {
namespace {

struct Normalized {
  Tensor y, mean, variance;
};

// The factor 1 / sqrt(variance + epsilon) as a function of x, for gradients of gradients:
//   d factor / dx = -factor^2 y / count
// Of x only the origin is needed, so that the elements of x need not be kept: `y` lends its own.
Tensor factor_of(const Tensor& factor, const Tensor& y, const detail::Origin& x, double count) {
  Tensor input = y;
  TensorAccess::origin(input) = x;
  return record("normalize", TensorAccess::view(factor, factor.shape()),
                {{input, [y = Saved(y), count](const Tensor& g, const Tensor& f) {
                    return (g * square(f) * (-1 / count)) * y();
                  }}});
}

// Variances beside which a smaller epsilon does not hide that squares of the elements vanish.
double vanishing(DType dtype) {
  return dtype == DType::Float32 ? 1e-30 : 1e-280;
}

// Where squares of the elements leave the dtype's range, or vanish where epsilon does not hide it.
Tensor out_of_range(const Tensor& variance, double epsilon) {
  const Tensor finite = isfinite(variance);
  const double least = vanishing(variance.dtype());
  return logical_not(epsilon < least ? finite * greater_equal(variance, least) : finite);
}

// (x - mean) / sqrt(variance + epsilon) in Float64, of elements divided by the largest: whatever is common to
// all of them cancels. Made of ops, as it is not a case to be fast in.
Tensor normalize_scaled(const Tensor& x, const Axes& axes, double epsilon) {
  const Tensor wide = detail::as_dtype(x, DType::Float64), plain = stop_gradient(wide);
  const Tensor largest = max(abs(plain), axes, {.keepdims = true});
  const Tensor unit = where(equals(largest - largest, 0) * greater(largest, 0), largest, 1.0);
  const Tensor scaled = wide / unit, centred = scaled - mean(scaled, axes, {.keepdims = true});
  return detail::as_dtype(
      centred * rsqrt(mean(square(centred), axes, {.keepdims = true}) + epsilon / unit / unit), x.dtype());
}

// (x - mean) / sqrt(variance + epsilon) over these axes. The tape could differentiate this as it stands; the
// rule is half as much work, and keeps y alone:
//   dx = (g - mean(g) - y mean(g y)) / sqrt(variance + epsilon)
Normalized normalize(const char* op, const Tensor& given, const Axes& axes, double epsilon) {
  detail::require_floating(op, given);
  detail::require_not_negative(op, "epsilon", epsilon);
  Tensor average, centred, variance, beyond;
  {
    const NoGrad no_grad;  // a tape that looks for what is not finite should not look here
    const Tensor values = stop_gradient(given);
    average = stop_gradient(detail::mean_of(op, values, axes, {.keepdims = true}));
    centred = values - average;
    variance = stop_gradient(mean(square(centred), axes, {.keepdims = true}));
    beyond = out_of_range(variance, epsilon);
  }
  if (given.size() == 0) return {copy(given), average, variance};
  if (any(beyond).item() != 0) {
    Tensor y = normalize_scaled(given, axes, epsilon);
    // What is in the range has the same bits whatever is normalized beside it: zeros take the place of the rest.
    if (epsilon >= vanishing(given.dtype()))
      y = where(beyond, y, normalize(op, where(beyond, 0.0, given), axes, epsilon).y);
    return {std::move(y), average, variance};
  }
  // A parameter has no origin of its own: a view of it has.
  const Tensor x = given.is_parameter() ? detail::view("reshape", given, given.shape(), 0) : given;
  const index_t averaged = x.size() / average.size();
  const auto count = static_cast<double>(averaged);
  const Tensor factor = rsqrt(variance + epsilon);
  Tensor y = centred * factor;
  detail::note("axes", std::span(axes));
  detail::note("epsilon", epsilon);
  y = record(
      op, std::move(y),
      {{x, [axes, count, factor = Saved(factor), from = TensorAccess::origin(x)](const Tensor& g,
                                                                                 const Tensor& out) {
          const Tensor f = is_recording() ? factor_of(factor(), out, from, count) : factor();
          return f * (g - mean(g, axes, {.keepdims = true}) - out * mean(g * out, axes, {.keepdims = true}));
        }}});
  return {std::move(y), average, variance};
}

// As normalize(), for one who does not ask for the averages: of nothing there are none, but the result is nothing.
Tensor normalized(const char* op, const Tensor& x, const Axes& axes, double epsilon) {
  if (x.size() != 0) return normalize(op, x, axes, epsilon).y;
  detail::require_floating(op, x);
  detail::require_not_negative(op, "epsilon", epsilon);
  return copy(x);
}

void require_shape(const char* op, const Tensor& x, const Tensor& parameter, const char* name,
                   const Shape& expected) {
  detail::require_floating(op, x);
  detail::require_same_dtype(op, x, parameter);
  if (parameter.shape() == expected) return;
  const bool fits_nchw = x.rank() == 4 && parameter.rank() == 1 && parameter.size() == x.shape()[1];
  fail(op, "{} has shape {} but must have {} (x: {}){}", name, parameter.shape(), expected, x.shape(),
       fits_nchw ? "; channels are last: if x is NCHW, convert it with nchw_to_nhwc(x)" : "");
}

// [c]
Shape channels(const char* op, const Tensor& x) {
  detail::require_defined(op, x);
  if (x.rank() < 2) fail(op, "takes a tensor [n, ..., channels], not shape {}", x.shape());
  return {x.shape()[-1]};
}

// (x - mean) factor + beta, of channels, in one pass.
Tensor scaled(const Tensor& x, const Tensor& mean, const Tensor& factor, const Tensor& beta) {
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), "batch_norm");
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto f = [](T v, T m, T s, T b) { return (v - m) * s + b; };
    kernels::map(kernels::loop<T, T, T, T, T>(f), x.shape(), y.mutable_data<T>(),
                 {{x.data<T>(), x.shape()},
                  {mean.data<T>(), mean.shape()},
                  {factor.data<T>(), factor.shape()},
                  {beta.data<T>(), beta.shape()}});
  });
  return y;
}

}  // namespace

BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const detail::CalledOp called("batch_norm", {&x, &gamma, &beta});
  require_whole_batch("batch_norm");
  const Shape of_channels = channels("batch_norm", x);
  require_shape("batch_norm", x, gamma, "gamma", of_channels);
  require_shape("batch_norm", x, beta, "beta", of_channels);
  const auto [y, average, variance] =
      normalize("batch_norm", x, detail::axes_between(0, x.rank() - 1), epsilon);
  // The averages are results as well: what is not finite in them would last in running averages.
  return {called.result(y * gamma + beta), called.result(reshape(average, of_channels)),
          called.result(reshape(variance, of_channels)),
          of_channels.size() == 0 ? 0 : x.size() / of_channels.size()};
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                  const Tensor& variance, double epsilon) {
  const detail::CalledOp called("batch_norm", {&x, &gamma, &beta, &mean, &variance});
  const Shape of_channels = channels("batch_norm", x);
  require_shape("batch_norm", x, gamma, "gamma", of_channels);
  require_shape("batch_norm", x, beta, "beta", of_channels);
  require_shape("batch_norm", x, mean, "the mean", of_channels);
  require_shape("batch_norm", x, variance, "the variance", of_channels);
  detail::require_not_negative("batch_norm", "epsilon", epsilon);
  const Tensor factor = gamma * rsqrt(variance + epsilon);
  const Tensor y = called.result(is_recording() ? (x - mean) * factor + beta : scaled(x, mean, factor, beta));
  detail::note("epsilon", epsilon);
  return detail::noted("batch_norm", y, {&x, &gamma, &beta, &mean, &variance});
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const detail::CalledOp called("layer_norm", {&x, &gamma, &beta});
  detail::require_defined("layer_norm", x);
  detail::require_defined("layer_norm", gamma);
  const int axes = gamma.rank();
  if (axes < 1 || axes > x.rank())
    fail("layer_norm", "gamma must have the shape of x's last axes, got {} (x: {})", gamma.shape(),
         x.shape());
  const Shape last(std::span(x.shape().end() - axes, x.shape().end()));
  require_shape("layer_norm", x, gamma, "gamma", last);
  require_shape("layer_norm", x, beta, "beta", last);
  return called.result(layer_norm(x, axes, epsilon) * gamma + beta);
}

Tensor layer_norm(const Tensor& x, int axes, double epsilon) {
  const detail::CalledOp called("layer_norm", {&x});
  detail::require_defined("layer_norm", x);
  if (axes < 1 || axes > x.rank())
    fail("layer_norm", "axes must be 1 to {} for a tensor of shape {}, got {}", x.rank(), x.shape(), axes);
  return called.result(normalized("layer_norm", x, detail::axes_between(x.rank() - axes, x.rank()), epsilon));
}

Tensor group_norm(const Tensor& x, index_t groups, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const detail::CalledOp called("group_norm", {&x, &gamma, &beta});
  const Shape of_channels = channels("group_norm", x);
  require_shape("group_norm", x, gamma, "gamma", of_channels);
  require_shape("group_norm", x, beta, "beta", of_channels);
  if (groups < 1 || of_channels[0] % groups != 0)
    fail("group_norm", "{} channels cannot be split into {} groups of equal size (x: {})", of_channels[0],
         groups, x.shape());
  index_t between = 1;
  for (int axis = 1; axis < x.rank() - 1; ++axis) between *= x.shape()[axis];
  const Tensor grouped = reshape(x, {x.shape()[0], between, groups, of_channels[0] / groups});
  return called.result(reshape(normalized("group_norm", grouped, {1, 3}, epsilon), x.shape()) * gamma + beta);
}

}  // namespace tapegrad::inline v0
