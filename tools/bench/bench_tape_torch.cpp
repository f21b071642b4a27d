// The same chain of tiny ops as bench_tape, in libtorch. Built where libtorch-dev is installed.

#include <benchmark/benchmark.h>
#include <torch/torch.h>

namespace {

constexpr int kOps = 1000;

torch::Tensor chain(const torch::Tensor& x, const torch::Tensor& w) {
  torch::Tensor y = x;
  for (int i = 0; i < kOps / 2; ++i) y = y * w + x;
  return y;
}

torch::Tensor variable(std::int64_t size) {
  return torch::full({size}, 0.5f, torch::requires_grad());
}

void forward(benchmark::State& state) {
  const torch::Tensor x = variable(state.range(0)), w = variable(state.range(0));
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
