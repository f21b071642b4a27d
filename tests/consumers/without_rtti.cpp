// A program without RTTI: tensors, ops, tapes and errors, but no layers.
#include <cmath>
#include <iostream>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/error.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tg = tapegrad;

int main() {
  tg::Tape tape;
  const tg::Tensor x = tape.watch(tg::tensor({3.0, 4.0}));
  const tg::Tensor slope = tape.gradient(tg::sum(x * x), x);
  try {
    (void)(slope + tg::tensor({1.0, 2.0, 3.0}));
  } catch (const tg::Error& error) {
    std::cout << error.what() << "\n";
    return std::abs(slope.at({1}) - 8) < 1e-6 ? 0 : 1;
  }
  return 1;
}
