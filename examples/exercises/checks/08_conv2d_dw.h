#pragma once

#include "common/exercise.h"

namespace exercise_08 {

using namespace exercises;

/// Given: exercise 6, solved.
Tensor given_conv2d_valid(const Tensor& x, const Tensor& w);

struct Answers {
  /// [n, h, w, c] to [c, h, w, n].
  std::function<Tensor(const Tensor& x)> channels_as_images;
  /// dy [n, p, q, out] to [p, q, n, out].
  std::function<Tensor(const Tensor& dy)> dy_as_filter;
  /// dw [kh, kw, in, out] of y = conv2d_valid(x, w).
  std::function<Tensor(const Tensor& x, const Tensor& dy)> conv2d_dw;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_08
