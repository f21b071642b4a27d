// Exercise 7 (30 minutes): the gradient of the image: pad full, rotate
//
// y = conv2d_valid(x, w), and dy is the gradient of y. A pixel of x was multiplied by every entry of w, each
// time for another pixel of y. So its gradient collects these pixels of dy, in the opposite direction:
//
//      dx[h, w] = sum over i, j of dy[h - i, w - j] w[i, j]            (where h - i, w - j lies inside of dy)
//
// That minus is a turned filter. Written as a plain convolution it is: zeros around dy, as many that the
// filter is used wherever it meets dy at all (FULL), and the filter turned by 180 degrees.
//
//      dy 2 x 2, a filter of 3 x 3          . . . . . .         w = a b c      turned: i h g
//      needs 2 zeros on each side:          . . . . . .             d e f              f e d
//      3 - 1 of them, so that the           . . 1 0 . .             g h i              c b a
//      filter's last row and column         . . 2 1 . .
//      still meet dy's first                . . . . . .         dx has 2 + 2 (3 - 1) - 3 + 1 = 4 rows: those of x
//                                           . . . . . .
//
// With channels: dy has w's output channels and dx its input channels, so the two last axes of w change
// places. And each image of the batch has a dx of its own.
//
//      dx = conv2d_valid(pad_full(dy), turned(w)),   turned(w)[kh - 1 - i, kw - 1 - j, o, c] = w[i, j, c, o]
//
// Questions that people ask about it, and claims that are loose or wrong:
//
//  - "d_x = conv2d(d_out, rot180(w), padding='FULL')" (an answer to "What does tf.nn.conv2d_transpose do?",
//    from which the whole of this exercise comes). It is right as it says: for one channel in and out, stride
//    1. With more channels it needs the exchange above, or the shapes do not even fit. With strides: exercise
//    9.
//  - "Fill kernel - padding - 1 rows and columns of zeros around, turn the kernel, convolve" ("Transposed
//    Convolution", notes in Chinese; its example: the map ((1, 0), (2, 1)) with the kernel ((1, 0, 1), (0, 1,
//    1), (1, 0, 0))). Its program pads with 2 and convolves with ((0, 0, 1), (1, 1, 0), (1, 0, 1)), the
//    turned kernel, and gets what PyTorch's ConvTranspose2d gives:
//
//             1 0 1 0       That is the dx of this exercise for dy = ((1, 0), (2, 1)): a transposed
//             2 2 3 1       convolution is the backward pass of a convolution, used as a forward pass. It is
//             1 2 3 1       the first case of the check.
//             2 1 0 0
//  - "FULL means to apply the filter wherever it partly overlaps the input" (the first answer, too). So it
//    is; with k - 1 zeros. With k zeros there would be a ring of places where the filter meets nothing but
//    zeros.
//
// What you have: given_conv2d_valid(image, filter), which is exercise 6; t.shape()[0], t.at({n, h, w, c}),
// new_tensor({...}) (zeros), t.set({n, h, w, c}, value).

#include "checks/07_conv2d_dx.h"

using namespace exercise_07;

// kh - 1 rows of zeros above and below dy, and kw - 1 columns of zeros on its left and right.
Tensor pad_full(const Tensor& dy, index_t kh, index_t kw) {
  not_written();  // write the body in place of this line
}

// The filter turned by 180 degrees, with its two last axes exchanged: [kh, kw, in, out] to [kh, kw, out, in].
Tensor turned(const Tensor& w) {
  not_written();
}

// The gradient of x, from the two functions above and given_conv2d_valid().
Tensor conv2d_dx(const Tensor& dy, const Tensor& w) {
  not_written();
}

Answers answers() {
  return {.pad_full = pad_full, .turned = turned, .conv2d_dx = conv2d_dx};
}
