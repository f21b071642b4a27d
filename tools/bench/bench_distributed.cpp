// Times training steps with the processes of mpirun, or with this one alone. Process 0 prints one line of JSON.
//
//   mpirun -n 2 bench_distributed --net wide --batch 512 --threads 1 --seconds 3
//   bench_distributed --alone --net wide --batch 512 --threads 2
//   mpirun -n 2 bench_distributed --links

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "mnist_autoencoder/net.h"
#include "tapegrad/mpi/mpi.h"
#include "tapegrad/tapegrad.h"
#include "unet_segmentation/unet.h"

namespace tg = tapegrad;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string net = "tutorial", adding = "tree";
  tg::index_t batch = 512;
  int threads = 1;
  double seconds = 3;
  bool alone = false, links = false;
};

double median(std::vector<double> times) {
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// How long a sum of so many floats over all processes takes.
int time_links(tg::Communicator& world) {
  std::string line;
  for (const tg::index_t size : {1, 1000, 100'000, 1'000'000, 4'000'000}) {
    const tg::Tensor x = tg::ones({size});
    std::vector<double> times;
    for (int i = 0; i < (size > 100'000 ? 20 : 300); ++i) {
      world.barrier();
      const auto begin = Clock::now();
      (void)tg::sum_over(world, x);
      times.push_back(seconds_since(begin));
    }
    line += fmt::format("{}[{},{}]", line.empty() ? "" : ",", size * 4, median(times));
  }
  if (world.is_first())
    fmt::print("{{\"processes\":{},\"bytes_and_seconds\":[{}]}}\n", world.processes(), line);
  return 0;
}

int time_steps(const Options& options, tg::Communicator* world) {
  tg::Generator generator(1);
  const bool unet = options.net == "unet";
  tg::Sequential autoencoder;
  std::optional<unet_segmentation::UNet> segmenter;
  if (unet) {
    segmenter.emplace(unet_segmentation::UNetOptions{.in_channels = 1, .classes = 1, .filters = 32},
                      generator);
    segmenter->eval();  // batch norm in training mixes samples
  } else {
    autoencoder = make_net(options.net, generator);
  }
  tg::Module& net = unet ? static_cast<tg::Module&>(*segmenter) : autoencoder;
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters, {.learning_rate = 1e-3});
  const tg::index_t side = unet ? 32 : 28;
  const tg::BatchPart part = world != nullptr
                                 ? tg::share_of(*world, options.batch)
                                 : tg::BatchPart{.count = options.batch, .samples = options.batch};
  std::vector<tg::Tensor> batches;
  for (int i = 0; i < 4; ++i) batches.push_back(tg::uniform({part.count, side, side, 1}, 0, 1, generator));
  const tg::TensorFunction loss = [&](const std::vector<tg::Tensor>& images) {
    const tg::Tensor y = net(images[0]);
    return unet ? tg::mean(tg::square(y - images[0])) : tg::mse_loss(y, images[0]);
  };
  std::vector<double> times, communication;
  const auto start = Clock::now();
  for (std::size_t step = 0;; ++step) {
    const bool enough = step >= 5 && seconds_since(start) > options.seconds;
    if (world != nullptr ? world->any(enough) : enough) break;
    const double before = world != nullptr ? world->seconds_waited() : 0;
    const auto began = Clock::now();
    const tg::Tensor& images = batches[step % batches.size()];
    const tg::BatchGradient found =
        world == nullptr
            ? tg::batch_gradient(loss, {images}, parameters)
            : tg::distributed_batch_gradient(
                  *world, loss, {images}, parameters,
                  {.adding = options.adding == "tree" ? tg::Adding::InTree : tg::Adding::ByAllreduce,
                   .part = part});
    adam.step(found.gradients);
    times.push_back(seconds_since(began));
    communication.push_back(world != nullptr ? world->seconds_waited() - before : 0);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  tg::index_t count = 0;
  for (const tg::Tensor& x : parameters) count += x.size();
  const double step = median({times.begin() + 2, times.end()});
  if (world == nullptr || world->is_first())
    fmt::print(
        R"({{"net":"{}","batch":{},"processes":{},"threads":{},"images_per_s":{},"ms_step":{},"ms_step_best":{},"ms_communication":{},)"
        R"("parameters":{},"peak_rss_mib":{}}})"
        "\n",
        options.net, options.batch, world != nullptr ? world->processes() : 1, options.threads,
        static_cast<double>(options.batch) / step, 1e3 * step, 1e3 * *std::ranges::min_element(times),
        1e3 * median({communication.begin() + 2, communication.end()}), count,
        static_cast<double>(usage.ru_maxrss) / 1024);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program("bench_distributed", "Times training steps with several processes.");
  program.add_choice("--net", options.net, {"tutorial", "wide", "unet"}, "which net");
  program.add_choice("--adding", options.adding, {"tree", "allreduce"}, "how gradients are added");
  program.add_whole("--batch", options.batch, 1, "images in a step, of all processes");
  program.add_whole("--threads", options.threads, 1, "threads of each process", 1024);
  program.add_number("--seconds", options.seconds, "to measure");
  program.add_flag("--alone", options.alone, "this process alone, with batch_gradient()");
  program.add_flag("--links", options.links, "time sums of several sizes instead");
  return program.run(argc, argv, [&] {
    const tg::ThreadCountScope scope(options.threads);
    if (options.alone) return time_steps(options, nullptr);
    tg::Communicator world;
    return options.links ? time_links(world) : time_steps(options, &world);
  });
}
