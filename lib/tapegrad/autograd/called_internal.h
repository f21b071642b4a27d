#pragma once

// CalledOp: the op that the user called, where it is made of other ops.

#include <initializer_list>
#include <span>
#include <vector>

#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// In the scope of a function that other ops are made of. What these ops find in their results is theirs: a tape that looks
/// for what is not finite looks at the function's result alone, and names the function.
class CalledOp {
 public:
  /// Throws an Error of op when one of the tensors belongs to another tape than the one that records.
  CalledOp(const char* op, std::span<const Tensor* const> xs);
  CalledOp(const char* op, std::initializer_list<const Tensor*> xs)
      : CalledOp(op, std::span(xs.begin(), xs.size())) {}
  ~CalledOp();
  CalledOp(const CalledOp&) = delete;
  CalledOp& operator=(const CalledOp&) = delete;

  /// The function's result, which is looked through.
  Tensor result(Tensor y) const;

 private:
  const bool outermost_;
  std::vector<Shape> shapes_;  // of the inputs, where the result is to be looked through
};

}  // namespace tapegrad::inline v0::detail
