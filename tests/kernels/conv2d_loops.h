#pragma once

#include <vector>

#include "tapegrad/kernels/conv2d/conv2d.h"

namespace tapegrad::testing {

/// The convolutions as conv2d.h defines them, term by term in double precision: the oracle for any numbers, also
/// infinities and NaNs. A tap on padding is skipped.
class Loops {
 public:
  explicit Loops(const Conv2DGeometry& g) : g_(g) {}

  std::vector<double> conv2d(const std::vector<double>& x, const std::vector<double>& w) const {
    std::vector<double> y(static_cast<std::size_t>(g_.out_shape().size()), 0.0);
    for_products([&](std::size_t at_x, std::size_t at_w, std::size_t at_y) { y[at_y] += x[at_x] * w[at_w]; });
    return y;
  }
  std::vector<double> backprop_input(const std::vector<double>& dy, const std::vector<double>& w) const {
    std::vector<double> dx(static_cast<std::size_t>(g_.in_shape().size()), 0.0);
    for_products(
        [&](std::size_t at_x, std::size_t at_w, std::size_t at_y) { dx[at_x] += dy[at_y] * w[at_w]; });
    return dx;
  }
  std::vector<double> backprop_filter(const std::vector<double>& x, const std::vector<double>& dy) const {
    std::vector<double> dw(static_cast<std::size_t>(g_.filter_shape().size()), 0.0);
    for_products(
        [&](std::size_t at_x, std::size_t at_w, std::size_t at_y) { dw[at_w] += x[at_x] * dy[at_y]; });
    return dw;
  }

  /// f(x's element, w's element, y's element) for each product x w y.
  template <class F>
  void for_products(F f) const {
    for (index_t n = 0; n < g_.batch; ++n)
      for (index_t p = 0; p < g_.out_h; ++p)
        for (index_t q = 0; q < g_.out_w; ++q)
          for (index_t i = 0; i < g_.kernel_h; ++i)
            for (index_t j = 0; j < g_.kernel_w; ++j) {
              const index_t row = p * g_.stride_h + i * g_.dilation_h - g_.pad_top;
              const index_t column = q * g_.stride_w + j * g_.dilation_w - g_.pad_left;
              if (row < 0 || row >= g_.in_h || column < 0 || column >= g_.in_w) continue;
              for (index_t o = 0; o < g_.out_channels; ++o)
                for (index_t c = 0; c < g_.group_in(); ++c) {
                  const index_t channel = o / g_.group_out() * g_.group_in() + c;
                  f(static_cast<std::size_t>(((n * g_.in_h + row) * g_.in_w + column) * g_.in_channels +
                                             channel),
                    static_cast<std::size_t>(((i * g_.kernel_w + j) * g_.group_in() + c) * g_.out_channels +
                                             o),
                    static_cast<std::size_t>(((n * g_.out_h + p) * g_.out_w + q) * g_.out_channels + o));
                }
            }
  }

 private:
  const Conv2DGeometry& g_;
};

}  // namespace tapegrad::testing
