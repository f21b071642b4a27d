#pragma once

// Internal: what ops on single elements are made of.

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0::detail {

void require_floating(const char* op, const Tensor& x);
void require_same_dtype(const char* op, const Tensor& a, const Tensor& b);

/// f, made of +, - and *, for all dtypes: Int32 wraps around as UInt8 does, which C++ leaves undefined.
template <class F>
constexpr auto wrapping(F f) {
  return [f](auto... v) {
    using T = std::common_type_t<decltype(v)...>;
    if constexpr (std::is_same_v<T, std::int32_t>)
      return static_cast<T>(f(static_cast<std::uint32_t>(v)...));
    else
      return f(v...);
  };
}

template <class F>
inline constexpr bool gives_bool = std::is_same_v<std::invoke_result_t<F, float, float>, bool>;

template <class T, class F>
kernels::Loop pair_loop(const F& f) {
  return kernels::pair_loop<std::conditional_t<gives_bool<F>, std::uint8_t, T>, T, T>(f);
}

/// The loop applied to a and b, both broadcast; the result has the dtype `result`.
Tensor combine(const char* op, const Tensor& a, const Tensor& b, DType result, const kernels::Loop& loop);
/// The loop applied to x.
Tensor transform(const Tensor& x, const kernels::Loop& loop);

/// f(a, b) with both broadcast: the forward pass of every op of two tensors. The result has their dtype, or
/// UInt8 where f returns bool.
template <class F>
Tensor combine(const char* op, const Tensor& a, const Tensor& b, const F& f) {
  const kernels::Loop loop =
      dispatch(a.dtype(), [&]<class T>(std::type_identity<T>) { return pair_loop<T>(f); });
  return combine(op, a, b, gives_bool<F> ? DType::UInt8 : a.dtype(), loop);
}

/// The same for floating dtypes.
template <class F>
Tensor combine_floating(const char* op, const Tensor& a, const Tensor& b, const F& f) {
  require_floating(op, a);
  const bool single = a.dtype() == DType::Float32;
  return combine(op, a, b, gives_bool<F> ? DType::UInt8 : a.dtype(),
                 single ? pair_loop<float>(f) : pair_loop<double>(f));
}

/// record() for an op of two tensors whose result was broadcast: the one place where that is undone. da and
/// db are the rules as if the shapes were equal.
template <class A, class B>
Tensor record_broadcast(const char* op, Tensor y, const Tensor& a, const Tensor& b, A da, B db) {
  // Nothing is recorded in most calls from a backward pass: do not even make the closures.
  if (skips_recording()) return y;
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
Tensor transform(const Tensor& x, const F& f) {
  return transform(
      x, dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) { return kernels::loop<T, T>(f); }));
}

/// f(x) for floating dtypes; f is called with the element type and must return it.
template <class F>
Tensor transform_floating(const char* op, const Tensor& x, const F& f) {
  require_floating(op, x);
  return transform(
      x, x.dtype() == DType::Float32 ? kernels::loop<float, float>(f) : kernels::loop<double, double>(f));
}

/// f(g, x), where f(value, at) is linear in value: value times a slope that `at` chooses. The rule of every
/// op that is made of straight pieces. The derivative by x is 0 wherever there is one.
template <class F>
Tensor slope(const Tensor& g, const Tensor& x, F f) {
  return record("slope", combine_floating("slope", g, x, f),
                {{g, [x = Saved(x), f](const Tensor& gg) { return slope(gg, x(), f); }}});
}

/// slope() of an op that is x itself where keep(x), and constant elsewhere.
template <class F>
Tensor gate(const Tensor& g, const Tensor& x, F keep) {
  return slope(g, x, [keep](auto value, auto at) { return keep(at) ? value : decltype(value){0}; });
}

}  // namespace tapegrad::inline v0::detail
