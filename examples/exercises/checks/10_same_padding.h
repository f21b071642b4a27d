#pragma once

#include "common/exercise.h"

namespace exercise_10 {

using namespace exercises;

/// Zeros along one axis.
struct Margins {
  index_t before = 0, after = 0;
};

/// Given: x with rows and columns of zeros around.
Tensor given_pad(const Tensor& x, Margins rows, Margins columns);
/// Given: the convolution with strides, VALID, and its dx (exercise 9).
Tensor given_conv2d_valid(const Tensor& x, const Tensor& w, index_t sh, index_t sw);
Tensor given_strided_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw);

struct Answers {
  /// What SAME puts around an axis of this size, for a filter of `kernel` entries along it.
  std::function<Margins(index_t size, index_t kernel, index_t stride)> same_margins;
  std::function<Tensor(const Tensor& x, const Tensor& w, index_t sh, index_t sw)> conv2d_same;
  std::function<Tensor(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw)>
      conv2d_same_dx;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_10
