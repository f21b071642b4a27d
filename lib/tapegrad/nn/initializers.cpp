#include "tapegrad/nn/initializers.h"

#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad {

Tensor glorot_uniform(const Shape& shape, Generator& generator, DType dtype) {
  if (shape.rank() < 2)
    fail("glorot_uniform", "shape {} has no fan-in and fan-out: two axes at least", shape);
  double fans = static_cast<double>(shape[-1] + shape[-2]);
  for (int axis = 0; axis < shape.rank() - 2; ++axis) fans *= static_cast<double>(shape[axis]);
  const double limit = std::sqrt(6.0 / fans);
  return uniform(shape, -limit, limit, generator, dtype);
}

}  // namespace tapegrad
