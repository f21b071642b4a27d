// Times training steps of the example's autoencoder as the example does them: another batch each step, and
// the loss is read. Prints one line of JSON.
//
//   bench_autoencoder --net tutorial --batch 128 --threads 2 --seconds 3 [--plain]

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "mnist_autoencoder/net.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

// How long this process has been running, to the hundredth of a second that the system counts in.
double process_age() {
  std::ifstream file("/proc/self/stat");
  std::string line, field;
  std::getline(file, line);
  std::istringstream fields(line.substr(line.rfind(')') + 2));  // behind the name, which may hold anything
  for (int i = 0; i < 20; ++i) fields >> field;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
         std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// What a training step takes for an image, two for each multiplication: forward, the gradients of all filters, and of all inputs
// but the first. Taps that fall on padding count, too.
double flops_per_image(tg::Sequential& net) {
  double flops = 0;
  tg::Tensor x = tg::zeros({1, 28, 28, 1});
  for (std::size_t i = 0; i < net.size(); ++i) {
    const tg::Tensor y = net[i](x);
    const tg::Tensor filter = net[i].parameters()[0];
    // Each tap is multiplied at every output pixel of a convolution, and at every input pixel of a transposed one.
    const tg::index_t positions = std::min(x.shape()[1] * x.shape()[2], y.shape()[1] * y.shape()[2]);
    flops += (i == 0 ? 4.0 : 6.0) * static_cast<double>(positions * filter.size());
    x = y;
  }
  return flops;
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  std::string name = "tutorial";
  tg::index_t batch = 128;
  int threads = tg::thread_count();
  double seconds = 3;
  tg::index_t chunk = 0;
  bool plain = false;
  cli::Program program("bench_autoencoder", "Times training steps of the autoencoder.");
  program.add_choice("--net", name, {"tutorial", "wide"}, "which net");
  program.add_whole("--batch", batch, 1, "images in a step");
  program.add_whole("--threads", threads, 1, "threads to compute with", 1024);
  program.add_number("--seconds", seconds, "to measure");
  program.add_whole("--chunk", chunk, 0, "images worked on together (0: as batch_gradient() chooses)");
  program.add_flag("--plain", plain, "one tape for the whole batch");
  return program.run(argc, argv, [&] {
    const tg::ThreadCountScope scope(threads);
    tg::Generator generator(1);
    tg::Sequential net = make_net(name, generator);
    const std::vector<tg::Tensor> parameters = net.parameters();
    tg::Adam adam(parameters, {.learning_rate = 1e-3});
    constexpr tg::index_t kBatches = 4;
    std::vector<tg::Tensor> batches;
    for (tg::index_t i = 0; i < kBatches; ++i)
      batches.push_back(tg::uniform({batch, 28, 28, 1}, 0, 1, generator));

    const auto seconds_since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    std::vector<double> times;
    double startup = 0, loss = 0;
    const auto start = Clock::now();
    for (std::size_t step = 0; step < 5 || seconds_since(start) < seconds; ++step) {
      const auto began = Clock::now();
      const tg::Tensor& images = batches[step % kBatches];
      if (plain) {
        tg::Tape tape;
        const tg::Tensor error = tg::mse_loss(net(images), images);
        adam.step(tape.gradient(error, parameters));
        loss = error.item();
      } else {
        const auto found = tg::batch_gradient(
            [&](const auto& part) { return tg::mse_loss(net(part[0]), part[0]); }, {images}, parameters,
            {.chunk = chunk > 0 ? std::optional(chunk) : std::nullopt});
        adam.step(found.gradients);
        loss = found.loss;
      }
      times.push_back(seconds_since(began));
      if (step == 0) startup = process_age();
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    times.erase(times.begin(), times.begin() + 2);
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2], images = static_cast<double>(batch);
    fmt::print(R"({{"net":"{}","batch":{},"threads":{},"plain":{},"images_per_s":{},"images_per_s_best":{},)"
               R"("ms_median":{},"peak_rss_mib":{},"startup_s":{},"loss":{},"flops_per_image":{}}})"
               "\n",
               name, batch, threads, plain, images / median, images / times.front(), median * 1e3,
               static_cast<double>(usage.ru_maxrss) / 1024, startup, loss, flops_per_image(net));
    return 0;
  });
}
