#pragma once

#include "common/exercise.h"

namespace exercise_11 {

using namespace exercises;

/// How far the entries of a filter lie apart, and into how many groups the channels are split.
struct Options {
  index_t dh = 1, dw = 1, groups = 1;
};

struct Answers {
  /// How many rows a filter of k rows reaches over with dilation d.
  std::function<index_t(index_t k, index_t d)> dilated_size;
  /// x [n, h, w, in] and w [kh, kw, in / groups, out] to y, VALID, stride 1.
  std::function<Tensor(const Tensor& x, const Tensor& w, const Options& options)> conv2d_grouped;
  /// {dx, dw}
  std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy, const Options& options)>
      grouped_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_11
