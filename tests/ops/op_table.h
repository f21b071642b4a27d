#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

using Draw = std::function<Tensor(Generator&)>;

/// A differentiable op in one way of using it. The table below drives all checks that hold for every op; an
/// op without a row fails OpTableAsAWhole.EveryOpHasARow. One row is run by
/// --gtest_filter='*/tanh_*'.
struct OpRow {
  std::string op;       // the name of the function
  std::string variant;  // what is special about this row
  std::vector<Draw> inputs;
  TensorFunction f;
  GradcheckOptions check;
  // The ops that may appear in the message when an input was changed in place; the op itself if empty.
  std::vector<std::string> recorded_as = {};
  bool only_this = true;  // f calls no other op: what it refuses, it refuses in this op's name

  std::string name() const { return variant.empty() ? op : op + ", " + variant; }
  std::vector<Tensor> draw(std::uint64_t seed = 7) const {
    Generator generator(seed);
    std::vector<Tensor> drawn;
    for (const Draw& input : inputs) drawn.push_back(input(generator));
    return drawn;
  }
};

/// How GoogleTest prints a row.
inline void PrintTo(const OpRow* row, std::ostream* out) {
  *out << row->name();
}

/// All rows.
const std::vector<OpRow>& op_table();

/// The rows as parameters of tests. GoogleTest copies a parameter several times for each test that it registers, and each
/// test is run by a program of its own that registers all of them.
std::vector<const OpRow*> op_rows();

}  // namespace tapegrad::testing
