#pragma once

// Layers without parameters that change the size of images: pooling and upsampling.

#include "tapegrad/nn/module.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The largest pixel of each window of each channel: max_pool2d.
class MaxPooling2D : public Module {
 public:
  /// Throws for a window or strides below 1 x 1, and for padding that a window fits into.
  explicit MaxPooling2D(const Pool2DOptions& options = {});
  MaxPooling2D(const MaxPooling2D& other, Cloning) : options_(other.options_) {}
  Tensor forward(const Tensor& x) override;

 private:
  Pool2DOptions options_;
};

/// The mean of each window's pixels: avg_pool2d.
class AveragePooling2D : public Module {
 public:
  /// Throws as MaxPooling2D does.
  explicit AveragePooling2D(const Pool2DOptions& options = {});
  AveragePooling2D(const AveragePooling2D& other, Cloning) : options_(other.options_) {}
  Tensor forward(const Tensor& x) override;

 private:
  Pool2DOptions options_;
};

/// The largest pixel of each channel: [n, h, w, c] -> [n, c], or [n, 1, 1, c] with keepdims.
class GlobalMaxPooling2D : public Module {
 public:
  explicit GlobalMaxPooling2D(const ReduceOptions& options = {}) : options_(options) {}
  GlobalMaxPooling2D(const GlobalMaxPooling2D& other, Cloning) : options_(other.options_) {}
  Tensor forward(const Tensor& x) override;

 private:
  ReduceOptions options_;
};

/// The mean of each channel: [n, h, w, c] -> [n, c], or [n, 1, 1, c] with keepdims.
class GlobalAveragePooling2D : public Module {
 public:
  explicit GlobalAveragePooling2D(const ReduceOptions& options = {}) : options_(options) {}
  GlobalAveragePooling2D(const GlobalAveragePooling2D& other, Cloning) : options_(other.options_) {}
  Tensor forward(const Tensor& x) override;

 private:
  ReduceOptions options_;
};

/// How the new pixels of an image that is made larger are computed.
enum class Interpolation {
  Nearest,   ///< nearest neighbour: every pixel becomes a block
  Bilinear,  ///< bilinear interpolation
};

struct UpSampling2DOptions {
  Size2D size = 2;                                       ///< factor of the height and of the width
  Interpolation interpolation = Interpolation::Nearest;  ///< how new pixels are computed
};
/// Images made `size` times as high and wide: upsample_nearest or upsample_bilinear.
class UpSampling2D : public Module {
 public:
  /// Throws for a size below 1 x 1.
  explicit UpSampling2D(const UpSampling2DOptions& options = {});
  UpSampling2D(const UpSampling2D& other, Cloning) : options_(other.options_) {}
  Tensor forward(const Tensor& x) override;

 private:
  UpSampling2DOptions options_;
};

}  // namespace v0
}  // namespace tapegrad
