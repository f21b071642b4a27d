// Exercise 10 (30 minutes): SAME: where the odd pixel goes
//
// SAME adds so many zeros around an image that y has size / stride rows, rounded up (with stride 1: as many
// as x). Along one axis:
//
//      p     = size / s, rounded up          the number of windows
//      total = (p - 1) s + k - size          what the last window needs beyond the image; 0 if that is negative
//      before = total / 2, rounded down      after = total - before
//
//      size 6, k 3, s 2:  p = 3, total = 4 + 3 - 6 = 1: before 0, after 1         x x x x x x .
//                                                                                 [---]
//      The odd pixel is put after: at the bottom and on the right.                    [---]
//      (PyTorch's padding=1 puts one on both sides: a net with                            [---]
//      strides that is moved from one to the other is off by one pixel.)
//
// In the backward pass the zeros have gradients as well, which nobody wants: they are cut off, as many before
// and after as were added. Forward pad, then convolve; backward the convolution's dx, of the padded shape,
// then crop.
//
// Questions that people ask about it, and claims that are loose or wrong:
//
//  - "conv2d_transpose() simply transposes the weights and turns them by 180 degrees, then applies the
//    standard conv2d()" (an answer in French, also found under "What does tf.nn.conv2d_transpose do?"; its
//    example: an MNIST image of 28 x 28, 32 filters of 7 x 7, stride 1, SAME). For that example it is so: k =
//    7, total = 27 + 7 - 28 = 6, three zeros before and three after, and the same for the way back.
//  - "It is a simple case, but the same reasoning could be applied to the others." It cannot. For an even
//    filter total is odd. With k = 2, size 28: before 0, after 1. On the way back through a turned filter the
//    zero belongs before: conv2d with SAME puts it after, and everything is shifted by one pixel. And with a
//    stride conv2d makes the image smaller again, where the way back makes it larger.
//  - "Insert zeros between the entries and around them, convolve, and drop the last row and column" (an
//    article in Japanese, "Tensorflow deconvolution", that writes it in Python: 4 channels of 3 x 3 become
//    2 of 6 x 6, stride 2, a 3 x 3 kernel). That is this exercise's dx for an x of 6 x 6, where total is 1:
//    before 0, after 1, so the last row and column go. SAME leads from 5 x 5 to 3 x 3 as well; there total
//    is 2, and a row before and one after go. Whoever drops the last ones only is off by one pixel
//    everywhere. Its function for the convolution puts one row of zeros around whatever the kernel's size
//    is: it is right for 3 x 3 only. The article's result, which the check ends with:
//
//             4 3  6 2  7 3       4 1  7  0  7 2       (its listing shows 2 x 6 x 6; TensorFlow gives [1, 6, 6, 2],
//             4 3  3 2  7 5       5 6  0  1  8 5        channels last)
//             8 6  8 5 11 2       8 0  8 -2 14 2
//             3 2  7 2  3 3       3 3  9  8  1 0
//             5 5 11 3  9 3       3 0 13  0 11 2
//             2 1  4 5  4 4       3 5  3  1  3 0
//  - The program that the answer points to compares the results after a cast to whole numbers. Differences
//    below 1 disappear in such a comparison.
//
// What you have: given_pad(x, rows, columns) with two Margins; given_conv2d_valid(x, w, sh, sw);
// given_strided_dx(dy, w, x_shape, sh, sw), which is exercise 9; tg::slice(t, {{}, {from, to}, {from, to}})
// (to is not included); Margins{before, after}; std::max<index_t>(a, b).

#include "checks/10_same_padding.h"

#include <algorithm>

using namespace exercise_10;

// The zeros before and after an axis of this size.
Margins same_margins(index_t size, index_t kernel, index_t stride) {
  not_written();  // write the body in place of this line
}

// conv2d with SAME.
Tensor conv2d_same(const Tensor& x, const Tensor& w, index_t sh, index_t sw) {
  not_written();
}

// Its dx, of the shape x_shape.
Tensor conv2d_same_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw) {
  not_written();
}

Answers answers() {
  return {.same_margins = same_margins, .conv2d_same = conv2d_same, .conv2d_same_dx = conv2d_same_dx};
}
