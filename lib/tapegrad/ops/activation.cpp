#include "tapegrad/ops/activation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "tapegrad/base/options_internal.h"
#include "tapegrad/kernels/softmax.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/softmax_internal.h"

namespace tapegrad::inline v0 {
namespace {

// x times a gate in [0, 1], computed outside of the tape. A gate of 0 is shut for an x of -infinity too.
Tensor gated(const char* op, const Tensor& x, const Tensor& gate) {
  return detail::combine_floating(op, stop_gradient(x), gate,
                                  [](auto v, auto h) { return h == 0 ? decltype(v){0} : v * h; });
}

// A factor that is infinite in x's dtype would make NaN of 0.
void require_factor(const char* op, const char* option, double factor, const Tensor& x) {
  detail::require_floating(op, x);
  const double rounded = x.dtype() == DType::Float32 ? static_cast<float>(factor) : factor;
  detail::require(op, std::isfinite(rounded), option, factor, "finite in the dtype of x");
}

// Beyond these a gate of silu, gelu and gelu_tanh is 0 or 1, in double too: with x cut off there, no rule
// multiplies an infinite x by a slope of 0.
constexpr double kEndOfSilu = 750, kEndOfGelu = 40, kEndOfGeluTanh = 25;

constexpr double kCubic = 0.044715;
const double kGeluScale = 2 * std::sqrt(2 / std::numbers::pi);

}  // namespace

Tensor leaky_relu(const Tensor& x) {
  return leaky_relu(x, kNegativeSlope);
}

Tensor leaky_relu(const Tensor& x, double negative_slope) {
  require_factor("leaky_relu", "negative_slope", negative_slope, x);
  // Two parts, one of which is 0: a loop without a branch, which would be mispredicted half the time.
  const auto f = [negative_slope](auto value, auto at) {
    using T = decltype(value);
    const T up = at > 0 ? value : T{0}, down = at > 0 ? T{0} : value;
    return negative_slope == 0 ? up : up + static_cast<T>(negative_slope) * down;  // 0 times infinity is NaN
  };
  return record("leaky_relu", detail::transform_floating("leaky_relu", x, [f](auto v) { return f(v, v); }),
                {{x, [x = Saved(x), f](const Tensor& g) { return detail::slope(g, x(), f); }}});
}

Tensor elu(const Tensor& x) {
  return elu(x, 1);
}

Tensor elu(const Tensor& x, double alpha) {
  require_factor("elu", "alpha", alpha, x);
  const auto f = [alpha](auto v) { return v > 0 ? v : static_cast<decltype(v)>(alpha) * std::expm1(v); };
  // Not y + alpha, which loses all digits where y is near -alpha.
  const auto rule = [x = Saved(x), alpha](const Tensor& g) {
    const Tensor below = clamp(x(), -std::numeric_limits<double>::infinity(), 0);
    return where(greater(x(), 0), g, g * (alpha * exp(below)));
  };
  return record("elu", detail::transform_floating("elu", x, f), {{x, rule}});
}

Tensor selu(const Tensor& x) {
  detail::require_own_tape("selu", x);
  detail::require_floating("selu", x);
  return 1.0507009873554804934 * elu(x, 1.6732632423543772848);
}

Tensor gelu(const Tensor& x) {
  detail::require_floating("gelu", x);
  // Not 1 + erf(x / sqrt(2)), which loses all digits where it is near 0.
  constexpr double kScale = -1 / std::numbers::sqrt2;
  return record("gelu", gated("gelu", x, 0.5 * erfc(kScale * stop_gradient(x))),
                {{x, [x = Saved(x)](const Tensor& g) {
                    const Tensor cut = clamp(x(), -kEndOfGelu, kEndOfGelu);
                    const Tensor density =
                        exp(-0.5 * square(cut)) * (0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
                    return g * (0.5 * erfc(kScale * cut) + cut * density);
                  }}});
}

Tensor gelu_tanh(const Tensor& x) {
  detail::require_floating("gelu_tanh", x);
  // (1 + tanh(u)) / 2 is sigmoid(2 u).
  const auto argument = [](const Tensor& cut) {
    return cut * (kGeluScale + kGeluScale * kCubic * square(cut));
  };
  const Tensor inner = clamp(stop_gradient(x), -kEndOfGeluTanh, kEndOfGeluTanh);
  return record("gelu_tanh", gated("gelu_tanh", x, sigmoid(argument(inner))),
                {{x, [x = Saved(x), argument](const Tensor& g) {
                    const Tensor cut = clamp(x(), -kEndOfGeluTanh, kEndOfGeluTanh), u = argument(cut);
                    const Tensor slope = kGeluScale + 3 * kGeluScale * kCubic * square(cut);
                    return g * (sigmoid(u) * (1.0 + cut * slope * sigmoid(-u)));
                  }}});
}

Tensor silu(const Tensor& x) {
  detail::require_floating("silu", x);
  return record("silu", gated("silu", x, sigmoid(stop_gradient(x))),
                {{x, [x = Saved(x)](const Tensor& g) {
                    const Tensor cut = clamp(x(), -kEndOfSilu, kEndOfSilu);
                    return g * (sigmoid(cut) * (1.0 + cut * sigmoid(-cut)));
                  }}});
}

Tensor softmax(const Tensor& x) {
  return softmax(x, -1);
}

Tensor softmax(const Tensor& x, int axis) {
  detail::require_floating("softmax", x);
  return detail::softmax_over("softmax", x, {detail::checked_axis("softmax", x.shape(), axis)});
}

Tensor detail::softmax_over(const char* op, const Tensor& x, const std::vector<int>& axes) {
  // One axis after the other in memory is one axis.
  const int first = axes.empty() ? 0 : *std::ranges::min_element(axes);
  const bool together =
      axes.empty() || *std::ranges::max_element(axes) - first + 1 == static_cast<int>(axes.size());
  if (!together) {
    std::vector<int> order, inverse(static_cast<std::size_t>(x.rank()));
    for (int i = 0; i < x.rank(); ++i)
      if (std::ranges::find(axes, i) == axes.end()) order.push_back(i);
    order.insert(order.end(), axes.begin(), axes.end());
    for (std::size_t i = 0; i < order.size(); ++i)
      inverse[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
    std::vector<int> last(axes.size());
    std::iota(last.begin(), last.end(), x.rank() - static_cast<int>(axes.size()));
    return permute(softmax_over(op, permute(x, order), last), inverse);
  }
  Around at{.count = 1};
  for (int i = 0; i < x.rank(); ++i)
    (i < first ? at.outer : i < first + static_cast<int>(axes.size()) ? at.count : at.inner) *= x.shape()[i];
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::softmax(at.outer, at.count, at.inner, x.data<T>(), y.mutable_data<T>());
  });
  return record(
      op, std::move(y),
      {{x, [axes](const Tensor& g, const Tensor& out) {
          // out (h - sum(h out)) is the same for h = g and for h = g less any number. Less about the
          // mean of g, terms that cancel where an output is near 1 are gone before they are rounded.
          const Tensor h = g - stop_gradient(sum(g * out, axes, {.keepdims = true}));
          return out * (h - sum(h * out, axes, {.keepdims = true}));
        }}});
}

Tensor log_softmax(const Tensor& x) {
  return log_softmax(x, -1);
}

Tensor log_softmax(const Tensor& x, int axis) {
  detail::require_floating("log_softmax", x);
  const int along = detail::checked_axis("log_softmax", x.shape(), axis);
  const detail::Around at = detail::around(x.shape(), along);
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::log_softmax(at.outer, at.count, at.inner, x.data<T>(), y.mutable_data<T>());
  });
  return record("log_softmax", std::move(y), {{x, [along](const Tensor& g, const Tensor& out) {
                                                 // g - p sum(g) with p = exp(out), as g (1 - p) - p (sum(g) - g): p may be next to 1.
                                                 return -(g * expm1(out)) -
                                                        exp(out) * (sum(g, {along}, {.keepdims = true}) - g);
                                               }}});
}

}  // namespace tapegrad::inline v0
