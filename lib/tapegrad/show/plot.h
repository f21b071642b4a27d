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

/// One line of a chart: y over x. The line has a gap where x or y is not finite, and in a logarithmic chart where y is
/// not positive.
struct Series {
  std::string name;          ///< name in the legend; empty: not in the legend
  std::vector<double> x, y;  ///< coordinates of the points, as many of each
};

struct ChartOptions {
  std::string title{}, x_label{}, y_label{};  ///< texts above, below and beside the axes
  bool log_y = false;                         ///< a logarithmic axis for y
  int width = 800, height = 450;              ///< size of the whole picture, in pixels of an ordinary screen
  int scale = 2;                              ///< pixels of the picture for each pixel of an ordinary screen
};

/// Draws lines with axes, a light grid and a legend, in colours that colour-blind readers can distinguish (Okabe and
/// Ito, "Color universal design", 2008). A series of one point is drawn as a dot. Throws when a series' x and y differ
/// in length, when no point can be drawn, and for pictures smaller than 200 x 150.
[[nodiscard]] Image line_chart(std::span<const Series> series, const ChartOptions& options = {});
[[nodiscard]] inline Image line_chart(std::initializer_list<Series> series,
                                      const ChartOptions& options = {}) {
  return line_chart(std::span<const Series>(series.begin(), series.size()), options);
}

}  // namespace v0
}  // namespace tapegrad
