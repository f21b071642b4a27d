// What has to be one thing on both sides of the border of a shared library: types of errors, what a thread records, the
// activations that a layer fuses.
#include <algorithm>
#include <iostream>
#include <typeinfo>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "boundary: " << what << "\n";
  ++failures;
}

// A module of the program's own, whose base class is the library's.
struct Twice : tg::Module {
  explicit Twice(tg::Generator& generator) : inner({.in_features = 2, .units = 2}, generator) {}
  tg::Tensor forward(const tg::Tensor& x) override { return inner(inner(x)); }
  void visit(tg::Visitor& visitor) override { visitor("inner", inner); }
  tg::Dense inner;
};

bool records_in_a_loop() {
  tg::Tape tape;
  const tg::Tensor x = tape.watch(tg::tensor({1.0, 2.0}));
  try {
    tg::parallel_for(1, 1, [&](tg::index_t, tg::index_t) { static_cast<void>(x * 2.0); });
  } catch (const tg::Error&) {
    return false;
  }
  return true;
}

}  // namespace

int main() {
  try {
    static_cast<void>(tg::tensor({1.0, 2.0}) + tg::tensor({1.0, 2.0, 3.0}));
    expect(false, "shapes that do not fit must be refused");
  } catch (const tg::Error& error) {
    expect(typeid(error) == typeid(tg::Error), "the library's error must be the program's tapegrad::Error");
    expect(error.op() == "add", "the error must name the function");
  } catch (...) {
    expect(false, "the library's error was not caught as a tapegrad::Error");
  }

  expect(!records_in_a_loop(), "recording inside of a parallel loop must be refused in the program as well");

  tg::Generator generator(1);
  tg::Sequential net{Twice(generator), tg::ReLU()};
  expect(dynamic_cast<Twice*>(&net[0]) != nullptr, "a module must be found again by its type");
  expect(net.parameters().size() == 2, "a module of the program's own must show its parameters");

  // A layer of the library's knows its relu by what it is, not by the function's address.
  tg::Conv2D convolution({.in_channels = 1, .filters = 2, .kernel_size = 3, .activation = tg::relu},
                         generator);
  tg::Tape tape;
  static_cast<void>(convolution(tape.watch(tg::ones({1, 4, 4, 1}))));
  const tg::Graph graph = tape.graph();
  expect(std::ranges::none_of(graph.nodes, [](const tg::GraphNode& node) { return node.op == "relu"; }),
         "relu must be fused into the convolution in the program as well");
  return failures == 0 ? 0 : 1;
}
