#include "checks/02_scalar_tape.h"

#include <fmt/format.h>

#include <cmath>

namespace exercise_02 {

std::size_t tape_input(Tape& tape, double value) {
  tape.push_back({.value = value});
  return tape.size() - 1;
}

namespace {

using Explanations = std::vector<std::pair<double, std::string>>;

/// The derivative with respect to one operand, where several operands may be the same number.
double derivative(const Tape& tape, std::size_t at, std::size_t operand) {
  double sum = 0;
  for (const Node::Operand& o : tape.at(at).operands)
    if (o.at == operand) sum += o.derivative;
  return sum;
}

void check_op(Check& check, const char* op, const Tape& tape, std::size_t at, double value,
              const std::vector<std::pair<double, Explanations>>& derivatives,
              const Explanations& values = {}) {
  check.expect(
      at == tape.size() - 1 && tape.size() == derivatives.size() + 1,
      fmt::format(
          "{} returned {}, and the tape has {} numbers; the new one must be appended, and its place returned",
          op, at, tape.size()),
      "push_back() the new node, then return tape.size() - 1");
  check.number("the value", tape[at].value, value, 1e-13, values);
  for (std::size_t k = 0; k < derivatives.size(); ++k)
    check.number(fmt::format("the derivative with respect to operand {}", k), derivative(tape, at, k),
                 derivatives[k].first, 1e-12, derivatives[k].second);
}

void check_ops(Check& check, const Answers& answers) {
  check.part("tape_add", "a + b: if a grows by a little, by how much does a + b grow?", [&] {
    check.context("a = 0.5, b = -2");
    Tape tape;
    tape_input(tape, 0.5), tape_input(tape, -2);
    const std::size_t y = answers.tape_add(tape, 0, 1);
    const std::string one = "a + b grows exactly as a does: both derivatives are 1";
    check_op(check, "tape_add", tape, y, -1.5,
             {{1, {{0.5, one}, {-2, one}, {0, one}}}, {1, {{0.5, one}, {-2, one}, {0, one}}}});
  });
  check.part("tape_multiply", "a b: if a grows by a little, a b grows by b times as much.", [&] {
    check.context("a = 0.5, b = -2");
    Tape tape;
    tape_input(tape, 0.5), tape_input(tape, -2);
    const std::size_t y = answers.tape_multiply(tape, 0, 1);
    const std::string other = "the derivative of a b with respect to a is b, the other operand, not a";
    check_op(check, "tape_multiply", tape, y, -1, {{-2, {{0.5, other}}}, {0.5, {{-2, other}}}});
  });
  check.part("tape_tanh", "tanh'(a) = 1 - tanh(a)^2. The new node's value is tanh(a).", [&] {
    check.context("a = 0.8");
    Tape tape;
    tape_input(tape, 0.8);
    const double y = std::tanh(0.8);
    check_op(
        check, "tape_tanh", tape, answers.tape_tanh(tape, 0), y,
        {{1 - y * y,
          {{1 - 0.64, "1 - a^2: the input is taken for the result. tanh'(a) = 1 - y^2, with y = tanh(a)"},
           {1 - y, "1 - y: the square is missing. tanh'(a) = 1 - y^2"},
           {1 + y * y, "1 + y^2: the sign is wrong. tanh'(a) = 1 - y^2"}}}});
  });
}

/// Graphs are written here without the learner's ops, so that each function is judged by itself.
std::size_t put(Tape& tape, double value, std::vector<Node::Operand> operands) {
  tape.push_back({.value = value, .operands = std::move(operands)});
  return tape.size() - 1;
}

void check_backward(Check& check, const Answers& answers) {
  {
    check.context("y = a b with a = 3, b = 5: y is number 2 on the tape");
    Tape tape;
    tape_input(tape, 3), tape_input(tape, 5);
    const std::size_t y = put(tape, 15, {{0, 5}, {1, 3}});
    answers.tape_backward(tape, y);
    const std::string seed = "the gradient of y with respect to itself is 1: set it before the loop begins";
    check.number("y's own gradient", tape[y].gradient, 1, 1e-12, {{0, seed}, {15, seed}});
    check.number("a's gradient", tape[0].gradient, 5, 1e-12,
                 {{0, seed},
                  {1, "the derivative is forgotten: an operand gets gradient * derivative"},
                  {3, "a got b's part: each operand has its own derivative"}});
    check.number("b's gradient", tape[1].gradient, 3);
  }
  {
    check.context("y = a a with a = 3: the same number twice");
    Tape tape;
    tape_input(tape, 3);
    const std::size_t y = put(tape, 9, {{0, 3}, {0, 3}});
    answers.tape_backward(tape, y);
    check.number(
        "a's gradient", tape[0].gradient, 6, 1e-12,
        {{3, "overwritten instead of accumulated (= in place of +=): a is used twice, and both uses count"}});
  }
  {
    check.context("u = 2 a, v = 7 a, y = u v with a = 1.5: a diamond, where two ways lead from a to y");
    Tape tape;
    tape_input(tape, 1.5);
    put(tape, 3, {{0, 2}}), put(tape, 10.5, {{0, 7}});
    const std::size_t y = put(tape, 31.5, {{1, 10.5}, {2, 3}});
    const std::size_t unused = put(tape, 100, {{y, 4}});
    tape[unused].gradient = 0;
    answers.tape_backward(tape, y);
    const double whole = 10.5 * 2 + 3 * 7.0;
    check.number(
        "a's gradient", tape[0].gradient, whole, 1e-12,
        {{10.5 * 2, "only one of the two ways from a to y is counted: add up, do not overwrite"},
         {3 * 7.0, "only one of the two ways from a to y is counted: add up, do not overwrite"},
         {0,
          "the loop runs in the wrong direction: a number must have all of its gradient before it passes it "
          "on, so go from the result to the inputs"},
         {4 * whole,
          "the loop starts at the end of the tape: a later number, which y was used for, counts too. "
          "The result is y"}});
    check.context("u = 2 a, v = 7 a, y = u v with a = 1.5, and tape_backward(tape, y) called a second time");
    answers.tape_backward(tape, y);
    check.number(
        "a's gradient", tape[0].gradient, whole, 1e-12,
        {{2 * whole,
          "a second call gives twice as much: the gradients of the first call are still there. Set all of "
          "them to 0 before you begin"},
         {3 * whole,
          "a second call gives three times as much: what the first call left in u, v and a is passed on "
          "again. Set all gradients to 0 before you begin, those of intermediate numbers too"}});
    check.context(
        "u = 2 a, v = 7 a, y = u v with a = 1.5: tape_backward(tape, y), and then tape_backward(tape, u)");
    answers.tape_backward(tape, 1);
    check.number("a's gradient", tape[0].gradient, 2, 1e-12,
                 {{2 + whole, "the gradient of y is still in it: set all gradients to 0 before you begin"}});
    check.number("y's gradient", tape[y].gradient, 0, 1e-12,
                 {{1, "y comes after u and was not used for it: its gradient must be 0"}});
  }
  {
    check.context("a chain of 200000 numbers, each 1 times the one before");
    Tape tape;
    tape_input(tape, 1);
    for (std::size_t k = 0; k < 200000; ++k) put(tape, 1, {{k, 1}});
    answers.tape_backward(tape, tape.size() - 1);
    check.number("the first number's gradient", tape[0].gradient, 1);
  }
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check_ops(check, answers);
  check.part(
      "tape_backward",
      "set all gradients to 0 and the result's to 1. Then go from the result down to number 0: each number adds "
      "gradient * derivative to the gradient of each of its operands. Draw the diamond of the text, and write the "
      "gradients beside its numbers as the loop passes.",
      [&] { check_backward(check, answers); });
}

}  // namespace exercise_02
