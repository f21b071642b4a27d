// Exercise 17 (40 minutes): batch norm's backward pass
//
// Batch norm gives every channel the mean 0 and the variance 1, over all images and pixels of the batch,
// then scales and shifts it. For each channel c, with m = n h w numbers (of an image; of a plain batch
// m = n):
//
//      mean  = 1/m sum x            var = 1/m sum (x - mean)^2              s = 1 / sqrt(var + epsilon)
//      xhat  = (x - mean) s         y   = gamma xhat + beta
//
//      x ---+----------------> (x - mean) s ---> gamma xhat + beta ---> y
//           |                    ^        ^
//           +---> mean ----------+        |          three ways from an x to the results:
//           |      |                      |          by itself, by the mean, by the variance
//           +------+---> var ---> s ------+
//
// Every x changes the mean and the variance, and through them every result of its channel. So the gradient
// has three terms:
//
//      dbeta  = sum dy                                    dgamma = sum dy xhat
//      dx     = gamma s ( dy  -  1/m sum dy  -  xhat 1/m sum dy xhat )
//                         |      |              |
//                         itself the mean       the variance
//
// All sums are over the m numbers of a channel. The second term takes out of dy what a common shift would
// do, the third what a common scaling would do: y does not change under either, so the gradient must not
// have them. A test that needs no h: for each channel sum dx = 0 and (with epsilon = 0) sum dx x = 0.
//
// When batch norm is used for prediction, mean and variance are constants (running averages of the
// training), and only the first term is left: dx = gamma s dy. To leave the other two out in training as
// well is the classic mistake: the loss still falls, only worse, and nobody notices.
//
// Where 1/m and where 1/(m - 1)? In y and in dx always 1/m. The unbiased variance, 1/(m - 1), is what is
// stored in the running average, and has no gradient.
//
// In numbers, one channel of m = 2: x = (1, 3), epsilon = 0, gamma = 1: mean 2, var 1, xhat = (-1, 1). For
// dy = (1, 0): 1/m sum dy = 1/2, 1/m sum dy xhat = -1/2, dx = (1 - 1/2 - 1/2, 0 - 1/2 + 1/2) = (0, 0). Two
// numbers are always normalized to -1 and 1, whatever they are.
//
// What you have, on whole tensors: tg::mean(x, {0, 1, 2}, {.keepdims = true}) is [1, 1, 1, c];
// tg::sum(x, {0, 1, 2}) is [c]; tg::square, tg::sqrt; a + b, a - b, a * b, a / b and 1.0 / a broadcast, so
// a [c] goes with [n, h, w, c]. Or loops, with x.at({n, h, w, c}) and add_to().

#include "checks/17_batch_norm.h"

using namespace exercise_17;

// dx, dgamma, dbeta of a training step: x and dy are [n, h, w, c], gamma is [c].
Tensors batch_norm_backward(const Tensor& x, const Tensor& gamma, const Tensor& dy, double epsilon) {
  not_written();  // write the body in place of this line
}

// The same with a given mean and variance [c], which are constants.
Tensors inference_backward(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& variance,
                           const Tensor& dy, double epsilon) {
  not_written();
}

Answers answers() {
  return {.batch_norm_backward = batch_norm_backward, .inference_backward = inference_backward};
}
