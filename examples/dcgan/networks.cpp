#include "dcgan/networks.h"

#include "tapegrad/tapegrad.h"

namespace dcgan {
namespace {

/// The options with what all convolutions here have in common.
template <class LayerOptions>
LayerOptions with_common(LayerOptions options) {
  options.kernel_size = 4;
  options.strides = 2;
  options.padding = tg::Padding::Same;
  options.kernel_initializer = tg::normal_initializer(0.02);
  return options;
}

}  // namespace

tg::Sequential make_generator(tg::Generator& random) {
  const auto transpose = [&](const tg::Conv2DTransposeLayerOptions& options) {
    return tg::Conv2DTranspose(with_common(options), random);
  };
  return tg::Sequential{tg::Dense({.in_features = kCode,
                                   .units = 7 * 7 * 64,
                                   .use_bias = false,
                                   .kernel_initializer = tg::normal_initializer(0.02)},
                                  random),
                        tg::BatchNorm({.channels = 7 * 7 * 64, .momentum = 0.9}),
                        tg::ReLU(),
                        tg::Reshape({7, 7, 64}),
                        transpose({.in_channels = 64, .filters = 32, .use_bias = false}),  // 14 x 14
                        tg::BatchNorm({.channels = 32, .momentum = 0.9}),
                        tg::ReLU(),
                        transpose({.in_channels = 32, .filters = 1, .activation = tg::tanh})};  // 28 x 28
}

tg::Sequential make_discriminator(tg::Generator& random) {
  const auto conv = [&](const tg::Conv2DLayerOptions& options) {
    return tg::Conv2D(with_common(options), random);
  };
  return tg::Sequential{
      conv({.in_channels = 1, .filters = 32}),  // 14 x 14
      tg::LeakyReLU(0.2),
      conv({.in_channels = 32, .filters = 64, .use_bias = false}),  // 7 x 7
      tg::BatchNorm({.channels = 64, .momentum = 0.9}),
      tg::LeakyReLU(0.2),
      tg::Flatten(),
      tg::Dense({.in_features = 7 * 7 * 64, .units = 1, .kernel_initializer = tg::normal_initializer(0.02)},
                random)};
}

}  // namespace dcgan
