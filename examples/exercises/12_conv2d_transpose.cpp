// Exercise 12 (35 minutes): conv2d_transpose, by exchanging two kernels
//
// A convolution gathers: every pixel of its result is a sum over a window of x. Its transpose scatters:
// every pixel of x stamps the whole filter, times its own value, onto the result, `stride` pixels from one
// stamp to the next. Where stamps overlap they add up.
//
//      x, 2 x 2         w, 3 x 3          y, 5 x 5, stride 2 (four stamps, their corners at the letters)
//
//       -67  -77        -1  2 -3            A   .   B   .   .         A = -67 w    at [0, 0]
//      -117 -127         4 -5  6            .   .   .   .   .         B = -77 w    at [0, 2]
//                       -7  8 -9            C   .   D   .   .         C = -117 w   at [2, 0]
//                                           .   .   .   .   .         D = -127 w   at [2, 2]
//                                           .   .   .   .   .
//
//      y[n, p stride_h + i - top, q stride_w + j - left, c]  +=  x[n, p, q, o] w[i, j, c, o]
//
// top and left say how many rows and columns of the stamped picture are cut off before its first one that
// is kept; what falls outside of y is lost. The filter is that of the convolution that is transposed:
// [kh, kw, c, o], and here o are the channels of x and c those of y. The filter's last axis is the input's:
// the other way round than in conv2d.
//
// Why that is "conv2d backwards": in conv2d(large, w) the pixel small[p, q] reads
// large[p stride_h + i - top, ...] through w[i, j]. Its gradient goes the same way back. So there are three
// kernels, and each is the sum of the products of the other two operands:
//
//      kernel                                              makes       from
//      tg::conv2d(large, w, options)                       small       large and w
//      tg::conv2d_backprop_input(large_shape, w, small,    large       small and w
//                                options)
//      tg::conv2d_backprop_filter(large, w_shape, small,   w           large and small
//                                 options)
//
//                    forward pass             gradient of its image       gradient of w
//      conv2d        large -> small           small -> large              large, small -> w
//      transpose     small -> large           large -> small              large, small -> w
//
// The two kernels in the first two columns are exchanged, and that is all.
//
// Questions that people ask about it:
//
//  - "The first element should be -67 * -9 = 603. Why is it 67?" ("How to understand the conv2d_transpose
//    in tensorflow", with the numbers above.) Because a stamp is not turned: its corner is w[0, 0] = -1,
//    and -67 (-1) = 67. The 603 exists; it is in the centre, where the four stamps meet:
//    y[2, 2] = -67(-9) - 77(-7) - 117(-3) - 127(-1) = 603 + 539 + 351 + 127 = 1620. The question's comment
//    on the filter's axes, "(height, width, input_channels, output_channels)", is the order of conv2d; with
//    one channel each nobody notices.
//  - "conv2d_transpose simply transposes the weights and turns them by 180 degrees, then applies the
//    standard conv2d" (the French note "Conv2d_transpose() transpose simplement les poids"; an answer to
//    "What does tf.nn.conv2d_transpose do?" says the same). With its numbers, [28, 28, 1] images, 32
//    filters of 7 x 7, stride 1 and SAME (3 pixels of padding on each side), that is right: for a stamp of
//    7 x 7 around pixel 10, the pixel 10 + 3 is reached by w[6], which the turned filter has first. It is
//    not right for even filters (the odd pixel of SAME moves to the other side), and for stride 2 zeros
//    must be put between the pixels first: conv2d with stride 2 would make the image smaller, not larger.
//    "The same reasoning could be applied to the other cases" is the loose sentence. Two more of that
//    answer's words: "the order of the columns" is the order of axes, [0, 1, 2, 3] to [0, 1, 3, 2], so that
//    [7, 7, 1, 32] becomes [7, 7, 32, 1]; and its loop turns w[:, :, i, 0] only, which is all there is for
//    one channel.
//  - "Why is it called deconvolution?" (both pages.) Because papers used the word. A deconvolution would
//    undo a convolution and give back the image; this gives back the size (exercise 14). It is the gradient
//    of conv2d, used as a layer.
//  - "Why would one use it?" (same page, the first question.) To make an image larger with weights that are
//    learned, where bilinear interpolation has fixed ones: decoders, segmentation, generators. The page's
//    example: a 3 x 3 image with 1.5 at [0, 2] and 1 at [1, 1], the filter ((1, 2), (3, 4)), stride 2, to 6
//    x 6. Two stamps, 1.5 w at [0, 4] and w at [2, 2]:
//
//             .   .   .   .   1.5  3
//             .   .   .   .   4.5  6        (dots are zeros, and so are the two rows
//             .   .   1   2   .    .         below)
//             .   .   3   4   .    .
//  - "It applies a convolution with a fractional stride" (the answer with most votes there). As a picture
//    it is fine, the zeros between pixels; nothing fractional is computed.
//  - "What exactly does Conv2DTranspose(64, (2, 2), strides=(2, 2)) do?" (same page, the last answer, with
//    the numbers 0 to 14 doubled in both directions.) The stamps are 2 x 2 and 2 apart: none overlap. It
//    repeats pixels only if all weights are 1 and the bias is 0; the layer begins with random weights.
//  - "tf.nn.conv2d_transpose turns the filter internally, so turn it beforehand" ("Tensorflow
//    deconvolution, principle and handwritten Python code", point 1 of its remarks.) Its own loops (zeros
//    inserted, then a plain convolution) need the turned filter; stamps do not. Its numbers agree with
//    TensorFlow's, because it turns twice. Its code reads w[out, in, h, w]; TensorFlow's order is
//    [h, w, out, in].
//
// In `Setting` you have stride_h, stride_w, top, left, the shape of y (`y`), and `options`, which say the
// same to the kernels.
//
// What you have: new_tensor(shape), add_to(y, {n, h, w, c}, value), x.at({n, p, q, o}), and the three
// kernels above.

#include "checks/12_conv2d_transpose.h"

using namespace exercise_12;

// In loops, stamp by stamp. add_to() throws for an index outside of y: leave such products out.
Tensor stamps(const Tensor& x, const Tensor& w, const Setting& s) {
  not_written();  // write the body in place of this line
}

// The same with one of the three kernels: no loop.
Tensor transpose(const Tensor& x, const Tensor& w, const Setting& s) {
  not_written();
}

// dx and dw with the other two: no loop either. dy has the shape of y.
Tensors transpose_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Setting& s) {
  not_written();
}

Answers answers() {
  return {.stamps = stamps, .transpose = transpose, .transpose_backward = transpose_backward};
}
