// The same chain of tiny ops as bench_tape, in libtorch. Built where libtorch-dev is installed; compare.py builds it by itself.
//
//   g++ -std=c++17 -O2 -I/usr/include/torch/csrc/api/include bench_tape_torch.cpp -ltorch -ltorch_cpu -lc10 -lbenchmark -lpthread

#include <benchmark/benchmark.h>
#include <malloc.h>
#include <torch/torch.h>

namespace {

constexpr int kOps = 1000;

torch::Tensor chain(const torch::Tensor& x, const torch::Tensor& w, int ops = kOps) {
  torch::Tensor y = x;
  for (int i = 0; i < ops / 2; ++i) y = y * w + x;
  return y;
}

double bytes_in_use() {
  const struct mallinfo2 all = mallinfo2();
  return static_cast<double>(all.uordblks + all.hblkhd);
}

double bytes_per_op(const torch::Tensor& x, const torch::Tensor& w) {
  constexpr int kMany = 200 * kOps;
  const double before = bytes_in_use();
  const torch::Tensor y = chain(x, w, kMany);
  return (bytes_in_use() - before) / kMany;
}

torch::Tensor variable(std::int64_t size) {
  return torch::full({size}, 0.5f, torch::requires_grad());
}

void forward(benchmark::State& state) {
  const torch::Tensor x = variable(state.range(0)), w = variable(state.range(0));
  state.counters["bytes_per_op"] = bytes_per_op(x, w);
  for (auto _ : state) benchmark::DoNotOptimize(chain(x, w));
  state.counters["ns_per_op"] = benchmark::Counter(
      kOps * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void backward(benchmark::State& state) {
  const torch::Tensor x = variable(state.range(0)), w = variable(state.range(0));
  const torch::Tensor seed = torch::ones({state.range(0)});
  for (auto _ : state) {
    state.PauseTiming();
    const torch::Tensor y = chain(x, w);
    state.ResumeTiming();
    benchmark::DoNotOptimize(torch::autograd::grad({y}, {x, w}, {seed}));
  }
  state.counters["ns_per_op"] = benchmark::Counter(
      kOps * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(forward)->Arg(1)->Arg(16)->Arg(256);
BENCHMARK(backward)->Arg(1)->Arg(16)->Arg(256);

}  // namespace

int main(int argc, char** argv) {
  torch::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
