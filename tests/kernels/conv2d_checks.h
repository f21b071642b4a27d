#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "at_the_edge.h"
#include "conv2d_loops.h"
#include "conv2d_windows.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/kernels/conv2d/conv2d.h"
#include "tapegrad/kernels/conv2d/depthwise.h"
#include "tapegrad/kernels/conv2d/direct.h"
#include "tapegrad/kernels/conv2d/geometry.h"

namespace tapegrad::testing {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : generator_(seed) {}
  index_t integer(index_t low, index_t high) {
    return low + static_cast<index_t>(generator_.bits() % static_cast<std::uint64_t>(high - low + 1));
  }
  template <class T, std::size_t n>
  T one_of(const T (&values)[n]) {
    return values[integer(0, n - 1)];
  }
  // Multiples of 1/1024, which add up exactly in double precision.
  template <class T>
  std::vector<T> numbers(index_t count) {
    std::vector<T> v(static_cast<std::size_t>(count));
    for (T& x : v) x = static_cast<T>(integer(-1024, 1024)) / 1024;
    return v;
  }

 private:
  Generator generator_;
};

/// Any padding, of up to `most` at each side if that is what it says.
inline void draw_padding(Draw& draw, index_t most, Conv2DOptions& options) {
  std::array<index_t, 4> sides;
  switch (draw.integer(0, 3)) {
    case 0:
      options.padding = Padding::Same;
      break;
    case 1:
      options.padding = Padding::Full;
      break;
    case 2:
      for (index_t& side : sides) side = draw.integer(0, most);
      options.padding = Padding::Explicit(sides[0], sides[1], sides[2], sides[3]);
      break;
  }
}

template <class T>
std::vector<double> widen(const std::vector<T>& v) {
  return {v.begin(), v.end()};
}

/// The largest difference, or NaN if any is NaN, as a multiple of what sums of that many terms may be off by.
template <class T>
double difference(const std::vector<double>& expected, const std::vector<T>& found, index_t terms) {
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = std::abs(expected[i] - static_cast<double>(found[i]));
    if (std::isnan(d)) return d;
    largest = std::max(largest, d);
  }
  const double unit = sizeof(T) == sizeof(float) ? 2.4e-7 : 4.5e-16;
  return largest / (unit * static_cast<double>(terms + 2));
}

inline std::string describe(const Conv2DGeometry& g) {
  return "x " + g.in_shape().str() + ", w " + g.filter_shape().str() + ", y " + g.out_shape().str() +
         ", groups " + std::to_string(g.groups);
}

/// The three kernels as the tiles of one family compute them.
template <class T>
struct ConvKernels {
  kernels::Family family;
  bool narrow =
      false;  // whether few channels take vectors of half the width, as on CPUs where these are as fast

  void conv2d(const Conv2DGeometry& g, const T* x, const T* w, T* y,
              const kernels::Epilogue<T>& epilogue) const {
    correlate(kernels::plan_correlation(g, false, family, traits()), x, w, y, epilogue);
  }
  void backprop_input(const Conv2DGeometry& g, const T* dy, const T* w, T* dx,
                      const kernels::Epilogue<T>& epilogue) const {
    correlate(kernels::plan_correlation(g, true, family, traits()), dy, w, dx, epilogue);
  }
  void backprop_filter(const Conv2DGeometry& g, const T* x, const T* dy, T* dw) const {
    const kernels::FilterPlan plan = kernels::plan_filter(g, family, traits());
    family == kernels::Family::Direct ? kernels::direct_filter_gradient(plan, x, dy, dw)
                                      : kernels::depthwise_filter_gradient(plan, x, dy, dw);
  }

 private:
  kernels::VectorTraits traits() const {
    kernels::VectorTraits found = kernels::vector_traits<T>();
    if (narrow) found.narrow_lanes = found.lanes / 2;
    return found;
  }
  void correlate(const kernels::CorrelationPlan& plan, const T* x, const T* w, T* y,
                 const kernels::Epilogue<T>& epilogue) const {
    family == kernels::Family::Direct ? kernels::direct_correlate(plan, x, w, y, epilogue)
                                      : kernels::depthwise_correlate(plan, x, w, y, epilogue);
  }
};

/// Compares with products by the matrix of windows in double precision. Nothing around the arrays may be touched.
template <class T>
void expect_what_the_matrix_of_windows_gives(const ConvKernels<T>& kernels, const Conv2DGeometry& g,
                                             Draw& draw) {
  SCOPED_TRACE(describe(g));
  const std::vector<T> x = draw.numbers<T>(g.in_shape().size()), w = draw.numbers<T>(g.filter_shape().size()),
                       y = draw.numbers<T>(g.out_shape().size()), to_y = draw.numbers<T>(g.out_channels),
                       to_x = draw.numbers<T>(g.in_channels);
  const auto x64 = widen(x), w64 = widen(w), y64 = widen(y), to_y64 = widen(to_y), to_x64 = widen(to_x);
  const bool biased = draw.integer(0, 2) > 0, relu = draw.integer(0, 1) > 0, first = draw.integer(0, 1) > 0;
  const AtTheEdge<T> x_edge(x, first), w_edge(w, first), y_edge(y, first), to_y_edge(to_y, first),
      to_x_edge(to_x, first);
  const auto check = [&](const char* what, const std::vector<double>& expected, index_t terms,
                         const auto& compute) {
    AtTheEdge<T> edge(std::vector<T>(expected.size(), std::numeric_limits<T>::quiet_NaN()), first);
    compute(edge.data());
    EXPECT_LE(difference(expected, edge.values(), terms), 1) << what;
  };
  Windows windows(g);
  check("conv2d", windows.conv2d(x64, w64, {biased ? to_y64.data() : nullptr, relu}), g.window(),
        [&](T* found) {
          kernels.conv2d(g, x_edge.data(), w_edge.data(), found, {biased ? to_y_edge.data() : nullptr, relu});
        });
  check("backprop_input", windows.backprop_input(y64, w64, {biased ? to_x64.data() : nullptr, relu}),
        g.kernel_h * g.kernel_w * g.group_out(), [&](T* found) {
          kernels.backprop_input(g, y_edge.data(), w_edge.data(), found,
                                 {biased ? to_x_edge.data() : nullptr, relu});
        });
  const auto check_gate = [&](const char* what, std::vector<double> expected, index_t terms,
                              const auto& compute) {
    std::vector<T> gate =
        draw.numbers<T>(std::ssize(expected));  // as relu has made it: zero, positive, or NaN
    for (T& number : gate)
      number = draw.integer(0, 7) > 0 ? std::max(number, T{0}) : std::numeric_limits<T>::quiet_NaN();
    for (std::size_t i = 0; i < gate.size(); ++i) expected[i] = gate[i] > 0 ? expected[i] : 0;
    const AtTheEdge<T> edge(gate, first);
    check(what, expected, terms,
          [&](T* found) { compute(found, kernels::Epilogue<T>{.gate = edge.data()}); });
  };
  check_gate("conv2d with a gate", windows.conv2d(x64, w64, {}), g.window(), [&](T* found, const auto& gate) {
    kernels.conv2d(g, x_edge.data(), w_edge.data(), found, gate);
  });
  check_gate("backprop_input with a gate", windows.backprop_input(y64, w64, {}),
             g.kernel_h * g.kernel_w * g.group_out(), [&](T* found, const auto& gate) {
               kernels.backprop_input(g, y_edge.data(), w_edge.data(), found, gate);
             });
  check("backprop_filter", windows.backprop_filter(x64, y64), g.batch * g.out_h * g.out_w,
        [&](T* found) { kernels.backprop_filter(g, x_edge.data(), y_edge.data(), found); });
}

/// Plants infinities and NaNs, and expects them in the results that have a product with them, and in no other.
template <class T>
void expect_what_loops_give_for_any_numbers(const ConvKernels<T>& kernels, const Conv2DGeometry& g,
                                            Draw& draw) {
  SCOPED_TRACE(describe(g));
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  constexpr T kPlanted[] = {std::numeric_limits<T>::quiet_NaN(), kInfinity, -kInfinity};
  const auto planted = [&](index_t count) {
    std::vector<T> v = draw.numbers<T>(count);
    for (index_t i = draw.integer(0, 2); count > 0 && i > 0; --i)
      v[static_cast<std::size_t>(draw.integer(0, count - 1))] = draw.one_of(kPlanted);
    return v;
  };
  const std::vector<T> x = planted(g.in_shape().size()), w = planted(g.filter_shape().size()),
                       dy = planted(g.out_shape().size());
  std::vector<T> y(dy.size()), dx(x.size()), dw(w.size());
  kernels.conv2d(g, x.data(), w.data(), y.data(), {});
  kernels.backprop_input(g, dy.data(), w.data(), dx.data(), {});
  kernels.backprop_filter(g, x.data(), dy.data(), dw.data());
  const Loops loops(g);
  const auto check = [&](const char* what, const std::vector<double>& expected, const std::vector<T>& found) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double a = expected[i], b = static_cast<double>(found[i]);
      const bool same = std::isnan(a) ? std::isnan(b) : std::isinf(a) ? a == b : std::abs(a - b) <= 1e-4;
      ASSERT_TRUE(same) << what << "[" << i << "] is " << b << " but must be " << a;
    }
  };
  check("y", loops.conv2d(widen(x), widen(w)), y);
  check("dx", loops.backprop_input(widen(dy), widen(w)), dx);
  check("dw", loops.backprop_filter(widen(x), widen(dy)), dw);
}

template <class T>
void expect_the_same_bits_for_any_number_of_threads(const ConvKernels<T>& kernels, const Conv2DGeometry& g,
                                                    Draw& draw) {
  SCOPED_TRACE(describe(g));
  const std::vector<T> x = draw.numbers<T>(g.in_shape().size()), w = draw.numbers<T>(g.filter_shape().size()),
                       dy = draw.numbers<T>(g.out_shape().size());
  std::vector<T> first[3];
  for (const int threads : {1, 2, 3, 8}) {
    const ThreadCountScope scope(threads);
    std::vector<T> y(dy.size()), dx(x.size()), dw(w.size());
    kernels.conv2d(g, x.data(), w.data(), y.data(), {});
    kernels.backprop_input(g, dy.data(), w.data(), dx.data(), {});
    kernels.backprop_filter(g, x.data(), dy.data(), dw.data());
    if (threads == 1) {
      first[0] = y, first[1] = dx, first[2] = dw;
    } else {
      EXPECT_EQ(first[0], y) << threads << " threads";
      EXPECT_EQ(first[1], dx) << threads << " threads";
      EXPECT_EQ(first[2], dw) << threads << " threads";
    }
  }
}

}  // namespace tapegrad::testing
