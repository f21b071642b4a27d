#include "common/lenet.h"

#include <vector>

#include "tapegrad/data/loader.h"
#include "tapegrad/nn/pooling.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"

namespace common {

tg::Sequential make_lenet(tg::Generator& generator) {
  const auto conv = [&](tg::index_t in, tg::index_t filters, tg::Padding padding) {
    return tg::Conv2D({.in_channels = in,
                       .filters = filters,
                       .kernel_size = 5,
                       .padding = padding,
                       .activation = tg::relu,
                       .kernel_initializer = tg::he_uniform},
                      generator);
  };
  const auto dense = [&](tg::index_t in, tg::index_t units, tg::Activation activation) {
    return tg::Dense({.in_features = in, .units = units, .activation = activation}, generator);
  };
  return tg::Sequential{conv(1, 16, tg::Padding::Same),    // 28 x 28
                        tg::MaxPooling2D(),                // 14 x 14
                        conv(16, 32, tg::Padding::Valid),  // 10 x 10
                        tg::MaxPooling2D(),
                        tg::Flatten(),  // 5 x 5
                        dense(5 * 5 * 32, 120, tg::relu),
                        dense(120, 84, tg::relu),
                        dense(84, 10, nullptr)};
}

tg::Tensor logits_of(tg::Module& net, const tg::Samples& images) {
  std::vector<tg::Tensor> parts;
  for (const tg::Batch& batch : tg::Loader(images, {}, {.batch_size = 500, .shuffle = false}).epoch(0))
    parts.push_back(net(batch.inputs));
  return tg::concat(parts);
}

}  // namespace common
