#include "tapegrad/show/plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/show/axis_internal.h"
#include "tapegrad/show/draw.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Axis, detail::Tick;

// Okabe and Ito's colours, without black and with the yellow, which is too light on white, at the end.
constexpr std::array<Colour, 7> kPalette{{{0, 114, 178},
                                          {213, 94, 0},
                                          {0, 158, 115},
                                          {204, 121, 167},
                                          {86, 180, 233},
                                          {230, 159, 0},
                                          {240, 228, 66}}};
constexpr Colour kInk{38, 38, 38}, kFaintInk{96, 96, 96}, kGrid{226, 226, 226}, kFrame{150, 150, 150};

// All lengths are in pixels of an ordinary screen; ChartOptions::scale makes them more.
constexpr double kMargin = 14, kGap = 7, kTick = 4, kLineWidth = 2, kThinLine = 1.4, kDot = 5.5,
                 kLegendSample = 22;
constexpr double kTitleScale = 1.3, kLabelScale = 0.95;
constexpr std::size_t kMostDots = 40,
                      kManyPoints = 400;  // up to so many are marked; from so many on lines are thin

// A part of the picture in ordinary pixels, drawn scale times as large.
class Canvas {
 public:
  Canvas(const ChartOptions& options)
      : scale_(options.scale),
        image_(options.height * options.scale, options.width * options.scale, 3, kWhite) {}

  void line(std::vector<Point> points, Colour colour, double width) {
    for (Point& p : points) p = scaled(p);
    draw_polyline(image_, points, colour, width * scale_);
  }
  // A thin horizontal or vertical line, on whole pixels.
  void rule(Point from, Point to, Colour colour) {
    const auto snap = [this](double v) { return std::round(v * scale_); };
    const double x = snap(from.x), y = snap(from.y);
    draw_rectangle(image_, {x, y}, {std::max(snap(to.x), x + scale_), std::max(snap(to.y), y + scale_)},
                   colour);
  }
  void text(Point at, std::string_view words, Colour colour, double size) {
    draw_text(image_, std::round(at.x * scale_), std::round(at.y * scale_), words, colour, size * scale_);
  }
  void text_upwards(Point at, std::string_view words, Colour colour, double size) {
    draw_text_upwards(image_, std::round(at.x * scale_), std::round(at.y * scale_), words, colour,
                      size * scale_);
  }
  Image take() { return std::move(image_); }

 private:
  Point scaled(Point p) const { return {p.x * scale_, p.y * scale_}; }
  double scale_;
  Image image_;
};

struct LegendEntry {
  std::size_t series;
  Point at;
};

// Entries side by side, in as many lines as they need; bottom is set to where the last one ends.
std::vector<LegendEntry> lay_out_legend(std::span<const Series> series, double left, double right, double top,
                                        double& bottom) {
  std::vector<LegendEntry> entries;
  Point at{left, top};
  for (std::size_t i = 0; i < series.size(); ++i) {
    if (series[i].name.empty()) continue;
    const double width = kLegendSample + kGap + text_width(series[i].name, kLabelScale);
    if (at.x > left && at.x + width > right) at = {left, at.y + text_height(kLabelScale) + 2};
    entries.push_back({i, at});
    at.x += width + 2 * kGap;
    bottom = at.y + text_height(kLabelScale) + kGap;
  }
  return entries;
}

Colour colour_of(std::size_t series) {
  return kPalette[series % kPalette.size()];
}

}  // namespace

Image line_chart(std::span<const Series> series, const ChartOptions& options) {
  if (options.width < 200 || options.height < 150 || options.scale < 1)
    fail("line_chart", "a picture of {} x {} pixels at scale {} is too small", options.width, options.height,
         options.scale);
  auto [x_axis, y_axis] = detail::axes_of("line_chart", series, options.log_y);

  // From the outside inwards: title, legend, labels, ticks, and what is left is the plot.
  const double label_height = text_height(kLabelScale);
  double top = kMargin, left = kMargin, right = options.width - 1.5 * kMargin,
         bottom = options.height - kMargin;
  if (!options.y_label.empty()) left += label_height + 2;
  if (!options.x_label.empty()) bottom -= label_height + 2;
  bottom -= label_height + kTick + 2;
  const double header_left = left;
  if (!options.title.empty()) top += text_height(kTitleScale) + kGap;
  const auto legend = lay_out_legend(series, header_left, right, top, top);

  const auto y_ticks = y_axis.ticks(std::max(2, static_cast<int>((bottom - top) / 55)));
  double tick_width = 0;
  for (const Tick& tick : y_ticks) tick_width = std::max(tick_width, text_width(tick.label, kLabelScale));
  left += tick_width + kTick + 2;
  const auto x_ticks = x_axis.ticks(std::max(2, static_cast<int>((right - left) / 64)));
  x_axis.place(left + kGap, right - kGap);
  y_axis.place(bottom, top);

  Canvas canvas(options);
  for (const Tick& tick : y_ticks) {
    const double y = y_axis.pixel_of_coordinate(tick.at);
    canvas.rule({left, y - 0.5}, {right, y - 0.5}, kGrid);
    canvas.text({left - kTick - 1 - text_width(tick.label, kLabelScale), y - label_height / 2 + 0.5},
                tick.label, kFaintInk, kLabelScale);
  }
  for (const Tick& tick : x_ticks) {
    const double x = x_axis.pixel_of_coordinate(tick.at);
    canvas.rule({x - 0.5, top}, {x - 0.5, bottom}, kGrid);
    canvas.rule({x - 0.5, bottom}, {x - 0.5, bottom + kTick}, kFrame);
    canvas.text({x - text_width(tick.label, kLabelScale) / 2 + 0.5, bottom + kTick + 1}, tick.label,
                kFaintInk, kLabelScale);
  }
  canvas.rule({left, bottom - 0.5}, {right, bottom - 0.5}, kFrame);

  for (std::size_t i = 0; i < series.size(); ++i) {
    const Series& s = series[i];
    std::vector<Point> points;
    for (std::size_t k = 0; k < s.x.size(); ++k)
      points.push_back(x_axis.shows(s.x[k]) && y_axis.shows(s.y[k])
                           ? Point{x_axis.pixel(s.x[k]), y_axis.pixel(s.y[k])}
                           : Point{NAN, NAN});
    canvas.line(points, colour_of(i), points.size() > kManyPoints ? kThinLine : kLineWidth);
    if (points.size() > kMostDots) continue;
    for (const Point& p : points) canvas.line({p}, colour_of(i), kDot);
  }

  if (!options.title.empty()) canvas.text({header_left, kMargin}, options.title, kInk, kTitleScale);
  for (const auto& [i, at] : legend) {
    const double y = at.y + label_height / 2 - 0.5;
    canvas.line({{at.x + 2, y}, {at.x + kLegendSample - 2, y}}, colour_of(i), kLineWidth * 1.5);
    canvas.text({at.x + kLegendSample + kGap / 2, at.y}, series[i].name, kInk, kLabelScale);
  }
  if (!options.x_label.empty())
    canvas.text({(left + right - text_width(options.x_label, kLabelScale)) / 2,
                 options.height - kMargin - label_height + 2},
                options.x_label, kInk, kLabelScale);
  if (!options.y_label.empty())
    canvas.text_upwards({kMargin - 4, (top + bottom + text_width(options.y_label, kLabelScale)) / 2},
                        options.y_label, kInk, kLabelScale);
  return canvas.take();
}

}  // namespace tapegrad::inline v0
