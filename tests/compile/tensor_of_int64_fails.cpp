// There is no dtype of 64 bits: the compiler says so, not the linker.
// must say: int32_t
#include <cstdint>
#include <vector>

#include "tapegrad/tensor/tensor.h"

#ifdef FIXED
using Element = std::int32_t;
#else
using Element = std::int64_t;
#endif

tapegrad::Tensor f() {
  return tapegrad::tensor(std::vector<Element>{1, 2, 3}, tapegrad::Shape{3});
}
