// Times forward passes of the examples' networks, as they are and as load_onnx() makes them of the file that save_onnx()
// wrote, which stays in the folder for others to run. Prints a line for each: net,batch,threads,program,us.
//
//   bench_inference --folder build/inference --threads 2 --seconds 0.5

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "command_line/command_line.h"
#include "common/lenet.h"
#include "mnist_autoencoder/net.h"
#include "mnist_vae/vae.h"
#include "tapegrad/exchange/exchange.h"
#include "tapegrad/tapegrad.h"
#include "unet_segmentation/unet.h"

namespace tg = tapegrad;

namespace {

using Clock = std::chrono::steady_clock;

/// Microseconds of a call, the median.
double time_of(tg::Module& net, const tg::Tensor& x, double seconds) {
  for (int i = 0; i < 3; ++i) (void)net(x);
  std::vector<double> times;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  while (times.size() < 5 || Clock::now() < end) {
    const auto began = Clock::now();
    (void)net(x);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
  }
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

void run(const std::string& name, tg::Module& net, const tg::Shape& sample,
         const std::filesystem::path& folder, double seconds) {
  std::vector<tg::index_t> sizes(sample.begin(), sample.end());
  sizes.insert(sizes.begin(), 1);
  tg::Generator generator(1);
  net.eval();
  tg::save_onnx(folder / (name + ".onnx"), net, tg::uniform(tg::Shape(sizes), 0, 1, generator));
  tg::OnnxModel loaded = tg::load_onnx(folder / (name + ".onnx"));
  for (const tg::index_t batch : {1, 128}) {
    sizes[0] = batch;
    const tg::Tensor x = tg::uniform(tg::Shape(sizes), 0, 1, generator);
    fmt::print("{},{},{},tapegrad,{:.1f}\n", name, batch, tg::thread_count(), time_of(net, x, seconds));
    fmt::print("{},{},{},imported,{:.1f}\n", name, batch, tg::thread_count(), time_of(loaded, x, seconds));
    if (tg::thread_count() > 1) continue;
    const tg::RealTimeScope scope(net.parameters());
    fmt::print("{},{},1,real_time,{:.1f}\n", name, batch, time_of(net, x, seconds));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path folder = "build/inference";
  int threads = 1;
  double seconds = 0.5;
  cli::Program program("bench_inference",
                       "Times forward passes of networks, and of the same as ONNX models.");
  program.add_path("--folder", folder, "FOLDER", "where the models are written");
  program.add_whole("--threads", threads, 1, "threads to compute with", 1024);
  program.add_number("--seconds", seconds, "to measure each");
  return program.run(argc, argv, [&] {
    const tg::ThreadCountScope scope(threads);
    std::filesystem::create_directories(folder);
    tg::Generator generator(1);
    for (const char* name : {"tutorial", "wide"}) {
      tg::Sequential net = make_net(name, generator);
      run(name, net, {28, 28, 1}, folder, seconds);
    }
    tg::Sequential lenet = common::make_lenet(generator);
    run("lenet", lenet, {28, 28, 1}, folder, seconds);
    mnist_vae::Vae vae(10, generator);
    run("vae_decoder", vae.decoder, {10}, folder, seconds);
    unet_segmentation::UNet unet({}, generator);
    run("unet", unet, {64, 64, 3}, folder, seconds);
    return 0;
  });
}
