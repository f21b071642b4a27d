#include "tapegrad/nn/pooling.h"

#include "tapegrad/nn/layer_internal.h"
#include "tapegrad/ops/resize.h"

namespace tapegrad::inline v0 {

static void require_windows(const char* layer, const Pool2DOptions& options) {
  const Size2D size = options.pool_size;
  detail::require_sizes(layer, "pool_size", size);
  detail::require_sizes(layer, "strides", options.strides.value_or(size));
  if (options.padding.before(0) >= size.height || options.padding.before(1) >= size.width)
    fail(
        layer,
        "padding must be less than pool_size, as a window would lie in the padding alone, got {} for {} x {}",
        options.padding.str(), size.height, size.width);
}

MaxPooling2D::MaxPooling2D(const Pool2DOptions& options) : options_(options) {
  require_windows("MaxPooling2D", options);
}

AveragePooling2D::AveragePooling2D(const Pool2DOptions& options) : options_(options) {
  require_windows("AveragePooling2D", options);
}

UpSampling2D::UpSampling2D(const UpSampling2DOptions& options) : options_(options) {
  detail::require_sizes("UpSampling2D", "size", options.size);
}

Tensor MaxPooling2D::forward(const Tensor& x) {
  return detail::as_layer("MaxPooling2D", [&] { return max_pool2d(x, options_); });
}

Tensor AveragePooling2D::forward(const Tensor& x) {
  return detail::as_layer("AveragePooling2D", [&] { return avg_pool2d(x, options_); });
}

Tensor GlobalMaxPooling2D::forward(const Tensor& x) {
  return detail::as_layer("GlobalMaxPooling2D", [&] { return global_max_pool2d(x, options_); });
}

Tensor GlobalAveragePooling2D::forward(const Tensor& x) {
  return detail::as_layer("GlobalAveragePooling2D", [&] { return global_avg_pool2d(x, options_); });
}

Tensor UpSampling2D::forward(const Tensor& x) {
  return detail::as_layer("UpSampling2D", [&] {
    return options_.interpolation == Interpolation::Nearest ? upsample_nearest(x, options_.size)
                                                            : upsample_bilinear(x, options_.size);
  });
}

}  // namespace tapegrad::inline v0
