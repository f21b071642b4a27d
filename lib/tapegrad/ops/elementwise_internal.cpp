#include "tapegrad/ops/elementwise_internal.h"

#include <cmath>
#include <limits>

#include "tapegrad/autograd/trace_internal.h"
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

void require_floating(const char* op, const Tensor& x) {
  require_defined(op, x);
  if (!is_floating(x.dtype()))
    fail(op, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.defined() && b.defined() && a.dtype() == b.dtype()) return;
  require_defined(op, a);
  require_defined(op, b);
  fail(op, "the tensors are {} {} and {} {}: convert one with cast()", a.dtype(), a.shape(), b.dtype(),
       b.shape());
}

namespace {

// Writes value as an element of x's dtype.
void write_number(const char* op, const Tensor& x, double value, void* to) {
  require_defined(op, x);
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      constexpr double low = std::numeric_limits<T>::lowest(), high = (std::numeric_limits<T>::max)();
      if (!(value >= low && value <= high) || value != std::trunc(value))
        fail(op,
             "{} is not a value of {}, the dtype of the tensor of shape {}: convert the tensor with cast()",
             value, x.dtype(), x.shape());
    }
    *static_cast<T*>(to) = static_cast<T>(value);
  });
}

}  // namespace

Tensor number_like(const char* op, const Tensor& x, double value) {
  require_defined(op, x);
  Tensor number = TensorAccess::empty(Shape{}, x.dtype(), op);
  write_number(op, x, value, TensorAccess::elements(number));
  return number;
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

namespace {

// combine() for tensors of one dtype.
Tensor combine_alike(const char* op, const Tensor& a, const Tensor& b, DType result,
                     const kernels::Loop& loop) {
  if (a.shape() == b.shape()) {  // most calls: not a broadcast's cost for them
    Tensor y = TensorAccess::empty(a.shape(), result, op);
    const void* const inputs[] = {TensorAccess::elements(a), TensorAccess::elements(b)};
    kernels::map(loop, a.size(), TensorAccess::elements(y), inputs);
    return y;
  }
  const Shape shape = broadcast(op, a.shape(), b.shape());
  Tensor y = TensorAccess::empty(shape, result, op);
  kernels::map(loop, shape, TensorAccess::elements(y),
               {{TensorAccess::elements(a), a.shape()}, {TensorAccess::elements(b), b.shape()}});
  return y;
}

kernels::Loop::Run run_for(DType dtype, const Runs& runs) {
  switch (dtype) {
    case DType::Float64:
      return runs.float64;
    case DType::Int32:
      return runs.int32;
    case DType::UInt8:
      return runs.uint8;
    case DType::Float32:
      break;
  }
  return runs.float32;
}

}  // namespace

Tensor combine(const char* op, const Tensor& a, const Tensor& b, DType result, const kernels::Loop& loop) {
  require_same_dtype(op, a, b);
  return combine_alike(op, a, b, result, loop);
}

Tensor combine(const char* op, const Tensor& a, const Tensor& b, bool gives_uint8, const void* f,
               const Runs& runs, const Runs& with_one) {
  require_same_dtype(op, a, b);
  const auto size = static_cast<index_t>(size_of(a.dtype()));
  const kernels::Loop loop{
      f, run_for(a.dtype(), runs), run_for(a.dtype(), with_one), gives_uint8 ? 1 : size, {size, size}};
  Tensor y = combine_alike(op, a, b, gives_uint8 ? DType::UInt8 : a.dtype(), loop);
  return gives_uint8 ? noted(op, std::move(y), {&a, &b}) : y;
}

Tensor combine_with_number(const char* op, const Tensor& a, double b, const void* f, const Runs& with_one) {
  alignas(double) std::byte number[sizeof(double)];  // room for an element of any dtype
  write_number(op, a, b, number);
  const auto size = static_cast<index_t>(size_of(a.dtype()));
  Tensor y = TensorAccess::empty(a.shape(), a.dtype(), op);
  const void* const inputs[] = {TensorAccess::elements(a), number};
  kernels::map({f, run_for(a.dtype(), with_one), nullptr, size, {size, 0}}, a.size(),
               TensorAccess::elements(y), inputs);
  note("number", b);
  return y;
}

Tensor transform(const char* op, const Tensor& x, const void* f, const Runs& runs) {
  const auto size = static_cast<index_t>(size_of(x.dtype()));
  return transform(op, x, {f, run_for(x.dtype(), runs), nullptr, size, {size}});
}

Tensor transform(const char* op, const Tensor& x, const kernels::Loop& loop) {
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), op);
  kernels::map(loop, x.shape(), TensorAccess::elements(y), {{TensorAccess::elements(x), x.shape()}});
  return y;
}

}  // namespace tapegrad::inline v0::detail
