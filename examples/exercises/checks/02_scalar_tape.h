#pragma once

#include "common/exercise.h"

namespace exercise_02 {

using namespace exercises;

/// One number of a computation, with what it was made of.
struct Node {
  double value = 0;
  double gradient = 0;  ///< of the result with respect to this number; tape_backward writes it
  /// What this number was computed from: the place of the operand on the tape, and the derivative of this number
  /// with respect to that operand.
  struct Operand {
    std::size_t at;
    double derivative;
  };
  std::vector<Operand> operands = {};
};
/// All numbers of a computation, in the order in which they were computed.
using Tape = std::vector<Node>;

/// Given: a number that was not computed. Returns its place.
std::size_t tape_input(Tape& tape, double value);

struct Answers {
  std::function<std::size_t(Tape&, std::size_t a, std::size_t b)> tape_add, tape_multiply;
  std::function<std::size_t(Tape&, std::size_t a)> tape_tanh;
  std::function<void(Tape&, std::size_t result)> tape_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_02
