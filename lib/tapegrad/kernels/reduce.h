#pragma once

#include "tapegrad/base/shape.h"

namespace tapegrad::kernels {

/// y[o, i] = sum over r of x[o, r, i], for x of shape [outer, count, inner]. Sums are kept in double and
/// added in an order that depends on the sizes only.
template <class In, class Out>
void sum(index_t outer, index_t count, index_t inner, const In* x, Out* y);

}  // namespace tapegrad::kernels
