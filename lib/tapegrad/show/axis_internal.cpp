#include "tapegrad/show/axis_internal.h"

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

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

}  // namespace

std::vector<Tick> Axis::linear_ticks(int wanted) const {
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

std::vector<Tick> Axis::log_ticks(int wanted) const {
  const double decades = high_ - low_;
  if (decades < 0.7) {
    // Less than a decade: linear steps, at their logarithms.
    Axis linear(false);
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

Axes axes_of(std::string_view op, std::span<const Series> series, bool log_y) {
  Axes axes{Axis(false), Axis(log_y)};
  bool any = false;
  for (const Series& s : series) {
    if (s.x.size() != s.y.size())
      fail(op, "the series '{}' has {} x and {} y", s.name, s.x.size(), s.y.size());
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (axes.x.shows(s.x[i]) && axes.y.shows(s.y[i])) {
        axes.x.include(s.x[i]);
        axes.y.include(s.y[i]);
        any = true;
      }
  }
  if (!any) fail(op, "there is no point that can be drawn{}", log_y ? " over a logarithmic axis" : "");
  axes.x.widen(0);
  axes.y.widen(0.05);
  return axes;
}

}  // namespace tapegrad::inline v0::detail
