#include "tapegrad/kernels/elementwise.h"

namespace tapegrad::kernels {

Strides strides_of(const Shape& shape) {
  Strides strides;
  index_t step = 1;
  for (int axis = shape.rank(); axis-- > 0; step *= shape[axis]) strides.along[axis] = step;
  return strides;
}

Strides broadcast_strides(const Shape& part, const Shape& whole) {
  const Strides own = strides_of(part);
  Strides strides;
  for (int from_end = 1; from_end <= part.rank(); ++from_end)
    if (part[-from_end] != 1) strides.along[whole.rank() - from_end] = own.along[part.rank() - from_end];
  return strides;
}

}  // namespace tapegrad::kernels
