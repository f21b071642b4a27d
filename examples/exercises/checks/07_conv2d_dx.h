#pragma once

#include "common/exercise.h"

namespace exercise_07 {

using namespace exercises;

/// Given: exercise 6, solved.
Tensor given_conv2d_valid(const Tensor& x, const Tensor& w);

struct Answers {
  /// dy [n, h, w, c] with kh - 1 rows of zeros above and below, and kw - 1 columns of zeros on the left and right.
  std::function<Tensor(const Tensor& dy, index_t kh, index_t kw)> pad_full;
  /// [kh, kw, in, out] to [kh, kw, out, in], turned by 180 degrees.
  std::function<Tensor(const Tensor& w)> turned;
  /// dx of y = conv2d_valid(x, w).
  std::function<Tensor(const Tensor& dy, const Tensor& w)> conv2d_dx;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_07
