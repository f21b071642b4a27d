// A program with an OpenMP of its own, of the compiler that it was compiled with: its threads train, each a net of its own, and
// its settings stay as they were.
#include <omp.h>

#include <iostream>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "next_to_openmp: " << what << "\n";
  ++failures;
}

// The loss after some steps. Convolutions and products of matrices are large enough for several threads.
double train() {
  tg::Generator generator(1);
  tg::Sequential net{
      tg::Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .activation = tg::relu}, generator),
      tg::Flatten(), tg::Dense({.in_features = 512, .units = 256, .activation = tg::tanh}, generator),
      tg::Dense({.in_features = 256, .units = 1}, generator)};
  tg::Adam adam(net.parameters());
  const tg::Tensor x = tg::uniform({64, 10, 10, 1}, -1, 1, generator),
                   y = tg::uniform({64, 1}, -1, 1, generator);
  double last = 0;
  for (int step = 0; step < 5; ++step) {
    tg::Tape tape;
    const tg::Tensor loss = tg::mse_loss(net(x), y);
    adam.step(tape.gradient(loss, net.parameters()));
    last = loss.item();
  }
  return last;
}

int team() {
  int size = 0;
#pragma omp parallel
#pragma omp single
  size = omp_get_num_threads();
  return size;
}

}  // namespace

int main() {
  omp_set_num_threads(3);
  omp_set_dynamic(0);
  expect(team() == 3, "three threads were asked for");
  const double expected = train();
  expect(omp_get_max_threads() == 3 && team() == 3, "the number of threads must stay the program's");

  std::vector<double> losses(6);
#pragma omp parallel for
  for (int i = 0; i < 6; ++i) losses[static_cast<std::size_t>(i)] = train();
  for (const double loss : losses) expect(loss == expected, "a thread of OpenMP must get the same loss");

  {
    const tg::ThreadCountScope threads(3);
    expect(train() == expected, "three threads of the library must get the same loss");
  }
  expect(omp_get_max_threads() == 3 && team() == 3, "the number of threads must stay the program's");
  return failures == 0 ? 0 : 1;
}
