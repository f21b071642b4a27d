#pragma once

#include "common/exercise.h"

namespace exercise_18 {

using namespace exercises;
using Options = tg::Conv2DOptions;

/// The kernels, which no tape sees.
namespace raw {
Tensor conv(const Tensor& x, const Tensor& w, const Options& o);
Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o);
Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o);
}  // namespace raw

struct Answers {
  std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& u, const Tensor& v,
                        const Options& o)>
      double_backward;
  std::function<Tensor(const Tensor& x, const Tensor& w, const Options& o)> conv;
  std::function<Tensor(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o)>
      input_gradient;
  std::function<Tensor(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o)>
      filter_gradient;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_18
