#include "tapegrad/ops/compare.h"

#include <cmath>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0 {
using detail::number_like;

Tensor less(const Tensor& a, const Tensor& b) {
  return detail::combine("less", a, b, [](auto p, auto q) { return p < q; });
}

Tensor less_equal(const Tensor& a, const Tensor& b) {
  return detail::combine("less_equal", a, b, [](auto p, auto q) { return p <= q; });
}

Tensor greater(const Tensor& a, const Tensor& b) {
  return detail::combine("greater", a, b, [](auto p, auto q) { return p > q; });
}

Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return detail::combine("greater_equal", a, b, [](auto p, auto q) { return p >= q; });
}

Tensor equals(const Tensor& a, const Tensor& b) {
  return detail::combine("equals", a, b, [](auto p, auto q) { return p == q; });
}

Tensor not_equals(const Tensor& a, const Tensor& b) {
  return detail::combine("not_equals", a, b, [](auto p, auto q) { return p != q; });
}

Tensor less(const Tensor& a, double b) {
  return less(a, number_like("less", a, b));
}

Tensor less_equal(const Tensor& a, double b) {
  return less_equal(a, number_like("less_equal", a, b));
}

Tensor greater(const Tensor& a, double b) {
  return greater(a, number_like("greater", a, b));
}

Tensor greater_equal(const Tensor& a, double b) {
  return greater_equal(a, number_like("greater_equal", a, b));
}

Tensor equals(const Tensor& a, double b) {
  return equals(a, number_like("equals", a, b));
}

Tensor not_equals(const Tensor& a, double b) {
  return not_equals(a, number_like("not_equals", a, b));
}

namespace {

Tensor close(const char* op, const Tensor& a, const Tensor& b, const CloseOptions& options) {
  detail::require_same_dtype(op, a, b);
  if (!(options.rtol >= 0)) fail(op, "rtol must be at least 0, got {}", options.rtol);
  if (!(options.atol >= 0)) fail(op, "atol must be at least 0, got {}", options.atol);
  const NoGrad no_grad;  // a tape that looks for what is not finite should not look here
  const auto f = [o = options](double p, double q) {
    if (p == q) return true;
    if (p != p || q != q) return o.equal_nan && p != p && q != q;
    return std::isfinite(q) && std::abs(p - q) <= o.atol + o.rtol * std::abs(q);
  };
  const Tensor wide_a = detail::as_dtype(stop_gradient(a), DType::Float64),
               wide_b = detail::as_dtype(stop_gradient(b), DType::Float64);
  Tensor y =
      detail::combine(op, wide_a, wide_b, DType::UInt8, kernels::pair_loop<std::uint8_t, double, double>(f));
  detail::note("rtol", options.rtol);
  detail::note("atol", options.atol);
  detail::note("equal_nan", options.equal_nan);
  return detail::noted(op, std::move(y), {&a, &b});
}

}  // namespace

Tensor isclose(const Tensor& a, const Tensor& b, const CloseOptions& options) {
  return close("isclose", a, b, options);
}

bool allclose(const Tensor& a, const Tensor& b, const CloseOptions& options) {
  return all(close("allclose", a, b, options)).item() != 0;
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  detail::require_defined("where", condition);
  if (condition.dtype() != DType::UInt8)
    fail("where", "the condition is {} {} but must be UInt8, as comparisons return it", condition.dtype(),
         condition.shape());
  detail::require_same_dtype("where", a, b);
  const Shape shape = broadcast("where", broadcast("where", condition.shape(), a.shape()),
                                broadcast("where", a.shape(), b.shape()));
  Tensor y = TensorAccess::empty(shape, a.dtype(), "where");
  const auto choose = [](std::uint8_t is_a, auto from_a, auto from_b) { return is_a != 0 ? from_a : from_b; };
  const kernels::Loop loop = dispatch(a.dtype(), [&]<class T>(std::type_identity<T>) {
    return kernels::loop<T, std::uint8_t, T, T>(choose);
  });
  kernels::map(loop, shape, TensorAccess::elements(y),
               {{TensorAccess::elements(condition), condition.shape()},
                {TensorAccess::elements(a), a.shape()},
                {TensorAccess::elements(b), b.shape()}});
  detail::note_input(condition);
  return detail::record_broadcast(
      "where", std::move(y), a, b, [c = Saved(condition)](const Tensor& g) { return where(c(), g, 0.0); },
      [c = Saved(condition)](const Tensor& g) { return where(c(), 0.0, g); });
}

Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, number_like("where", a, b));
}

Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, number_like("where", b, a), b);
}

}  // namespace tapegrad::inline v0
