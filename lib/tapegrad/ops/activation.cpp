#include "tapegrad/ops/activation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/options_internal.h"
#include "tapegrad/kernels/softmax.h"
#include "tapegrad/kernels/vector_math.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/scalars_internal.h"
#include "tapegrad/ops/softmax_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::kEndOfGelu, detail::kEndOfGeluTanh, detail::kEndOfSilu;
using detail::sigmoid_slope;

// Derivatives, to be differentiated by x. Scalars are computed by functions that are exact in both tails.

Tensor slope_of_silu(const Tensor& x) {
  const auto f = [](auto v) { return static_cast<decltype(v)>(detail::silu_slope(static_cast<double>(v))); };
  return record("silu", detail::transform_vectorized("silu", x, kernels::silu_slope, f),
                {{x, [x = Saved(x)](const Tensor& g) {
                    const Tensor cut = clamp(x(), -kEndOfSilu, kEndOfSilu);
                    return g * (sigmoid_slope(cut) * (2.0 - cut * tanh(0.5 * cut)));
                  }}});
}

// A factor that is infinite in x's dtype would make NaN of 0.
void require_factor(const char* op, const char* option, double factor, const Tensor& x) {
  detail::require_floating(op, x);
  const double rounded = x.dtype() == DType::Float32 ? static_cast<float>(factor) : factor;
  detail::require(op, std::isfinite(rounded), option, factor, "finite in the dtype of x");
}

Tensor slope_of_gelu(const Tensor& x) {
  return record("gelu", detail::transform_floating("gelu", x, [](auto v) { return detail::gelu_slope(v); }),
                {{x, [x = Saved(x)](const Tensor& g) {
                    constexpr double kDensity = 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;
                    const Tensor cut = clamp(x(), -kEndOfGelu, kEndOfGelu);
                    return g * (kDensity * detail::bell(cut, 0.5) * (2.0 - square(cut)));
                  }}});
}

// u, the argument of gelu_tanh, and its derivative.
Tensor argument(const Tensor& cut) {
  return cut * (detail::kGeluScale + detail::kGeluScale * detail::kCubic * square(cut));
}
Tensor slope_of_argument(const Tensor& cut) {
  return detail::kGeluScale + 3 * detail::kGeluScale * detail::kCubic * square(cut);
}

// The derivative of sigmoid at u.
Tensor density_of_gelu_tanh(const Tensor& x) {
  return record(
      "gelu_tanh",
      detail::transform_floating("gelu_tanh", x, [](auto v) { return detail::gelu_tanh_density(v); }),
      {{x, [x = Saved(x)](const Tensor& g, const Tensor& y) {
          const Tensor cut = clamp(x(), -kEndOfGeluTanh, kEndOfGeluTanh);
          return -(g * (y * tanh(0.5 * argument(cut)) * slope_of_argument(cut)));
        }}});
}

Tensor slope_of_gelu_tanh(const Tensor& x) {
  return record("gelu_tanh",
                detail::transform_floating("gelu_tanh", x, [](auto v) { return detail::gelu_tanh_slope(v); }),
                {{x, [x = Saved(x)](const Tensor& g) {
                    const Tensor cut = clamp(x(), -kEndOfGeluTanh, kEndOfGeluTanh);
                    const Tensor slope = slope_of_argument(cut);
                    const Tensor bend = 6 * detail::kGeluScale * detail::kCubic * square(cut);
                    return g * (density_of_gelu_tanh(cut) *
                                (2.0 * slope + bend - cut * square(slope) * tanh(0.5 * argument(cut))));
                  }}});
}

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
  Tensor y = detail::transform_floating("leaky_relu", x, [f](auto v) { return f(v, v); });
  detail::note("negative_slope", negative_slope);
  return record("leaky_relu", std::move(y),
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
  Tensor y = detail::transform_floating("elu", x, f);
  detail::note("alpha", alpha);
  return record("elu", std::move(y), {{x, rule}});
}

Tensor selu(const Tensor& x) {
  const detail::CalledOp called("selu", {&x});
  detail::require_floating("selu", x);
  return called.result(1.0507009873554804934 * elu(x, 1.6732632423543772848));
}

Tensor gelu(const Tensor& x) {
  return record("gelu", detail::transform_floating("gelu", x, [](auto v) { return detail::gelu(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * slope_of_gelu(x()); }}});
}

Tensor gelu_tanh(const Tensor& x) {
  return record("gelu_tanh",
                detail::transform_floating("gelu_tanh", x, [](auto v) { return detail::gelu_tanh(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * slope_of_gelu_tanh(x()); }}});
}

Tensor silu(const Tensor& x) {
  const auto f = [](auto v) { return static_cast<decltype(v)>(detail::silu(static_cast<double>(v))); };
  return record("silu", detail::transform_vectorized("silu", x, kernels::silu, f),
                {{x, [x = Saved(x)](const Tensor& g) { return g * slope_of_silu(x()); }}});
}

Tensor softmax(const Tensor& x) {
  return softmax(x, -1);
}

Tensor softmax(const Tensor& x, int axis) {
  detail::require_floating("softmax", x);
  return detail::softmax_over("softmax", x, {detail::checked_axis("softmax", x.shape(), axis)});
}

Tensor detail::softmax_over(const char* op, const Tensor& x, const Axes& axes) {
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
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), op);
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::softmax(at.outer, at.count, at.inner, x.data<T>(), y.mutable_data<T>());
  });
  note("axes", std::span(axes));
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
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), "log_softmax");
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::log_softmax(at.outer, at.count, at.inner, x.data<T>(), y.mutable_data<T>());
  });
  // g - p sum(g) with p = exp(out), as g (1 - p) - p (sum(g) - g): p may be next to 1.
  const auto rule = [along](const Tensor& g, const Tensor& out) {
    return -(g * expm1(out)) - exp(out) * (sum(g, {along}, {.keepdims = true}) - g);
  };
  detail::note("axes", along);
  return record("log_softmax", std::move(y), {{x, rule}});
}

}  // namespace tapegrad::inline v0
