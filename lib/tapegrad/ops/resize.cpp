#include "tapegrad/ops/resize.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/ops/axis_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/elementwise_internal.h"
#include "tapegrad/ops/index_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

void check(const char* op, const Tensor& x, Size2D size) {
  detail::require_defined(op, x);
  if (x.rank() != 4)
    fail(op, "takes images [batch, height, width, channels], not shape {}: use reshape() or expand_dims()",
         x.shape());
  if (size.height < 1 || size.width < 1)
    fail(op, "size must be at least 1 x 1, got {} x {} (x: {}, NHWC)", size.height, size.width, x.shape());
  const auto of = [&](int axis, index_t factor) { return detail::size_product(op, x.shape()[axis], factor); };
  const Shape result =
      detail::result_shape(op, {x.shape()[0], of(1, size.height), of(2, size.width), x.shape()[3]});
  // Where there is no memory for the result, nothing is computed for it before.
  (void)TensorAccess::empty(result, x.dtype(), op);
}

// One axis of upsample_bilinear: a mixture of the pixel below and the pixel above each place.
Tensor stretched(const Tensor& x, index_t factor, int axis) {
  const index_t size = x.shape()[axis], large = size * factor;
  if (factor == 1 || size == 0) return x;
  Tensor below = TensorAccess::empty({large}, DType::Int32),
         above = TensorAccess::empty({large}, DType::Int32);
  detail::Sizes sizes(static_cast<std::size_t>(x.rank() - axis), 1);
  sizes.front() = large;
  Tensor weight = TensorAccess::empty(Shape(sizes), DType::Float64);
  const auto low_pixel = below.mutable_values<std::int32_t>(),
             high_pixel = above.mutable_values<std::int32_t>();
  const auto weights = weight.mutable_values<double>();
  for (index_t i = 0; i < large; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) / static_cast<double>(factor) - 0.5;
    const double at = std::clamp(centre, 0.0, static_cast<double>(size - 1));
    const double low = std::floor(at);
    const auto place = static_cast<std::size_t>(i);
    low_pixel[place] = static_cast<std::int32_t>(low);
    high_pixel[place] = static_cast<std::int32_t>(std::min(low + 1, static_cast<double>(size - 1)));
    weights[place] = at - low;
  }
  const Tensor up = detail::as_dtype(weight, x.dtype());
  const auto pixels = [&](const Tensor& at) { return detail::gather_from("upsample_bilinear", x, at, axis); };
  return pixels(below) * (1.0 - up) + pixels(above) * up;
}

Tensor noted_size(const char* op, Tensor y, Size2D size, const Tensor& x) {
  const index_t factors[] = {size.height, size.width};
  detail::note("size", std::span<const index_t>(factors));
  return detail::noted(op, std::move(y), {&x});
}

}  // namespace

Tensor upsample_nearest(const Tensor& x, Size2D size) {
  const detail::CalledOp called("upsample_nearest", {&x});
  check("upsample_nearest", x, size);
  Tensor y = called.result(repeat(repeat(x, size.height, 1), size.width, 2));
  return noted_size("upsample_nearest", std::move(y), size, x);
}

Tensor upsample_bilinear(const Tensor& x, Size2D size) {
  const detail::CalledOp called("upsample_bilinear", {&x});
  check("upsample_bilinear", x, size);
  detail::require_floating("upsample_bilinear", x);
  const Tensor y = stretched(stretched(x, size.height, 1), size.width, 2);
  return noted_size("upsample_bilinear", called.result(size.height == 1 && size.width == 1 ? copy(y) : y),
                    size, x);
}

}  // namespace tapegrad::inline v0
