// What only returns a value is a mistake where the value is dropped: gradients, results of ops, copies, snapshots.
// must say: gradient
// must say: relu
// must say: x \+ x
// must say: zeros
// must say: state
// must say: clone
#include "tapegrad/autograd/tape.h"
#include "tapegrad/nn/layers.h"

void f(tapegrad::Tape& tape, const tapegrad::Tensor& x, tapegrad::Dense& net) {
#ifdef FIXED
  const tapegrad::Tensor dx = tape.gradient(x, x), y = relu(x) + x, none = tapegrad::zeros(3);
  const tapegrad::State state = net.state();
  const tapegrad::Dense copy = clone(net);
#else
  tape.gradient(x, x);
  relu(x);
  x + x;
  tapegrad::zeros(3);
  net.state();
  clone(net);
#endif
}
