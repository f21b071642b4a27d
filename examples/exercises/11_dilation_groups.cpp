// Exercise 11 (30 minutes): dilation and groups
//
// Dilation: the entries of the filter lie d pixels apart, so that a small filter sees far. Groups: the
// channels are split, and each output channel sees only the input channels of its group. (With as many groups
// as channels that is a depthwise convolution.)
//
//      w  a b c     d = 2:  a . b . c     reaches over (k - 1) d + 1 pixels: 2 gaps of 2, and the last entry
//
//      in 6, out 9, 3 groups:       x's channels   0 1 | 2 3 | 4 5          w [kh, kw, 2, 9]: 2 = in / groups,
//                                                  \./   \./   \./
//                                   y's channels  0 1 2|3 4 5|6 7 8         o's group is o / (out / groups) = o / 3
//
//      y[n, p, q, o] = sum over i, j, c of x[n, p + i dh, q + j dw, g (in / groups) + c] w[i, j, c, o]
//
// where g = o / (out / groups) is the group of o, and y has h - ((kh - 1) dh + 1) + 1 rows.
//
// (Divisions round down, as those of index_t do.)
//
// The backward pass needs no new thought: each product is a part of one y, and its two factors get their
// gradients.
//
//      dx[n, p + i dh, q + j dw, g (in / groups) + c] += w[i, j, c, o] dy[n, p, q, o]
//      dw[i, j, c, o]                                += x[n, p + i dh, q + j dw, g (in / groups) + c] dy[n, p, q, o]
//
// Seen as convolutions: stride and dilation change places. dw of a convolution with stride s is one with
// dilation s (exercise 9 inserted zeros in dy to do so), and dw of one with dilation d is one with stride d.
//
// A claim that is loose: "The size of the result is o = (i - 1) s + k - 2 p" (in "Transposed Convolution",
// the notes with an example in PyTorch). It leaves out dilation and output_padding: for i = 3, s = 2, k = 3,
// p = 1, d = 2 it says 5. The filter reaches over (k - 1) d + 1 = 5 pixels, and the size is (i - 1) s + (k -
// 1) d + 1 - 2 p = 7.
//
// What you have: w.shape()[2], x.at({n, h, w, c}), new_tensor({...}) (zeros), add_to(t, {...}, value),
// options.dh, options.dw, options.groups.

#include "checks/11_dilation_groups.h"

using namespace exercise_11;

// How many pixels a filter of k entries reaches over.
index_t dilated_size(index_t k, index_t d) {
  not_written();  // write the body in place of this line
}

// x [n, h, w, in], w [kh, kw, in / groups, out]; VALID, stride 1.
Tensor conv2d_grouped(const Tensor& x, const Tensor& w, const Options& options) {
  not_written();
}

// {dx, dw}
Tensors grouped_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Options& options) {
  not_written();
}

Answers answers() {
  return {
      .dilated_size = dilated_size, .conv2d_grouped = conv2d_grouped, .grouped_backward = grouped_backward};
}
