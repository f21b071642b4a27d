#pragma once

#include "common/exercise.h"

namespace exercise_06 {

using namespace exercises;

struct Answers {
  /// [n, h, w, in] and [kh, kw, in, out] to [n, h - kh + 1, w - kw + 1, out].
  std::function<Tensor(const Tensor& x, const Tensor& w)> conv2d_valid;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_06
