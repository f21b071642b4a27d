// Exercise 20 (35 minutes): an optimizer from its paper

#include "checks/20_adam.h"

#include <cmath>

using namespace exercise_20;

void adam_step(Numbers& p, const Numbers& g, Memory& memory, const Settings& s) {
  memory.t += 1;
  const double t = static_cast<double>(memory.t);
  const double correction1 = 1 - std::pow(s.beta1, t);
  const double correction2 = 1 - std::pow(s.beta2, t);
  for (std::size_t k = 0; k < p.size(); ++k) {
    double& m = memory.m[k];
    double& v = memory.v[k];
    m = s.beta1 * m + (1 - s.beta1) * g[k];
    v = s.beta2 * v + (1 - s.beta2) * g[k] * g[k];
    p[k] -= s.learning_rate * (m / correction1) / (std::sqrt(v / correction2) + s.epsilon);
  }
}

void adamw_step(Numbers& p, const Numbers& g, Memory& memory, const Settings& s) {
  for (double& number : p) number -= s.learning_rate * s.decay * number;
  adam_step(p, g, memory, s);
}

Answers answers() {
  return {.adam_step = adam_step, .adamw_step = adamw_step};
}
