#include "tapegrad/ops/elementwise.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/autograd/record.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

// f(a, b) with both broadcast: the forward pass of every op of two tensors.
template <class F>
Tensor combine(const char* op, const Tensor& a, const Tensor& b, F f) {
  if (a.dtype() != b.dtype())
    fail(op, "the tensors are {} {} and {} {}: convert one with cast()", a.dtype(), a.shape(), b.dtype(),
         b.shape());
  const Shape shape = broadcast(op, a.shape(), b.shape());
  Tensor y = TensorAccess::empty(shape, a.dtype());
  dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::map_broadcast(
        shape, y.mutable_data<T>(), [f](T p, T q) { return static_cast<T>(f(p, q)); }, a.data<T>(), a.shape(),
        b.data<T>(), b.shape());
  });
  return y;
}

// record() for an op of two tensors whose result was broadcast: the one place where that is undone. da and db
// are the rules as if the shapes were equal.
template <class A, class B>
Tensor record_broadcast(const char* op, Tensor y, const Tensor& a, const Tensor& b, A da, B db) {
  const auto undone = [](const Shape& shape, auto rule) {
    if constexpr (detail::takes_output<decltype(rule)>)
      return [=](const Tensor& g, const Tensor& out) { return sum_to(rule(g, out), shape); };
    else
      return [=](const Tensor& g) { return sum_to(rule(g), shape); };
  };
  return record(op, std::move(y), {{a, undone(a.shape(), da)}, {b, undone(b.shape(), db)}});
}

// f(x) for any dtype.
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

void require_floating(const char* op, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(op, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

// f(x) for floating dtypes; f is called with the element type and must return it.
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

// g where keep is not 0, elsewhere 0. The derivative by keep is 0 wherever there is one.
template <class F>
Tensor gate(const Tensor& g, const Tensor& x, F keep) {
  Tensor y =
      combine("gate", g, x, [keep](auto value, auto at) { return keep(at) ? value : decltype(value){0}; });
  return record("gate", std::move(y),
                {{g, [x = Saved(x), keep](const Tensor& gg) { return gate(gg, x(), keep); }}});
}

// A number takes the tensor's dtype; one that the dtype does not have is refused, not rounded.
template <class F>
Tensor combine_with_number(const Tensor& a, double b, F f) {
  const Tensor number = full(Shape{}, b, a.dtype());
  return dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    return transform(a, [f, q = number.data<T>()[0]](auto p) { return f(p, static_cast<decltype(p)>(q)); });
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  const auto pass_on = [](const Tensor& g) { return g; };
  return record_broadcast("add", combine("add", a, b, [](auto p, auto q) { return p + q; }), a, b, pass_on,
                          pass_on);
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  return record_broadcast(
      "subtract", combine("subtract", a, b, [](auto p, auto q) { return p - q; }), a, b,
      [](const Tensor& g) { return g; }, [](const Tensor& g) { return negate(g); });
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  return record_broadcast(
      "multiply", combine("multiply", a, b, [](auto p, auto q) { return p * q; }), a, b,
      [b = Saved(b)](const Tensor& g) { return g * b(); },
      [a = Saved(a)](const Tensor& g) { return g * a(); });
}

Tensor divide(const Tensor& a, const Tensor& b) {
  require_floating("divide", a);
  return record_broadcast(
      "divide", combine("divide", a, b, [](auto p, auto q) { return p / q; }), a, b,
      [b = Saved(b)](const Tensor& g) { return g / b(); },
      [b = Saved(b)](const Tensor& g, const Tensor& y) { return -(g * y) / b(); });
}

Tensor add(const Tensor& a, double b) {
  return record("add", combine_with_number(a, b, [](auto p, auto q) { return p + q; }),
                {{a, [](const Tensor& g) { return g; }}});
}

Tensor multiply(const Tensor& a, double b) {
  return record("multiply", combine_with_number(a, b, [](auto p, auto q) { return p * q; }),
                {{a, [b](const Tensor& g) { return g * b; }}});
}

Tensor divide(double a, const Tensor& b) {
  return record("divide",
                transform_floating("divide", b, [a](auto v) { return static_cast<decltype(v)>(a) / v; }),
                {{b, [b = Saved(b)](const Tensor& g, const Tensor& y) { return -(g * y) / b(); }}});
}

Tensor negate(const Tensor& x) {
  return record("negate", transform(x, [](auto v) { return -v; }),
                {{x, [](const Tensor& g) { return negate(g); }}});
}

Tensor exp(const Tensor& x) {
  return record("exp", transform_floating("exp", x, [](auto v) { return std::exp(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g * y; }}});
}

Tensor log(const Tensor& x) {
  return record("log", transform_floating("log", x, [](auto v) { return std::log(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g / x(); }}});
}

Tensor sqrt(const Tensor& x) {
  return record("sqrt", transform_floating("sqrt", x, [](auto v) { return std::sqrt(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g / (2.0 * y); }}});
}

Tensor square(const Tensor& x) {
  return record("square", transform_floating("square", x, [](auto v) { return v * v; }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * (2.0 * x()); }}});
}

Tensor abs(const Tensor& x) {
  return record("abs", transform_floating("abs", x, [](auto v) { return std::abs(v); }),
                {{x, [x = Saved(x)](const Tensor& g) {
                    return gate(g, x(), [](auto v) { return v > 0; }) -
                           gate(g, x(), [](auto v) { return v < 0; });
                  }}});
}

Tensor sin(const Tensor& x) {
  return record("sin", transform_floating("sin", x, [](auto v) { return std::sin(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return g * cos(x()); }}});
}

Tensor cos(const Tensor& x) {
  return record("cos", transform_floating("cos", x, [](auto v) { return std::cos(v); }),
                {{x, [x = Saved(x)](const Tensor& g) { return -(g * sin(x())); }}});
}

Tensor tanh(const Tensor& x) {
  return record("tanh", transform_floating("tanh", x, [](auto v) { return std::tanh(v); }),
                {{x, [](const Tensor& g, const Tensor& y) { return g * (1.0 - square(y)); }}});
}

Tensor sigmoid(const Tensor& x) {
  // exp(-|x|) never overflows; 1 / (1 + e) and e / (1 + e) are both accurate.
  const auto f = [](auto v) {
    const auto e = std::exp(-std::abs(v));
    return (v >= 0 ? 1 : e) / (1 + e);
  };
  return record("sigmoid", transform_floating("sigmoid", x, f),
                {{x, [](const Tensor& g, const Tensor& y) { return g * (y * (1.0 - y)); }}});
}

Tensor relu(const Tensor& x) {
  // Not std::max, which would turn NaN into 0.
  return record(
      "relu", transform_floating("relu", x, [](auto v) { return v < 0 ? decltype(v){0} : v; }),
      {{x, [](const Tensor& g, const Tensor& y) { return gate(g, y, [](auto v) { return v > 0; }); }}});
}

Tensor softplus(const Tensor& x) {
  const auto f = [](auto v) { return std::max(v, decltype(v){0}) + std::log1p(std::exp(-std::abs(v))); };
  return record("softplus", transform_floating("softplus", x, f),
                {{x, [x = Saved(x)](const Tensor& g) { return g * sigmoid(x()); }}});
}

Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail("clamp", "the range {} to {} is empty", low, high);
  const auto f = [low, high](auto v) {
    using T = decltype(v);
    return v < static_cast<T>(low)    ? static_cast<T>(low)
           : v > static_cast<T>(high) ? static_cast<T>(high)
                                      : v;
  };
  return record("clamp", transform_floating("clamp", x, f), {{x, [x = Saved(x), low, high](const Tensor& g) {
                                                                return gate(g, x(), [low, high](auto v) {
                                                                  using T = decltype(v);
                                                                  return v >= static_cast<T>(low) &&
                                                                         v <= static_cast<T>(high);
                                                                });
                                                              }}});
}

}  // namespace tapegrad
