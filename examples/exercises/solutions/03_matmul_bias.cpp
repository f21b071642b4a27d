// Exercise 3 (20 minutes): matmul and bias
#include "checks/03_matmul_bias.h"

using namespace exercise_03;

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y = new_tensor({x.shape()[0], w.shape()[1]});
  for (index_t n = 0; n < x.shape()[0]; ++n)
    for (index_t o = 0; o < w.shape()[1]; ++o) {
      y.set({n, o}, b.at({o}));
      for (index_t i = 0; i < w.shape()[0]; ++i) add_to(y, {n, o}, x.at({n, i}) * w.at({i, o}));
    }
  return y;
}

Tensors linear_backward(const Tensor& x, const Tensor& w, const Tensor& dy) {
  Tensor dx = new_tensor(x.shape());
  Tensor dw = new_tensor(w.shape());
  Tensor db = new_tensor({w.shape()[1]});
  for (index_t n = 0; n < x.shape()[0]; ++n)
    for (index_t o = 0; o < w.shape()[1]; ++o) {
      for (index_t i = 0; i < w.shape()[0]; ++i) {
        add_to(dx, {n, i}, w.at({i, o}) * dy.at({n, o}));
        add_to(dw, {i, o}, x.at({n, i}) * dy.at({n, o}));
      }
      add_to(db, {o}, dy.at({n, o}));
    }
  return {dx, dw, db};
}

Answers answers() {
  return {.linear = linear, .linear_backward = linear_backward};
}
