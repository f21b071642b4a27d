#pragma once

#include "common/exercise.h"

namespace exercise_16 {

using namespace exercises;
using Function = std::function<double(double)>;

struct Window {
  index_t height = 2, width = 2, stride_h = 2, stride_w = 2;
};
enum class Judgement { Right, Wrong, AtKink };

struct Answers {
  std::function<Tensor(const Tensor& x, const Tensor& dy)> relu_backward;
  std::function<Tensor(const Tensor& x, const Tensor& dy, const Window& window)> max_pool_backward;
  std::function<Judgement(const Function& f, double x, double derivative)> judge;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_16
