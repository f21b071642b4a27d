#include "tapegrad/nn/pooling.h"

#include "tapegrad/nn/layer_internal.h"
#include "tapegrad/ops/resize.h"

namespace tapegrad::inline v0 {

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
