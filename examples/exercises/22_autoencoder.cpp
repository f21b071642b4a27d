// Exercise 22 (90 minutes): the autoencoder from your own pieces
//
// Everything together: your convolution and its two gradients, your two ops on the library's tape, your
// optimizer, and a training loop, on the digits in data/. At the end there is a picture,
// out/exercise_22.png: digits, and below each what your net makes of it from 196 numbers. (The faint
// chequered pattern that you may see belongs to transposed convolutions: stamps of 3 x 3 that are 2 apart
// overlap in every other row and column only.)
//
//      images          h1               code            h2               out
//      28 x 28 x 1 --> 14 x 14 x 8 -->  7 x 7 x 4  -->  14 x 14 x 8 -->  28 x 28 x 1
//              conv, relu       conv, relu      transpose, relu  transpose, sigmoid
//              w[0] b[0]        w[1] b[1]       w[2] b[2]        w[3] b[3]          all filters 3 x 3, stride 2
//
// In a Geometry there are the strides, top and left (padding of the convolution, crop of its transpose),
// and the shapes of the large and the small image. The three kernels of exercise 12, once more in loops,
// all of them one product:
//
//      large[n, p stride_h + i - top, q stride_w + j - left, c]   w[i, j, c, o]   small[n, p, q, o]
//
//      gather        small from large and w
//      scatter       large from small and w
//      correlate     w from large and small
//
// Products whose row or column lies outside of the large image are left out. The kernels have work to do,
// 120 batches of 64 images, so use View in place of at(): View x(tensor) and then x(n, h, w, c), for
// reading and, if the tensor is yours, for writing (y(n, p, q, o) += ...). It only sees that an index lies
// in the tensor's memory, not that one of the four is too large for its own axis. An order of loops in
// which the innermost one runs over the last axis is several times faster.
//
// The two ops, as in exercise 18; here first derivatives are enough, so a rule may call the kernels
// themselves:
//
//      conv        result  gather(x, w)        x's rule  scatter(g, w)       w's rule  correlate(x, g)
//      transpose   result  scatter(x, w)       x's rule  gather(g, w)        w's rule  correlate(g, x)
//
//      tg::record("my_op", result, {{x, [w = tg::Saved(w), ...](const Tensor& g) { return ... w() ...; }},
//                                   {w, [x = tg::Saved(x), ...](const Tensor& g) { return ... x() ...; }}})
//
// The bias is added by the library: conv(...) + net.b[0] broadcasts over images, rows and columns, and its
// gradient is a sum (exercise 4). The loss of a batch is the mean over all pixels of (out - images)^2.
//
//      tg::Tape tape;                                               everything from here on is recorded
//      loss = tg::mean(tg::square(... - images))
//      gradients = tape.gradient(loss, {a, b, ...})                 one for each, in this order: gradients[k]
//
// Gradients are values here. There is nothing to set to zero; in frameworks that add them to the
// parameters, a zeroing that is forgotten is a frequent mistake.
//
// What you have: halving(n, size, large_channels, small_channels) makes the Geometry of one layer
// (for 3 x 3 filters, stride 2), parameters(net) all eight parameters in the order w[0], b[0], w[1], ...;
// tg::relu, tg::sigmoid, tg::mean, tg::square; p.mutable_values<double>() (to change p), g.values<double>()
// (to read), memory.m, memory.v (vectors, empty at first: resize them), memory.t (0 at first).

#include "checks/22_autoencoder.h"

#include <cmath>

using namespace exercise_22;

// [n, p, q, o] of the shape g.small.
Tensor gather(const Tensor& large, const Tensor& w, const Geometry& g) {
  not_written();  // write the body in place of this line
}

// [n, h, w, c] of the shape g.large.
Tensor scatter(const Tensor& small, const Tensor& w, const Geometry& g) {
  not_written();
}

// [kh, kw, c, o] of the shape w_shape.
Tensor correlate(const Tensor& large, const Tensor& small, const Shape& w_shape, const Geometry& g) {
  not_written();
}

// The op that makes images smaller.
Tensor conv(const Tensor& x, const Tensor& w, const Geometry& g) {
  not_written();
}

// The op that makes them larger: x is the small image here.
Tensor transpose(const Tensor& x, const Tensor& w, const Geometry& g) {
  not_written();
}

// out, for images [n, 28, 28, 1].
Tensor reconstruct(const Net& net, const Tensor& images) {
  not_written();
}

// Exercise 20 for a tensor: beta1 0.9, beta2 0.999, epsilon 1e-8.
void adam_step(Tensor& p, const Tensor& g, Memory& memory, double learning_rate) {
  not_written();
}

// One step on a batch: changes the parameters, and returns the loss before it. memories[k] belongs to
// parameters(net)[k].
double train_step(Net& net, std::vector<Memory>& memories, const Tensor& images, double learning_rate) {
  not_written();
}

Answers answers() {
  return {.gather = gather,
          .scatter = scatter,
          .correlate = correlate,
          .conv = conv,
          .transpose = transpose,
          .reconstruct = reconstruct,
          .adam_step = adam_step,
          .train_step = train_step};
}
