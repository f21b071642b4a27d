// Only the handle that watch() returns is watched; only the tensor that parameter() returns is a parameter.
// must say: watch
// must say: parameter
#include "tapegrad/autograd/tape.h"

void f(tapegrad::Tape& tape, const tapegrad::Tensor& x) {
#ifdef FIXED
  const tapegrad::Tensor watched = tape.watch(x), trained = tapegrad::parameter(x);
#else
  tape.watch(x);
  tapegrad::parameter(x);
#endif
}
