// Measures the peak of Float32 fused multiply-adds (FMA) from registers: what no program on this machine exceeds. One core,
// and as many as there are threads. Prints rows: threads,bits,gflops.
//
//   bench_peak --threads 2 --seconds 0.3

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/tapegrad.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/bench_peak.cpp"
// The order matters.
// clang-format off
#include "tapegrad/kernels/highway_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace bench_peak {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve sums that do not wait for each other hide how long a product takes, and fit into 16 registers.
float Multiply(std::int64_t times, float a, float b) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, a), addend = hn::Set(d, b);
  // From different numbers, or else a compiler would see that all sums are the same.
  const auto start = [&](int i) HWY_ATTR { return hn::Set(d, b * static_cast<float>(i)); };
  auto s0 = start(0), s1 = start(1), s2 = start(2), s3 = start(3), s4 = start(4), s5 = start(5);
  auto s6 = start(6), s7 = start(7), s8 = start(8), s9 = start(9), s10 = start(10), s11 = start(11);
  for (std::int64_t i = 0; i < times; ++i) {
    s0 = hn::MulAdd(s0, factor, addend), s1 = hn::MulAdd(s1, factor, addend);
    s2 = hn::MulAdd(s2, factor, addend), s3 = hn::MulAdd(s3, factor, addend);
    s4 = hn::MulAdd(s4, factor, addend), s5 = hn::MulAdd(s5, factor, addend);
    s6 = hn::MulAdd(s6, factor, addend), s7 = hn::MulAdd(s7, factor, addend);
    s8 = hn::MulAdd(s8, factor, addend), s9 = hn::MulAdd(s9, factor, addend);
    s10 = hn::MulAdd(s10, factor, addend), s11 = hn::MulAdd(s11, factor, addend);
  }
  const auto low = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(s4, s5));
  const auto high = hn::Add(hn::Add(hn::Add(s6, s7), hn::Add(s8, s9)), hn::Add(s10, s11));
  return hn::GetLane(hn::Add(low, high));
}

std::int64_t Lanes() {
  return static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>()));
}

}  // namespace HWY_NAMESPACE
}  // namespace bench_peak
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bench_peak {
namespace {

HWY_EXPORT(Multiply);
HWY_EXPORT(Lanes);

constexpr std::int64_t kTimes = 200000;  // about a millisecond

/// The length of a vector.
std::int64_t bits() {
  return 32 * HWY_DYNAMIC_DISPATCH(Lanes)();
}

/// GFLOP/s of all threads together: the best of what was measured in `seconds`.
double peak(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  const std::int64_t lanes = bits() / 32;
  std::atomic<bool> done = false;
  std::barrier together(threads);
  std::atomic<float> sink = 0;
  double best = 0;
  const auto work = [&](bool first) {
    const auto start = Clock::now();
    while (true) {
      together.arrive_and_wait();
      if (done) return;
      const auto begun = Clock::now();
      sink = HWY_DYNAMIC_DISPATCH(Multiply)(kTimes, 0.999F, 0.001F);
      together.arrive_and_wait();
      if (!first) continue;
      const std::chrono::duration<double> took = Clock::now() - begun;
      best = std::max(best, 2e-9 * 12 * static_cast<double>(lanes * kTimes * threads) / took.count());
      done = std::chrono::duration<double>(Clock::now() - start).count() > seconds;
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work, false);
  work(true);
  return best;
}

}  // namespace
}  // namespace bench_peak

int main(int argc, char** argv) {
  int threads = tapegrad::thread_count();
  double seconds = 0.3;
  cli::Program program("bench_peak", "Measures the peak of fused multiply-adds of one core, and of several.");
  program.add_whole("--threads", threads, 1, "the largest number of threads", 1024);
  program.add_number("--seconds", seconds, "for each number of threads");
  return program.run(argc, argv, [&] {
    fmt::print("threads,bits,gflops\n");
    for (int count = 1; count <= threads; ++count)
      fmt::print("{},{},{:.1f}\n", count, bench_peak::bits(), bench_peak::peak(count, seconds));
    return 0;
  });
}
#endif
