// Exercise 19 (50 minutes): bug hunt
//
// Ten people have written the backward pass of a convolution. Some of them are wrong, none of them
// everywhere: each of these passes the one test that its author had. Write the check that finds the wrong
// ones and does not accuse the right ones.
//
// A check is as strict as its cases. What hides what:
//
//      what all cases have in common        what they cannot see
//      height = width, square kernels       rows and columns exchanged, one size used for both
//      stride 1                             the stride forgotten, or in the wrong place
//      strides that are equal               one of them used for both
//      no padding, or the same everywhere   the wrong side, one of them used for all
//      one image                            a batch that is overwritten, or only its last image
//      as many channels out as in           one number used for the other
//      an output gradient of ones           (y.sum()) what becomes of dy in dw: its values, its order
//      small sizes                          loops that work in blocks, and their last, incomplete block
//      one call                             a buffer that is not cleared between calls
//      exact comparison                     accuses whoever adds in another order
//
// Published graders: one checks a convolution's backward pass with y.sum() only; one accepts
// rtol = atol = 1e-2, so that a gradient below 0.01 may be zero; one tries stride 1 and pad 1 only; one
// compares means. Every wrong one among the ten hides behind one line of the table.
//
// In the text below, `conv` are the strides and the padding. The result of forward() has the shape
// [n, (h + top + bottom - kh) / stride_h + 1, (w + left + right - kw) / stride_w + 1, out].
//
// What you have: forward(x, w, conv); suspect.backward(x, w, dy, conv), which gives {dx, dw};
// random(shape), other numbers in each call; and everything of tapegrad, for example
//
//      tg::GradcheckReport report = tg::gradcheck_backward(
//          [&](const Tensors& in) { return forward(in[0], in[1], conv); },
//          [&](const Tensors& in, const Tensor& y, const Tensor& dy) {
//            return suspect.backward(in[0], in[1], dy, conv);
//          },
//          {x, w}, {.step = 1});
//
// (step 1: the function is linear in x and in w, so central differences are exact at any distance),
// report.passed, and report.str() to read. You may print: std::printf, to see what your check sees.

#include "checks/19_bug_hunt.h"

using namespace exercise_19;

// Whether this backward pass is right.
bool is_right(const Suspect& suspect) {
  not_written();  // write the body in place of this line
}

Answers answers() {
  return {.is_right = is_right};
}
