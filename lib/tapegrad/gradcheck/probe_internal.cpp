#include "tapegrad/gradcheck/probe_internal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// A judgement needs the slope to three digits.
constexpr double kResolved = 1e-3;

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

// An estimate of the slope and how far it may be off.
struct Estimate {
  double value = 0, uncertainty = kInfinity;
  std::size_t at = 0;
};

// Steps from small to large, each sqrt(10) times the one before.
using Ladder = std::vector<Difference>;

// Where the estimates of three neighbouring steps agree best: of the differences themselves, and of
// Richardson's extrapolation, which removes their error of order h^2. Only the first `count` steps are used.
Estimate best_of(const Ladder& ladder, std::size_t count, bool bend) {
  const auto plain = [&](std::size_t k) { return ladder[k].numeric; };
  const auto extrapolated = [&](std::size_t k) {
    return (10 * ladder[k].numeric - ladder[k + 1].numeric) / 9;
  };
  // Where nothing changes although it does at larger steps, and no kink explains it, the change may have been
  // lost in rounding inside f.
  const auto silent = [&](std::size_t k) { return ladder[k].touched == 0; };
  bool heard = false;
  for (std::size_t k = 0; k < count && !bend; ++k) heard = heard || !silent(k);
  Estimate best;
  const auto search = [&](const auto& value, std::size_t end) {
    for (std::size_t k = 1; k + 1 < end; ++k) {
      if (heard && (silent(k - 1) || silent(k) || silent(k + 1))) continue;
      const double values[] = {value(k - 1), value(k), value(k + 1)};
      double spread = ladder[k].floor;
      for (const double v : values)
        spread = std::max(spread, std::isfinite(v) ? std::abs(v - values[1]) : kInfinity);
      // Three numbers may agree by chance.
      if (20 * spread < best.uncertainty) best = {values[1], 20 * spread, k};
    }
  };
  search(plain, count);
  if (count > 0) search(extrapolated, count - 1);
  return best;
}

// Whether the slope at step k also holds closer to x, but for noise: what noise adds to f does not depend on
// the step, what kinks and bends add grows with it.
bool holds_below(const Ladder& ladder, std::size_t k) {
  double noise = 0;
  int rungs = 0;
  for (std::size_t i = 0; i < k; ++i) {
    if (ladder[i].touched == 0) continue;
    const double change = std::abs(ladder[i].numeric - ladder[k].numeric) * ladder[i].step;
    if (rungs++ < 5)
      noise = std::max({noise, change, ladder[i].floor * ladder[i].step});
    else if (change > 100 * noise + 0.1 * std::abs(ladder[k].numeric) * ladder[i].step)
      return false;
  }
  return true;
}

// A wrong gradient: over two decades of steps the error keeps its sign and its size, and is above rounding.
// The middle of the two decades in which it changes least.
std::optional<std::size_t> flat_error(const Ladder& ladder, std::size_t count, double analytic,
                                      double allowed) {
  constexpr std::size_t kRun = 5;
  std::optional<std::size_t> found;
  double least = kInfinity;
  for (std::size_t k = 0; k + kRun <= count; ++k) {
    double low = kInfinity, high = -kInfinity, top = 0;
    bool clear = true;
    for (std::size_t i = k; i < k + kRun; ++i) {
      const double error = ladder[i].numeric - analytic;
      low = std::min(low, error), high = std::max(high, error),
      top = std::max(top, std::abs(ladder[i].numeric));
      clear = clear && std::abs(error) > allowed + 10 * ladder[i].floor;
    }
    const bool flat = (low > 0 || high < 0) && std::max(high, -low) <= 1.5 * std::max(low, -high);
    // Beside a large gradient the slope may look flat where it is not, as beyond the reach of a bounded
    // function.
    const bool settled = high - low <= std::max(0.5 * top, 10 * ladder[k].floor);
    if (!clear || !flat || !settled || !holds_below(ladder, k)) continue;
    // Silence tells least.
    const double rank = ladder[k].touched == 0 ? std::numeric_limits<double>::max() : high - low;
    if (rank > least) continue;
    least = rank;
    found = k + kRun / 2;
  }
  return found;
}

// The smallest step from which on the two one-sided slopes differ by the same amount: between x - h and x + h
// there is a kink. (In a smooth function their difference shrinks with h, and mere rounding grows as 1 / h.)
std::optional<std::size_t> kink(const Ladder& ladder, double allowed) {
  constexpr std::size_t kRun = 4;
  for (std::size_t k = 0; k + kRun <= ladder.size(); ++k) {
    double low = kInfinity, high = 0;
    bool clear = true;
    for (std::size_t i = k; i < k + kRun; ++i) {
      const double jump = std::abs(ladder[i].forward - ladder[i].backward);
      low = std::min(low, jump), high = std::max(high, jump);
      const double slope = std::max(std::abs(ladder[i].forward), std::abs(ladder[i].backward));
      clear = clear && jump > allowed + 1e-6 * slope + 50 * ladder[i].floor;
    }
    if (clear && high <= 1.6 * low) return k;
  }
  return std::nullopt;
}

// f itself jumps: its change is the same however small the step.
bool jumps(const Ladder& ladder) {
  constexpr std::size_t kRun = 7;
  if (ladder.size() < kRun) return false;
  double low = kInfinity, high = 0;
  for (std::size_t k = 0; k < kRun; ++k) {
    const double change = std::abs(ladder[k].above - ladder[k].below);
    low = std::min(low, change), high = std::max(high, change);
    if (!(change > 1e3 * ladder[k].floor * ladder[k].step)) return false;
  }
  return high <= 1.05 * low;
}

}  // namespace

double usual_relative_step() {
  return std::cbrt(kEpsilon);
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

Prober::Prober(const Problem& problem, Tensors& xs, const Tensors& rs)
    : problem_(problem), xs_(xs), r_(flatten(rs)), center_(outputs()) {}

std::vector<double> Prober::outputs() const {
  return flatten(problem_.forward(xs_));
}

Difference Prober::difference(Line& line, double step, std::vector<char>* changed) const {
  Difference d;
  const double up = line.move(step);
  const std::vector<double> above = outputs();
  const double down = line.move(-step);
  const std::vector<double> below = outputs();
  line.move(0);
  if (above.size() != r_.size() || below.size() != r_.size())
    fail("gradcheck", "the function's result has another size when its inputs change a little");
  d.step = (up - down) / 2;
  d.above = dot(r_, above), d.below = dot(r_, below);
  // Result by result: those that did not change cancel exactly, however large they are.
  for (std::size_t j = 0; j < r_.size(); ++j) {
    if (above[j] == below[j] && above[j] == center_[j]) continue;
    if (changed != nullptr) (*changed)[j] = 1;
    d.numeric += r_[j] * (above[j] - below[j]);
    const double forward = r_[j] * ((above[j] - center_[j]) / up);
    const double backward = r_[j] * ((below[j] - center_[j]) / down);
    d.forward += forward, d.backward += backward;
    d.low += std::min(forward, backward), d.high += std::max(forward, backward);
    d.touched += std::abs(r_[j]) * std::max({std::abs(above[j]), std::abs(below[j]), std::abs(center_[j])});
  }
  d.numeric /= up - down;
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

Judgement Prober::judge(Line& line, double first, double usual, double analytic, double allowed, double scale,
                        bool widely) const {
  Ladder ladder;
  std::vector<char> changed(r_.size(), 0);
  // Rungs are numbered by their distance from the usual step; the ladder grows at both ends.
  const auto grow = [&](int from, int to, bool below) {
    Ladder rungs;
    for (int rung = from; rung < to; ++rung)
      rungs.push_back(difference(line, usual * std::pow(10.0, rung / 2.0), &changed));
    std::erase_if(rungs, [](const Difference& d) { return !(d.step > 0); });  // lost in the value's rounding
    ladder.insert(below ? ladder.begin() : ladder.end(), rungs.begin(), rungs.end());
  };
  // What is compared with rounding: all results that depend on the entry, or if none seems to, all results.
  const auto set_floors = [&] {
    double dependent = 0, all = 0;
    for (std::size_t j = 0; j < r_.size(); ++j) {
      all += std::abs(r_[j] * center_[j]);
      if (changed[j] != 0) dependent += std::abs(r_[j] * center_[j]);
    }
    if (std::ranges::find(changed, 1) == changed.end()) dependent = all;
    for (Difference& d : ladder) d.floor = kEpsilon * std::max(d.touched, dependent) / d.step;
    return dependent;
  };

  Judgement judged;
  judged.behaviour = GradcheckBehaviour::Unclear;
  const auto conclude = [&](GradcheckBehaviour behaviour, std::size_t at, double numeric) {
    judged.behaviour = behaviour;
    judged.best = ladder[at];
    judged.best.numeric = numeric;
    return judged;
  };
  const int decades_more = widely ? 3 : 0;
  grow(-10, 11, false);
  for (int round = 0;; ++round) {
    const double values = set_floors();
    const std::size_t n = ladder.size();
    if (n == 0) return judged;
    if (!std::isfinite(analytic)) {
      for (std::size_t k = n; k-- > 0;)
        if (std::isfinite(ladder[k].numeric) && std::isfinite(ladder[k].floor))
          return conclude(GradcheckBehaviour::Wrong, std::min(k, n / 2), ladder[std::min(k, n / 2)].numeric);
      return conclude(GradcheckBehaviour::Unclear, n / 2, ladder[n / 2].numeric);
    }
    const bool last = round == decades_more;
    const auto bend = kink(ladder, allowed);
    const std::size_t usable = bend.value_or(n);
    const double slopes =
        bend ? std::max(std::abs(ladder[*bend].forward), std::abs(ladder[*bend].backward)) : 0;
    const Estimate best = best_of(ladder, usable, bend.has_value());
    const double error = std::abs(best.value - analytic);
    if (best.uncertainty <= kResolved * std::max({scale, std::abs(best.value), slopes}) &&
        error <= allowed + best.uncertainty)
      return conclude(
          ladder[best.at].step < first ? GradcheckBehaviour::Truncation : GradcheckBehaviour::Rounding,
          best.at, best.value);
    // Zero but for the rounding of f's own values, on both sides.
    const double scale_of_x = usual / usual_relative_step();
    const bool nothing = std::abs(analytic) <= 100 * kEpsilon * values / std::min(scale_of_x, 1.0) &&
                         error <= best.uncertainty + std::abs(analytic) &&
                         std::abs(best.value) <=
                             std::max(best.uncertainty, 100 * kEpsilon * values / std::max(scale_of_x, 1.0));
    if (const auto at = flat_error(ladder, usable, analytic, allowed)) {
      if (nothing) return conclude(GradcheckBehaviour::Zero, *at, ladder[*at].numeric);
      // A function that does not change at all may be constant there, or its change may be lost in the
      // rounding of numbers that it adds up inside: only larger steps tell.
      if (ladder[*at].touched != 0) return conclude(GradcheckBehaviour::Wrong, *at, ladder[*at].numeric);
      if (last) {
        double quantum = kInfinity;
        bool heard = false;
        for (const Difference& d : ladder) {
          heard = heard || d.touched != 0;
          if (d.above != d.below) quantum = std::min(quantum, std::abs(d.above - d.below));
        }
        if (!heard || bend || 2 * std::min(ladder[*at].step, scale_of_x) * std::abs(analytic) > quantum)
          return conclude(GradcheckBehaviour::Wrong, *at, ladder[*at].numeric);
      }
    } else if (bend && (round > 0 || last)) {  // in the first round a smaller step may still avoid the kink
      const Difference& d = ladder[*bend];
      const double margin = allowed + 0.02 * (d.high - d.low);
      const bool between = analytic >= d.low - margin && analytic <= d.high + margin;
      // Slopes on the two sides of a kink that is far away say nothing about x.
      const bool here = d.step <= usual;
      return conclude(between ? GradcheckBehaviour::Kink
                      : here  ? GradcheckBehaviour::Wrong
                              : GradcheckBehaviour::Unclear,
                      *bend, d.numeric);
    } else if (!bend && jumps(ladder)) {
      return conclude(GradcheckBehaviour::Kink, n / 2, ladder[n / 2].numeric);
    }

    if (!last) {  // five decades more at each end
      grow(-20 - 10 * round, -10 - 10 * round, true);
      grow(11 + 10 * round, 21 + 10 * round, false);
      continue;
    }
    if (nothing) return conclude(GradcheckBehaviour::Zero, best.at, best.value);
    std::size_t at = 0;
    while (at + 1 < n && ladder[at].step < usual) ++at;
    return conclude(GradcheckBehaviour::Unclear, at, ladder[at].numeric);
  }
}

}  // namespace tapegrad::inline v0::detail
