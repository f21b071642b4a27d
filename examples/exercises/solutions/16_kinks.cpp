// Exercise 16 (45 minutes): max-pool and ReLU: kinks, overlapping windows, and what a checker must do there

#include "checks/16_kinks.h"

#include <algorithm>
#include <cmath>

using namespace exercise_16;

Tensor relu_backward(const Tensor& x, const Tensor& dy) {
  Tensor dx = new_tensor(x.shape());
  const auto from = x.values<double>(), gradient = dy.values<double>();
  const auto to = dx.mutable_values<double>();
  for (std::size_t i = 0; i < to.size(); ++i)
    if (from[i] > 0) to[i] = gradient[i];
  return dx;
}

Tensor max_pool_backward(const Tensor& x, const Tensor& dy, const Window& window) {
  Tensor dx = new_tensor(x.shape());
  for (index_t n = 0; n < dy.shape()[0]; ++n)
    for (index_t p = 0; p < dy.shape()[1]; ++p)
      for (index_t q = 0; q < dy.shape()[2]; ++q)
        for (index_t c = 0; c < dy.shape()[3]; ++c) {
          const index_t top = p * window.stride_h;
          const index_t left = q * window.stride_w;
          index_t best_h = top, best_w = left;
          for (index_t h = top; h < top + window.height; ++h)
            for (index_t w = left; w < left + window.width; ++w)
              if (x.at({n, h, w, c}) > x.at({n, best_h, best_w, c})) best_h = h, best_w = w;
          add_to(dx, {n, best_h, best_w, c}, dy.at({n, p, q, c}));
        }
  return dx;
}

Judgement judge(const Function& f, double x, double derivative) {
  const double h = 1e-5;
  const auto above = [&](double step) { return (f(x + step) - f(x)) / step; };
  const auto below = [&](double step) { return (f(x) - f(x - step)) / step; };
  const double scale = std::max(std::abs(above(h)), std::abs(below(h)));
  const double rounding = 1e-15 * (1 + std::abs(f(x))) / (h / 10);
  const double gap = std::abs(above(h) - below(h));
  const double smaller = std::abs(above(h / 10) - below(h / 10));
  const bool kink = smaller > 0.5 * gap && smaller > 1e-6 * scale + 10 * rounding;
  if (kink) {
    const double low = std::min(above(h), below(h)) - 1e-6 * scale;
    const double high = std::max(above(h), below(h)) + 1e-6 * scale;
    return derivative >= low && derivative <= high ? Judgement::AtKink : Judgement::Wrong;
  }
  const double central = (f(x + h) - f(x - h)) / (2 * h);
  return std::abs(central - derivative) <= 1e-6 * scale + 10 * rounding ? Judgement::Right : Judgement::Wrong;
}

Answers answers() {
  return {.relu_backward = relu_backward, .max_pool_backward = max_pool_backward, .judge = judge};
}
