#include "tapegrad/autograd/view.h"

#include <algorithm>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/kernels/elementwise.h"

namespace tapegrad::inline v0::detail {

Tensor view(const char* op, const Tensor& x, const Shape& shape, index_t offset) {
  note("offset", static_cast<double>(offset));
  return record(op, TensorAccess::view(x, shape, offset), {{x, Embed{x.shape(), offset, shape}}});
}

Tensor embed(const Tensor& x, const Shape& shape, index_t offset) {
  if (x.size() == shape.size()) return view("reshape", x, shape, 0);
  Tensor whole = zeros(shape, x.dtype());
  dispatch(x.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    std::ranges::copy(x.values<T>(), whole.mutable_data<T>() + offset);
  });
  return record(
      "embed", std::move(whole),
      {{x, [part = x.shape(), offset](const Tensor& g) { return view("slice", g, part, offset); }}});
}

void add_in_place(Tensor& sum, index_t offset, const Tensor& x) {
  dispatch(sum.dtype(), [&]<class T>(std::type_identity<T>) {
    T* into = sum.mutable_data<T>() + offset;
    kernels::map(
        x.size(), into, [](T a, T b) { return static_cast<T>(a + b); }, static_cast<const T*>(into),
        x.data<T>());
  });
}

Tensor sum_of(const Tensor& a, const Tensor& b) {
  Tensor sum = TensorAccess::empty(a.shape(), a.dtype());
  dispatch(a.dtype(), [&](auto type) {
    using T = typename decltype(type)::type;
    kernels::map(
        sum.size(), sum.mutable_data<T>(), [](T x, T y) { return static_cast<T>(x + y); }, a.data<T>(),
        b.data<T>());
  });
  const auto pass_on = [](const Tensor& g) { return g; };
  return record("add", std::move(sum), {{a, pass_on}, {b, pass_on}});
}

Tensor copy_of(const Tensor& x, const char* op) {
  return record(op, TensorAccess::clone(x, op), {{x, [](const Tensor& g) { return g; }}});
}

}  // namespace tapegrad::inline v0::detail
