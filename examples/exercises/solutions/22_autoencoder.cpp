// Exercise 22 (90 minutes): the autoencoder from your own pieces

#include "checks/22_autoencoder.h"

#include <cmath>

using namespace exercise_22;

// Calls body(n, p, q, i, j, h, v) for every place of the filter, where (h, v) is its pixel of the large image.
template <class Body>
void each_tap(const Shape& w, const Geometry& g, Body&& body) {
  for (index_t n = 0; n < g.small[0]; ++n)
    for (index_t p = 0; p < g.small[1]; ++p)
      for (index_t q = 0; q < g.small[2]; ++q)
        for (index_t i = 0; i < w[0]; ++i) {
          const index_t h = p * g.stride_h + i - g.top;
          if (h < 0 || h >= g.large[1]) continue;
          for (index_t j = 0; j < w[1]; ++j) {
            const index_t v = q * g.stride_w + j - g.left;
            if (v >= 0 && v < g.large[2]) body(n, p, q, i, j, h, v);
          }
        }
}

Tensor gather(const Tensor& large, const Tensor& w, const Geometry& g) {
  Tensor small = new_tensor(g.small);
  const View x(large), filter(w), y(small);
  const index_t channels = w.shape()[2], filters = w.shape()[3];
  each_tap(w.shape(), g, [&](index_t n, index_t p, index_t q, index_t i, index_t j, index_t h, index_t v) {
    for (index_t c = 0; c < channels; ++c) {
      const double pixel = x(n, h, v, c);
      for (index_t o = 0; o < filters; ++o) y(n, p, q, o) += pixel * filter(i, j, c, o);
    }
  });
  return small;
}

Tensor scatter(const Tensor& small, const Tensor& w, const Geometry& g) {
  Tensor large = new_tensor(g.large);
  const View y(small), filter(w), x(large);
  const index_t channels = w.shape()[2], filters = w.shape()[3];
  each_tap(w.shape(), g, [&](index_t n, index_t p, index_t q, index_t i, index_t j, index_t h, index_t v) {
    for (index_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (index_t o = 0; o < filters; ++o) sum += y(n, p, q, o) * filter(i, j, c, o);
      x(n, h, v, c) += sum;
    }
  });
  return large;
}

Tensor correlate(const Tensor& large, const Tensor& small, const Shape& w_shape, const Geometry& g) {
  Tensor w = new_tensor(w_shape);
  const View x(large), y(small), filter(w);
  const index_t channels = w_shape[2], filters = w_shape[3];
  each_tap(w_shape, g, [&](index_t n, index_t p, index_t q, index_t i, index_t j, index_t h, index_t v) {
    for (index_t c = 0; c < channels; ++c) {
      const double value = x(n, h, v, c);
      for (index_t o = 0; o < filters; ++o) filter(i, j, c, o) += value * y(n, p, q, o);
    }
  });
  return w;
}

Tensor conv(const Tensor& x, const Tensor& w, const Geometry& g) {
  const Shape w_shape = w.shape();
  return tg::record(
      "my_conv", gather(x, w, g),
      {{x, [=, w = tg::Saved(w)](const Tensor& dy) { return scatter(dy, w(), g); }},
       {w, [=, x = tg::Saved(x)](const Tensor& dy) { return correlate(x(), dy, w_shape, g); }}});
}

Tensor transpose(const Tensor& x, const Tensor& w, const Geometry& g) {
  const Shape w_shape = w.shape();
  return tg::record(
      "my_transpose", scatter(x, w, g),
      {{x, [=, w = tg::Saved(w)](const Tensor& dy) { return gather(dy, w(), g); }},
       {w, [=, x = tg::Saved(x)](const Tensor& dy) { return correlate(dy, x(), w_shape, g); }}});
}

Tensor reconstruct(const Net& net, const Tensor& images) {
  const index_t n = images.shape()[0];
  const Geometry outer = halving(n, 28, 1, 8), inner = halving(n, 14, 8, 4);
  const Tensor h1 = tg::relu(conv(images, net.w[0], outer) + net.b[0]);
  const Tensor code = tg::relu(conv(h1, net.w[1], inner) + net.b[1]);
  const Tensor h2 = tg::relu(transpose(code, net.w[2], inner) + net.b[2]);
  return tg::sigmoid(transpose(h2, net.w[3], outer) + net.b[3]);
}

void adam_step(Tensor& p, const Tensor& g, Memory& memory, double learning_rate) {
  const auto to = p.mutable_values<double>();
  const auto gradient = g.values<double>();
  memory.m.resize(to.size());
  memory.v.resize(to.size());
  const double t = static_cast<double>(++memory.t);
  const double correction1 = 1 - std::pow(0.9, t);
  const double correction2 = 1 - std::pow(0.999, t);
  for (std::size_t k = 0; k < to.size(); ++k) {
    memory.m[k] = 0.9 * memory.m[k] + 0.1 * gradient[k];
    memory.v[k] = 0.999 * memory.v[k] + 0.001 * gradient[k] * gradient[k];
    to[k] -= learning_rate * memory.m[k] / correction1 / (std::sqrt(memory.v[k] / correction2) + 1e-8);
  }
}

double train_step(Net& net, std::vector<Memory>& memories, const Tensor& images, double learning_rate) {
  std::vector<Tensor> p = parameters(net);
  tg::Tape tape;
  const Tensor loss = tg::mean(tg::square(reconstruct(net, images) - images));
  const double value = loss.item();
  const tg::Gradients gradients = tape.gradient(loss, p);
  for (std::size_t k = 0; k < p.size(); ++k) adam_step(p[k], gradients[k], memories[k], learning_rate);
  return value;
}

Answers answers() {
  return {.gather = gather,
          .scatter = scatter,
          .correlate = correlate,
          .conv = conv,
          .transpose = transpose,
          .reconstruct = reconstruct,
          .adam_step = adam_step,
          .train_step = train_step};
}
