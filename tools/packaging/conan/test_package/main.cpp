// Fits y = 2 x - 1 with the installed library, from its headers alone.
#include <cmath>
#include <iostream>

#include "tapegrad/tapegrad.h"

int main() {
  namespace tg = tapegrad;
  tg::Generator generator(1);
  tg::Dense line({.in_features = 1, .units = 1}, generator);
  tg::SGD sgd(line.parameters(), {.learning_rate = 0.1, .momentum = 0.9});
  const tg::Tensor x = tg::uniform({32, 1}, -1, 1, generator), y = 2.0 * x - 1.0;
  for (int step = 0; step < 200; ++step) {
    tg::Tape tape;
    sgd.step(tape.gradient(tg::mse_loss(line(x), y), line.parameters()));
  }
  std::cout << "y = " << line.kernel.item() << " x + " << line.bias.item() << "\n";
  return std::abs(line.kernel.item() - 2) < 1e-3 && std::abs(line.bias.item() + 1) < 1e-3 ? 0 : 1;
}
