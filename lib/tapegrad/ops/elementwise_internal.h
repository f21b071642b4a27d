#pragma once

// Internal: what ops on single elements are made of.

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tapegrad/autograd/record.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::detail {

inline void require_floating(const char* op, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(op, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

inline void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    fail(op, "the tensors are {} {} and {} {}: convert one with cast()", a.dtype(), a.shape(), b.dtype(),
         b.shape());
}

/// f, made of +, - and *, for all dtypes: Int32 wraps around as UInt8 does, which C++ leaves undefined.
template <class F>
auto wrapping(F f) {
  return [f](auto... v) {
    using T = std::common_type_t<decltype(v)...>;
    if constexpr (std::is_same_v<T, std::int32_t>)
      return static_cast<T>(f(static_cast<std::uint32_t>(v)...));
    else
      return f(v...);
  };
}

/// f(a, b) with both broadcast: the forward pass of every op of two tensors. The result has their dtype, or
/// UInt8 where f returns bool.
template <class F>
Tensor combine(const char* op, const Tensor& a, const Tensor& b, F f) {
  require_same_dtype(op, a, b);
  const Shape shape = broadcast(op, a.shape(), b.shape());
  return dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    using Out = std::conditional_t<std::is_same_v<decltype(f(T{}, T{})), bool>, std::uint8_t, T>;
    Tensor y = TensorAccess::empty(shape, dtype_of<Out>);
    kernels::map_broadcast(
        shape, y.mutable_data<Out>(), [f](T p, T q) { return static_cast<Out>(f(p, q)); }, a.data<T>(),
        a.shape(), b.data<T>(), b.shape());
    return y;
  });
}

/// record() for an op of two tensors whose result was broadcast: the one place where that is undone. da and
/// db are the rules as if the shapes were equal.
template <class A, class B>
Tensor record_broadcast(const char* op, Tensor y, const Tensor& a, const Tensor& b, A da, B db) {
  // Nothing is recorded in most calls from a backward pass: do not even make the closures.
  if (const Scope* scope = innermost_scope(); scope != nullptr && scope->tape == 0) return y;
  const auto undone = [](const Shape& shape, auto rule) {
    if constexpr (takes_output<decltype(rule)>)
      return [shape, rule = std::move(rule)](const Tensor& g, const Tensor& out) {
        return sum_to(rule(g, out), shape);
      };
    else
      return [shape, rule = std::move(rule)](const Tensor& g) { return sum_to(rule(g), shape); };
  };
  return record(op, std::move(y),
                {{a, undone(a.shape(), std::move(da))}, {b, undone(b.shape(), std::move(db))}});
}

/// f(x) for any dtype.
template <class F>
Tensor transform(const Tensor& x, F f) {
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::map(
        x.size(), y.mutable_data<T>(), [f](T v) { return static_cast<T>(f(v)); }, x.data<T>());
  });
  return y;
}

/// f(x) for floating dtypes; f is called with the element type and must return it.
template <class F>
Tensor transform_floating(const char* op, const Tensor& x, F f) {
  require_floating(op, x);
  Tensor y = TensorAccess::empty(x.shape(), x.dtype());
  const auto run = [&]<class T>(std::type_identity<T>) {
    kernels::map(
        x.size(), y.mutable_data<T>(), [f](T v) -> T { return f(v); }, x.data<T>());
  };
  x.dtype() == DType::Float32 ? run(std::type_identity<float>{}) : run(std::type_identity<double>{});
  return y;
}

/// f(g, x), where f(value, at) is linear in value: value times a slope that `at` chooses. The rule of every
/// op that is made of straight pieces. The derivative by x is 0 wherever there is one.
template <class F>
Tensor slope(const Tensor& g, const Tensor& x, F f) {
  return record("slope", combine("slope", g, x, f),
                {{g, [x = Saved(x), f](const Tensor& gg) { return slope(gg, x(), f); }}});
}

/// slope() of an op that is x itself where keep(x), and constant elsewhere.
template <class F>
Tensor gate(const Tensor& g, const Tensor& x, F keep) {
  return slope(g, x, [keep](auto value, auto at) { return keep(at) ? value : decltype(value){0}; });
}

}  // namespace tapegrad::detail
