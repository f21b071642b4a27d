// A tape that is not kept records nothing.
// must say: nodiscard|unused
#include "tapegrad/autograd/tape.h"

void f() {
#ifdef FIXED
  const tapegrad::Tape tape;
#else
  tapegrad::Tape();
#endif
}
