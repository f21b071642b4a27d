// Exercise 2 (30 minutes): a scalar tape: node reuse, accumulation, why backward twice differs
#include "checks/02_scalar_tape.h"

#include <cmath>

using namespace exercise_02;

std::size_t tape_add(Tape& tape, std::size_t a, std::size_t b) {
  tape.push_back({tape[a].value + tape[b].value, 0, {{a, 1}, {b, 1}}});
  return tape.size() - 1;
}

std::size_t tape_multiply(Tape& tape, std::size_t a, std::size_t b) {
  tape.push_back({tape[a].value * tape[b].value, 0, {{a, tape[b].value}, {b, tape[a].value}}});
  return tape.size() - 1;
}

std::size_t tape_tanh(Tape& tape, std::size_t a) {
  const double y = std::tanh(tape[a].value);
  tape.push_back({y, 0, {{a, 1 - y * y}}});
  return tape.size() - 1;
}

void tape_backward(Tape& tape, std::size_t result) {
  for (Node& node : tape) node.gradient = 0;
  tape[result].gradient = 1;
  for (std::size_t k = result + 1; k-- > 0;)
    for (const Node::Operand& operand : tape[k].operands)
      tape[operand.at].gradient += tape[k].gradient * operand.derivative;
}

Answers answers() {
  return {.tape_add = tape_add,
          .tape_multiply = tape_multiply,
          .tape_tanh = tape_tanh,
          .tape_backward = tape_backward};
}
