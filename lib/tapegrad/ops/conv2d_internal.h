#pragma once

// Internal: what conv2d.cpp, conv2d_fused.cpp and conv2d_matrix.cpp share.

#include <type_traits>

#include "tapegrad/autograd/constant_filters_internal.h"
#include "tapegrad/ops/conv2d.h"

namespace tapegrad::inline v0::detail {

// The differentiable triad. Each takes a geometry that was checked against its operands, and so do the rules. With a gate, which
// has the result's shape, the result is zero where that is not positive; then it must not be recorded.
Tensor convolve(const char* op, const Conv2DGeometry& g, const Tensor& x, const Tensor& w,
                const Tensor& gate = {});
Tensor backprop_input(const char* op, const Conv2DGeometry& g, const Tensor& dy, const Tensor& w,
                      const Tensor& gate = {});
Tensor backprop_filter(const char* op, const Conv2DGeometry& g, const Tensor& x, const Tensor& dy);

void check_conv2d_dtypes(const char* op, const Tensor& a, const char* a_is, const Tensor& b,
                         const char* b_is);

/// The geometry of the conv2d that conv2d_transpose(x, w, options) is the transpose of.
Conv2DGeometry conv2d_transpose_geometry(const char* op, const Tensor& x, const Tensor& w,
                                         const Conv2DTransposeOptions& options);

/// Where the packed forms of this filter are kept; nullptr where they are not.
inline kernels::PackedFilter* kept_filter(const Tensor& w) {
  const ConstantFilters* filters = context().filters;
  return filters == nullptr ? nullptr : filters->find(w);
}

/// Runs kernel(a's elements, b's elements, result's elements) for the operands' dtype. The result is op's.
template <class Kernel>
Tensor compute_conv2d(const char* op, const Shape& shape, const Tensor& a, const Tensor& b, Kernel kernel) {
  Tensor y = TensorAccess::empty(shape, a.dtype(), op);
  const auto run = [&]<class T>(std::type_identity<T>) {
    kernel(a.data<T>(), b.data<T>(), y.mutable_data<T>());
  };
  dispatch_floating(a.dtype(), run);
  return y;
}

}  // namespace tapegrad::inline v0::detail
