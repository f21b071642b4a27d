#include "mnist_vae/vae.h"

namespace mnist_vae {

Vae::Vae(tg::index_t code, tg::Generator& generator) {
  const auto conv = [&](tg::index_t in, tg::index_t filters) {
    return tg::Conv2D({.in_channels = in,
                       .filters = filters,
                       .kernel_size = 3,
                       .strides = 2,
                       .padding = tg::Padding::Same,
                       .activation = tg::relu},
                      generator);
  };
  const auto transpose = [&](tg::index_t in, tg::index_t filters, tg::index_t strides,
                             tg::Activation activation) {
    return tg::Conv2DTranspose({.in_channels = in,
                                .filters = filters,
                                .kernel_size = 3,
                                .strides = strides,
                                .padding = tg::Padding::Same,
                                .activation = activation},
                               generator);
  };
  const auto dense = [&](tg::index_t in, tg::index_t units, tg::Activation activation) {
    return tg::Dense({.in_features = in, .units = units, .activation = activation}, generator);
  };
  encoder = tg::Sequential{conv(1, 32), conv(32, 64), tg::Flatten(), dense(7 * 7 * 64, 2 * code, nullptr)};
  decoder = tg::Sequential{dense(code, 7 * 7 * 64, tg::relu), tg::Reshape({7, 7, 64}),
                           transpose(64, 32, 2, tg::relu),  // 14 x 14
                           transpose(32, 16, 2, tg::relu),  // 28 x 28
                           transpose(16, 1, 1, nullptr)};
}

}  // namespace mnist_vae
