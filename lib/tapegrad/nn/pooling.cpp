#include "tapegrad/nn/pooling.h"

#include "tapegrad/ops/resize.h"

namespace tapegrad::inline v0 {

Tensor MaxPooling2D::forward(const Tensor& x) {
  return max_pool2d(x, options_);
}

Tensor AveragePooling2D::forward(const Tensor& x) {
  return avg_pool2d(x, options_);
}

Tensor GlobalMaxPooling2D::forward(const Tensor& x) {
  return global_max_pool2d(x, options_);
}

Tensor GlobalAveragePooling2D::forward(const Tensor& x) {
  return global_avg_pool2d(x, options_);
}

Tensor UpSampling2D::forward(const Tensor& x) {
  return options_.interpolation == Interpolation::Nearest ? upsample_nearest(x, options_.size)
                                                          : upsample_bilinear(x, options_.size);
}

}  // namespace tapegrad::inline v0
