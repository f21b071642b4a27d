#pragma once

#include "common/exercise.h"

namespace exercise_17 {

using namespace exercises;

struct Answers {
  std::function<Tensors(const Tensor& x, const Tensor& gamma, const Tensor& dy, double epsilon)>
      batch_norm_backward;
  std::function<Tensors(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& variance,
                        const Tensor& dy, double epsilon)>
      inference_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_17
