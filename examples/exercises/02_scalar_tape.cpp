// Exercise 2 (30 minutes): a scalar tape: node reuse, accumulation, why backward twice differs
//
// A tape is a list of all numbers of a computation, in the order in which they were computed. Each knows what
// it was made of, and its derivative with respect to that. y = u v, with u = 2 a and v = 7 a, at a = 1.5:
//
//      number   value   operands (place, derivative)                      a
//      0  a      1.5                                                   2 / \ 7
//      1  u      3.0    (0, 2)                                          u   v
//      2  v     10.5    (0, 7)                                     10.5  \ /  3
//      3  y     31.5    (1, 10.5) (2, 3)                                  y
//
// The backward pass goes through the list from the end. The gradient of y with respect to itself is 1, and
// each number passes on to each operand: gradient * derivative.
//
//      y: 1    u: 1 * 10.5 = 10.5    v: 1 * 3 = 3    a: 3 * 7, from v, plus 10.5 * 2, from u = 42
//
// Check it: y = 2 a 7 a = 14 a^2, and its derivative is 28 a = 42.
//
// Three things that go wrong most often:
//
//  - a is used twice, so two gradients arrive: they are added (+=). With = only the last one is left. The
//    same holds for a a, where one number is both operands.
//  - A number passes its gradient on only when all of it has arrived. From the end of the tape to its
//    beginning that is always so, because a number is used only after it was computed.
//  - In PyTorch, calling backward() twice gives twice the gradient: it adds to .grad, and zero_grad() is the
//    user's task. Whoever forgets that trains with the sum of all steps. (Adding to the gradients of
//    intermediate numbers as well would even give three times as much.) Here a call means: the gradients of
//    this result. So it begins with zeros, however often it is called.

#include "checks/02_scalar_tape.h"

#include <cmath>

using namespace exercise_02;

// Each of these appends a Node (value, gradient 0, operands) to the tape and returns its place there, as
// tape_input(tape, value) does. tape[a].value is a's value. A node is made so:  tape.push_back({value, 0,
// {{a, derivative}, {b, derivative}}});
std::size_t tape_add(Tape& tape, std::size_t a, std::size_t b) {
  not_written();  // write the body in place of this line
}

std::size_t tape_multiply(Tape& tape, std::size_t a, std::size_t b) {
  not_written();
}

std::size_t tape_tanh(Tape& tape, std::size_t a) {
  not_written();
}

// Writes into tape[k].gradient, for every k, the gradient of number `result` with respect to number k.
void tape_backward(Tape& tape, std::size_t result) {
  not_written();
}

Answers answers() {
  return {.tape_add = tape_add,
          .tape_multiply = tape_multiply,
          .tape_tanh = tape_tanh,
          .tape_backward = tape_backward};
}
