#pragma once

#include "common/exercise.h"

namespace exercise_19 {

using namespace exercises;

struct Conv {
  index_t stride_h = 1, stride_w = 1;
  index_t top = 0, bottom = 0, left = 0, right = 0;  ///< padding
};

/// A convolution that is right.
Tensor forward(const Tensor& x, const Tensor& w, const Conv& conv);
/// Normally distributed, another one in each call.
Tensor random(const Shape& shape);

struct Suspect {
  int number = 0;
  /// dx and dw, from the gradient of the result.
  std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv)> backward;
};

struct Answers {
  std::function<bool(const Suspect& suspect)> is_right;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_19
