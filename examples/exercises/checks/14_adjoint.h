#pragma once

#include "common/exercise.h"

namespace exercise_14 {

using namespace exercises;

using Function = std::function<Tensor(const Tensor&)>;

/// Each is linear in each of its two arguments.
struct Trio {
  std::function<Tensor(const Tensor& x, const Tensor& w)> conv;             ///< gives y
  std::function<Tensor(const Tensor& y, const Tensor& w)> input_gradient;   ///< gives x
  std::function<Tensor(const Tensor& x, const Tensor& y)> filter_gradient;  ///< gives w
};
enum class Which { None, Conv, InputGradient, FilterGradient };

/// Normally distributed, another one in each call.
Tensor random(const Shape& shape);
Tensor all_ones(const Shape& shape);

struct Answers {
  std::function<bool(const Function& a, const Function& at, const Shape& in, const Shape& out)> is_adjoint;
  std::function<Which(const Trio& f, const Shape& x, const Shape& w, const Shape& y)> wrong_one;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_14
