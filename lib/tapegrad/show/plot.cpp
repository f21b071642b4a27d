#include "tapegrad/show/plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/show/chart_internal.h"
#include "tapegrad/show/draw.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Chart, detail::Curve, detail::Tick;

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

struct LegendPlace {
  std::size_t series;
  Point at;
};

// Entries side by side, in as many lines as they need; bottom is set to where the last one ends.
std::vector<LegendPlace> lay_out_legend(std::span<const Curve> curves, double left, double right, double top,
                                        double& bottom) {
  std::vector<LegendPlace> entries;
  Point at{left, top};
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].name.empty()) continue;
    const double width = kLegendSample + kGap + text_width(curves[i].name, kLabelScale);
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

// Where everything is: from the outside inwards title, legend, labels, ticks; what is left is the plot.
struct Frame {
  double top, left, right, bottom;  // of the plot
  double header_left;
  std::vector<LegendPlace> legend;
  std::vector<Tick> x_ticks, y_ticks;

  double x(double share) const { return left + kGap + share * (right - left - 2 * kGap); }
  double y(double share) const { return bottom + share * (top - bottom); }
};

Frame frame_of(const Chart& chart, const ChartOptions& options) {
  const double label_height = text_height(kLabelScale);
  Frame frame{.top = kMargin,
              .left = kMargin,
              .right = options.width - 1.5 * kMargin,
              .bottom = options.height - kMargin,
              .header_left = 0,
              .legend = {},
              .x_ticks = {},
              .y_ticks = {}};
  if (!options.y_label.empty()) frame.left += label_height + 2;
  if (!options.x_label.empty()) frame.bottom -= label_height + 2;
  frame.bottom -= label_height + kTick + 2;
  frame.header_left = frame.left;
  if (!options.title.empty()) frame.top += text_height(kTitleScale) + kGap;
  frame.legend = lay_out_legend(chart.curves, frame.header_left, frame.right, frame.top, frame.top);

  constexpr double kUp = 55, kRight = 64;  // between ticks, at least
  frame.y_ticks = chart.y.ticks(std::max(2, static_cast<int>((frame.bottom - frame.top) / kUp)));
  double tick_width = 0;
  for (const Tick& tick : frame.y_ticks)
    tick_width = std::max(tick_width, text_width(tick.label, kLabelScale));
  frame.left += tick_width + kTick + 2;
  frame.x_ticks = chart.x.ticks(std::max(2, static_cast<int>((frame.right - frame.left) / kRight)));
  return frame;
}

void draw_grid(Canvas& canvas, const Frame& frame) {
  const double label_height = text_height(kLabelScale);
  for (const Tick& tick : frame.y_ticks) {
    const double y = frame.y(tick.at);
    canvas.rule({frame.left, y - 0.5}, {frame.right, y - 0.5}, kGrid);
    canvas.text({frame.left - kTick - 1 - text_width(tick.label, kLabelScale), y - label_height / 2 + 0.5},
                tick.label, kFaintInk, kLabelScale);
  }
  for (const Tick& tick : frame.x_ticks) {
    const double x = frame.x(tick.at);
    canvas.rule({x - 0.5, frame.top}, {x - 0.5, frame.bottom}, kGrid);
    canvas.rule({x - 0.5, frame.bottom}, {x - 0.5, frame.bottom + kTick}, kFrame);
    canvas.text({x - text_width(tick.label, kLabelScale) / 2 + 0.5, frame.bottom + kTick + 1}, tick.label,
                kFaintInk, kLabelScale);
  }
  canvas.rule({frame.left, frame.bottom - 0.5}, {frame.right, frame.bottom - 0.5}, kFrame);
}

void draw_curve(Canvas& canvas, const Frame& frame, const Curve& curve, Colour colour) {
  std::vector<Point> points;
  for (const Point& p : curve.points) points.push_back({frame.x(p.x), frame.y(p.y)});
  canvas.line(points, colour, curve.dense ? kThinLine : kLineWidth);
  if (!curve.marked) return;
  for (const Point& p : points) canvas.line({p}, colour, kDot);
}

void draw_words(Canvas& canvas, const Frame& frame, const Chart& chart, const ChartOptions& options) {
  const double label_height = text_height(kLabelScale);
  if (!options.title.empty()) canvas.text({frame.header_left, kMargin}, options.title, kInk, kTitleScale);
  for (const auto& [i, at] : frame.legend) {
    const double y = at.y + label_height / 2 - 0.5;
    canvas.line({{at.x + 2, y}, {at.x + kLegendSample - 2, y}}, colour_of(i), kLineWidth * 1.5);
    canvas.text({at.x + kLegendSample + kGap / 2, at.y}, chart.curves[i].name, kInk, kLabelScale);
  }
  if (!options.x_label.empty())
    canvas.text({(frame.left + frame.right - text_width(options.x_label, kLabelScale)) / 2,
                 options.height - kMargin - label_height + 2},
                options.x_label, kInk, kLabelScale);
  if (!options.y_label.empty())
    canvas.text_upwards(
        {kMargin - 4, (frame.top + frame.bottom + text_width(options.y_label, kLabelScale)) / 2},
        options.y_label, kInk, kLabelScale);
}

}  // namespace

Image line_chart(std::span<const Series> series, const ChartOptions& options) {
  constexpr int kLeastWidth = 200, kLeastHeight = 150;
  if (options.width < kLeastWidth || options.height < kLeastHeight || options.scale < 1)
    fail("line_chart", "width must be at least {}, height {} and scale 1, got {} x {} at scale {}",
         kLeastWidth, kLeastHeight, options.width, options.height, options.scale);
  constexpr double kMostBytes = 0x1p28;  // of an Image
  if (const double scale = options.scale; 3.0 * options.width * scale * options.height * scale > kMostBytes)
    fail("line_chart", "a picture of {} x {} at scale {} would have more than {} bytes", options.width,
         options.height, options.scale, kMostBytes);
  const Chart chart = detail::lay_out_chart("line_chart", series, options.log_y);
  const Frame frame = frame_of(chart, options);
  Canvas canvas(options);
  draw_grid(canvas, frame);
  for (std::size_t i = 0; i < chart.curves.size(); ++i)
    draw_curve(canvas, frame, chart.curves[i], colour_of(i));
  draw_words(canvas, frame, chart, options);
  return canvas.take();
}

}  // namespace tapegrad::inline v0
