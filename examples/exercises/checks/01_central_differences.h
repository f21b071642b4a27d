#pragma once

#include "common/exercise.h"

namespace exercise_01 {

using namespace exercises;
using Function = std::function<double(double)>;
using TensorToNumber = std::function<double(const Tensor&)>;

struct Answers {
  /// (f(x + h) - f(x - h)) / 2h.
  std::function<double(const Function& f, double x, double h)> slope;
  /// The h to take at x.
  std::function<double(double x)> good_step;
  /// The slopes along all entries of x, with steps of h. x is a handle on the caller's elements: when the function
  /// returns, they must be what they were.
  std::function<Tensor(const TensorToNumber& f, Tensor x, double h)> numeric_gradient;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_01
