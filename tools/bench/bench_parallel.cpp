// What a parallel loop costs from its call to its last piece: the library's, and OpenMP's static and dynamic ones. Prints rows:
// loop,threads,piece_us,gap_us,median_us,p90_us,least_us, the last being what the pieces alone would take on the CPUs there are.
//
//   OMP_WAIT_POLICY=passive bench_parallel --threads 8 --gap 50
//
// All is measured with the library's loop before OpenMP has any threads, which with OMP_WAIT_POLICY=active would spin meanwhile.

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/base/parallel.h"

namespace tg = tapegrad;

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int threads = 8, pieces = 16;
  double seconds = 0.2, gap = 0;
};

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Divisions that wait for each other: how long they take depends on no other thread.
void work(int divisions) {
  volatile double start = 1e300;
  double x = start;
  for (int i = 0; i < divisions; ++i) x = 1.0000001 / x;
  start = x;
}

/// How many divisions take a microsecond.
double divisions_in_a_microsecond() {
  constexpr int kMany = 1000;  // less than what interrupts
  double least = 1e9;
  for (int run = 0; run < 2000; ++run) {
    const auto begun = Clock::now();
    work(kMany);
    least = std::min(least, microseconds_since(begun));
  }
  return kMany / least;
}

/// Calls the loop again and again, with a gap of work between the calls, and prints a row.
void measure(const std::string& name, int threads, double piece, const Options& options, double speed,
             const std::function<void()>& loop) {
  const int gap = static_cast<int>(options.gap * speed);
  for (int i = 0; i < 20; ++i) loop();
  std::vector<double> times;
  for (const auto start = Clock::now();
       times.size() < 20 || microseconds_since(start) < 1e6 * options.seconds;) {
    work(gap);
    const auto begun = Clock::now();
    loop();
    times.push_back(microseconds_since(begun));
  }
  std::sort(times.begin(), times.end());
  const int at_once = std::min(threads, omp_get_num_procs());
  const int rounds = (options.pieces + at_once - 1) / at_once;
  fmt::print("{},{},{},{},{:.2f},{:.2f},{:.2f}\n", name, threads, piece, options.gap, times[times.size() / 2],
             times[times.size() * 9 / 10], rounds * piece);
  std::fflush(stdout);
}

constexpr double kPieces[] = {0, 1, 20};  // microseconds

void measure_ours(const Options& options, double speed) {
  for (int threads = 1; threads <= options.threads; threads *= 2) {
    const tg::ThreadCountScope scope(threads);
    for (const double piece : kPieces) {
      const int divisions = static_cast<int>(piece * speed);
      measure("tapegrad", threads, piece, options, speed, [&] {
        tg::parallel_for(options.pieces, 1, [&](tg::index_t begin, tg::index_t end) {
          for (tg::index_t i = begin; i < end; ++i) work(divisions);
        });
      });
    }
  }
}

void measure_openmp(const Options& options, double speed) {
  for (int threads = 1; threads <= options.threads; threads *= 2)  // never fewer: those left over would spin
    for (const double piece : kPieces) {
      const int divisions = static_cast<int>(piece * speed), pieces = options.pieces;
      measure("openmp static", threads, piece, options, speed, [&] {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int i = 0; i < pieces; ++i) work(divisions);
      });
      measure("openmp dynamic", threads, piece, options, speed, [&] {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (int i = 0; i < pieces; ++i) work(divisions);
      });
    }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program("bench_parallel", "Measures what a parallel loop costs, beside OpenMP's.");
  program.add_whole("--threads", options.threads, 1, "the largest number of threads: 1, 2, 4 ... of them",
                    64);
  program.add_whole("--pieces", options.pieces, 2, "pieces of a loop", 1 << 20);
  program.add_number("--gap", options.gap, "microseconds of other work between two loops");
  program.add_number("--seconds", options.seconds, "for each row");
  return program.run(argc, argv, [&] {
    const double speed = divisions_in_a_microsecond();
    fmt::print("loop,threads,piece_us,gap_us,median_us,p90_us,least_us\n");
    measure_ours(options, speed);
    measure_openmp(options, speed);
    return 0;
  });
}
