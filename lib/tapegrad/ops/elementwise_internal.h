#pragma once

// Internal: what ops on single elements are made of.

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tapegrad/autograd/called_internal.h"
#include "tapegrad/autograd/rules.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/tensor/defined_internal.h"

namespace tapegrad::inline v0::detail {

void require_floating(const char* op, const Tensor& x);
/// Throws unless both tensors are defined and have one dtype.
void require_same_dtype(const char* op, const Tensor& a, const Tensor& b);
/// cast() that gives back x itself where nothing is to be converted: for what nobody writes to.
Tensor as_dtype(const Tensor& x, DType dtype);
/// value as a scalar of x's dtype. Throws an Error of op when the dtype does not have it.
Tensor number_like(const char* op, const Tensor& x, double value);

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

/// How one function runs over the elements of each dtype. The dtype is chosen out of line: there are many functions.
struct Runs {
  kernels::Loop::Run float32, float64, int32 = nullptr, uint8 = nullptr;
};
/// Of a function of one element, and of two; and where the second operand is one number.
template <class F, class... T>
inline constexpr Runs runs_of = {kernels::run_of<F, T, T>...};
template <class F, class T>
using ResultOf = std::conditional_t<gives_bool<F>, std::uint8_t, T>;
template <class F, class... T>
inline constexpr Runs pair_runs_of = {kernels::run_of<F, ResultOf<F, T>, T, T>...};
template <class F, class... T>
inline constexpr Runs pair_runs_with_one_of = {kernels::run_with_one_of<F, ResultOf<F, T>, T, T>...};

/// The loop applied to a and b, both broadcast; the result has the dtype `result`.
Tensor combine(const char* op, const Tensor& a, const Tensor& b, DType result, const kernels::Loop& loop);
/// The loop applied to x.
Tensor transform(const char* op, const Tensor& x, const kernels::Loop& loop);

/// f applied to x.
Tensor transform(const char* op, const Tensor& x, const void* f, const Runs& runs);
/// f applied to a and b, both broadcast; the result has their dtype, or UInt8.
Tensor combine(const char* op, const Tensor& a, const Tensor& b, bool gives_uint8, const void* f,
               const Runs& runs, const Runs& with_one);

/// f applied to a and one number, which takes a's dtype. Throws an Error of op when the dtype does not have it.
Tensor combine_with_number(const char* op, const Tensor& a, double b, const void* f, const Runs& with_one);

/// f(a, b) with both broadcast: the forward pass of every op of two tensors. The result has their dtype, or
/// UInt8 where f returns bool.
template <class F>
Tensor combine(const char* op, const Tensor& a, const Tensor& b, const F& f) {
  return combine(op, a, b, gives_bool<F>, &f, pair_runs_of<F, float, double, std::int32_t, std::uint8_t>,
                 pair_runs_with_one_of<F, float, double, std::int32_t, std::uint8_t>);
}

/// The same for floating dtypes.
template <class F>
Tensor combine_floating(const char* op, const Tensor& a, const Tensor& b, const F& f) {
  require_floating(op, a);
  return combine(op, a, b, gives_bool<F>, &f, pair_runs_of<F, float, double>,
                 pair_runs_with_one_of<F, float, double>);
}

/// f(a, b) for a number b.
template <class F>
Tensor combine_with_number(const char* op, const Tensor& a, double b, const F& f) {
  return combine_with_number(op, a, b, &f,
                             pair_runs_with_one_of<F, float, double, std::int32_t, std::uint8_t>);
}
template <class F>
Tensor combine_floating_with_number(const char* op, const Tensor& a, double b, const F& f) {
  require_floating(op, a);
  return combine_with_number(op, a, b, &f, pair_runs_with_one_of<F, float, double>);
}

/// sum_to() that gives back x itself where nothing is to be summed: for rules, whose results nobody writes to.
Tensor summed_to(Tensor x, const Shape& shape);

/// record() for an op of two tensors whose result was broadcast: the one place where that is undone. da and
/// db are the rules as if the shapes were equal.
template <class A, class B>
Tensor record_broadcast(const char* op, Tensor y, const Tensor& a, const Tensor& b, A da, B db) {
  // Nothing is recorded in most calls from a backward pass.
  if (skips_recording()) return y;
  return record(op, std::move(y), {{a, std::move(da), summed_to}, {b, std::move(db), summed_to}});
}

/// f(x) for any dtype.
template <class F>
Tensor transform(const char* op, const Tensor& x, const F& f) {
  return transform(op, x, &f, runs_of<F, float, double, std::int32_t, std::uint8_t>);
}

/// f(x) for floating dtypes; f is called with the element type and must return it.
template <class F>
Tensor transform_floating(const char* op, const Tensor& x, const F& f) {
  require_floating(op, x);
  return transform(op, x, &f, runs_of<F, float, double>);
}

/// f(g, x), where f(value, at) is linear in value: value times a slope that `at` chooses. The rule of every
/// op that is made of straight pieces. The derivative by x is 0: at a kink it is that of the piece whose slope
/// is chosen (see at_kinks() for slopes that belong to no piece).
template <class F>
Tensor slope(const Tensor& g, const Tensor& x, F f) {
  return record("slope", combine_floating("slope", g, x, f),
                {{g, [x = Saved(x), f](const Tensor& gg) { return slope(gg, x(), f); }}});
}

/// f(x), computed in double.
template <class F>
Tensor transform_in_double(const char* op, const Tensor& x, F f) {
  return transform_floating(op, x,
                            [f](auto v) { return static_cast<decltype(v)>(f(static_cast<double>(v))); });
}

/// f of Float64, and a vectorized function of Float32.
template <class F>
Tensor transform_vectorized(const char* op, const Tensor& x, void (*single)(index_t, const float*, float*),
                            F f) {
  require_floating(op, x);
  if (x.dtype() != DType::Float32) return transform_floating(op, x, f);
  Tensor y = TensorAccess::empty(x.shape(), x.dtype(), op);
  single(x.size(), x.data<float>(), y.mutable_data<float>());
  return y;
}

/// The derivative of sigmoid, which is as exact where it is tiny. That of tanh is four times that of 2 x.
Tensor sigmoid_slope(const Tensor& x);

/// exp(-a x^2) for a = 1 or 1/2.
Tensor bell(const Tensor& x, double a);

/// The gradient of an op that is constant piece by piece: zeros, whatever g is.
Tensor no_gradient(const Tensor& g);

/// The same for an op whose value, where `mask` is set, is that of none of its pieces: a derivative does not exist
/// there, and is NaN where g asks for it.
Tensor at_jumps(const Tensor& g, const Tensor& mask);

/// The gradient `dx` of an op that has a kink where `mask` (UInt8, of x's shape) is set, and whose slope there is
/// chosen between those of its pieces and is that of none (0 for |x| at 0). The derivative of dx by x, element
/// by element or between all elements along `axes`, does not exist there: it is NaN, and not the finite number
/// that differentiating a constant choice would give.
Tensor at_kinks(const Tensor& dx, const Tensor& x, const Tensor& mask, const Axes& axes = {});

/// weight * x, where a weight of 0 makes 0 of any x, infinite ones too: 0 log 0 is 0. So does its gradient
/// by x.
Tensor weighted(const Tensor& weight, const Tensor& x);

/// slope() of an op that is x itself where keep(x), and constant elsewhere.
template <class F>
Tensor gate(const Tensor& g, const Tensor& x, F keep) {
  return slope(g, x, [keep](auto value, auto at) { return keep(at) ? value : decltype(value){0}; });
}

}  // namespace tapegrad::inline v0::detail
