#pragma once

// Backward passes written by hand, each with one mistake that people make, and what its hint may say.

#include <functional>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

struct Mistake {
  std::string what;
  std::string tensor;                 // whose gradient is wrong
  std::vector<std::string> words;     // a hint that names the mistake has one of these
  std::vector<std::string> patterns;  // any other pattern would assert another cause
  TensorFunction forward;
  BackwardFunction backward;
  std::vector<Tensor> inputs;
  GradcheckOptions options = {};
};

/// Of conv2d and conv2d_transpose, in loops: sizes, strides, channels all unequal, a batch of two.
std::vector<Mistake> convolution_mistakes();
/// Of other ops.
std::vector<Mistake> op_mistakes();
/// Of functions that the hints recognize: every wrong formula that is not among these.
std::vector<Mistake> formula_mistakes();

}  // namespace tapegrad::testing
