// Exercise 1 (20 minutes): central differences and the choice of h
//
// Whether a backward pass is right can be asked without knowing any calculus: move an input a little, and
// look how much the result moves. All checks of these exercises do so, and this exercise writes that measure
// itself.
//
//      f |            o  f(x + h)            slope = (f(x + h) - f(x - h)) / (2 h)
//        |       .  x
//        |   o                               It is central: it looks at both sides. One-sided differences,
//        |   f(x - h)                        (f(x + h) - f(x)) / h, are much less exact, as the table shows.
//        +------------------- x
//
// How far from x should one look? The errors of both for f(x) = exp(x) at x = 1, in double:
//
//      h        central   one-sided
//      1e-01    4.5e-03   1.4e-01       Central differences err by f'''(x) h^2 / 6: a step 10 times
//      1e-02    4.5e-05   1.4e-02       smaller is 100 times better. One-sided ones err by
//      1e-03    4.5e-07   1.4e-03       f''(x) h / 2.
//      1e-04    4.5e-09   1.4e-04
//      1e-05    5.9e-11   1.4e-05   <- the best central ones
//      1e-06    1.6e-10   1.4e-06
//      1e-07    5.9e-11   1.4e-07       Below, rounding takes over: both values of f are rounded to 16 digits, and
//      1e-08    6.6e-09   6.6e-09   <- the best one-sided one
//      1e-10    6.7e-07   1.5e-06       the division by h enlarges that by 1 / h.
//      1e-12    2.1e-04   4.3e-04
//
// Two errors, one that grows with h (h^2) and one that shrinks with it (epsilon / h), are in balance where
// h^3 is about epsilon: h is the cube root of epsilon = 2.2e-16, which is 6e-6. Where x is large, numbers lie
// further apart, and so the step is that times |x|; where |x| < 1, it stays 6e-6. (In float epsilon is
// 1.2e-7: a step of 1e-6, a popular one, finds nothing but rounding there. Check gradients in double.)
//
// Write three functions. std::cbrt(v), std::abs(v), std::max(a, b) and std::numeric_limits<double>::epsilon()
// are there. An entry of a tensor is x.at({i, j}); for tensors of any shape take x.mutable_data<double>()[k],
// k < x.size(). A Tensor is a handle: who writes to x writes to the caller's numbers, and must put back what
// was there.

#include "checks/01_central_differences.h"

#include <cmath>
#include <limits>

using namespace exercise_01;

// The slope of f at x, by a central difference.
double slope(const Function& f, double x, double h) {
  not_written();  // write the body in place of this line
}

// The step to take at x.
double good_step(double x) {
  not_written();
}

// The slope along each entry of x: a tensor of x's shape. Each call of f gets all of x, with one entry moved.
Tensor numeric_gradient(const TensorToNumber& f, Tensor x, double h) {
  not_written();
}

Answers answers() {
  return {.slope = slope, .good_step = good_step, .numeric_gradient = numeric_gradient};
}
