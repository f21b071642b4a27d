// Exercise 9 (30 minutes): stride: zeros inserted
//
// With a stride s the filter is laid down at every s-th place only. It is the same as with stride 1, followed
// by throwing away all pixels of y but every s-th. Whatever is thrown away has the gradient 0: so the dy of
// stride 1 is dy with zeros in between.
//
//      y[n, p, q, o] = sum over i, j, c of x[n, p sh + i, q sw + j, c] w[i, j, c, o]
//
//      dy  1 2      strides 2 and 3:     1 . . 2        (rows - 1) sh + 1 rows,
//          3 4                           . . . .        (columns - 1) sw + 1 columns
//                                        3 . . 4
//
// From there on everything is as in exercises 7 and 8, with two things to look after: where (h - kh) is no
// multiple of sh, rows at the bottom of x are in no window. dx must have them, with zeros; and dw must not
// see them.
//
//      dx = conv2d_dx(insert_zeros(dy), w), and zeros up to x's shape
//      dw = conv2d_dw(x without the rows that no window reaches, insert_zeros(dy))
//
// If dy has p rows, windows reach (p - 1) sh + kh rows of x, and the same for columns.
//
// Questions that people ask about it, and claims that are loose or wrong:
//
//  - "How to understand the conv2d_transpose in tensorflow" asks: with the map ((-67, -77), (-117, -127)),
//    the filter ((-1, 2, -3), (4, -5, 6), (-7, 8, -9)) and stride 2 the first element should be -67 * -9 =
//    603, "why does it turn out to be 67?" A transposed convolution is this exercise's dx. The first pixel of
//    x is met by one entry of w alone, w[0, 0], when the first window is laid down: -67 * -1 = 67. Who draws
//    zeros in between and lays a filter on them, as in the figure that the question cites, must lay down the
//    turned one: the entry at its lower right, which meets the first pixel, is w[0, 0] = -1, and not -9. The
//    numbers, which are the first case of the check:
//
//         67  -134   278  -154   231       The 278 in row 0, where two windows overlap:
//       -268   335  -710   385  -462       -67 * -3 + -77 * -1 = 201 + 77.
//        586  -770  1620  -870  1074
//       -468   585 -1210   635  -762
//        819  -936  1942 -1016  1143
//  - "It applies the convolution with a fractional stride. In other words, the input's values are spaced out
//    with zeros" (first answer to "What does tf.nn.conv2d_transpose do?"). The second sentence is right, s -
//    1 zeros between neighbours. The filter itself moves with stride 1.
//  - "d_x_manual = conv2d(pad_to_full(d_out), rot180(w), strides=strides)" (the program in the second
//    answer there). Right, as that answer assumes stride 1. With strides=2 it would take every second place
//    of an image that must become larger: the strides belong into insert_zeros(), and the convolution on
//    the way back has stride 1.
//  - The most frequent mistake in handwritten code is older than all that: the window of y[p] begins at x[p
//    sh], not at x[p].
//
// What you have: given_conv2d_dx(dy, w) and given_conv2d_dw(x, dy), exercises 7 and 8 for stride 1;
// new_tensor(shape) (zeros), tg::slice(t, {{}, {0, rows}, {0, columns}}) (rows 0 to rows - 1, ...),
// x_shape[1], t.at({n, h, w, c}), t.set({n, h, w, c}, value).

#include "checks/09_stride.h"

using namespace exercise_09;

// Entry [n, p, q, o] at [n, p sh, q sw, o], zeros elsewhere.
Tensor insert_zeros(const Tensor& dy, index_t sh, index_t sw) {
  not_written();  // write the body in place of this line
}

// The gradient of x. It has the shape x_shape.
Tensor strided_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw) {
  not_written();
}

// The gradient of w. It has the shape w_shape.
Tensor strided_dw(const Tensor& x, const Tensor& dy, const Shape& w_shape, index_t sh, index_t sw) {
  not_written();
}

Answers answers() {
  return {.insert_zeros = insert_zeros, .strided_dx = strided_dx, .strided_dw = strided_dw};
}
