#pragma once

// Charts of lines.

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tapegrad/io/image.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// One line of a chart: y over x. Where either is not finite the line has a gap; so has a logarithmic chart
/// where y is not positive.
struct Series {
  std::string name;  ///< as the legend shows it; empty: not in the legend
  std::vector<double> x, y;
};

struct ChartOptions {
  std::string title{}, x_label{}, y_label{};  ///< what stands above, below and beside the axes
  bool log_y = false;                         ///< a logarithmic axis for y
  int width = 800, height = 450;              ///< of the whole picture, in pixels of an ordinary screen
  int scale = 2;  ///< how many pixels of the picture each of these takes, for sharper screens
};

/// Draws lines into axes with round numbers, a light grid and a legend, in colours that colour-blind readers
/// can tell apart (Okabe and Ito, "Color universal design", 2008). A series of one point is a dot. Throws
/// when a series' x and y differ in length, when no point can be drawn, and for pictures smaller than 200 x
/// 150.
[[nodiscard]] Image line_chart(std::span<const Series> series, const ChartOptions& options = {});
[[nodiscard]] inline Image line_chart(std::initializer_list<Series> series,
                                      const ChartOptions& options = {}) {
  return line_chart(std::span<const Series>(series.begin(), series.size()), options);
}

}  // namespace v0
}  // namespace tapegrad
