#pragma once

#include <algorithm>
#include <vector>

#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/gemm.h"

namespace tapegrad::testing {

/// The oracle for finite numbers: each convolution is a product with the matrix of all windows of x (im2col), in double
/// precision. A row of output pixels is the unit; all rows of a batch are numbered through. Padding is multiplied, as
/// zero.
class Windows {
 public:
  explicit Windows(const Conv2DGeometry& g)
      : g_(g), columns_(static_cast<std::size_t>(rows() * row_size())) {}

  std::vector<double> conv2d(const std::vector<double>& x, const std::vector<double>& w,
                             const kernels::Epilogue<double>& epilogue) {
    std::vector<double> y(static_cast<std::size_t>(g_.out_shape().size()));
    for (index_t group = 0; group < groups(); ++group) {
      unfold(group, x);
      kernels::gemm<double>(pixels(), g_.group_out(), g_.window(), {columns_.data(), g_.window()},
                            {w.data() + group * g_.group_out(), g_.out_channels},
                            {y.data() + group * g_.group_out(), g_.out_channels});
    }
    finish(y, g_.out_channels, epilogue);
    return y;
  }

  std::vector<double> backprop_input(const std::vector<double>& dy, const std::vector<double>& w,
                                     const kernels::Epilogue<double>& epilogue) {
    std::vector<double> dx(static_cast<std::size_t>(g_.in_shape().size()), 0.0);
    for (index_t group = 0; group < groups(); ++group) {
      kernels::gemm<double>(
          pixels(), g_.window(), g_.group_out(), {dy.data() + group * g_.group_out(), g_.out_channels},
          {w.data() + group * g_.group_out(), g_.out_channels, true}, {columns_.data(), g_.window()});
      for_columns(group, [from = columns_.data(), to = dx.data()](index_t column, index_t pixel) {
        to[pixel] += from[column];
      });
    }
    finish(dx, g_.in_channels, epilogue);
    return dx;
  }

  std::vector<double> backprop_filter(const std::vector<double>& x, const std::vector<double>& dy) {
    std::vector<double> dw(static_cast<std::size_t>(g_.filter_shape().size()));
    for (index_t group = 0; group < groups(); ++group) {
      unfold(group, x);
      kernels::gemm<double>(g_.window(), g_.group_out(), pixels(), {columns_.data(), g_.window(), true},
                            {dy.data() + group * g_.group_out(), g_.out_channels},
                            {dw.data() + group * g_.group_out(), g_.out_channels});
    }
    return dw;
  }

 private:
  index_t rows() const { return g_.batch * g_.out_h; }
  index_t pixels() const { return rows() * g_.out_w; }
  index_t groups() const {
    return pixels() == 0 ? 0 : g_.groups;
  }  // of an empty image there is nothing to add
  index_t row_size() const { return g_.out_w * g_.window(); }

  void unfold(index_t group, const std::vector<double>& x) {
    std::fill(columns_.begin(), columns_.end(), 0.0);
    for_columns(group, [from = x.data(), to = columns_.data()](index_t column, index_t pixel) {
      to[column] = from[pixel];
    });
  }

  // f(where in the matrix, where in the image) for each tap that lies on a pixel. What is fixed is computed before the loops:
  // they are most of the time of the tests.
  template <class F>
  void for_columns(index_t group, F f) const {
    const index_t channels = g_.group_in(), first = group * channels, row_of_taps = g_.kernel_w * channels;
    const index_t kernel_w = g_.kernel_w, dilation_w = g_.dilation_w, in_w = g_.in_w,
                  in_channels = g_.in_channels;
    index_t column = 0;
    for (index_t r = 0, end = rows(); r < end; ++r)
      for (index_t q = 0; q < g_.out_w; ++q)
        for (index_t i = 0; i < g_.kernel_h; ++i, column += row_of_taps) {
          const index_t row = r % g_.out_h * g_.stride_h + i * g_.dilation_h - g_.pad_top;
          if (row < 0 || row >= g_.in_h) continue;
          const index_t row_of_pixels = (r / g_.out_h * g_.in_h + row) * in_w;
          index_t at = q * g_.stride_w - g_.pad_left, tap = column;
          for (index_t j = 0; j < kernel_w; ++j, at += dilation_w, tap += channels) {
            if (at < 0 || at >= in_w) continue;
            const index_t pixel = (row_of_pixels + at) * in_channels + first;
            for (index_t c = 0; c < channels; ++c) f(tap + c, pixel + c);
          }
        }
  }

  static void finish(std::vector<double>& y, index_t channels, const kernels::Epilogue<double>& epilogue) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (epilogue.bias) y[i] += epilogue.bias[i % static_cast<std::size_t>(channels)];
      if (epilogue.relu && y[i] < 0) y[i] = 0;
    }
  }

  const Conv2DGeometry& g_;
  std::vector<double> columns_;
};

}  // namespace tapegrad::testing
