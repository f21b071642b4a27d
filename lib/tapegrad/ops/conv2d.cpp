#include "tapegrad/ops/conv2d.h"

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/conv2d_internal.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"

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
using detail::compute_conv2d;
using detail::conv2d_transpose_geometry;
using detail::convolve;
using detail::require_defined;

void check_output_gradient(const char* op, const Conv2DGeometry& g, const Tensor& dy) {
  if (dy.shape() != g.out_shape())
    fail(op,
         "the output gradient dy has shape {} (NHWC) but conv2d of x: {} (NHWC) with w: {} (HWIO) gives {}",
         dy.shape(), g.in_shape(), g.filter_shape(), g.out_shape());
}

void require_rank(const char* op, const Tensor& x, std::string_view layout) {
  require_defined(op, x);
  if (x.rank() != 4) fail(op, "takes a tensor with four axes, {}, not shape {}", layout, x.shape());
}

// The geometry of windows over all channels of an image.
Conv2DGeometry window_geometry(const char* op, const Shape& x, Size2D kernel_size,
                               const Conv2DOptions& options) {
  if (options.groups != 1) fail(op, "groups must be 1, as windows hold all channels, got {}", options.groups);
  const index_t channels = x.rank() == 4 ? x[3] : 1;
  return resolve_conv2d(op, x, detail::result_shape(op, {kernel_size.height, kernel_size.width, channels, 1}),
                        options);
}

Tensor unfold_by(const Conv2DGeometry& g, const Tensor& x);

Tensor fold_by(const Conv2DGeometry& g, const Tensor& columns) {
  Tensor x = compute_conv2d("fold", g.in_shape(), columns, columns,
                            [&](auto from, auto, auto to) { kernels::conv2d_fold(g, from, to); });
  detail::note(g);
  return record("fold", std::move(x), {{columns, [g](const Tensor& gx) { return unfold_by(g, gx); }}});
}

Tensor unfold_by(const Conv2DGeometry& g, const Tensor& x) {
  Tensor columns = compute_conv2d("unfold", {g.batch, g.out_h, g.out_w, g.window()}, x, x,
                                  [&](auto from, auto, auto to) { kernels::conv2d_unfold(g, from, to); });
  detail::note(g);
  return record("unfold", std::move(columns), {{x, [g](const Tensor& gc) { return fold_by(g, gc); }}});
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

Tensor unfold(const Tensor& x, Size2D kernel_size, const Conv2DOptions& options) {
  check_conv2d_dtypes("unfold", x, "x", x, "x");
  return unfold_by(window_geometry("unfold", x.shape(), kernel_size, options), x);
}

Tensor fold(const Tensor& columns, const Shape& input_shape, Size2D kernel_size,
            const Conv2DOptions& options) {
  check_conv2d_dtypes("fold", columns, "columns", columns, "columns");
  const Conv2DGeometry g = window_geometry("fold", input_shape, kernel_size, options);
  const Shape expected = {g.batch, g.out_h, g.out_w, g.window()};
  if (columns.shape() != expected)
    fail("fold", "the columns have shape {} but the windows of an image {} (NHWC) have {}", columns.shape(),
         input_shape, expected);
  return fold_by(g, columns);
}

Conv2DGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2DOptions& options) {
  return resolve_conv2d("conv2d_geometry", x, w, options);
}

Tensor conv2d_matrix(const Tensor& w, const Conv2DGeometry& g) {
  check_conv2d_dtypes("conv2d_matrix", w, "w", w, "w");
  if (w.shape() != g.filter_shape())
    fail("conv2d_matrix", "the filter has shape {} (HWIO) but the geometry is that of {}", w.shape(),
         g.filter_shape());
  Tensor matrix = zeros({g.out_h * g.out_w * g.out_channels, g.in_h * g.in_w * g.in_channels}, w.dtype());
  const auto fill = [&]<class T>(std::type_identity<T>) {
    const T* tap = w.data<T>();
    T* entries = matrix.mutable_data<T>();
    for (index_t i = 0; i < g.kernel_h; ++i)
      for (index_t j = 0; j < g.kernel_w; ++j)
        for (index_t c = 0; c < g.group_in(); ++c)
          for (index_t o = 0; o < g.out_channels; ++o, ++tap)
            for (index_t p = 0; p < g.out_h; ++p)
              for (index_t q = 0; q < g.out_w; ++q) {
                const index_t row = p * g.stride_h + i * g.dilation_h - g.pad_top;
                const index_t column = q * g.stride_w + j * g.dilation_w - g.pad_left;
                if (row < 0 || row >= g.in_h || column < 0 || column >= g.in_w) continue;
                const index_t channel = o / g.group_out() * g.group_in() + c;
                const index_t from = (row * g.in_w + column) * g.in_channels + channel;
                entries[((p * g.out_w + q) * g.out_channels + o) * matrix.shape()[1] + from] = *tap;
              }
  };
  dispatch_floating(w.dtype(), fill);
  return matrix;
}

static Tensor permuted(const char* op, const Tensor& x, const char* axes, const std::vector<int>& order) {
  const detail::CalledOp called(op, {&x});
  require_rank(op, x, axes);
  return called.result(permute(x, order));
}

Tensor nhwc_to_nchw(const Tensor& images) {
  return permuted("nhwc_to_nchw", images, "[batch, height, width, channels]", {0, 3, 1, 2});
}

Tensor nchw_to_nhwc(const Tensor& images) {
  return permuted("nchw_to_nhwc", images, "[batch, channels, height, width]", {0, 2, 3, 1});
}

Tensor hwio_to_oihw(const Tensor& filter) {
  return permuted("hwio_to_oihw", filter, "[kh, kw, in, out]", {3, 2, 0, 1});
}

Tensor oihw_to_hwio(const Tensor& filter) {
  return permuted("oihw_to_hwio", filter, "[out, in, kh, kw]", {2, 3, 1, 0});
}

Tensor hwoi_to_iohw(const Tensor& filter) {
  return permuted("hwoi_to_iohw", filter, "[kh, kw, out, in]", {3, 2, 0, 1});
}

Tensor iohw_to_hwoi(const Tensor& filter) {
  return permuted("iohw_to_hwoi", filter, "[in, out, kh, kw]", {2, 3, 1, 0});
}

Tensor rot180(const Tensor& filter) {
  const detail::CalledOp called("rot180", {&filter});
  require_defined("rot180", filter);
  if (filter.rank() < 2)
    fail("rot180", "takes a filter with at least two axes, not shape {}", filter.shape());
  return called.result(flip(filter, {0, 1}));
}

}  // namespace tapegrad::inline v0
