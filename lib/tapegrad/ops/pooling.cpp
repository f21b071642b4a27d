#include "tapegrad/ops/pooling.h"

#include <algorithm>
#include <limits>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/kernels/conv2d/geometry.h"
#include "tapegrad/kernels/pooling.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/ops/reduce_internal.h"

namespace tapegrad::inline v0 {
namespace {

void require_images(const char* op, const Tensor& x) {
  detail::require_floating(op, x);
  if (x.rank() != 4)
    fail(op, "takes images [batch, height, width, channels], not shape {}: use reshape() or expand_dims()",
         x.shape());
}

Conv2DGeometry windows(const char* op, const Tensor& x, const Pool2DOptions& options) {
  require_images(op, x);
  const Size2D size = options.pool_size, strides = options.strides.value_or(size);
  constexpr index_t kLargest = std::numeric_limits<std::int32_t>::max();
  for (const index_t number : {size.height, size.width, strides.height, strides.width})
    if (number < 1 || number > kLargest)
      fail(op,
           "pool_size and strides must be 1 to {}, got pool_size {} x {} and strides {} x {} (x: {}, NHWC)",
           kLargest, size.height, size.width, strides.height, strides.width, x.shape());
  for (int axis = 0; axis < 2; ++axis) {
    const Padding& padding = options.padding;
    const index_t window = axis == 0 ? size.height : size.width, pixels = x.shape()[axis + 1];
    const index_t full = padding.kind() == Padding::Kind::Full ? 2 * (window - 1) : 0;
    if (padding.kind() != Padding::Kind::Same &&
        window - padding.before(axis) - padding.after(axis) - full > pixels)
      fail(
          op,
          "the window's {} must not be larger than the image's with its padding, got a window of {} x {} (x: {}, NHWC; "
          "padding {}): pad more, or use a smaller window",
          axis == 0 ? "height" : "width", size.height, size.width, x.shape(), padding.str());
  }
  const Conv2DGeometry g =
      resolve_conv2d(op, x.shape(), detail::result_shape(op, {size.height, size.width, x.shape()[3], 1}),
                     {.strides = strides, .padding = options.padding});
  // The first and the last window of each axis are those that could miss the image.
  const auto misses = [](index_t out, index_t stride, index_t before, index_t kernel, index_t pixels) {
    return out > 0 && (kernel <= before || (out - 1) * stride - before >= pixels);
  };
  if (misses(g.out_h, g.stride_h, g.pad_top, g.kernel_h, g.in_h) ||
      misses(g.out_w, g.stride_w, g.pad_left, g.kernel_w, g.in_w))
    fail(op, "a window of {} x {} lies in the padding alone (x: {}, NHWC; padding {}): pad less", size.height,
         size.width, x.shape(), options.padding.str());
  return g;
}

Shape result_shape(const Conv2DGeometry& g) {
  return {g.batch, g.out_h, g.out_w, g.in_channels};
}

// window_mean and its adjoint, each the derivative of the other.
Tensor spread(const Conv2DGeometry& g, const Tensor& dy);

Tensor average(const Conv2DGeometry& g, const Tensor& x) {
  Tensor y = TensorAccess::empty(result_shape(g), x.dtype(), "avg_pool2d");
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::window_mean(g, x.data<T>(), y.mutable_data<T>());
  });
  detail::note(g);
  return record("avg_pool2d", std::move(y), {{x, [g](const Tensor& dy) { return spread(g, dy); }}});
}

Tensor spread(const Conv2DGeometry& g, const Tensor& dy) {
  Tensor dx = zeros(g.in_shape(), dy.dtype());
  dispatch_floating(dy.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::window_spread(g, dy.data<T>(), dx.mutable_data<T>());
  });
  return record("avg_pool2d_spread", std::move(dx), {{dy, [g](const Tensor& gx) { return average(g, gx); }}});
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2DOptions& options) {
  const Conv2DGeometry g = windows("max_pool2d", x, options);
  if (x.size() > std::numeric_limits<std::int32_t>::max())
    fail("max_pool2d", "a tensor of shape {} has more elements than Int32 can number: use smaller batches",
         x.shape());
  Tensor y = TensorAccess::empty(result_shape(g), x.dtype(), "max_pool2d"), at;
  if (is_recording()) at = TensorAccess::empty(y.shape(), DType::Int32, "max_pool2d");
  dispatch_floating(x.dtype(), [&]<class T>(std::type_identity<T>) {
    kernels::window_max(g, x.data<T>(), y.mutable_data<T>(),
                        at.defined() ? at.mutable_data<std::int32_t>() : nullptr);
  });
  detail::note(g);
  if (!at.defined()) return detail::noted("max_pool2d", std::move(y), {&x});
  // No window has pixels of two images, and rows of windows that do not overlap have none in common.
  kernels::IndexParts parts{.count = std::max<index_t>(1, g.batch)};
  if (g.batch == 1 && g.kernel_h <= g.stride_h) parts = {.count = g.out_h, .in_order = false};
  return detail::recorded_choice("max_pool2d", std::move(y), x, at, parts);
}

Tensor avg_pool2d(const Tensor& x, const Pool2DOptions& options) {
  return average(windows("avg_pool2d", x, options), x);
}

Tensor global_max_pool2d(const Tensor& x, const ReduceOptions& options) {
  const detail::CalledOp called("global_max_pool2d", {&x});
  require_images("global_max_pool2d", x);
  if (x.size() == 0 && x.shape()[0] * x.shape()[3] != 0)
    fail("global_max_pool2d", "images of shape {} have no pixels to choose from", x.shape());
  return called.result(max(x, {1, 2}, options));
}

Tensor global_avg_pool2d(const Tensor& x, const ReduceOptions& options) {
  require_images("global_avg_pool2d", x);
  return detail::mean_of("global_avg_pool2d", x, {1, 2}, options);
}

}  // namespace tapegrad::inline v0
