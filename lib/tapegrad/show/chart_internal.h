#pragma once

// Internal: what a chart shows and where, in shares of its plot, whatever it is drawn with.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/show/draw.h"
#include "tapegrad/show/plot.h"

namespace tapegrad::inline v0::detail {

struct Tick {
  double at;  ///< as a share of the axis, from its lower end
  std::string label;
};

/// One direction of a chart. Its coordinates are the values, or their logarithms on a logarithmic axis.
class ChartAxis {
 public:
  explicit ChartAxis(bool logarithmic) : logarithmic_(logarithmic) {}

  bool shows(double value) const;
  void include(double value);
  /// Widens the range: so that it is one, by a margin on both sides, and down to 0 if that is near.
  void widen(double margin);
  double share(double value) const { return share_of_coordinate(coordinate(value)); }
  /// About as many as wanted, at round numbers.
  std::vector<Tick> ticks(int wanted) const;

 private:
  double coordinate(double value) const;
  double share_of_coordinate(double at) const { return (at - low_) / (high_ - low_); }
  std::vector<Tick> linear_ticks(int wanted) const;  // at coordinates
  std::vector<Tick> log_ticks(int wanted) const;

  static constexpr double kLargest = 1e300;  // so that differences are finite
  bool logarithmic_, whole_ = true;
  double low_ = kLargest, high_ = -kLargest;
};

/// A series as it is drawn.
struct Curve {
  std::string name;
  /// Shares of both axes, from the lower left corner; not finite where there is a gap.
  std::vector<Point> points;
  Point centre;         ///< mean of the points that are shown
  bool marked = false;  ///< few points, each of which is marked
  bool dense = false;   ///< so many points that the line should be thin
  bool empty = true;    ///< no point is shown
};

struct Chart {
  ChartAxis x, y;
  std::vector<Curve> curves;  ///< one for each series
};

/// Lays out a chart of lines, or of dots, which keep off the edges. Throws as line_chart.
Chart lay_out_chart(std::string_view op, std::span<const Series> series, bool log_y, bool dots = false);

/// Places for labels of this size (shares of the plot) near where they should be, so that no two overlap where that
/// can be: they push each other apart.
std::vector<Point> keep_apart(std::vector<Point> centres, std::span<const Point> sizes);

}  // namespace tapegrad::inline v0::detail
