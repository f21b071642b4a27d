// What a host program loads while it runs, uses, and drops again: a library that trains.
#include <filesystem>
#include <iterator>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

// The loss after some steps, or -1 for an error. Always the same.
extern "C" double plugin_train() {
  try {
    const tg::ThreadCountScope threads(3);
    tg::Generator generator(1);
    tg::Sequential net{
        tg::Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .activation = tg::relu}, generator),
        tg::BatchNorm({.channels = 8}), tg::Flatten(),
        tg::Dense({.in_features = 512, .units = 256, .activation = tg::tanh}, generator),
        tg::Dense({.in_features = 256, .units = 1}, generator)};
    tg::Adam adam(net.parameters());
    const tg::Loader loader(tg::uniform({64, 10, 10, 1}, -1, 1, generator),
                            tg::uniform({64, 1}, -1, 1, generator),
                            {.batch_size = 32, .transform = tg::gaussian_noise(0.1), .workers = 3});
    double last = 0;
    for (const tg::Batch& batch : loader.epoch(0)) {
      tg::Tape tape;
      const tg::Tensor loss = tg::mse_loss(net(batch.inputs), batch.targets);
      adam.step(tape.gradient(loss, net.parameters()));
      last = loss.item();
    }
    try {
      static_cast<void>(tg::matmul(tg::ones({2, 3}), tg::ones({2, 3})));
      return -1;
    } catch (const tg::Error&) {  // is found as what it is, in a library that is loaded late as well
    }
    return last;
  } catch (...) {
    return -1;
  }
}
