#pragma once

#include <vector>

#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/normalization.h"

namespace unet_segmentation {

namespace tg = tapegrad;

/// Twice: a 3 x 3 convolution, batch norm, ReLU. The size of the images stays.
struct ConvBlock : tg::Module {
  ConvBlock(tg::index_t in_channels, tg::index_t filters, tg::Generator& generator);
  tg::Tensor forward(const tg::Tensor& x) override;
  void visit(tg::Visitor& visitor) override;

  tg::Conv2D conv1, conv2;
  tg::BatchNorm norm1, norm2;
};

struct UNetOptions {
  tg::index_t in_channels = 3;
  tg::index_t classes = 2;
  tg::index_t filters = 16;  ///< of the first block; every level below has twice as many
  int levels = 3;            ///< how often the images are halved
};

/// A U-Net (Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation",
/// 2015): images [n, h, w, in_channels] to logits [n, h, w, classes]. On the way down the images are halved
/// by max pooling; on the way up they are doubled by transposed convolutions, and joined with what they were
/// before they were halved. h and w must be multiples of 2^levels.
struct UNet : tg::Module {
  UNet(const UNetOptions& options, tg::Generator& generator);
  tg::Tensor forward(const tg::Tensor& x) override;
  void visit(tg::Visitor& visitor) override;

  std::vector<ConvBlock> down, up;           // of each level, from the top
  std::vector<tg::Conv2DTranspose> enlarge;  // from the level below
  ConvBlock bottom;
  tg::Conv2D head;
};

}  // namespace unet_segmentation
