#pragma once

// What the tests of this folder have a process do.

#include <cstdint>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

/// Trains a net of convolutions, batch norm, dropout and a layer that OpenBLAS multiplies, for two epochs that a Loader
/// with three workers reads ahead; the state of what comes out.
inline State trained(std::uint64_t seed) {
  const ThreadCountScope threads(3);
  Generator generator(seed);
  Sequential net{
      Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .padding = Padding::Same, .activation = relu},
             generator),
      BatchNorm({.channels = 8}),
      Dropout(0.25, generator),
      Flatten(),
      Dense({.in_features = 800, .units = 300, .activation = tanh}, generator),
      Dense({.in_features = 300, .units = 3}, generator)};
  Adam adam(net.parameters());
  const Loader loader(uniform({64, 10, 10, 1}, -1, 1, generator), uniform({64, 3}, -1, 1, generator),
                      {.batch_size = 16, .seed = seed, .transform = gaussian_noise(0.1), .workers = 3});
  for (index_t epoch = 0; epoch < 2; ++epoch)
    for (const Batch& batch : loader.epoch(epoch)) {
      Tape tape;
      adam.step(tape.gradient(mse_loss(net(batch.inputs), batch.targets), net.parameters()));
    }
  return net.state();
}

/// Whether two states are the same to the last bit.
inline bool same(const State& a, const State& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (std::size_t i = 0; i < a.tensors.size(); ++i)
    if (a.tensors[i].first != b.tensors[i].first || !equal(a.tensors[i].second, b.tensors[i].second))
      return false;
  return true;
}

}  // namespace tapegrad::testing
