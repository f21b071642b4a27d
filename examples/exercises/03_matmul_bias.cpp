// Exercise 3 (20 minutes): matmul and bias
//
// A layer of a network that takes n samples of `in` numbers each, and gives `out` numbers for each:
//
//      y[n, o] = b[o] + sum over i of  x[n, i] w[i, o]             y = x w + b
//
//           in                out                 out
//         +-----+          +-------+           +-------+
//       n |  x  |  times in|   w   |  + b  = n |   y   |
//         +-----+          +-------+           +-------+
//
// The backward pass gets dy, a tensor of y's shape: how much the loss grows if an entry of y grows by a
// little. It returns the same for x, w and b, each with the shape of its tensor. The rule that never fails:
// take one product of the forward pass and ask which entries it connects.
//
//      x[n, i] w[i, o] is a part of y[n, o]     so    dx[n, i] += w[i, o] dy[n, o]
//                                                     dw[i, o] += x[n, i] dy[n, o]
//      b[o] is a part of y[n, o], for every n   so    db[o]    += dy[n, o]
//
// In matrices: dx = dy w^T, dw = x^T dy, and db is the sum of dy over the samples. Whoever forgets where the
// transpose goes can let the shapes say it: [n, in] can only come from [n, out] times [out, in].
//
// If the loss is a mean over the samples, its 1 / n is already in dy. Dividing dw or db by n once more is a
// frequent mistake (courses print formulas with "1/m" for both, and then it is applied twice).
//
// What you have: x.shape()[0], x.at({n, i}), new_tensor({a, b}) (zeros), t.set({n, o}, value), add_to(t, {n,
// o}, value).

#include "checks/03_matmul_bias.h"

using namespace exercise_03;

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  not_written();  // write the body in place of this line
}

// {dx, dw, db}
Tensors linear_backward(const Tensor& x, const Tensor& w, const Tensor& dy) {
  not_written();
}

Answers answers() {
  return {.linear = linear, .linear_backward = linear_backward};
}
