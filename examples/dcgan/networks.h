#pragma once

#include "tapegrad/nn/layers.h"

namespace dcgan {

namespace tg = tapegrad;

constexpr tg::index_t kCode = 64;

/// Codes [n, kCode] to images [n, 28, 28, 1] in [-1, 1].
tg::Sequential make_generator(tg::Generator& random);

/// Images to logits [n, 1] of being real.
tg::Sequential make_discriminator(tg::Generator& random);

}  // namespace dcgan
