#pragma once

#include "common/exercise.h"

namespace exercise_20 {

using namespace exercises;
using Numbers = std::vector<double>;

struct Settings {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, decay = 0;
};
struct Memory {
  Numbers m, v;
  index_t t = 0;
};

using Step = std::function<void(Numbers& p, const Numbers& g, Memory& memory, const Settings& s)>;

struct Answers {
  Step adam_step, adamw_step;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_20
