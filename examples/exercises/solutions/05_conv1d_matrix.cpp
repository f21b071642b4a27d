// Exercise 5 (20 minutes): one-dimensional convolution as a matrix, whose transpose gives dx
#include "checks/05_conv1d_matrix.h"

using namespace exercise_05;

Tensor conv_matrix(const Tensor& w, index_t n, index_t stride) {
  const index_t k = w.size();
  const index_t rows = (n - k) / stride + 1;
  Tensor c = new_tensor({rows, n});
  for (index_t p = 0; p < rows; ++p)
    for (index_t i = 0; i < k; ++i) c.set({p, p * stride + i}, w.at({i}));
  return c;
}

Tensor conv1d_dx(const Tensor& dy, const Tensor& w, index_t n, index_t stride) {
  Tensor dx = new_tensor({n});
  for (index_t p = 0; p < dy.size(); ++p)
    for (index_t i = 0; i < w.size(); ++i) add_to(dx, {p * stride + i}, dy.at({p}) * w.at({i}));
  return dx;
}

Answers answers() {
  return {.conv_matrix = conv_matrix, .conv1d_dx = conv1d_dx};
}
