#include "tapegrad/ops/rounding.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0 {
namespace {

template <class F>
Tensor rounded(const char* op, const Tensor& x, F f) {
  return record(op, detail::transform_floating(op, x, f),
                {{x, [](const Tensor& g) { return detail::no_gradient(g); }}});
}

// UInt8: f(x), a bool.
template <class F>
Tensor mask(const char* op, const Tensor& x, F f) {
  detail::require_defined(op, x);
  Tensor y = TensorAccess::empty(x.shape(), DType::UInt8, op);
  const kernels::Loop loop =
      dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) { return kernels::loop<std::uint8_t, T>(f); });
  kernels::map(loop, x.shape(), TensorAccess::elements(y), {{TensorAccess::elements(x), x.shape()}});
  return detail::noted(op, std::move(y), {&x});
}

Tensor truth(const char* op, const Tensor& x) {
  return mask(op, x, [](auto v) { return v != 0; });
}

}  // namespace

Tensor floor(const Tensor& x) {
  return rounded("floor", x, [](auto v) { return std::floor(v); });
}

Tensor ceil(const Tensor& x) {
  return rounded("ceil", x, [](auto v) { return std::ceil(v); });
}

Tensor round(const Tensor& x) {
  // Not std::nearbyint, which follows the thread's rounding mode.
  return rounded("round", x, [](auto v) {
    const auto below = std::floor(v), above = v - below;  // exact: below is 0 or v's neighbour
    if (above < decltype(v){0.5}) return std::copysign(below, v);
    if (above > decltype(v){0.5}) return std::copysign(below + 1, v);
    if (above != above || std::isinf(v)) return v;
    return std::copysign(2 * std::floor((below + 1) / 2), v);
  });
}

Tensor trunc(const Tensor& x) {
  return rounded("trunc", x, [](auto v) { return std::trunc(v); });
}

Tensor isnan(const Tensor& x) {
  return mask("isnan", x, [](auto v) { return v != v; });
}

Tensor isinf(const Tensor& x) {
  return mask("isinf", x, [](auto v) {
    if constexpr (std::is_floating_point_v<decltype(v)>)
      return std::isinf(v);
    else
      return false;
  });
}

Tensor isfinite(const Tensor& x) {
  return mask("isfinite", x, [](auto v) {
    if constexpr (std::is_floating_point_v<decltype(v)>)
      return std::isfinite(v);
    else
      return true;
  });
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return detail::combine("logical_and", truth("logical_and", a), truth("logical_and", b),
                         [](auto p, auto q) { return p != 0 && q != 0; });
}

Tensor logical_or(const Tensor& a, const Tensor& b) {
  return detail::combine("logical_or", truth("logical_or", a), truth("logical_or", b),
                         [](auto p, auto q) { return p != 0 || q != 0; });
}

Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return detail::combine("logical_xor", truth("logical_xor", a), truth("logical_xor", b),
                         [](auto p, auto q) { return (p != 0) != (q != 0); });
}

Tensor logical_not(const Tensor& x) {
  return mask("logical_not", x, [](auto v) { return v == 0; });
}

}  // namespace tapegrad::inline v0
