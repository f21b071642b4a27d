#include "tapegrad/gradcheck/probe_internal.h"

#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>
#include <limits>

#include "tapegrad/base/error.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"

namespace tapegrad::inline v0::detail {
namespace {

std::vector<double> flatten(const Tensors& tensors) {
  std::vector<double> all;
  for (const Tensor& x : tensors) all.insert(all.end(), x.values<double>().begin(), x.values<double>().end());
  return all;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Numbers that are rounded another way show what rounding does, also where the values inside are the same for all inputs
// near x. What they show is a bound, so many times what is usual.
constexpr double kBound = 8;
constexpr std::array kModes = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

// Calls look() while numbers are rounded another way; nothing, where f refuses such numbers.
void rounded_otherwise(int mode, const std::function<void()>& look) {
  struct Back {
    int mode = std::fegetround();
    ~Back() { std::fesetround(mode); }
  } const back;
  std::fesetround(mode);
  try {
    look();
  } catch (const Error&) {
  }
}

}  // namespace

double usual_relative_step() {
  return std::cbrt(std::numeric_limits<double>::epsilon());
}

std::vector<double> scales(const Tensor& x) {
  double squares = 0, top = 0;
  for (const double v : x.values<double>()) top = std::max(top, std::isfinite(v) ? std::abs(v) : 0);
  if (top == 0) top = 1;
  for (const double v : x.values<double>())
    if (std::isfinite(v)) squares += v / top * (v / top);
  const double mean = squares == 0 ? 1 : top * std::sqrt(squares / static_cast<double>(x.size()));
  std::vector<double> found;
  for (const double v : x.values<double>())
    found.push_back(std::max(std::isfinite(v) ? std::abs(v) : 0, std::min(mean, 1.0)));
  return found;
}

void Restored::set(std::span<const double> values) {
  std::copy(values.begin(), values.end(), x_.mutable_values<double>().begin());
}

Line::Line(Tensor& x, Direction direction) : x_(x), direction_(std::move(direction)) {
  for (const auto& step : direction_)
    base_.push_back(x.values<double>()[static_cast<std::size_t>(step.first)]);
}

double Line::move(double t) {
  double* values = x_.mutable_data<double>();
  for (std::size_t k = 0; k < direction_.size(); ++k)
    values[direction_[k].first] = t == 0 ? base_[k] : base_[k] + t * direction_[k].second;
  return direction_.size() == 1 ? (values[direction_[0].first] - base_[0]) / direction_[0].second : t;
}

Prober::Prober(const Problem& problem, Tensors& xs, const Tensors& rs, const Tensors& second)
    : problem_(problem), xs_(xs), rs_(rs), r_(flatten(rs)), second_(flatten(second)), center_(outputs()) {}

Prober::Prober(const Problem& problem, Tensors& xs, const Tensors& rs, const Tensors& second,
               const Prober& there)
    : problem_(problem),
      xs_(xs),
      rs_(rs),
      r_(flatten(rs)),
      second_(flatten(second)),
      center_(there.center_),
      noise_(there.noise_),
      rounded_(there.rounded_) {}

std::vector<double> Prober::outputs() const {
  return flatten(problem_.forward(xs_));
}

double Prober::rounding() const {
  double size = 0;
  for (std::size_t j = 0; j < r_.size(); ++j) size += std::abs(r_[j] * center_[j]);
  return std::numeric_limits<double>::epsilon() * size;
}

Difference Prober::difference(Line& line, double step, std::vector<char>* changed) const {
  Difference d;
  const double up = line.move(step);
  const std::vector<double> above = outputs();
  const double down = line.move(-step);
  const std::vector<double> below = outputs();
  line.move(0);
  if (above.size() != r_.size() || below.size() != r_.size())
    fail("gradcheck", "the size of the function's result must not depend on the values of its inputs");
  d.step = (up - down) / 2;
  d.above = dot(r_, above), d.below = dot(r_, below);
  // Result by result: those that did not change cancel exactly, however large they are.
  for (std::size_t j = 0; j < r_.size(); ++j) {
    if (above[j] == below[j] && above[j] == center_[j]) continue;
    if (changed != nullptr) (*changed)[j] = 1;
    d.numeric += r_[j] * (above[j] - below[j]);
    d.second += second_[j] * (above[j] - below[j]);
    const double forward = r_[j] * ((above[j] - center_[j]) / up);
    const double backward = r_[j] * ((below[j] - center_[j]) / down);
    d.forward += forward, d.backward += backward;
    d.low += std::min(forward, backward), d.high += std::max(forward, backward);
    d.touched += std::abs(r_[j]) * std::max({std::abs(above[j]), std::abs(below[j]), std::abs(center_[j])});
  }
  d.numeric /= up - down;
  d.second /= up - down;
  return d;
}

std::vector<double> Prober::contributions(Line& line, double step) const {
  const double up = line.move(step);
  std::vector<double> parts = outputs();
  const double down = line.move(-step);
  const std::vector<double> below = outputs();
  line.move(0);
  for (std::size_t j = 0; j < parts.size(); ++j) parts[j] = r_[j] * (parts[j] - below[j]) / (up - down);
  return parts;
}

Tensors Prober::gradient_through(const std::vector<char>& results) const {
  Tensors rs;
  std::size_t j = 0;
  for (const Tensor& r : rs_) {
    rs.push_back(TensorAccess::clone(r));
    for (double& v : rs.back().mutable_values<double>())
      if (results[j++] == 0) v = 0;
  }
  return problem_.backward(xs_, rs);
}

// Calls look() with all inputs moved by +-size in units of their own scales, and again with the opposite signs.
void Prober::perturbed(double size, std::uint64_t direction, const std::function<void()>& look) const {
  std::vector<std::vector<double>> before, moves;
  Generator generator(0x6e6f697365, 4 * static_cast<std::uint64_t>(std::ilogb(size) + 100) + direction);
  for (const Tensor& x : xs_) {
    const std::vector<double> units = scales(x);
    before.emplace_back(x.values<double>().begin(), x.values<double>().end());
    std::vector<double>& move = moves.emplace_back();
    for (std::size_t i = 0; i < units.size(); ++i) {
      const double there = before.back()[i] + (generator.bits() % 2 == 0 ? size : -size) * units[i];
      move.push_back(there - before.back()[i]);
    }
  }
  const auto go = [&](double sign) {
    for (std::size_t k = 0; k < xs_.size(); ++k) {
      const auto values = xs_[k].mutable_values<double>();
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = before[k][i] + sign * moves[k][i];
    }
  };
  struct Back {
    Tensors& xs;
    const std::vector<std::vector<double>>& before;
    ~Back() {
      for (std::size_t k = 0; k < xs.size(); ++k)
        std::ranges::copy(before[k], xs[k].mutable_values<double>().begin());
    }
  } const back{xs_, before};
  for (const double sign : {1.0, -1.0}) {
    go(sign);
    look();
  }
}

std::vector<double> Prober::rounded_here() const {
  const std::vector<double> here = outputs();
  std::vector<double> most(here.size(), 0);
  for (const int mode : kModes) {
    std::vector<double> seen;
    rounded_otherwise(mode, [&] { seen = outputs(); });
    for (std::size_t j = 0; j < here.size() && seen.size() == here.size(); ++j)
      if (const double change = std::abs(seen[j] - here[j]); std::isfinite(change))
        most[j] = std::max(most[j], change / kBound);
  }
  return most;
}

const std::vector<double>& Prober::rounded() const {
  if (rounded_.empty()) rounded_ = rounded_here();
  return rounded_;
}

const std::vector<double>& Prober::noise() const {
  if (!noise_.empty()) return noise_;
  // For each result its second differences, from the smallest move that shows anything on.
  std::vector<std::vector<double>> bent(r_.size());
  for (double size = std::numeric_limits<double>::epsilon(); size < 1e-7; size *= 8) {
    std::vector<double> most(r_.size(), 0);
    for (std::uint64_t direction = 0; direction < 4; ++direction) {
      std::vector<std::vector<double>> seen;
      perturbed(size, direction, [&] { seen.push_back(outputs()); });
      if (seen[0].size() != r_.size() || seen[1].size() != r_.size()) continue;
      for (std::size_t j = 0; j < r_.size(); ++j) {
        const double difference = std::abs((seen[0][j] - center_[j]) + (seen[1][j] - center_[j]));
        if (std::isfinite(difference)) most[j] = std::max(most[j], difference);
      }
    }
    for (std::size_t j = 0; j < r_.size(); ++j)
      if (most[j] > 0) bent[j].push_back(most[j]);
  }
  // Rounding does not depend on the size of the move; what a kink or a bend adds grows with it, eight times or
  // more from one move to the next. The first three moves that show about the same are the measure.
  constexpr double kAlike = 20;
  noise_.assign(r_.size(), 0.0);
  for (std::size_t j = 0; j < r_.size(); ++j) {
    for (std::size_t k = 0; k + 3 <= bent[j].size() && noise_[j] == 0; ++k) {
      const auto [low, high] = std::minmax({bent[j][k], bent[j][k + 1], bent[j][k + 2]});
      if (high <= kAlike * low) noise_[j] = high;
    }
  }
  for (std::size_t j = 0; j < r_.size(); ++j) noise_[j] = std::max(noise_[j], rounded()[j]);
  return noise_;
}

const AnalyticNoise& Prober::analytic_noise(std::size_t k) const {
  if (!analytic_noise_.empty()) return analytic_noise_[k];
  for (const Tensor& x : xs_) {
    const auto size = static_cast<std::size_t>(x.size());
    analytic_noise_.push_back({std::vector<double>(size), std::vector<double>(size)});
  }
  const Tensors at = problem_.backward(xs_, rs_);
  const auto look = [&](const Tensors& rs, std::vector<double> AnalyticNoise::*part) {
    const Tensors near = problem_.backward(xs_, rs);
    for (std::size_t m = 0; m < xs_.size(); ++m) {
      std::vector<double>& noise = analytic_noise_[m].*part;
      for (std::size_t i = 0; i < noise.size(); ++i) {
        const double change = std::abs(near[m].values<double>()[i] - at[m].values<double>()[i]);
        if (std::isfinite(change)) noise[i] = std::max(noise[i], change);
      }
    }
  };
  for (double size = std::numeric_limits<double>::epsilon(); size < 1e-12; size *= 8)
    for (std::uint64_t direction = 0; direction < 2; ++direction)
      perturbed(size, direction, [&] { look(rs_, &AnalyticNoise::of_inputs); });
  // A sum of few terms may be rounded alike in all modes: so further numbers are tried as well.
  Generator generator(0x6e6f697365, 1);
  for (std::size_t n = 0; n < 2 * kModes.size(); ++n) {
    const double size = std::ldexp(std::numeric_limits<double>::epsilon(), static_cast<int>(n));
    Tensors rs;
    for (const Tensor& r : rs_) {
      rs.push_back(TensorAccess::clone(r));
      for (double& v : rs.back().mutable_values<double>())
        v *= 1 + (generator.bits() % 2 == 0 ? size : -size);
    }
    rounded_otherwise(kModes[n % kModes.size()], [&] { look(rs, &AnalyticNoise::of_rounding); });
  }
  return analytic_noise_[k];
}

}  // namespace tapegrad::inline v0::detail
