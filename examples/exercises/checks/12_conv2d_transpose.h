#pragma once

#include "common/exercise.h"

namespace exercise_12 {

using namespace exercises;

/// Where the stamps go.
struct Setting {
  index_t stride_h = 1, stride_w = 1;
  index_t top = 0, left = 0;  ///< rows and columns that are cut off
  Shape y;                    ///< [n, height, width, c]
  tg::Conv2DOptions options;  ///< of the convolution that leads back from y to x
};

struct Answers {
  /// x [n, h, w, in] and the filter [kh, kw, out, in] to s.y.
  std::function<Tensor(const Tensor&x, const Tensor&w, const Setting&s)> stamps, transpose;
  /// dx and dw.
  std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy, const Setting& s)>
      transpose_backward;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_12
