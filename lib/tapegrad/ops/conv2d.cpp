#include "tapegrad/ops/conv2d.h"

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/ops/conv2d_internal.h"
#include "tapegrad/ops/elementwise_internal.h"

namespace tapegrad::inline v0 {
namespace detail {

namespace {

template <class T>
kernels::Epilogue<T> only_gate(const Tensor& gate) {
  return {.gate = gate.defined() ? gate.data<T>() : nullptr};
}

}  // namespace

Tensor convolve(const char* op, const Conv2DGeometry& g, const Tensor& x, const Tensor& w,
                const Tensor& gate) {
  Tensor y = compute_conv2d(op, g.out_shape(), x, w, [&]<class T>(const T* px, const T* pw, T* py) {
    kernels::conv2d(g, px, pw, py, only_gate<T>(gate), kept_filter(w));
  });
  note(g);
  return record(op, std::move(y),
                {{x, [g, w = Saved(w)](
                         const Tensor& dy) { return backprop_input("conv2d_backprop_input", g, dy, w()); }},
                 {w, [g, x = Saved(x)](const Tensor& dy) {
                    return backprop_filter("conv2d_backprop_filter", g, x(), dy);
                  }}});
}

Tensor backprop_input(const char* op, const Conv2DGeometry& g, const Tensor& dy, const Tensor& w,
                      const Tensor& gate) {
  Tensor dx = compute_conv2d(op, g.in_shape(), dy, w, [&]<class T>(const T* pdy, const T* pw, T* pdx) {
    kernels::conv2d_backprop_input(g, pdy, pw, pdx, only_gate<T>(gate), kept_filter(w));
  });
  note(g);
  return record(op, std::move(dx),
                {{dy, [g, w = Saved(w)](const Tensor& gx) { return convolve("conv2d", g, gx, w()); }},
                 {w, [g, dy = Saved(dy)](const Tensor& gx) {
                    return backprop_filter("conv2d_backprop_filter", g, gx, dy());
                  }}});
}

Tensor backprop_filter(const char* op, const Conv2DGeometry& g, const Tensor& x, const Tensor& dy) {
  Tensor dw = compute_conv2d(op, g.filter_shape(), x, dy, [&](auto px, auto pdy, auto pdw) {
    kernels::conv2d_backprop_filter(g, px, pdy, pdw);
  });
  note(g);
  return record(op, std::move(dw),
                {{x, [g, dy = Saved(dy)](
                         const Tensor& gw) { return backprop_input("conv2d_backprop_input", g, dy(), gw); }},
                 {dy, [g, x = Saved(x)](const Tensor& gw) { return convolve("conv2d", g, x(), gw); }}});
}

void check_conv2d_dtypes(const char* op, const Tensor& a, const char* a_is, const Tensor& b,
                         const char* b_is) {
  require_defined(op, a);
  require_defined(op, b);
  if (a.dtype() != b.dtype())
    fail(op, "{} is {} {} but {} is {} {}: convert one with cast()", a_is, a.dtype(), a.shape(), b_is,
         b.dtype(), b.shape());
  if (!is_floating(a.dtype()))
    fail(op, "takes Float32 or Float64, not {} ({}: {}, {}: {}): convert with cast()", a.dtype(), a_is,
         a.shape(), b_is, b.shape());
}

Conv2DGeometry conv2d_transpose_geometry(const char* op, const Tensor& x, const Tensor& w,
                                         const Conv2DTransposeOptions& options) {
  check_conv2d_dtypes(op, x, "x", w, "w");
  std::optional<Size2D> size;
  if (options.output_shape) {
    const auto& asked = *options.output_shape;
    if (asked.size() != 2 && asked.size() != 4)
      fail(op,
           "output_shape [{}] must be [height, width] or [batch, height, width, channels] (x: {}, NHWC; w: "
           "{}, HWOI)",
           join(asked, ", "), x.shape(), w.shape());
    size = asked.size() == 2 ? Size2D(asked[0], asked[1]) : Size2D(asked[1], asked[2]);
  }
  const Conv2DOptions conv = {options.strides, options.padding, options.dilations, options.groups};
  const Conv2DGeometry g =
      resolve_conv2d_transpose(op, x.shape(), w.shape(), conv, size, options.output_padding);
  if (options.output_shape && options.output_shape->size() == 4 &&
      (options.output_shape->front() != g.batch || options.output_shape->back() != g.in_channels))
    fail(op,
         "output_shape [{}] does not fit: x: {} (NHWC) and w: {} (HWOI) give a batch of {} and {} channels",
         join(*options.output_shape, ", "), x.shape(), w.shape(), g.batch, g.in_channels);
  return g;
}

}  // namespace detail

namespace {

using detail::backprop_filter;
using detail::backprop_input;
using detail::check_conv2d_dtypes;
using detail::conv2d_transpose_geometry;
using detail::convolve;

void check_output_gradient(const char* op, const Conv2DGeometry& g, const Tensor& dy) {
  if (dy.shape() != g.out_shape())
    fail(op,
         "the output gradient dy has shape {} (NHWC) but conv2d of x: {} (NHWC) with w: {} (HWIO) gives {}",
         dy.shape(), g.in_shape(), g.filter_shape(), g.out_shape());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2DOptions& options) {
  check_conv2d_dtypes("conv2d", x, "x", w, "w");
  return convolve("conv2d", resolve_conv2d("conv2d", x.shape(), w.shape(), options), x, w);
}

Tensor conv2d_backprop_input(const Shape& input_shape, const Tensor& w, const Tensor& dy,
                             const Conv2DOptions& options) {
  constexpr const char* op = "conv2d_backprop_input";
  check_conv2d_dtypes(op, dy, "dy", w, "w");
  const Conv2DGeometry g = resolve_conv2d(op, input_shape, w.shape(), options);
  check_output_gradient(op, g, dy);
  return backprop_input(op, g, dy, w);
}

Tensor conv2d_backprop_filter(const Tensor& x, const Shape& filter_shape, const Tensor& dy,
                              const Conv2DOptions& options) {
  constexpr const char* op = "conv2d_backprop_filter";
  check_conv2d_dtypes(op, x, "x", dy, "dy");
  const Conv2DGeometry g = resolve_conv2d(op, x.shape(), filter_shape, options);
  check_output_gradient(op, g, dy);
  return backprop_filter(op, g, x, dy);
}

Tensor conv2d_transpose(const Tensor& x, const Tensor& w, const Conv2DTransposeOptions& options) {
  return backprop_input("conv2d_transpose", conv2d_transpose_geometry("conv2d_transpose", x, w, options), x,
                        w);
}

Conv2DGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2DOptions& options) {
  return resolve_conv2d("conv2d_geometry", x, w, options);
}

}  // namespace tapegrad::inline v0
