// Exercise 20 (35 minutes): an optimizer from its paper
//
// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015), algorithm 1, for every
// parameter p with gradient g. At the beginning m = v = 0 and t = 0. In each step:
//
//      t  <- t + 1
//      m  <- beta1 m + (1 - beta1) g                 a running mean of the gradients
//      v  <- beta2 v + (1 - beta2) g^2               a running mean of their squares (entry by entry)
//      mhat = m / (1 - beta1^t)                      m and v begin with 0, and are too small at first:
//      vhat = v / (1 - beta2^t)                      after t steps the weights add up to 1 - beta^t
//      p  <- p - learning_rate mhat / (sqrt(vhat) + epsilon)
//
// What one can check without a reference: in the first step mhat = g and vhat = g^2, so every parameter
// moves by the learning rate against the sign of its gradient, however small that is (as long as it is far
// above epsilon):
//
//      g          first step, learning rate 0.1          with plain gradient descent
//      1000       -0.1                                   -100
//      -0.001     +0.1                                   +0.0001
//
// Without the corrections the first step would be 0.1 (1 - beta1) / sqrt(1 - beta2) = 0.316 with
// beta1 = 0.9 and beta2 = 0.999, three times too large; it takes about 1 / (1 - beta2) = 1000 steps until
// nobody can tell.
//
// Where papers and programs differ: epsilon stands outside of the root (the paper, PyTorch), or effectively
// in another place (the paper's own "efficient" order at the end of its section 2, which Keras has: the
// learning rate is corrected, and epsilon is added to sqrt(v)). In float32 and with tiny gradients that is
// visible; here it is the paper's algorithm 1.
//
// Weight decay. An L2 penalty adds decay p to the gradient; Adam then divides it by sqrt(vhat) as well, so
// that parameters with large gradients decay less. AdamW (Loshchilov and Hutter, "Decoupled Weight Decay
// Regularization", 2019) takes it out of the gradient:
//
//      p  <- p - learning_rate decay p        and then Adam's step, with the gradient as it is
//
// What you have: memory.m, memory.v (as long as p, zeros at first), memory.t (0 at first); they are yours,
// and come back in the next step. s.learning_rate, s.beta1, s.beta2, s.epsilon, s.decay. std::sqrt,
// std::pow. Numbers is std::vector<double>.

#include "checks/20_adam.h"

#include <cmath>

using namespace exercise_20;

// One step: changes p and memory.
void adam_step(Numbers& p, const Numbers& g, Memory& memory, const Settings& s) {
  not_written();  // write the body in place of this line
}

// The same with decoupled weight decay, s.decay.
void adamw_step(Numbers& p, const Numbers& g, Memory& memory, const Settings& s) {
  not_written();
}

Answers answers() {
  return {.adam_step = adam_step, .adamw_step = adamw_step};
}
