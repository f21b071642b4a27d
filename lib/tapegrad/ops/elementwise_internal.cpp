#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0::detail {

void require_floating(const char* op, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(op, "takes Float32 or Float64, not {} {}: convert with cast()", x.dtype(), x.shape());
}

void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    fail(op, "the tensors are {} {} and {} {}: convert one with cast()", a.dtype(), a.shape(), b.dtype(),
         b.shape());
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
