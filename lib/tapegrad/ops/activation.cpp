#include "tapegrad/ops/activation.h"

#include <cmath>
#include <numbers>

#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

// x less its maximum along the axis: then exp() does not overflow. What is subtracted cancels in softmax, so
// it is a constant for the tape.
Tensor below_zero(const char* op, const Tensor& x, int axis) {
  detail::require_floating(op, x);
  const int at = detail::checked_axis(op, x.shape(), axis);
  return x.size() == 0 ? x : x - max(stop_gradient(x), at, {.keepdims = true});
}

}  // namespace

Tensor leaky_relu(const Tensor& x) {
  return leaky_relu(x, kNegativeSlope);
}

Tensor leaky_relu(const Tensor& x, double negative_slope) {
  // Two parts, one of which is 0: a loop without a branch, which would be mispredicted half the time.
  const auto f = [negative_slope](auto value, auto at) {
    using T = decltype(value);
    const T up = at > 0 ? value : T{0}, down = at > 0 ? T{0} : value;
    return up + static_cast<T>(negative_slope) * down;
  };
  return record("leaky_relu", detail::transform_floating("leaky_relu", x, [f](auto v) { return f(v, v); }),
                {{x, [x = Saved(x), f](const Tensor& g) { return detail::slope(g, x(), f); }}});
}

Tensor elu(const Tensor& x) {
  return elu(x, 1);
}

Tensor elu(const Tensor& x, double alpha) {
  const auto f = [alpha](auto v) { return v > 0 ? v : static_cast<decltype(v)>(alpha) * std::expm1(v); };
  return record("elu", detail::transform_floating("elu", x, f),
                {{x, [x = Saved(x), alpha](const Tensor& g, const Tensor& y) {
                    return where(greater(x(), 0), g, g * (y + alpha));
                  }}});
}

Tensor selu(const Tensor& x) {
  return 1.0507009873554804934 * elu(x, 1.6732632423543772848);
}

Tensor gelu(const Tensor& x) {
  // Not 1 + erf(x / sqrt(2)), which loses all digits where it is near 0.
  return x * (0.5 * erfc(x * (-1 / std::numbers::sqrt2)));
}

Tensor gelu_tanh(const Tensor& x) {
  // (1 + tanh(u)) / 2 is sigmoid(2 u).
  const double scale = 2 * std::sqrt(2 / std::numbers::pi);
  return x * sigmoid(x * (scale + scale * 0.044715 * square(x)));
}

Tensor silu(const Tensor& x) {
  return x * sigmoid(x);
}

Tensor softmax(const Tensor& x) {
  return softmax(x, -1);
}

Tensor softmax(const Tensor& x, int axis) {
  const Tensor e = exp(below_zero("softmax", x, axis));
  return e / sum(e, axis, {.keepdims = true});
}

Tensor log_softmax(const Tensor& x) {
  return log_softmax(x, -1);
}

Tensor log_softmax(const Tensor& x, int axis) {
  const Tensor shifted = below_zero("log_softmax", x, axis);
  return shifted - log(sum(exp(shifted), axis, {.keepdims = true}));
}

}  // namespace tapegrad::inline v0
