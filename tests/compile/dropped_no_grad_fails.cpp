// A pause of recording that is not kept ends at once.
// must say: nodiscard|unused
#include "tapegrad/autograd/tape.h"

void f() {
#ifdef FIXED
  const tapegrad::NoGrad pause;
#else
  tapegrad::NoGrad();
#endif
}
