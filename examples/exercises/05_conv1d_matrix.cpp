// Exercise 5 (20 minutes): one-dimensional convolution as a matrix, whose transpose gives dx
//
// A convolution is linear in x: so it is a matrix. For x of 6 entries and w = (a, b, c), stride 1 and stride
// 2 (row p begins at column p s; there are (n - k) / s + 1 rows, and the division rounds down):
//
//           a b c . . .                a b c . . .
//      C =  . a b c . .           C =  . . a b c .         y = C x,   y[p] = sum over i of x[p s + i] w[i]
//           . . a b c .
//           . . . a b c           (the last entry of x is in no window)
//
// The backward pass of y = C x is dx = C^T dy, for any matrix. Its rows are C's columns:
//
//             a . . .
//             b a . .      Read row by row, dx is a convolution of dy, too, with (c, b, a): the turned
//      C^T =  c b a .      filter, over dy with k - 1 zeros on both sides. Read column by column, every dy[p]
//             . c b a      lays a copy of w, times dy[p], on dx at p s, and copies that overlap are added. Both
//             . . c b      are the same numbers. In the second reading nothing is turned, and strides need no
//             . . . c      thought. Write that one.
//
// Questions that people ask about it, and claims that are loose or wrong:
//
//  - "The kernel becomes an equivalent matrix; as it need not have an inverse, the inverse C^T of the
//    original matrix is used" (in "Transposed Convolution", a page of notes with an example in PyTorch). C^T
//    is the transpose, and no inverse. With w = (1, 0, 2), n = 4 and y = (1, 1):
//            C = 1 0 2 0      C^T y = (1, 1, 2, 2),   C C^T y = (5, 5), not y
//                0 1 0 2
//    The same page says rightly that the sizes come back, but not the values.
//  - "The forward and backward passes of a convolution multiply by C^T and C^T" (same page). They multiply by
//    C and C^T; those of a transposed convolution by C^T and C. That is all that "transposed" means.
//  - "Why is the kernel turned upside down and left to right?" (same page). Because of the two readings
//    above: a row of C^T holds w from its last entry to its first.
//
// What you have: w.size(), w.at({i}), new_tensor({m, n}) (zeros), c.set({p, q}, value), add_to(dx, {q},
// value).

#include "checks/05_conv1d_matrix.h"

using namespace exercise_05;

// C, [(n - k) / stride + 1, n].
Tensor conv_matrix(const Tensor& w, index_t n, index_t stride) {
  not_written();  // write the body in place of this line
}

// C^T dy, [n], in loops over dy and w: without the matrix.
Tensor conv1d_dx(const Tensor& dy, const Tensor& w, index_t n, index_t stride) {
  not_written();
}

Answers answers() {
  return {.conv_matrix = conv_matrix, .conv1d_dx = conv1d_dx};
}
