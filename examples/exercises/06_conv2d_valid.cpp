// Exercise 6 (20 minutes): conv2d, VALID
//
// A convolution lays a small filter on an image, multiplies what lies on each other, and adds up. It does so
// at every place where the filter fits (VALID: it never hangs over the border), and every place gives one
// pixel of the result.
//
//      x, 4 rows of 5             w, 2 x 3          y, 3 rows of 3
//      . . . . .                                    y[1, 2] = x[1, 2] w[0, 0] + x[1, 3] w[0, 1] + x[1, 4] w[0, 2]
//      . . +-----+                a b c                     + x[2, 2] w[1, 0] + x[2, 3] w[1, 1] + x[2, 4] w[1, 2]
//      . . |a b c|                d e f
//      . . |d e f|                                  rows:    4 - 2 + 1 = 3 places from top to bottom
//      . . +-----+                                  columns: 5 - 3 + 1 = 3 places from left to right
//
// With a batch of images and with channels, in the layout of TensorFlow (images n h w c, filters kh kw in
// out):
//
//      y[n, p, q, o] = sum over i, j, c of  x[n, p + i, q + j, c] w[i, j, c, o]
//
// Questions that people ask about it:
//
//  - "Is the filter turned?" ("What does tf.nn.conv2d_transpose do?", the answer that lists four functions
//    and says that all of them are just 2d convolutions.) In mathematics a convolution turns the filter: w[i,
//    j] would meet x[p - i, q - j]. What networks call a convolution does not; its exact name is correlation.
//    Nothing is turned here. The turned filter comes in with the gradient, in exercise 7.
//  - "out = conv2d(x, w, padding='VALID')", the first line of the same answer: its text assumes one channel
//    in and one out, and says that the arguments can be changed "to generalize it". What changes is the sum:
//    it runs over the input channels as well, and each output channel has a filter of its own.
//
// The first case of the check, with its result by hand for one pixel:
//
//      x =  0  0  2  3 -3 -2      w = -3  0      y[0, 0] = 0(-3) + 0(0) + 2(3) + 3(-3) + (-2)(-1) + 2(-1) = -3
//           2  3 -2 -1  3 -1           3 -3
//          -2  2 -2 -1  1  0          -1 -1      y has 5 - 3 + 1 = 3 rows and 6 - 2 + 1 = 5 columns
//          -3 -3  3  2  2  0
//           2 -1  0  2 -3 -1
//
// What you have: x.shape()[1], x.at({n, h, w, c}), new_tensor({a, b, c, d}) (all zeros), add_to(y, {n, p, q,
// o}, value).

#include "checks/06_conv2d_valid.h"

using namespace exercise_06;

Tensor conv2d_valid(const Tensor& x, const Tensor& w) {
  not_written();  // write the body in place of this line
}

Answers answers() {
  return {.conv2d_valid = conv2d_valid};
}
