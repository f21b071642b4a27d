#pragma once

// Internal: the axes of a chart, whatever it is drawn with.

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/show/plot.h"

namespace tapegrad::inline v0::detail {

inline constexpr double kLargest = 1e300;  // so that differences are finite

struct Tick {
  double at;  // in the axis' coordinate
  std::string label;
};

// One direction of the chart: values, their coordinate (the logarithm on a logarithmic axis), and pixels.
class Axis {
 public:
  explicit Axis(bool logarithmic) : logarithmic_(logarithmic) {}

  bool shows(double value) const { return std::abs(value) <= kLargest && (!logarithmic_ || value > 0); }
  double coordinate(double value) const { return logarithmic_ ? std::log10(value) : value; }

  void include(double value) {
    whole_ = whole_ && value == std::round(value);
    low_ = std::min(low_, coordinate(value));
    high_ = std::max(high_, coordinate(value));
  }

  // Widens the range: so that it is one, by a margin on both sides, and down to 0 if that is near.
  void widen(double margin) {
    const double least = std::max(1e-9 * std::max(std::abs(low_), std::abs(high_)), 1e-300);
    if (high_ - low_ < least) {
      const double half = low_ == 0 || logarithmic_ ? 0.5 : std::abs(low_) / 4;
      low_ -= half;
      high_ += half;
    }
    const double length = high_ - low_;
    const bool from_zero = margin > 0 && !logarithmic_ && low_ >= 0 && low_ < 0.4 * high_;
    low_ = from_zero ? 0 : low_ - margin * length;
    high_ += margin * length;
  }

  void place(double low_pixel, double high_pixel) {
    low_pixel_ = low_pixel;
    high_pixel_ = high_pixel;
  }
  double pixel_of_coordinate(double at) const {
    return low_pixel_ + (at - low_) / (high_ - low_) * (high_pixel_ - low_pixel_);
  }
  double pixel(double value) const { return pixel_of_coordinate(coordinate(value)); }

  std::vector<Tick> ticks(int wanted) const {
    return logarithmic_ ? log_ticks(wanted) : linear_ticks(wanted);
  }

 private:
  std::vector<Tick> linear_ticks(int wanted) const;
  std::vector<Tick> log_ticks(int wanted) const;

  bool logarithmic_, whole_ = true;
  double low_ = kLargest, high_ = -kLargest;
  double low_pixel_ = 0, high_pixel_ = 1;
};

struct Axes {
  Axis x, y;
};

/// Axes that show every point of the series. Throws as line_chart.
Axes axes_of(std::string_view op, std::span<const Series> series, bool log_y);

}  // namespace tapegrad::inline v0::detail
