// Exercise 7 (30 minutes): the gradient of the image: pad full, rotate
#include "checks/07_conv2d_dx.h"

using namespace exercise_07;

Tensor pad_full(const Tensor& dy, index_t kh, index_t kw) {
  const index_t images = dy.shape()[0], rows = dy.shape()[1], columns = dy.shape()[2],
                channels = dy.shape()[3];
  Tensor padded = new_tensor({images, rows + 2 * (kh - 1), columns + 2 * (kw - 1), channels});
  for (index_t n = 0; n < images; ++n)
    for (index_t p = 0; p < rows; ++p)
      for (index_t q = 0; q < columns; ++q)
        for (index_t o = 0; o < channels; ++o)
          padded.set({n, p + kh - 1, q + kw - 1, o}, dy.at({n, p, q, o}));
  return padded;
}

Tensor turned(const Tensor& w) {
  const index_t kh = w.shape()[0], kw = w.shape()[1], in = w.shape()[2], out = w.shape()[3];
  Tensor result = new_tensor({kh, kw, out, in});
  for (index_t i = 0; i < kh; ++i)
    for (index_t j = 0; j < kw; ++j)
      for (index_t c = 0; c < in; ++c)
        for (index_t o = 0; o < out; ++o) result.set({kh - 1 - i, kw - 1 - j, o, c}, w.at({i, j, c, o}));
  return result;
}

Tensor conv2d_dx(const Tensor& dy, const Tensor& w) {
  return given_conv2d_valid(pad_full(dy, w.shape()[0], w.shape()[1]), turned(w));
}

Answers answers() {
  return {.pad_full = pad_full, .turned = turned, .conv2d_dx = conv2d_dx};
}
