// Times the backward pass of ops that move elements (poolings, lookups, scatters, sorts, cuts) with one thread and with several.
// Prints rows: what,us with one thread,us with all,gain.
//
//   bench_gradients --threads 2 --seconds 0.3

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

using Clock = std::chrono::steady_clock;

struct Case {
  std::string name;
  tg::Tensor x;
  std::function<tg::Tensor(const tg::Tensor&)> f;
};

tg::Tensor whole_numbers(const tg::Shape& shape, tg::index_t end, tg::Generator& generator) {
  return tg::randint(shape, 0, end, generator);
}

std::vector<Case> cases() {
  tg::Generator generator(1);
  const auto draw = [&](const tg::Shape& shape) { return tg::uniform(shape, -1, 1, generator); };
  const tg::Tensor images = draw({64, 28, 28, 16}), one = draw({1, 256, 256, 16}), long_one = draw({1 << 20});
  const tg::Tensor ids = whole_numbers({64, 128}, 10000, generator);
  const tg::Tensor places = whole_numbers({1 << 20}, 1 << 20, generator);
  const tg::Tensor ids_of_rows = whole_numbers({1024, 1024}, 1024, generator);
  std::vector<Case> all = {
      {"max_pool2d 2 of 64 images", images, [](const auto& x) { return tg::max_pool2d(x); }},
      {"max_pool2d 3 / 2 of 64 images", images,
       [](const auto& x) {
         return tg::max_pool2d(x, {.pool_size = 3, .strides = 2, .padding = tg::Padding::Same});
       }},
      {"max_pool2d 2 of one image", one, [](const auto& x) { return tg::max_pool2d(x); }},
      {"max_pool2d 3 / 2 of one image", one,
       [](const auto& x) { return tg::max_pool2d(x, {.pool_size = 3, .strides = 2}); }},
      {"avg_pool2d 2 of 64 images", images, [](const auto& x) { return tg::avg_pool2d(x); }},
      {"avg_pool2d 3 / 2 of one image", one,
       [](const auto& x) { return tg::avg_pool2d(x, {.pool_size = 3, .strides = 2}); }},
      {"global_max_pool2d", images, [](const auto& x) { return tg::global_max_pool2d(x); }},
      {"global_avg_pool2d", images, [](const auto& x) { return tg::global_avg_pool2d(x); }},
      {"upsample_nearest", images, [](const auto& x) { return tg::upsample_nearest(x, 2); }},
      {"upsample_bilinear", images, [](const auto& x) { return tg::upsample_bilinear(x, 2); }},
      {"gather of elements", long_one, [=](const auto& x) { return tg::gather(x, places); }},
      {"take_along_axis 1", draw({1024, 1024}),
       [=](const auto& x) { return tg::take_along_axis(x, ids_of_rows, 1); }},
      {"take_along_axis 0", draw({1024, 1024}),
       [=](const auto& x) { return tg::take_along_axis(x, ids_of_rows, 0); }},
      {"masked_select", long_one, [](const auto& x) { return tg::masked_select(x, tg::greater(x, 0)); }},
      {"sort of all", long_one, [](const auto& x) { return tg::sort(x, 0); }},
      {"topk of rows", draw({1024, 1024}), [](const auto& x) { return tg::topk(x, 100, 1).values; }},
      {"values of scatter_add", long_one,
       [=](const auto& x) { return tg::scatter_add(tg::Tensor(long_one), places, x, 0); }},
      {"max along axis 0", draw({1024, 1024}), [](const auto& x) { return tg::max(x, 0); }},
      {"cumsum along axis 0", draw({1024, 1024}), [](const auto& x) { return tg::cumsum(x, 0); }},
      {"slice with steps", long_one,
       [](const auto& x) {
         return tg::slice(x, {{0, 1 << 20, 2}});
       }},
      {"concat of batches", images,
       [](const auto& x) {
         return tg::concat({x, x});
       }},
      {"concat of channels", images,
       [](const auto& x) {
         return tg::concat({x, x}, 3);
       }},
      {"permute", images,
       [](const auto& x) {
         return tg::permute(x, {0, 3, 1, 2});
       }},
      {"pad", images,
       [](const auto& x) {
         return tg::pad(x, {{0, 0}, {1, 1}, {1, 1}, {0, 0}});
       }},
      {"flip", images, [](const auto& x) { return tg::flip(x, 2); }},
      {"tile", images,
       [](const auto& x) {
         return tg::tile(x, {2, 1, 1, 1});
       }},
  };
  for (const tg::index_t features : {8, 32, 64, 128})
    all.push_back({fmt::format("embedding of {} features", features), draw({10000, features}),
                   [=](const auto& x) { return tg::embedding(x, ids); }});
  return all;
}

/// Microseconds of a backward pass, the median.
double time_of(const Case& each, double seconds) {
  tg::Tape tape({.persistent = true});
  const tg::Tensor x = tape.watch(each.x), y = each.f(x);
  const tg::Tensor seed = tg::stop_gradient(y);
  std::vector<double> times;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int i = 0; i < 3 || times.size() < 5 || Clock::now() < end; ++i) {
    const auto began = Clock::now();
    (void)tape.gradient(y, x, {.output_gradient = seed});
    if (i >= 3) times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
  }
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 2;
  double seconds = 0.3;
  cli::Program program("bench_gradients", "Times the backward passes of ops that move elements.");
  program.add_whole("--threads", threads, 1, "threads to compare one with", 1024);
  program.add_number("--seconds", seconds, "to measure each");
  return program.run(argc, argv, [&] {
    for (const Case& each : cases()) {
      double us[2];
      for (const bool several : {false, true}) {
        const tg::ThreadCountScope scope(several ? threads : 1);
        us[several ? 1 : 0] = time_of(each, seconds);
      }
      fmt::print("{},{:.0f},{:.0f},{:.2f}\n", each.name, us[0], us[1], us[0] / us[1]);
    }
    return 0;
  });
}
