#include "tapegrad/transforms/derivatives.h"

#include <algorithm>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

void require_defined(const char* what, const char* which, const std::vector<Tensor>& xs) {
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (!xs[i].defined()) fail(what, "{} {} was never given a value", which, i);
}

// What is to be differentiated, and by what.
void check_arguments(const char* what, const TensorFunction& f, const std::vector<Tensor>& xs) {
  if (!f) fail(what, "the function is empty: pass a function");
  require_defined(what, "input", xs);
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (!is_floating(xs[i].dtype()))
      fail(what, "input {} must be Float32 or Float64, got {} {}: let the function capture it instead", i,
           xs[i].dtype(), xs[i].shape());
}

// f(xs), which has a value.
Tensor value_at(const char* what, const TensorFunction& f, const std::vector<Tensor>& xs) {
  Tensor y = f(xs);
  if (!y.defined()) fail(what, "the function returned a Tensor that was never given a value");
  if (!is_floating(y.dtype()))
    fail(what, "the function's result must be Float32 or Float64, got {} {}", y.dtype(), y.shape());
  return y;
}

void check_directions(const char* what, const std::vector<Tensor>& xs, const std::vector<Tensor>& vs) {
  require_defined(what, "direction", vs);
  if (xs.empty()) fail(what, "there must be at least one input, got none");
  if (xs.size() != vs.size())
    fail(what, "there must be one direction for each input, got {} directions for {} inputs", vs.size(),
         xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (vs[i].shape() != xs[i].shape() || vs[i].dtype() != xs[i].dtype())
      fail(what, "direction {} must be {} {}, as its input, got {} {}", i, xs[i].dtype(), xs[i].shape(),
           vs[i].dtype(), vs[i].shape());
}

void check_scalar(const char* what, const Tensor& y) {
  if (y.size() != 1) fail(what, "the function's result must have one element, got shape {}", y.shape());
}

// The sum over all pairs of the inner product.
Tensor inner_product(const std::vector<Tensor>& as, const std::vector<Tensor>& bs) {
  Tensor total = sum(as.at(0) * bs.at(0));
  for (std::size_t i = 1; i < as.size(); ++i) total = total + sum(as[i] * bs[i]);
  return total;
}

Tensor one_at(const Shape& shape, DType dtype, index_t element) {
  Tensor x = zeros(shape, dtype);
  dispatch(dtype, [&]<class T>(std::type_identity<T>) { x.mutable_data<T>()[element] = T{1}; });
  return x;
}

Shape joined(const Shape& a, const Shape& b) {
  std::vector<index_t> sizes(a.begin(), a.end());
  sizes.insert(sizes.end(), b.begin(), b.end());
  return Shape(sizes);
}

Tensor empty_of(const char* what, const Shape& shape, DType dtype) {
  try {
    return TensorAccess::empty(shape, dtype);
  } catch (const Error& error) {
    fail(what, "the result would have shape {}: {}", shape, error.message());
  }
}

// Row `row` of rows becomes x.
void put(Tensor& rows, index_t row, const Tensor& x) {
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    std::ranges::copy(x.values<T>(), rows.mutable_data<T>() + row * x.size());
  });
}

// What an outer tape sees of a result: an inner tape that is not inside another one leaves plain values
// anyway.
Tensor value_of(const Tensor& y) {
  return is_recording() ? y : stop_gradient(y);
}

// jacobian(), for `what`.
std::vector<Tensor> jacobian_for(const char* what, const TensorFunction& f, const std::vector<Tensor>& xs) {
  const bool recorded = is_recording();
  std::vector<Tensor> jacobians;                     // made before the work: there may be no memory for them
  std::vector<std::vector<Tensor>> rows(xs.size());  // of what an outer tape differentiates again
  {
    Tape tape({.persistent = true});
    const std::vector<Tensor> watched = tape.watch(xs);
    const Tensor y = value_at(what, f, watched);
    for (const Tensor& x : xs) jacobians.push_back(empty_of(what, joined(y.shape(), x.shape()), x.dtype()));
    for (index_t element = 0; element < y.size(); ++element) {
      const auto gradients = tape.gradient(
          y, watched,
          {.zeros_for_unreached = true, .output_gradient = one_at(y.shape(), y.dtype(), element)});
      for (std::size_t i = 0; i < xs.size(); ++i) {
        if (recorded)
          rows[i].push_back(gradients[i]);
        else
          put(jacobians[i], element, gradients[i]);
      }
    }
  }
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (!rows[i].empty()) jacobians[i] = reshape(stack(rows[i]), jacobians[i].shape());
  return jacobians;
}

}  // namespace

std::vector<Tensor> jacobian(const TensorFunction& f, const std::vector<Tensor>& xs) {
  check_arguments("jacobian", f, xs);
  return jacobian_for("jacobian", f, xs);
}

std::vector<std::vector<Tensor>> hessian(const TensorFunction& f, const std::vector<Tensor>& xs) {
  check_arguments("hessian", f, xs);
  std::vector<std::vector<Tensor>> blocks;
  for (std::size_t i = 0; i < xs.size(); ++i)
    blocks.push_back(jacobian_for(
        "hessian",
        [&](const std::vector<Tensor>& at) {
          Tape tape;
          const std::vector<Tensor> watched = tape.watch(at);
          const Tensor y = value_at("hessian", f, watched);
          check_scalar("hessian", y);
          return tape.gradient(y, watched[i], {.zeros_for_unreached = true, .output_gradient = ones_like(y)});
        },
        xs));
  return blocks;
}

std::pair<Tensor, std::vector<Tensor>> vjp(const TensorFunction& f, const std::vector<Tensor>& xs,
                                           const Tensor& v) {
  check_arguments("vjp", f, xs);
  require_defined("vjp", "vector", {v});
  Tensor y;
  std::vector<Tensor> gradients;
  {
    Tape tape;
    const std::vector<Tensor> watched = tape.watch(xs);
    y = value_at("vjp", f, watched);
    if (v.shape() != y.shape() || v.dtype() != y.dtype())
      fail("vjp", "the vector must be {} {}, as the function's result, got {} {}", y.dtype(), y.shape(),
           v.dtype(), v.shape());
    gradients = tape.gradient(y, watched, {.zeros_for_unreached = true, .output_gradient = v});
  }
  return {value_of(y), gradients};
}

std::pair<Tensor, Tensor> jvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                              const std::vector<Tensor>& vs) {
  check_arguments("jvp", f, xs);
  check_directions("jvp", xs, vs);
  Tensor y, along;
  {
    Tape tape;
    const std::vector<Tensor> watched = tape.watch(xs);
    y = value_at("jvp", f, watched);
    const Tensor u = tape.watch(zeros_like(y));
    const auto gradients =
        tape.gradient(y, watched, {.create_graph = true, .zeros_for_unreached = true, .output_gradient = u});
    along = tape.gradient(inner_product(gradients, vs), u, {.zeros_for_unreached = true});
  }
  return {value_of(y), along};
}

std::vector<Tensor> hvp(const TensorFunction& f, const std::vector<Tensor>& xs,
                        const std::vector<Tensor>& vs) {
  check_arguments("hvp", f, xs);
  check_directions("hvp", xs, vs);
  Tape tape;
  const std::vector<Tensor> watched = tape.watch(xs);
  const Tensor y = value_at("hvp", f, watched);
  check_scalar("hvp", y);
  const auto gradients = tape.gradient(
      y, watched, {.create_graph = true, .zeros_for_unreached = true, .output_gradient = ones_like(y)});
  return tape.gradient(inner_product(gradients, vs), watched, {.zeros_for_unreached = true});
}

}  // namespace tapegrad::inline v0
