// Exercise 11 (30 minutes): dilation and groups
#include "checks/11_dilation_groups.h"

using namespace exercise_11;

index_t dilated_size(index_t k, index_t d) {
  return (k - 1) * d + 1;
}

Tensor conv2d_grouped(const Tensor& x, const Tensor& w, const Options& options) {
  const index_t kh = w.shape()[0], kw = w.shape()[1], in = w.shape()[2], out = w.shape()[3];
  const index_t rows = x.shape()[1] - dilated_size(kh, options.dh) + 1;
  const index_t columns = x.shape()[2] - dilated_size(kw, options.dw) + 1;
  const index_t out_of_group = out / options.groups;
  Tensor y = new_tensor({x.shape()[0], rows, columns, out});
  for (index_t n = 0; n < x.shape()[0]; ++n)
    for (index_t p = 0; p < rows; ++p)
      for (index_t q = 0; q < columns; ++q)
        for (index_t o = 0; o < out; ++o) {
          const index_t first = o / out_of_group * in;
          for (index_t i = 0; i < kh; ++i)
            for (index_t j = 0; j < kw; ++j)
              for (index_t c = 0; c < in; ++c)
                add_to(y, {n, p, q, o},
                       x.at({n, p + i * options.dh, q + j * options.dw, first + c}) * w.at({i, j, c, o}));
        }
  return y;
}

Tensors grouped_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Options& options) {
  const index_t kh = w.shape()[0], kw = w.shape()[1], in = w.shape()[2], out = w.shape()[3];
  Tensor dx = new_tensor(x.shape());
  Tensor dw = new_tensor(w.shape());
  for (index_t n = 0; n < dy.shape()[0]; ++n)
    for (index_t p = 0; p < dy.shape()[1]; ++p)
      for (index_t q = 0; q < dy.shape()[2]; ++q)
        for (index_t o = 0; o < out; ++o) {
          const index_t group = o / (out / options.groups);
          const double g = dy.at({n, p, q, o});
          for (index_t i = 0; i < kh; ++i)
            for (index_t j = 0; j < kw; ++j)
              for (index_t c = 0; c < in; ++c) {
                const index_t row = p + i * options.dh, column = q + j * options.dw, channel = group * in + c;
                add_to(dx, {n, row, column, channel}, w.at({i, j, c, o}) * g);
                add_to(dw, {i, j, c, o}, x.at({n, row, column, channel}) * g);
              }
        }
  return {dx, dw};
}

Answers answers() {
  return {
      .dilated_size = dilated_size, .conv2d_grouped = conv2d_grouped, .grouped_backward = grouped_backward};
}
