#pragma once

#include "common/exercise.h"

namespace exercise_05 {

using namespace exercises;

struct Answers {
  /// The matrix [m, n] with conv(x) = C x, for x of n entries and a filter w of k, with a stride.
  std::function<Tensor(const Tensor& w, index_t n, index_t stride)> conv_matrix;
  /// C^T dy without the matrix: from dy [m] and w [k] to dx [n].
  std::function<Tensor(const Tensor& dy, const Tensor& w, index_t n, index_t stride)> conv1d_dx;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_05
