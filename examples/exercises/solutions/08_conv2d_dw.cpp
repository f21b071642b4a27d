// Exercise 8 (30 minutes): the gradient of the filter: a convolution with the roles changed
#include "checks/08_conv2d_dw.h"

using namespace exercise_08;

Tensor channels_as_images(const Tensor& x) {
  const index_t images = x.shape()[0], rows = x.shape()[1], columns = x.shape()[2], channels = x.shape()[3];
  Tensor result = new_tensor({channels, rows, columns, images});
  for (index_t n = 0; n < images; ++n)
    for (index_t h = 0; h < rows; ++h)
      for (index_t w = 0; w < columns; ++w)
        for (index_t c = 0; c < channels; ++c) result.set({c, h, w, n}, x.at({n, h, w, c}));
  return result;
}

Tensor dy_as_filter(const Tensor& dy) {
  const index_t images = dy.shape()[0], rows = dy.shape()[1], columns = dy.shape()[2], out = dy.shape()[3];
  Tensor result = new_tensor({rows, columns, images, out});
  for (index_t n = 0; n < images; ++n)
    for (index_t p = 0; p < rows; ++p)
      for (index_t q = 0; q < columns; ++q)
        for (index_t o = 0; o < out; ++o) result.set({p, q, n, o}, dy.at({n, p, q, o}));
  return result;
}

Tensor conv2d_dw(const Tensor& x, const Tensor& dy) {
  const Tensor result = given_conv2d_valid(channels_as_images(x), dy_as_filter(dy));
  const index_t in = result.shape()[0], kh = result.shape()[1], kw = result.shape()[2],
                out = result.shape()[3];
  Tensor dw = new_tensor({kh, kw, in, out});
  for (index_t i = 0; i < kh; ++i)
    for (index_t j = 0; j < kw; ++j)
      for (index_t c = 0; c < in; ++c)
        for (index_t o = 0; o < out; ++o) dw.set({i, j, c, o}, result.at({c, i, j, o}));
  return dw;
}

Answers answers() {
  return {.channels_as_images = channels_as_images, .dy_as_filter = dy_as_filter, .conv2d_dw = conv2d_dw};
}
