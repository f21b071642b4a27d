// What recording costs: a chain of tiny ops, forward and backward, per op: nanoseconds, and the bytes that malloc gives for a
// recorded op and its result. Compare with bench_tape_torch, in turns.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

constexpr int kOps = 1000;

tg::Tensor chain(const tg::Tensor& x, const tg::Tensor& w, int ops = kOps) {
  tg::Tensor y = x;
  for (int i = 0; i < ops / 2; ++i) y = y * w + x;
  return y;
}

double bytes_in_use() {
  const struct mallinfo2 all = mallinfo2();
  return static_cast<double>(all.uordblks + all.hblkhd);
}

// Of so many ops that what is taken in advance does not count.
double bytes_per_op(const tg::Tensor& x, const tg::Tensor& w) {
  constexpr int kMany = 200 * kOps;
  tg::release_memory();
  const double before = bytes_in_use();
  tg::Tape tape;
  const tg::Tensor y = chain(tape.watch(x), w, kMany);
  return (bytes_in_use() - before) / kMany;
}

void forward(benchmark::State& state) {
  const tg::Tensor x = tg::full({state.range(0)}, 0.5), w = tg::parameter(tg::full({state.range(0)}, 0.5));
  state.counters["bytes_per_op"] = bytes_per_op(x, w);
  for (auto _ : state) {
    tg::Tape tape;
    const tg::Tensor y = chain(tape.watch(x), w);
    benchmark::DoNotOptimize(y.shape());
  }
  state.counters["ns_per_op"] = benchmark::Counter(
      kOps * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void backward(benchmark::State& state) {
  const tg::Tensor x = tg::full({state.range(0)}, 0.5), w = tg::parameter(tg::full({state.range(0)}, 0.5));
  const tg::Tensor seed = tg::ones(x.shape());
  for (auto _ : state) {
    state.PauseTiming();
    {
      tg::Tape tape;
      const tg::Tensor watched = tape.watch(x), y = chain(watched, w);
      state.ResumeTiming();
      benchmark::DoNotOptimize(tape.gradient(y, {watched, w}, {.output_gradient = seed}));
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.counters["ns_per_op"] = benchmark::Counter(
      kOps * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(forward)->Arg(1)->Arg(16)->Arg(256);
BENCHMARK(backward)->Arg(1)->Arg(16)->Arg(256);

}  // namespace

BENCHMARK_MAIN();
