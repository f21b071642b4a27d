#pragma once

// The functions of the public headers that take tensors, each in a call that is right, with what would make it wrong.

#include <functional>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

/// A tensor of a right call, and what is wrong in its place.
struct Argument {
  Tensor value;
  /// The dtypes that are right while the other arguments stay as they are: f, d, i and u for Float32, Float64, Int32 and UInt8.
  std::string dtypes;
  std::vector<Shape> wrong = {};  ///< shapes that are refused
  bool may_be_undefined = false;
};

struct RightCall {
  std::string op;  ///< what errors name: the function that the user called
  std::vector<Argument> arguments;
  std::function<void(const std::vector<Tensor>&)> call;
  /// A tape records the call: tensors of another tape are refused.
  bool recorded = true;
};

/// All of them.
std::vector<RightCall> right_calls();

}  // namespace tapegrad::testing
