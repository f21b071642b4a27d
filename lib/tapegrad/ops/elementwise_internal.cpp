#include "tapegrad/ops/elementwise_internal.h"

#include <cmath>
#include <limits>

#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/elementwise.h"

namespace tapegrad::inline v0::detail {

namespace {

// NaN where g is not 0: a derivative that does not exist, where it is asked for.
Tensor undefined(const Tensor& g) {
  const auto f = [](auto v) {
    using T = decltype(v);
    return v != 0 ? std::numeric_limits<T>::quiet_NaN() : T{0};
  };
  return record("undefined", transform_floating("undefined", g, f),
                {{g, [](const Tensor& gg) { return undefined(gg); }}});
}

}  // namespace

void require_defined(const char* op, const Tensor& x) {
  if (!x.defined()) fail(op, "a tensor was declared but never given a value");
}

void require_floating(const char* op, const Tensor& x) {
  require_defined(op, x);
  if (!is_floating(x.dtype()))
    fail(op, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  require_defined(op, a);
  require_defined(op, b);
  if (a.dtype() != b.dtype())
    fail(op, "the tensors are {} {} and {} {}: convert one with cast()", a.dtype(), a.shape(), b.dtype(),
         b.shape());
}

Tensor number_like(const char* op, const Tensor& x, double value) {
  require_defined(op, x);
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      constexpr double low = std::numeric_limits<T>::lowest(), high = (std::numeric_limits<T>::max)();
      if (!(value >= low && value <= high) || value != std::trunc(value))
        fail(op,
             "{} is not a value of {}, the dtype of the tensor of shape {}: convert the tensor with cast()",
             value, x.dtype(), x.shape());
    }
  });
  return full(Shape{}, value, x.dtype());
}

Tensor no_gradient(const Tensor& g) {
  return record("zeros", zeros_like(g), {{g, [](const Tensor& gg) { return no_gradient(gg); }}});
}

Tensor at_jumps(const Tensor& g, const Tensor& mask) {
  return any(mask).item() == 0 ? no_gradient(g) : where(mask, undefined(g), 0.0);
}

Tensor at_kinks(const Tensor& dx, const Tensor& x, const Tensor& mask, const Axes& axes) {
  const auto by_x = [mask = Saved(mask), axes](const Tensor& g) {
    const Tensor own = where(mask(), undefined(g), 0.0);
    return axes.size() == 0 ? own : where(mask(), sum(own, axes, {.keepdims = true}), 0.0);
  };
  return record("kink", TensorAccess::view(dx, dx.shape()),
                {{dx, [](const Tensor& g) { return g; }}, {x, by_x}});
}

Tensor weighted(const Tensor& weight, const Tensor& x) {
  const auto product = [](auto w, auto v) { return w == 0 ? decltype(v){0} : w * v; };
  return record_broadcast(
      "multiply", combine_floating("multiply", weight, x, product), weight, x,
      [x = Saved(x)](const Tensor& g) { return g * x(); },
      [weight = Saved(weight)](const Tensor& g) { return weighted(weight(), g); });
}

Tensor combine(const char* op, const Tensor& a, const Tensor& b, DType result, const kernels::Loop& loop) {
  require_same_dtype(op, a, b);
  const Shape shape = broadcast(op, a.shape(), b.shape());
  Tensor y = TensorAccess::empty(shape, result);
  kernels::map(loop, shape, TensorAccess::elements(y),
               {{TensorAccess::elements(a), a.shape()}, {TensorAccess::elements(b), b.shape()}});
  return y;
}

Tensor transform(const Tensor& x, const kernels::Loop& loop) {
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  kernels::map(loop, x.shape(), TensorAccess::elements(y), {{TensorAccess::elements(x), x.shape()}});
  return y;
}

}  // namespace tapegrad::inline v0::detail
