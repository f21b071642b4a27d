#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad {

/// A function of several tensors with one result.
using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

struct GradcheckOptions {
  /// The largest error allowed, relative to the largest entry of the tensor's gradient.
  double tolerance = 1e-7;
  /// The distance of the central differences. 0: for each entry the cube root of the machine epsilon, times
  /// its magnitude if that is above 1. For a function that is linear in each of its inputs the differences
  /// are exact at any distance: use 1 there, and a tolerance near rounding.
  double step = 0;
  /// The output gradient and, for the second order, the directions are drawn with this seed.
  std::uint64_t seed = 1;
};

/// What was found for one input.
struct GradcheckTensor {
  Shape shape;
  index_t entries = 0;
  double largest_gradient = 0;  ///< largest magnitude in the analytic gradient
  double largest_error = 0;     ///< largest |numeric - analytic|
  std::vector<index_t> worst;   ///< the index of that entry
  double numeric = 0, analytic = 0;
};

struct GradcheckReport {
  bool passed = false;
  std::vector<GradcheckTensor> tensors;
  /// A table, one line a tensor, and the worst entry.
  std::string str() const;
};

/// Compares the gradient that the tape finds for sum(r * f(inputs)), r random, with central differences in
/// every entry of every input. Inputs that are parameters are changed in place (and restored), so f may also
/// use them through a module; others are replaced. A result or input that is not Float64, or an f that gives
/// different results for the same inputs, throws. Nothing is recorded on a tape that is open outside.
GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

/// The same for the gradients of f: compares the gradient of sum over i of <v_i, d sum(r * f) / d input_i>, v
/// and r random, with central differences.
GradcheckReport gradcheck_second_order(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                       const GradcheckOptions& options = {});

}  // namespace tapegrad
