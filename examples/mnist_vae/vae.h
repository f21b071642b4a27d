#pragma once

#include <vector>

#include "tapegrad/tapegrad.h"

namespace mnist_vae {

namespace tg = tapegrad;

/// Two networks: the encoder tells the distribution of an image's code, the decoder draws the image of a code.
struct Vae : tg::Module {
  Vae(tg::index_t code, tg::Generator& generator);

  /// Means and logarithms of variances of the codes of images, each [n, code].
  struct Codes {
    tg::Tensor mean, log_variance;
  };
  Codes encode(const tg::Tensor& images) {
    const std::vector<tg::Tensor> halves = tg::chunk(encoder(images), 2, 1);
    return {halves[0], halves[1]};
  }
  /// Images of codes [n, code].
  tg::Tensor draw(const tg::Tensor& codes) { return tg::sigmoid(decoder(codes)); }

  tg::Tensor forward(const tg::Tensor& images) override { return draw(encode(images).mean); }
  void visit(tg::Visitor& visitor) override {
    visitor("encoder", encoder);
    visitor("decoder", decoder);
  }

  tg::Sequential encoder, decoder;  // the decoder's images are logits
};

}  // namespace mnist_vae
