// A scope that is not kept ends at once.
// must say: nodiscard|unused
#include "tapegrad/base/parallel.h"

void f() {
#ifdef FIXED
  const tapegrad::ThreadCountScope one(1);
#else
  tapegrad::ThreadCountScope(1);
#endif
}
