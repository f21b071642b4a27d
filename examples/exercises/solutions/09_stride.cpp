// Exercise 9 (30 minutes): stride: zeros inserted
#include "checks/09_stride.h"

using namespace exercise_09;

Tensor insert_zeros(const Tensor& dy, index_t sh, index_t sw) {
  const index_t images = dy.shape()[0], rows = dy.shape()[1], columns = dy.shape()[2], out = dy.shape()[3];
  Tensor spread = new_tensor({images, (rows - 1) * sh + 1, (columns - 1) * sw + 1, out});
  for (index_t n = 0; n < images; ++n)
    for (index_t p = 0; p < rows; ++p)
      for (index_t q = 0; q < columns; ++q)
        for (index_t o = 0; o < out; ++o) spread.set({n, p * sh, q * sw, o}, dy.at({n, p, q, o}));
  return spread;
}

Tensor strided_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw) {
  const Tensor reached = given_conv2d_dx(insert_zeros(dy, sh, sw), w);
  Tensor dx = new_tensor(x_shape);
  for (index_t n = 0; n < reached.shape()[0]; ++n)
    for (index_t h = 0; h < reached.shape()[1]; ++h)
      for (index_t v = 0; v < reached.shape()[2]; ++v)
        for (index_t c = 0; c < reached.shape()[3]; ++c) dx.set({n, h, v, c}, reached.at({n, h, v, c}));
  return dx;
}

Tensor strided_dw(const Tensor& x, const Tensor& dy, const Shape& w_shape, index_t sh, index_t sw) {
  const index_t rows = (dy.shape()[1] - 1) * sh + w_shape[0];
  const index_t columns = (dy.shape()[2] - 1) * sw + w_shape[1];
  return given_conv2d_dw(tg::slice(x, {{}, {0, rows}, {0, columns}}), insert_zeros(dy, sh, sw));
}

Answers answers() {
  return {.insert_zeros = insert_zeros, .strided_dx = strided_dx, .strided_dw = strided_dw};
}
