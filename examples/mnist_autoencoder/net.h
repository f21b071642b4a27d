#pragma once

#include <string>

#include "tapegrad/tapegrad.h"

/// The layers of TensorFlow's autoencoder tutorial ("tutorial"), or four times as wide ones ("wide"): two
/// Conv2D squeeze an image [28, 28, 1] into [7, 7, 8 or 64], two Conv2DTranspose draw it again.
inline tapegrad::Sequential make_net(const std::string& name, tapegrad::Generator& generator) {
  namespace tg = tapegrad;
  const auto conv = [&](tg::index_t in, tg::index_t filters, tg::index_t strides, tg::Activation activation) {
    return tg::Conv2D({.in_channels = in,
                       .filters = filters,
                       .kernel_size = 3,
                       .strides = strides,
                       .padding = tg::Padding::Same,
                       .activation = activation},
                      generator);
  };
  const auto transpose = [&](tg::index_t in, tg::index_t filters) {
    return tg::Conv2DTranspose({.in_channels = in,
                                .filters = filters,
                                .kernel_size = 3,
                                .strides = 2,
                                .padding = tg::Padding::Same,
                                .activation = tg::relu},
                               generator);
  };
  const tg::index_t first = name == "wide" ? 32 : 16, second = name == "wide" ? 64 : 8;
  tg::Sequential net;  // added one by one, so that the weights are drawn from the first layer to the last
  net.add(conv(1, first, 2, tg::relu));
  net.add(conv(first, second, 2, tg::relu));
  net.add(transpose(second, second));
  net.add(transpose(second, first));
  net.add(conv(first, 1, 1, tg::sigmoid));
  return net;
}
