// A model that is moved after its optimizer was made is trained on; one that is replaced is not, and says so.
#include <iostream>
#include <utility>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

int main() {
  tg::Generator generator(1);
  const tg::Tensor x = tg::uniform({32, 3}, -1, 1, generator), y = tg::sum(x, 1, {.keepdims = true});
  tg::Sequential made{tg::Dense({.in_features = 3, .units = 1}, generator)};
  tg::SGD sgd(made.named_parameters(), {.learning_rate = 0.1});
  tg::Sequential net = std::move(made);
  const auto step = [&] {
    tg::Tape tape;
    const tg::Tensor loss = tg::mse_loss(net(x), y);
    sgd.step(tape.gradient(loss, net.parameters()));
    return loss.item();
  };
  const double first = step();
  double last = first;
  for (int i = 0; i < 100; ++i) last = step();
  std::cout << "loss " << first << " -> " << last << "\n";
  if (!(last < 0.01 * first)) return 1;

  tg::Sequential copy = tg::clone(net);
  net = std::move(copy);
  try {
    step();
    return 2;
  } catch (const tg::Error& error) {
    std::cout << error.what() << "\n";
  }
  sgd = tg::SGD(net.named_parameters(), {.learning_rate = 0.1});
  return step() <= last ? 0 : 3;
}
