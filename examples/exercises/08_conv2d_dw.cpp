// Exercise 8 (30 minutes): the gradient of the filter: a convolution with the roles changed
//
// y = conv2d_valid(x, w), and dy is the gradient of y. The entry w[i, j] was multiplied by x[p + i, q + j],
// for every pixel y[p, q]:
//
//      dw[i, j] = sum over p, q of x[p + i, q + j] dy[p, q]
//
// That is conv2d_valid(x, dy): dy is the filter now, large as it is, and dw is the small result. Nothing is
// turned. The sizes come out right: an image of 5 rows, a filter of 3, so dy has 3 rows; and 5 - 3 + 1 = 3
// rows of dw.
//
//      x . . . . .      dy fits at 3 places from top to bottom
//        . +---+ .      and at 3 places from left to right,
//        . |dy | .      one for each entry of a 3 x 3 filter w
//        . |   | .
//        . +---+ .
//
// With a batch and channels:   dw[i, j, c, o] = sum over n, p, q of x[n, p + i, q + j, c] dy[n, p, q, o]
//
// A convolution sums over the third axis of its filter, the channels, and keeps its images apart. Here the
// sum runs over the images n, and the channels c stay apart. So they change their roles, and dw comes out
// with its axes in another order:
//
//      x  [n, h, w, c]        as [c, h, w, n]      "images" c, "channels" n
//      dy [n, p, q, o]        as [p, q, n, o]      a filter from n channels to o
//      conv2d_valid of both      [c, kh, kw, o]    to be written as dw [kh, kw, c, o]
//
// Questions that people ask about it, and claims that are loose or wrong:
//
//  - "d_w = conv2d(x, d_out, padding='VALID')" (an answer to "What does tf.nn.conv2d_transpose do?"). For one
//    image and one channel it is so. It assumes one channel in and out and VALID, and does not say that the
//    batch must be one image: with two, every image would meet every dy, where each belongs to its own. What
//    the answer then does in code, "NHWC to HWIO", is the exchange above.
//  - "All of these are just 2d convolutions, with other arguments" (same answer). True: three calls of one
//    function give y, dx and dw.
//  - dlsys' homework 4 checks this function with y.sum(), so that dy is all ones. Then dw does not depend on
//    o at all, and whoever mixes up the output channels passes. The check here draws dy.
//  - If the loss is a mean, its 1 / n is in dy already: dw is a sum over the images, not a mean.
//
// What you have: given_conv2d_valid(image, filter), which is exercise 6; t.shape()[0], t.at({n, h, w, c}),
// new_tensor({...}) (zeros), t.set({...}, value). reshape() would not do: it keeps the order of the elements
// in memory.

#include "checks/08_conv2d_dw.h"

using namespace exercise_08;

// [n, h, w, c] to [c, h, w, n].
Tensor channels_as_images(const Tensor& x) {
  not_written();  // write the body in place of this line
}

// [n, p, q, o] to [p, q, n, o].
Tensor dy_as_filter(const Tensor& dy) {
  not_written();
}

// The gradient of w, from the two functions above and given_conv2d_valid().
Tensor conv2d_dw(const Tensor& x, const Tensor& dy) {
  not_written();
}

Answers answers() {
  return {.channels_as_images = channels_as_images, .dy_as_filter = dy_as_filter, .conv2d_dw = conv2d_dw};
}
