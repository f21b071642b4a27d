// Times products of square matrices as the library multiplies them: with OpenBLAS, or without it (TAPEGRAD_BLAS=OFF).
// Prints the best of some runs in GFLOP/s, one row for each size, type, and number of threads; the operands are a b, a^T b
// and a b^T. Two builds are compared by running their programs in turns.
//
//   bench_gemm [largest size]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/kernels/gemm.h"

namespace tg = tapegrad;

namespace {

// Seconds of one product, the least of `runs` runs of about a hundredth of a second.
template <class Call>
double least_time(double flops, Call call) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 12;
  const int calls = std::max(1, static_cast<int>(5e8 / (flops + 1e4)));
  call();
  double least = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    least = std::min(least, std::chrono::duration<double>(Clock::now() - begin).count() / calls);
  }
  return least;
}

template <class T>
void run(const char* type, tg::index_t size, int threads) {
  const tg::ThreadCountScope scope(threads);
  tg::Generator generator(1);
  std::vector<T> a(static_cast<std::size_t>(size * size)), b = a, c = a;
  for (T& x : a) x = static_cast<T>(generator.uniform(-1, 1));
  for (T& x : b) x = static_cast<T>(generator.uniform(-1, 1));
  const double flops =
      2.0 * static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(size);
  fmt::print("{:>5} {} {:>2} threads", size, type, threads);
  for (const int transposed : {0, 1, 2}) {
    const tg::kernels::Product<T> one{
        {a.data(), size, transposed == 1}, {b.data(), size, transposed == 2}, {c.data(), size}};
    const double time = least_time(flops, [&] { tg::kernels::matmul<T>(size, size, size, {&one, 1}); });
    fmt::print(" {:>8.1f}", flops / time * 1e-9);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const long largest = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1024;
  fmt::print(" size type    threads      a b    a^T b    a b^T   (GFLOP/s)\n");
  for (const int threads : {1, 2})
    for (const tg::index_t size : {8, 16, 32, 48, 64, 96, 128, 256, 512, 1024}) {
      if (size > largest) continue;
      run<float>("float ", size, threads);
      run<double>("double", size, threads);
    }
}
