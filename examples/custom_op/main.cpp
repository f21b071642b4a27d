// An op of one's own, in ten lines: swish(x) = x sigmoid(x), with its derivative written by hand, checked to
// the second order, and drawn as the tape sees it.

#include <fmt/format.h>

#include <cmath>

#include "common/options.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

// The values are computed in any way one likes, here in one pass over plain numbers. The rule is made of
// differentiable ops, so that it can be differentiated again: d/dx x s(x) = s + x s (1 - s).
tg::Tensor swish(const tg::Tensor& x) {
  tg::Tensor y = tg::zeros_like(x);
  const double* from = x.data<double>();
  double* to = y.mutable_data<double>();
  for (tg::index_t i = 0; i < x.size(); ++i) to[i] = from[i] / (1 + std::exp(-from[i]));
  return tg::record("swish", y, {{x, [x = tg::Saved(x)](const tg::Tensor& g) {
                                    const tg::Tensor s = tg::sigmoid(x());
                                    return g * (s + x() * s * (1.0 - s));
                                  }}});
}

int run() {
  tg::Generator generator(1);
  const tg::Tensor x = tg::normal({3, 4}, 0, 2, generator, tg::DType::Float64);

  const tg::TensorFunction f = [](const std::vector<tg::Tensor>& in) { return swish(in[0]); };
  const auto first = tg::gradcheck(f, {x}), second = tg::gradcheck_second_order(f, {x});
  fmt::print("First order: {}\nSecond order: {}\n", first.str(), second.str());

  tg::Tape tape;
  const tg::Tensor watched = tape.watch(x);
  const tg::Tensor loss = tg::mean(tg::square(swish(watched)));
  fmt::print("{}\nFor Graphviz:\n{}", tg::to_string(tape.graph()), tg::to_graphviz(tape.graph()));
  return first.passed && second.passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  cli::Program program("custom_op",
                       "Checks an op with a derivative written by hand, and draws it as the tape sees it.");
  return program.run(argc, argv, run);
}
