// A host program without a build type: its asserts are alive, whatever tapegrad is compiled with.
#include <cassert>
#include <cmath>
#include <iostream>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

int host_library();

int main() {
  bool asserted = false;
  assert((asserted = true));
  if (!asserted) {
    std::cerr << "host: assert() was switched off\n";
    return 1;
  }
  tg::Tape tape;
  const tg::Tensor x = tape.watch(tg::tensor({3.0}));
  const tg::Tensor slope = tape.gradient(tg::sum(x * x), x);
  return std::abs(slope.item() - 6) < 1e-6 && host_library() == 1 ? 0 : 1;
}
