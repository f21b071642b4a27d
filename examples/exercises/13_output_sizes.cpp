// Exercise 13 (40 minutes): output sizes, and which inputs give the same output
//
// All sizes of a convolution, along one axis. The filter has `kernel` taps, `dilation` pixels from one to
// the next, so it reaches over ke = (kernel - 1) dilation + 1 pixels. It begins `before` pixels in front of
// the image, moves on by `stride`, and its last place is the last one at which it does not end more than
// `after` pixels behind the image:
//
//      out = floor((size + before + after - ke) / stride) + 1
//
// The floor is the whole trouble of transposed convolutions. stride 2, kernel 3, no padding (VALID):
//
//      size 5   |_|_|_|_|_|      windows at 0, 2        out = floor(2 / 2) + 1 = 2
//               [     ]
//                   [     ]
//      size 6   |_|_|_|_|_|_|    windows at 0, 2        out = floor(3 / 2) + 1 = 2, the last pixel is in no window
//               [     ]
//                   [     ]
//
// So a transposed convolution that is given 2 pixels cannot know whether to make 5 or 6 of them: it must be
// told, as output_shape (TensorFlow) or as output_padding (Keras, PyTorch: that many pixels more than the
// smallest size).
//
//      (in - 1) stride + ke - before - after + output_padding          0 <= output_padding < stride
//
// output_padding is not padding: nothing is put around anything. The result has more rows at its end, which
// stamps may or may not reach: with the numbers of exercise 12 the sixth row is zero because no stamp
// reaches it, but with `after` = 1 the row that output_padding brings back is one that was cut off, and it
// is full of numbers.
//
// SAME is a rule for before and after, made so that out = ceil(size / stride), whatever the kernel:
//
//      total = max((out - 1) stride + ke - size, 0),    before = floor(total / 2),    after = total - before
//
// The odd pixel goes after. Transposed, the stamps of `out` pixels cover (out - 1) stride + ke pixels, and
// what SAME had padded is cut off. If the wanted size is larger than what the stamps cover, rows of zeros
// stand after them.
//
//      wanted 6, from 3 pixels, kernel 3, stride 2:  stamps cover 7, total 1: cut 0 before, 1 after
//      wanted 5, from 3 pixels, kernel 3, stride 2:  stamps cover 7, total 2: cut 1 before, 1 after
//
// Questions that people ask about it:
//
//  - "The size of the output is the inverse of that of the convolution, o = (i - 1) s + k - 2 p"
//    ("Transposed convolution", the Chinese note with four steps.) It leaves out dilation and
//    output_padding, has one p for both sides, and is one of `stride` sizes, not "the" inverse: with the
//    note's example, 2 pixels, k 3, s 1, p 0, o = 4 is the only one; with stride 2 both 5 and 6 lead back
//    to 2. The note also says of the plain convolution in its fourth step "the padding here is
//    output_padding". It is not: that convolution has no padding, and output_padding changes how much is
//    kept.
//  - "Why output_shape = (1, 5, 5, 1)?" ("How to understand the conv2d_transpose in tensorflow", 2 x 2
//    pixels, kernel 3, stride 2, VALID.) 5 x 5, 5 x 6, 6 x 5 and 6 x 6 all lead back to 2 x 2. 7 does not:
//    floor((7 - 3) / 2) + 1 = 3.
//  - "output_shape = (1, 6, 6, 1)" from 3 x 3 with a 2 x 2 filter, stride 2, SAME ("What does
//    tf.nn.conv2d_transpose do?", the answer with 1.5 in the corner): ceil(6 / 2) = 3, and ceil(5 / 2) = 3,
//    so 5 would be right as well.
//  - "Insert zeros, put a border of zeros around, convolve, and drop the last row and column" ("Tensorflow
//    deconvolution, principle and handwritten Python code": 3 x 3 pixels, kernel 3, stride 2, SAME, to 6 x
//    6.) Right for these numbers: cut 0 before and 1 after. For 5 x 5, which SAME leads back from as well,
//    it is the first and the last row that go. Dropping the last ones there shifts the whole picture by a
//    pixel, which looks nearly right and trains badly.
//
// An Axis has a.kernel, a.stride, a.dilation, a.before and a.after; a Cut is returned as {before, after}.
//
// The first case of the check by hand: size 7, kernel 3, stride 2, dilation 2, before 1, after 0. ke = 5, so
// out = floor((7 + 1 - 5) / 2) + 1 = 2.

#include "checks/13_output_sizes.h"

using namespace exercise_13;

// The number of pixels that a convolution makes of `size`. The filter always fits at least once.
index_t convolved_size(index_t size, const Axis& a) {
  not_written();  // write the body in place of this line
}

// All sizes (of at least one pixel) of which a VALID convolution with this stride and kernel (dilation 1)
// makes `out` pixels, in rising order.
std::vector<index_t> valid_sources(index_t out, index_t kernel, index_t stride) {
  not_written();
}

// The same for SAME.
std::vector<index_t> same_sources(index_t out, index_t stride) {
  not_written();
}

// The size of a transposed convolution's result.
index_t transposed_size(index_t in, const Axis& a, index_t output_padding) {
  not_written();
}

// The output_padding with which `in` pixels become `wanted`; -1 if none does.
index_t output_padding_for(index_t wanted, index_t in, const Axis& a) {
  not_written();
}

// What a transposed convolution with SAME (dilation 1) cuts off from its stamps when `in` pixels are to
// become `wanted`: rows at the beginning and rows at the end. `after` is negative if rows of zeros are put
// there.
Cut same_cut(index_t wanted, index_t in, index_t kernel, index_t stride) {
  not_written();
}

Answers answers() {
  return {.convolved_size = convolved_size,
          .valid_sources = valid_sources,
          .same_sources = same_sources,
          .transposed_size = transposed_size,
          .output_padding_for = output_padding_for,
          .same_cut = same_cut};
}
