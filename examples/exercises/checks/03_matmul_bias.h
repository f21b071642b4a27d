#pragma once

#include "common/exercise.h"

namespace exercise_03 {

using namespace exercises;

struct Answers {
  /// x [n, in], w [in, out], b [out] to y [n, out].
  std::function<Tensor(const Tensor& x, const Tensor& w, const Tensor& b)> linear;
  /// dy [n, out] to {dx, dw, db}.
  std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy)> linear_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_03
