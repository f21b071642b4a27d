// Counts what operator new is asked for after some steps have filled the caches: in a training step of the autoencoders, and in a
// forward pass of three convolutions. All memory of the library comes from operator new. Prints rows: what,threads,allocations,
// allocations being the mean of some steps.
//
//   bench_costs --batch 64
//   bench_costs --first-step      # trains one step and ends: whoever starts the process can time it

#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "memory/allocations.h"
#include "mnist_autoencoder/net.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

/// A net in training: one step takes a batch of images.
struct Training {
  Training(const std::string& name, tg::index_t batch)
      : net(make_net(name, generator)),
        parameters(net.parameters()),
        adam(parameters, {.learning_rate = 1e-3}),
        images(tg::uniform({batch, 28, 28, 1}, 0, 1, generator)) {}

  void step_in_chunks() {
    const auto found = tg::batch_gradient(
        [&](const auto& part) { return tg::mse_loss(net(part[0]), part[0]); }, {images}, parameters);
    adam.step(found.gradients);
  }
  void step_on_one_tape() {
    tg::Tape tape;
    adam.step(tape.gradient(tg::mse_loss(net(images), images), parameters));
  }

  tg::Generator generator{1};
  tg::Sequential net;
  std::vector<tg::Tensor> parameters;
  tg::Adam adam;
  tg::Tensor images;
};

/// How many allocations a call takes when 20 have gone before.
void report(const std::string& what, const std::function<void()>& call) {
  constexpr int kBefore = 20, kCounted = 50;
  for (int i = 0; i < kBefore; ++i) call();
  tg::testing::begin_refusing(std::int64_t{1} << 60, tg::testing::Refuse::One);  // refuses none: only counts
  for (int i = 0; i < kCounted; ++i) call();
  const auto asked = static_cast<double>(tg::testing::stop_refusing());
  fmt::print("{},{},{:.2f}\n", what, tg::thread_count(), asked / kCounted);
}

void count(int threads, tg::index_t batch) {
  const tg::ThreadCountScope scope(threads);
  for (const char* name : {"tutorial", "wide"}) {
    Training training(name, batch);
    report(fmt::format("{} step in chunks", name), [&] { training.step_in_chunks(); });
    report(fmt::format("{} step on one tape", name), [&] { training.step_on_one_tape(); });
  }
  tg::Generator generator(1);
  const auto convolution = [&](tg::index_t in, tg::index_t filters) {
    return tg::Conv2D({.in_channels = in, .filters = filters, .kernel_size = 3, .activation = tg::relu},
                      generator);
  };
  tg::Sequential net;
  net.add(convolution(3, 16)).add(convolution(16, 16)).add(convolution(16, 3));
  const tg::Tensor x = tg::uniform({batch, 32, 32, 3}, 0, 1, generator);
  report("forward pass of three convolutions", [&] { (void)net(x); });
}

}  // namespace

int main(int argc, char** argv) {
  int threads = tg::thread_count();
  tg::index_t batch = 64;
  bool first_step = false;
  cli::Program program("bench_costs", "Counts allocations of training steps and forward passes.");
  program.add_whole("--threads", threads, 1, "the largest number of threads", 1024);
  program.add_whole("--batch", batch, 1, "images in a step");
  program.add_flag("--first-step", first_step, "one training step of the tutorial's net, and nothing else");
  return program.run(argc, argv, [&] {
    if (first_step) {
      const tg::ThreadCountScope scope(threads);
      Training("tutorial", batch).step_in_chunks();
      return 0;
    }
    fmt::print("what,threads,allocations\n");
    for (int t = 1; t <= threads; ++t) count(t, batch);
    return 0;
  });
}
