#pragma once

// Modules and functions that are exported to ONNX, compared with what other programs make of them.

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tapegrad/exchange/exchange.h"

namespace tapegrad::testing {

/// A module with inputs. Every one of the layers, and the networks of the examples.
struct ModuleCase {
  std::string name;
  std::shared_ptr<Module> module;  ///< in eval mode, its parameters and averages drawn
  Tensor example;                  ///< a batch of three
};

/// The names of all cases, which parameters of tests are made of: each test is run by a program of its own that registers
/// all of them, and the networks of the examples take longer to draw than most tests.
struct ModuleName {
  std::size_t index;
  std::string name;
};
inline void PrintTo(const ModuleName& c, std::ostream* out) {
  *out << c.name;
}
std::vector<ModuleName> module_names();

const ModuleCase& module_case(const ModuleName& named);

/// Draws all parameters and averages: most layers begin with zeros and ones.
void randomize(Module& module, Generator& generator);

/// Rows 0, 1, 2, ... of x, again from the first where there are no more, each a little larger than the one before.
Tensor batch_like(const Tensor& x, index_t rows);

/// The largest difference, as a part of 1 + the size of the right number; infinite where shapes or dtypes differ, and where
/// one is not a number and the other is.
double largest_difference(const Tensor& got, const Tensor& right);

}  // namespace tapegrad::testing
