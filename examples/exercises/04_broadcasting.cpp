// Exercise 4 (30 minutes): broadcasting and its sum
//
// Tensors of different shapes can be combined if one can be repeated until it fits: the shapes are laid on
// each other at the right end, and where one has a 1, or no axis at all, it is repeated.
//
//      a        2  4  3                a  [4, 3]:   1 2 3        b  [3]:  10 20 30     is used as   10 20 30
//      b           4  1                             4 5 6                                           10 20 30
//      a * b    2  4  3                             7 8 9                                           10 20 30
//               ^     ^                             0 1 2                                           10 20 30
//               b is repeated along these
//
// In the backward pass every copy has a gradient of its own, and all copies are the same number: their
// gradients are added up. So what was repeated in the forward pass is summed in the backward pass, and the
// result has exactly the shape of the tensor that was repeated (with its axes of size 1):
//
//      g  [4, 3]:   1 2 3       sum_to_shape(g, [3])  =  12 16 20           sum_to_shape(g, [4, 1])  =   6
//                   4 5 6                                                                               15
//                   7 8 9       sum_to_shape(g, [])   =  48                                             24
//                   0 1 2                                                                                3
//
// What goes wrong: axes that the smaller tensor does not have are summed, those where it has a 1 are
// forgotten (or the other way round); shapes are laid on each other at the left end; the mean is taken, not
// the sum; and in NumPy and PyTorch nothing is said when a gradient of shape [4, 3] is subtracted from a bias
// of shape [3]: it is broadcast once more.
//
// The bias of exercise 3 is one case of this: db = sum_to_shape(dy, [out]).
//
// What you have: g.rank(), g.shape()[axis], shape.rank(), shape[axis]; the indices of entry k of g are
// g.shape().position(k), a std::vector<index_t>; entry k itself is g.data<double>()[k]; new_tensor(shape),
// t.mutable_data<double>(). a * b multiplies tensors entry by entry, with broadcasting.

#include "checks/04_broadcasting.h"

using namespace exercise_04;

// g has a shape that `shape` can be broadcast to. The result has `shape`, and each of its entries is the sum
// of all entries of g that are its copies.
Tensor sum_to_shape(const Tensor& g, const Shape& shape) {
  not_written();  // write the body in place of this line
}

// {da, db} of y = a * b. dy has the shape of a * b.
Tensors product_backward(const Tensor& a, const Tensor& b, const Tensor& dy) {
  not_written();
}

Answers answers() {
  return {.sum_to_shape = sum_to_shape, .product_backward = product_backward};
}
