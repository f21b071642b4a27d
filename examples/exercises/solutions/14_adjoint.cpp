// Exercise 14 (35 minutes): the adjoint identity, a test that needs no h

#include "checks/14_adjoint.h"

#include <cmath>

using namespace exercise_14;

double inner(const Tensor& a, const Tensor& b) {
  return tg::sum(a * b).item();
}
double size(const Tensor& a, const Tensor& b) {
  return tg::sum(tg::abs(a * b)).item();
}

bool is_adjoint(const Function& a, const Function& at, const Shape& in, const Shape& out) {
  const Tensor x = random(in);
  const Tensor y = random(out);
  const Tensor ax = a(x);
  const Tensor other = random(in);
  const Tensor together = a(x + 2.0 * other), apart = ax + 2.0 * a(other);
  const double curved = tg::sum(tg::abs(together - apart)).item();
  if (!(curved <= 1e-12 * tg::sum(tg::abs(together) + tg::abs(apart)).item())) return false;
  const Tensor aty = at(y);
  const double left = inner(ax, y);
  const double right = inner(x, aty);
  const double allowed = 1e-12 * (size(ax, y) + size(x, aty));
  return std::abs(left - right) <= allowed;
}

Which wrong_one(const Trio& f, const Shape& x_shape, const Shape& w_shape, const Shape& y_shape) {
  const Tensor x = random(x_shape), w = random(w_shape), y = random(y_shape);
  const Tensor by_conv = f.conv(x, w), by_input = f.input_gradient(y, w), by_filter = f.filter_gradient(x, y);
  const double conv = inner(by_conv, y), input = inner(x, by_input), filter = inner(w, by_filter);
  const double allowed = 1e-12 * (size(by_conv, y) + size(x, by_input) + size(w, by_filter));
  const auto same = [&](double a, double b) { return std::abs(a - b) <= allowed; };
  if (same(conv, input) && same(conv, filter)) return Which::None;
  if (same(conv, filter)) return Which::InputGradient;
  if (same(conv, input)) return Which::FilterGradient;
  return Which::Conv;
}

Answers answers() {
  return {.is_adjoint = is_adjoint, .wrong_one = wrong_one};
}
