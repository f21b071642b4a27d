#pragma once

#include "tapegrad/data/samples.h"
#include "tapegrad/nn/layers.h"

namespace common {

namespace tg = tapegrad;

/// LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998) as it is built
/// today, with ReLU, max pooling and more filters: images [n, 28, 28, 1], 0 background and 1 full ink, to
/// logits [n, 10].
tg::Sequential make_lenet(tg::Generator& generator);

/// The logits of any number of images, UInt8 or floating, computed in batches.
tg::Tensor logits_of(tg::Module& net, const tg::Samples& images);

}  // namespace common
