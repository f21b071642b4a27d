#include "tapegrad/ops/compare.h"

#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad {
namespace {

Tensor number_like(const Tensor& x, double value) {
  return full(Shape{}, value, x.dtype());
}

}  // namespace

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
  return less(a, number_like(a, b));
}

Tensor less_equal(const Tensor& a, double b) {
  return less_equal(a, number_like(a, b));
}

Tensor greater(const Tensor& a, double b) {
  return greater(a, number_like(a, b));
}

Tensor greater_equal(const Tensor& a, double b) {
  return greater_equal(a, number_like(a, b));
}

Tensor equals(const Tensor& a, double b) {
  return equals(a, number_like(a, b));
}

Tensor not_equals(const Tensor& a, double b) {
  return not_equals(a, number_like(a, b));
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  if (condition.dtype() != DType::UInt8)
    fail("where", "the condition is {} {} but must be UInt8, as comparisons return it", condition.dtype(),
         condition.shape());
  detail::require_same_dtype("where", a, b);
  const Shape shape = broadcast("where", broadcast("where", condition.shape(), a.shape()),
                                broadcast("where", a.shape(), b.shape()));
  Tensor y = TensorAccess::empty(shape, a.dtype());
  dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    T* to = y.mutable_data<T>();
    const T* from = a.data<T>();
    const std::uint8_t* chosen = condition.data<std::uint8_t>();
    // b everywhere, and a over it.
    kernels::copy_strided(shape, to, kernels::strides_of(shape), b.data<T>(),
                          kernels::broadcast_strides(b.shape(), shape));
    kernels::for_rows(
        shape, kernels::broadcast_strides(a.shape(), shape),
        kernels::broadcast_strides(condition.shape(), shape),
        [=](index_t at, index_t at_a, index_t at_c, index_t count, index_t step_a, index_t step_c) {
          for (index_t i = 0; i < count; ++i) {
            const T yes = from[at_a + i * step_a], no = to[at + i];
            to[at + i] = chosen[at_c + i * step_c] != 0 ? yes : no;
          }
        });
  });
  return detail::record_broadcast(
      "where", std::move(y), a, b, [c = Saved(condition)](const Tensor& g) { return where(c(), g, 0.0); },
      [c = Saved(condition)](const Tensor& g) { return where(c(), 0.0, g); });
}

Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, number_like(a, b));
}

Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, number_like(b, a), b);
}

}  // namespace tapegrad
