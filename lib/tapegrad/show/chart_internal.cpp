#include "tapegrad/show/chart_internal.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr std::size_t kMostMarks = 40, kManyPoints = 400;

// A number as a tick shows it: 0.05, 20, 2e-7.
std::string short_number(double value, int decimals) {
  if (value == 0) return "0";
  const double magnitude = std::abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e6 && decimals <= 6) return fmt::format("{:.{}f}", value, decimals);
  std::string text = fmt::format("{:.6g}", value);
  const auto exponent = text.find('e');
  if (exponent == std::string::npos) return text;
  // e-07 and e+06 become e-7 and e6.
  std::size_t digits = exponent + 2;
  while (digits + 1 < text.size() && text[digits] == '0') ++digits;
  return text.substr(0, exponent + 1) + (text[exponent + 1] == '-' ? "-" : "") + text.substr(digits);
}

Curve curve_of(const Series& series, const ChartAxis& x, const ChartAxis& y) {
  Curve curve{.name = series.name, .points = {}, .centre = {}};
  double shown = 0;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!x.shows(series.x[i]) || !y.shows(series.y[i])) {
      curve.points.push_back(
          {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()});
      continue;
    }
    const Point at{x.share(series.x[i]), y.share(series.y[i])};
    curve.points.push_back(at);
    curve.centre = {curve.centre.x + at.x, curve.centre.y + at.y};
    ++shown;
  }
  curve.empty = shown == 0;
  if (!curve.empty) curve.centre = {curve.centre.x / shown, curve.centre.y / shown};
  curve.marked = curve.points.size() <= kMostMarks;
  curve.dense = curve.points.size() > kManyPoints;
  return curve;
}

}  // namespace

bool ChartAxis::shows(double value) const {
  return std::abs(value) <= kLargest && (!logarithmic_ || value > 0);
}

double ChartAxis::coordinate(double value) const {
  return logarithmic_ ? std::log10(value) : value;
}

void ChartAxis::include(double value) {
  whole_ = whole_ && value == std::round(value);
  low_ = std::min(low_, coordinate(value));
  high_ = std::max(high_, coordinate(value));
}

void ChartAxis::widen(double margin) {
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

std::vector<Tick> ChartAxis::ticks(int wanted) const {
  std::vector<Tick> ticks = logarithmic_ ? log_ticks(wanted) : linear_ticks(wanted);
  for (Tick& tick : ticks) tick.at = share_of_coordinate(tick.at);
  return ticks;
}

std::vector<Tick> ChartAxis::linear_ticks(int wanted) const {
  const double rough = (high_ - low_) / wanted;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double multiple : {5.0, 2.0, 1.0})
    if (multiple * power >= rough * 0.999) step = multiple * power;
  if (whole_) step = std::max(step, 1.0);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  std::vector<Tick> ticks;
  const double slack = 1e-6;
  for (double i = std::ceil(low_ / step - slack); i <= high_ / step + slack && ticks.size() < 100; ++i)
    ticks.push_back({i * step, short_number(i * step, decimals)});
  return ticks;
}

std::vector<Tick> ChartAxis::log_ticks(int wanted) const {
  const double decades = high_ - low_;
  if (decades < 0.7) {
    // Less than a decade: linear steps, at their logarithms.
    ChartAxis linear(false);
    linear.whole_ = false;
    linear.low_ = std::pow(10, low_);
    linear.high_ = std::pow(10, high_);
    std::vector<Tick> ticks = linear.linear_ticks(wanted);
    for (Tick& tick : ticks) tick.at = std::log10(tick.at);
    return ticks;
  }
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
  std::vector<Tick> ticks;
  for (int power = static_cast<int>(std::floor(low_)); power <= high_; ++power) {
    if (power % stride != 0) continue;
    for (const int multiple : {1, 2, 5}) {
      if (multiple != 1 && decades > 2.5) continue;
      const double at = power + std::log10(multiple);
      if (at >= low_ - 1e-9 && at <= high_ + 1e-9)
        ticks.push_back({at, short_number(multiple * std::pow(10, power), std::max(0, -power))});
    }
  }
  return ticks;
}

Chart lay_out_chart(std::string_view op, std::span<const Series> series, bool log_y, bool dots) {
  Chart chart{.x = ChartAxis(false), .y = ChartAxis(log_y), .curves = {}};
  bool any = false;
  for (const Series& s : series) {
    if (s.x.size() != s.y.size())
      fail(op, "the series '{}' must have as many x as y, got {} x and {} y", s.name, s.x.size(), s.y.size());
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (chart.x.shows(s.x[i]) && chart.y.shows(s.y[i])) {
        chart.x.include(s.x[i]);
        chart.y.include(s.y[i]);
        any = true;
      }
  }
  if (!any)
    fail(op, "there is no point that can be drawn: x and y must be finite{}",
         log_y ? "; on a logarithmic axis y must be positive" : "");
  chart.x.widen(0);
  if (dots) chart.x.widen(0.05);
  chart.y.widen(0.05);
  for (const Series& s : series) chart.curves.push_back(curve_of(s, chart.x, chart.y));
  return chart;
}

std::vector<Point> keep_apart(std::vector<Point> centres, std::span<const Point> sizes) {
  constexpr int kRounds = 300;
  const auto inside = [](double at, double size) {
    return std::clamp(at, std::min(size / 2, 0.5), std::max(1 - size / 2, 0.5));
  };
  for (int round = 0; round < kRounds; ++round) {
    bool moved = false;
    for (std::size_t i = 0; i < centres.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) {
        Point &a = centres[i], &b = centres[k];
        const double dx = (sizes[i].x + sizes[k].x) / 2 - std::abs(a.x - b.x),
                     dy = (sizes[i].y + sizes[k].y) / 2 - std::abs(a.y - b.y);
        if (dx <= 1e-9 || dy <= 1e-9) continue;
        moved = true;
        // Both give way, in the direction in which they overlap less.
        if (dx < dy) {
          const double half = (a.x >= b.x ? dx : -dx) / 2;
          a.x += half, b.x -= half;
        } else {
          const double half = (a.y >= b.y ? dy : -dy) / 2;
          a.y += half, b.y -= half;
        }
      }
    for (std::size_t i = 0; i < centres.size(); ++i)
      centres[i] = {inside(centres[i].x, sizes[i].x), inside(centres[i].y, sizes[i].y)};
    if (!moved) break;
  }
  return centres;
}

}  // namespace tapegrad::inline v0::detail
