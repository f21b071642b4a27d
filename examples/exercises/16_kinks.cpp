// Exercise 16 (45 minutes): max-pool and ReLU: kinks, overlapping windows, and what a checker must do there
//
// ReLU passes its input on where that is above 0, and max-pool the largest pixel of each window. Their
// gradients go where the values came from: all of dy to that input, none to the others. What was chosen
// depends on x, not on dy.
//
//      x              relu(x)         dy             dx
//      -1  2  3       0  2  3         5  6  7        0  6  7        dx = dy where x > 0
//
//      windows of 2 x 2, stride 1, over a row of 4 columns:
//
//      x              y               dy             dx
//      1  4  2  0     4  4  3         a  b  c        0  a+b  0  0        the 4 is the largest of two windows,
//      0  1  3  1                                    0   0   c  0        and gets both: add, do not overwrite
//
// Windows overlap when the stride is smaller than the window. What a window begins with: row p stride_h,
// column q stride_w. Channels and images do not meet. If two pixels of a window are equally large, the
// first in row order gets it all, as in tapegrad, PyTorch and TensorFlow; giving it to both would count dy
// twice.
//
// At x = 0 ReLU has a kink: to the left its slope is 0, to the right 1. It has no derivative there; every
// number from 0 to 1 is a subgradient, and the convention is 0 (x > 0, not x >= 0). What does a checker do
// there? Central differences see (relu(h) - relu(-h)) / 2h = 1/2, for every h, and would call every
// convention but 1/2 wrong. And near a kink, at x = h / 3, a step that is too large walks over it and sees
// a mixture of both sides. So a checker looks at the two sides by themselves:
//
//      above(h) = (f(x + h) - f(x)) / h            below(h) = (f(x) - f(x - h)) / h
//
//      what f is like at x             above(h) - below(h) as h shrinks
//      smooth                          shrinks like h f''(x), down to rounding
//      a kink at x                     stays as it is
//      a kink at a distance d          stays as it is for h > d, is gone for h < d
//
// At a kink a derivative is right if it lies between the two slopes, and wrong if it does not.
//
// What you have: new_tensor(x.shape()), x.at({n, h, w, c}), add_to(dx, {n, h, w, c}, value),
// x.values<double>() (all entries in a row, for reading) and dx.mutable_values<double>() (for writing);
// window.height, width, stride_h, stride_w. The three answers of the last function: Judgement::Right,
// Judgement::Wrong, Judgement::AtKink.

#include "checks/16_kinks.h"

#include <algorithm>
#include <cmath>

using namespace exercise_16;

// x and dy of any shape.
Tensor relu_backward(const Tensor& x, const Tensor& dy) {
  not_written();  // write the body in place of this line
}

// x [n, h, w, c], dy [n, p, q, c]; every window lies inside of x.
Tensor max_pool_backward(const Tensor& x, const Tensor& dy, const Window& window) {
  not_written();
}

// Is this the derivative of f at x? Right: it is. Wrong: it is not. AtKink: f has a kink at x, and the
// number lies between the slopes of its two sides. x is of order 1, and kinks are either at x or at least
// 1e-4 away from it.
Judgement judge(const Function& f, double x, double derivative) {
  not_written();
}

Answers answers() {
  return {.relu_backward = relu_backward, .max_pool_backward = max_pool_backward, .judge = judge};
}
