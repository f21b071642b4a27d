#pragma once

#include "common/exercise.h"

namespace exercise_09 {

using namespace exercises;

/// Given: exercises 7 and 8, solved, for stride 1. The sizes are those that fit: dx has dy's rows + kh - 1, dw has x's rows - dy's
/// rows + 1.
Tensor given_conv2d_dx(const Tensor& dy, const Tensor& w);
Tensor given_conv2d_dw(const Tensor& x, const Tensor& dy);

struct Answers {
  /// dy [n, p, q, out] with sh - 1 rows of zeros between its rows and sw - 1 columns of zeros between its columns.
  std::function<Tensor(const Tensor& dy, index_t sh, index_t sw)> insert_zeros;
  /// dx, of x's shape, of y = conv2d_valid(x, w) with strides.
  std::function<Tensor(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw)>
      strided_dx;
  /// dw, of w's shape.
  std::function<Tensor(const Tensor& x, const Tensor& dy, const Shape& w_shape, index_t sh, index_t sw)>
      strided_dw;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_09
