#pragma once

#include "common/exercise.h"

namespace exercise_15 {

using namespace exercises;
using Labels = std::vector<index_t>;

struct Answers {
  std::function<double(const Tensor& z, const Labels& labels)> cross_entropy;
  std::function<Tensor(const Tensor& z, const Labels& labels, double dy)> cross_entropy_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_15
