// Two processes train a net, each on its share of the batches, and end with the same weights.
#include <iostream>

#include "tapegrad/mpi/mpi.h"
#include "tapegrad/tapegrad.h"

int main() {
  namespace tg = tapegrad;
  try {
    tg::Communicator world;
    tg::Generator generator(1);
    tg::Dense net({.in_features = 4, .units = 1}, generator);
    const tg::Tensor x = tg::uniform({64, 4}, -1, 1, generator), y = tg::sum(x, 1, {.keepdims = true});
    const tg::Loader loader(x, y, {.batch_size = 32, .part = tg::batch_part(world)});
    tg::Adam adam(net.parameters(), {.learning_rate = 0.1});
    double last = 0;
    for (tg::index_t epoch = 0; epoch < 50; ++epoch)
      for (const tg::Batch& batch : loader.epoch(epoch)) {
        const auto [loss, gradients] = tg::distributed_batch_gradient(
            world, [&](const auto& part) { return tg::mse_loss(net(part[0]), part[1]); },
            {batch.inputs, batch.targets}, net.parameters(), {.part = batch.part});
        adam.step(gradients);
        last = loss;
      }
    tg::require_same(world, net.named_parameters());
    if (world.is_first()) std::cout << world.processes() << " processes, loss " << last << "\n";
    return world.processes() == 2 && last < 1e-3 ? 0 : 1;
  } catch (const tg::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
