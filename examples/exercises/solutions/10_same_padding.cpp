// Exercise 10 (30 minutes): SAME: where the odd pixel goes
#include "checks/10_same_padding.h"

#include <algorithm>

using namespace exercise_10;

Margins same_margins(index_t size, index_t kernel, index_t stride) {
  const index_t windows = (size + stride - 1) / stride;
  const index_t total = std::max<index_t>(0, (windows - 1) * stride + kernel - size);
  return {total / 2, total - total / 2};
}

Tensor conv2d_same(const Tensor& x, const Tensor& w, index_t sh, index_t sw) {
  const Margins rows = same_margins(x.shape()[1], w.shape()[0], sh);
  const Margins columns = same_margins(x.shape()[2], w.shape()[1], sw);
  return given_conv2d_valid(given_pad(x, rows, columns), w, sh, sw);
}

Tensor conv2d_same_dx(const Tensor& dy, const Tensor& w, const Shape& x_shape, index_t sh, index_t sw) {
  const index_t height = x_shape[1], width = x_shape[2];
  const Margins rows = same_margins(height, w.shape()[0], sh),
                columns = same_margins(width, w.shape()[1], sw);
  const Shape padded = {x_shape[0], height + rows.before + rows.after, width + columns.before + columns.after,
                        x_shape[3]};
  const Tensor dx = given_strided_dx(dy, w, padded, sh, sw);
  return tg::slice(dx, {{}, {rows.before, rows.before + height}, {columns.before, columns.before + width}});
}

Answers answers() {
  return {.same_margins = same_margins, .conv2d_same = conv2d_same, .conv2d_same_dx = conv2d_same_dx};
}
