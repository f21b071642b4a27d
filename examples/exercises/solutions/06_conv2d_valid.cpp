// Exercise 6 (20 minutes): conv2d, VALID
#include "checks/06_conv2d_valid.h"

using namespace exercise_06;

Tensor conv2d_valid(const Tensor& x, const Tensor& w) {
  const index_t kh = w.shape()[0], kw = w.shape()[1], in = w.shape()[2], out = w.shape()[3];
  const index_t rows = x.shape()[1] - kh + 1;
  const index_t columns = x.shape()[2] - kw + 1;
  Tensor y = new_tensor({x.shape()[0], rows, columns, out});
  for (index_t n = 0; n < x.shape()[0]; ++n)
    for (index_t p = 0; p < rows; ++p)
      for (index_t q = 0; q < columns; ++q)
        for (index_t o = 0; o < out; ++o)
          for (index_t i = 0; i < kh; ++i)
            for (index_t j = 0; j < kw; ++j)
              for (index_t c = 0; c < in; ++c)
                add_to(y, {n, p, q, o}, x.at({n, p + i, q + j, c}) * w.at({i, j, c, o}));
  return y;
}

Answers answers() {
  return {.conv2d_valid = conv2d_valid};
}
