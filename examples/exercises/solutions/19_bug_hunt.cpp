// Exercise 19 (50 minutes): bug hunt

#include "checks/19_bug_hunt.h"

using namespace exercise_19;

struct Case {
  Shape x, w;
  Conv conv;
};

bool close(const Tensor& got, const Tensor& expected) {
  const double scale = tg::max(tg::abs(expected)).item();
  return tg::max(tg::abs(got - expected)).item() <= 1e-10 * scale;
}

Tensor slow_gradient(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv, bool of_x) {
  Tensor variable = tg::copy(of_x ? x : w);
  Tensor gradient = new_tensor(variable.shape());
  const auto value = [&] {
    return tg::sum(dy * (of_x ? forward(variable, w, conv) : forward(x, variable, conv))).item();
  };
  for (std::size_t k = 0; k < static_cast<std::size_t>(variable.size()); ++k) {
    const double before = variable.values<double>()[k];
    variable.mutable_values<double>()[k] = before + 1;
    const double above = value();
    variable.mutable_values<double>()[k] = before - 1;
    const double below = value();
    variable.mutable_values<double>()[k] = before;
    gradient.mutable_values<double>()[k] = (above - below) / 2;
  }
  return gradient;
}

bool is_right(const Suspect& suspect) {
  const Conv first{.stride_h = 2, .stride_w = 1, .top = 1, .bottom = 0, .left = 0, .right = 2};
  const Conv second{.stride_h = 1, .stride_w = 2, .top = 0, .bottom = 1, .left = 2, .right = 1};
  const std::vector<Case> cases = {
      {{1, 5, 4, 1}, {2, 2, 1, 1}, {}},
      {{2, 5, 7, 2}, {2, 3, 2, 3}, first},
      {{2, 5, 7, 2}, {2, 3, 2, 3}, second},
  };
  for (const Case& c : cases) {
    const Tensor x = random(c.x), w = random(c.w);
    const Tensor dy = random(forward(x, w, c.conv).shape());
    const Tensors got = suspect.backward(x, w, dy, c.conv);
    if (!close(got[0], slow_gradient(x, w, dy, c.conv, true))) return false;
    if (!close(got[1], slow_gradient(x, w, dy, c.conv, false))) return false;
  }
  return true;
}

Answers answers() {
  return {.is_right = is_right};
}
