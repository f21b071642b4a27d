// Exercise 15 (30 minutes): softmax cross-entropy, stably
//
// z[n, k] are logits, any real numbers; softmax makes them probabilities, p[n, k] = exp(z[n, k]) / sum_j
// exp(z[n, j]). The loss of a row is -log p of its label, and the loss of a batch is the mean over its
// rows:
//
//      L = 1/N sum over n of  -log p[n, label n]
//        = 1/N sum over n of  ( log sum_j exp(z[n, j])  -  z[n, label n] )
//
// The first line is the definition, and computed as it stands it fails:
//
//      z        exp(z) in double             what goes wrong
//      709      8.2e307                      the largest that there is
//      710      inf                          inf / inf = NaN
//      -745     4.9e-324                     the smallest that there is
//      -746     0                            log(0) = -inf, and a row of zeros is 0 / 0
//
// Nothing of that is in the problem: a logit of 1000 beside one of 998 is a probability of 0.88 and a loss
// of 0.13. A number m that is subtracted from all logits of a row cancels, and with the row's largest one
// nothing overflows and at least one term is exp(0) = 1:
//
//      log sum_j exp(z_j) = m + log sum_j exp(z_j - m),    m = max_j z_j     (of each row, not of the whole batch)
//
// The logarithm of a probability is never taken: an underflown probability would be log(0), and
// "log(p + 1e-12)" silently says 27.6 for every loss above that. The loss of a label that is 2000 below the
// largest logit is 2000.
//
// The gradient is the shortest in all of deep learning:
//
//      dL/dz[n, k] = dy (p[n, k] - t[n, k]) / N          t is 1 for the row's label, 0 elsewhere
//
// It comes from d log sum_j exp(z_j) / dz_k = p_k. Each row adds up to zero: more for one class is less for
// the others. dy is the gradient of L itself, a number: 1 if L is the last thing that is computed, and
// whatever L is multiplied by if not.
//
// A row by hand: z = (1, 3), label 0. m = 3, log(exp(-2) + 1) = 0.126928, so L = 3.126928 - 1 = 2.126928;
// p = (0.119203, 0.880797), dz = (-0.880797, 0.880797).
//
// What you have: z.shape()[0], z.at({n, k}), labels[n] (a std::size_t as an index:
// labels[static_cast<std::size_t>(n)]), new_tensor({rows, classes}), t.set({n, k}, value), std::exp,
// std::log, std::max.

#include "checks/15_softmax_cross_entropy.h"

#include <cmath>

using namespace exercise_15;

// The loss of logits [rows, classes] and one label for each row.
double cross_entropy(const Tensor& z, const Labels& labels) {
  not_written();  // write the body in place of this line
}

// dz, of z's shape.
Tensor cross_entropy_backward(const Tensor& z, const Labels& labels, double dy) {
  not_written();
}

Answers answers() {
  return {.cross_entropy = cross_entropy, .cross_entropy_backward = cross_entropy_backward};
}
