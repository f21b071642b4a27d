// Exercise 18 (50 minutes): double backward of the convolution

#include "checks/18_double_backward.h"

using namespace exercise_18;

Tensors double_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& u, const Tensor& v,
                        const Options& o) {
  const Tensor by_x = raw::input_gradient(x.shape(), v, dy, o);
  const Tensor by_w = raw::filter_gradient(u, w.shape(), dy, o);
  const Tensor by_dy = raw::conv(u, w, o) + raw::conv(x, v, o);
  return {by_x, by_w, by_dy};
}

Tensor conv(const Tensor& x, const Tensor& w, const Options& o);
Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o);
Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o);

Tensor conv(const Tensor& x, const Tensor& w, const Options& o) {
  const Shape x_shape = x.shape(), w_shape = w.shape();
  return tg::record(
      "my_conv", raw::conv(x, w, o),
      {{x, [=, w = tg::Saved(w)](const Tensor& g) { return input_gradient(x_shape, w(), g, o); }},
       {w, [=, x = tg::Saved(x)](const Tensor& g) { return filter_gradient(x(), w_shape, g, o); }}});
}

Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o) {
  const Shape w_shape = w.shape();
  return tg::record(
      "my_input_gradient", raw::input_gradient(x_shape, w, dy, o),
      {{w, [=, dy = tg::Saved(dy)](const Tensor& g) { return filter_gradient(g, w_shape, dy(), o); }},
       {dy, [=, w = tg::Saved(w)](const Tensor& g) { return conv(g, w(), o); }}});
}

Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o) {
  const Shape x_shape = x.shape();
  return tg::record(
      "my_filter_gradient", raw::filter_gradient(x, w_shape, dy, o),
      {{x, [=, dy = tg::Saved(dy)](const Tensor& g) { return input_gradient(x_shape, g, dy(), o); }},
       {dy, [=, x = tg::Saved(x)](const Tensor& g) { return conv(x(), g, o); }}});
}

Answers answers() {
  return {.double_backward = double_backward,
          .conv = conv,
          .input_gradient = input_gradient,
          .filter_gradient = filter_gradient};
}
