// Exercise 21 (60 minutes): write the checker itself
//
// You get a function f, a backward pass, and a place x. Is the backward pass right there? Your answer is
// graded as a checker should be: by wrong backward passes that it must find, and
// by right ones of difficult functions that it must not accuse.
//
// For an output gradient dy the backward pass must give the gradient of the number L(x) = sum dy f(x), and
// for each entry
//
//      dL/dx_k  =  ( L(x + h e_k) - L(x - h e_k) ) / 2h
//
// up to h^2 L'''/6 (truncation) and |L| 1e-16 / h (rounding).
//
//      error
//        |\                     /        One h does not fit all:
//        | \  rounding         /           x = 1e6:    x + 1e-12 is x, and h must grow with x
//        |  \ 1e-16 L / h     / h^2        x = 1e-5, log(x): h = 1e-2 is a thousand times x
//        |   \_             _/             exp(20 x): truncation is 400 times that of exp(x)
//        |     \__       __/               L = 1e6 + x^2: rounding is 1e-10, so h = 1e-6 sees 1e-4 of noise
//        |        \_____/                  a kink at a distance of 1e-4: no h above that
//        +------------------------- h    So try several: right is what agrees at one of them.
//
// What a wrong backward pass hides behind, and what finds it:
//
//      dy = 1 everywhere         hides that dy is not used, is squared, or is exchanged: draw dy
//      the mean, or the sum      hides entries that are exchanged: compare each
//      one entry                 hides the others
//      |a - b| < 1e-6            hides a gradient of size 1e-12: compare with its size
//      |a - b| < 1e-2 |a|        hides an error of a thousandth
//      if (error > tolerance)    is false for NaN: write !(error <= tolerance)
//
// And what accuses a right one: relative errors of entries that are 0 on both sides (0 / 0, or rounding
// over rounding). Compare an entry with its own size and, beside that, with 1e-7 of the largest entry's:
// the noise of L is the same for all of them.
//
// What you have: x.size(), random(shape) (other numbers in each call), tg::copy(x), x.values<double>()[k]
// for reading and t.mutable_values<double>()[k] for writing (t a copy, k a std::size_t),
// tg::sum(dy * y).item(), std::abs, std::max.

#include "checks/21_checker.h"

#include <algorithm>
#include <cmath>

using namespace exercise_21;

// Whether backward(x, dy), which has x's shape, is the gradient of sum dy f(x) for every dy. f may have any
// shape of result.
bool is_right(const Function& f, const Backward& backward, const Tensor& x) {
  not_written();  // write the body in place of this line
}

Answers answers() {
  return {.is_right = is_right};
}
