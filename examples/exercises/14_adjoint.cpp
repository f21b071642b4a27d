// Exercise 14 (35 minutes): the adjoint identity, a test that needs no h
//
// A convolution is linear in its image: there is a matrix A with y = A x, and its backward pass is A^T. So
// is every layer without a bias and a nonlinearity: padding, cropping, upsampling, permuting axes. Whether
// a backward pass belongs to a forward pass can be asked without any differences, from one number that can
// be computed in two ways:
//
//      <A x, y>  =  sum_i (sum_k A_ik x_k) y_i  =  sum_k x_k (sum_i A_ik y_i)  =  <x, A^T y>   for all x, y
//
//                 A                                        ---- A^T ----
//         x  ----------->  A x                       A^T y <------------  y
//                           |                          |
//                         times y                    times x
//                           |                          |
//                           +-------- one number ------+
//
// Both sides have no truncation, only rounding: with random x and y a wrong A^T differs in the first
// digits, a right one in the last. There is no h to choose, and it costs one call of each function, however
// large the image is.
//
// For the convolution, which is linear in the filter too, there are three ways to one number:
//
//      <conv(x, w), y>  =  <x, input_gradient(y, w)>  =  <w, filter_gradient(x, y)>
//
// Of three functions of which one is wrong, two agree, and the third is the wrong one.
//
// When are two computed numbers the same? Rounding makes an error in each product, so it is compared with
// the size of the products, sum |(A x)_i y_i| + sum |x_k (A^T y)_k|, not with the sum: where terms cancel
// the sum is small and its rounding is not. 1e-12 of that size is far above rounding in double and far
// below any mistake.
//
// What it does not see: a mistake in A and A^T alike (both with the wrong stride: they belong together, and
// neither is what you wanted). And a function that is not linear, if its backward pass remembers x:
// <x^2, y> = <x, x y> holds for every x and y, and yet x y is not the gradient. So ask for linearity as
// well: A(x + 2 x') = A x + 2 A x'.
//
// Questions that people ask about it:
//
//  - "The transposed convolution restores the size, not the values, because in general a matrix has no
//    inverse; so the inverse is replaced by C^T" ("Transposed convolution", the Chinese note). The first
//    half is right. C^T is not a replacement for an inverse, it is something else, and the note's own
//    numbers show it: with w = [1 0 1; 0 1 1; 1 0 0] and y = [1 0; 2 1], C^T y is
//    [1 0 1 0; 2 2 3 1; 1 2 3 1; 2 1 0 0], and C C^T y = [8 6; 12 8], not y. The same note says that
//    convolution multiplies "by C^T and C^T" forward and backward: it is C and C^T, and for the transpose
//    C^T and C.
//  - "We can see that the results are the same" (the French note on conv2d_transpose, which shows two
//    pictures; "in the scripts we check that the values are the same", an answer to "What does
//    tf.nn.conv2d_transpose do?"). Looking is no check. A script that is often pointed to compares after a
//    cast to whole numbers: with values below 1 it compares zeros with zeros.
//  - "Can I not test with x = y = 1?" Then <A x, y> is the sum of all entries of A, and so is <x, A^T y>,
//    for every matrix with the same entries in any order: a turned filter, exchanged rows. Ones test
//    nothing but the sum.
//
// The numbers of the note by hand. <C x, y> for x = C^T y is the sum of the squares of C^T y,
// 1 + 1 + 4 + 4 + 9 + 1 + 1 + 4 + 9 + 1 + 4 + 1 = 40, and <C C^T y, y> = 8 * 1 + 6 * 0 + 12 * 2 + 8 * 1 = 40.
//
// What you have: random(shape) gives a new random tensor in each call, all_ones(shape) ones;
// tg::sum(t).item(), tg::abs(t), a * b, a + b, 2.0 * a. The four answers of the second function:
// Which::None (no one is wrong), Which::Conv, Which::InputGradient, Which::FilterGradient. f.conv(x, w),
// f.input_gradient(y, w) and f.filter_gradient(x, y) call the three.

#include "checks/14_adjoint.h"

using namespace exercise_14;

// Whether a is linear, and at its adjoint: a takes tensors of shape `in` to those of shape `out`, at leads
// back.
bool is_adjoint(const Function& a, const Function& at, const Shape& in, const Shape& out) {
  not_written();  // write the body in place of this line
}

// Three functions that should be a convolution and its two gradients, of x, w and y with these shapes. At
// most one is wrong: which?
Which wrong_one(const Trio& f, const Shape& x, const Shape& w, const Shape& y) {
  not_written();
}

Answers answers() {
  return {.is_adjoint = is_adjoint, .wrong_one = wrong_one};
}
