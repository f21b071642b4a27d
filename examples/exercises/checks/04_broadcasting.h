#pragma once

#include "common/exercise.h"

namespace exercise_04 {

using namespace exercises;

struct Answers {
  /// g summed over the axes along which a tensor of this shape was repeated to get g's shape.
  std::function<Tensor(const Tensor& g, const Shape& shape)> sum_to_shape;
  /// The gradients {da, db} of y = a * b with broadcasting.
  std::function<Tensors(const Tensor& a, const Tensor& b, const Tensor& dy)> product_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_04
