// A convolution as a product of matrices (windows unfolded, and its own matrix), and the orders of axes that others have.
#include "tapegrad/autograd/rules.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/conv2d_internal.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

using detail::check_conv2d_dtypes;
using detail::compute_conv2d;
using detail::require_defined;

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

Tensor permuted(const char* op, const Tensor& x, const char* axes, const std::vector<int>& order) {
  const detail::CalledOp called(op, {&x});
  require_rank(op, x, axes);
  return called.result(permute(x, order));
}

}  // namespace

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
