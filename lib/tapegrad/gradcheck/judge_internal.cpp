// What an error does as the step changes, and what follows from it.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "tapegrad/base/error.h"
#include "tapegrad/gradcheck/probe_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A judgement needs the slope to three digits: with two, a gradient off by 1e-4 in noise of 1e-4 is called right; with
// four, right ones in noise of 1e-7 are unclear.
constexpr double kResolved = 1e-3;
// Three neighbouring estimates may agree by chance: the true error is taken for so many times their spread. With a
// quarter, chance makes wrong gradients right; with four times as much, right ones are unclear.
constexpr double kChance = 20;
// A wrong gradient's error, and the difference of the slopes at a kink, stay the same over so many rungs (two decades),
// within this factor; noise is learnt on as many of the smallest rungs. With less, chance is called wrong; with more,
// errors beside a step or a bend are not found, as f reaches no further.
constexpr std::size_t kRungs = 5;
constexpr double kSame = 1.5;
// So many times the rounding is not rounding: with less, stairs are called wrong; with more, errors behind 1e12 are
// unclear. What is larger again by as much is so beyond doubt: with less, a slope that noise hides is unclear; with
// more, an error as large as the slope counts as noise.
constexpr double kAboveFloor = 10, kFarAbove = 100;
// Two slopes differ at a kink by more than this many roundings: with less, a gradient at a kink in noise is called
// wrong; with more, right ones beside it are not confirmed.
constexpr double kJumpAboveFloor = 50;
// Numbers further apart than this have nothing to do with each other: a jump of f is that far above its rounding, and a
// kink no further below its slopes. With less, what cancels is called wrong; with more, stairs hide errors.
constexpr double kVast = 1e6;
// How far outside of the two slopes at a kink a gradient may lie, as a part of their difference. With less, right
// gradients in noise are called wrong; with more, wrong ones pass for kinks.
constexpr double kBetween = 0.02;
// A step in f: its change is the same, within this factor, over so many rungs (three decades). With fewer rungs or a
// larger factor, a slope beside it is taken for it; with more, or a smaller one, stairs under a slope are called wrong.
constexpr std::size_t kStepRungs = 7;
constexpr double kSameStep = 1.05;
// A jump beside x is one that the change in f stays at, over so many rungs and up to the usual step. With fewer, sums
// that cancel are taken for stairs; with more, stairs beside x are not found.
constexpr std::size_t kOneStair = 3;
// Where two slopes differ by so many roundings, f tells which one it follows. With less, rounding tells; with more, a
// small stair lies in between.
constexpr double kTold = 2;

// An estimate of the slope and how far it may be off.
struct Estimate {
  double value = 0, uncertainty = kInfinity;
  std::size_t at = 0;
};

// Steps from small to large, each sqrt(10) times the one before.
using Ladder = std::vector<Difference>;

// Where the estimates of three neighbouring steps agree best: of the differences themselves, and of
// Richardson's extrapolation, which removes their error of order h^2. Only the first `count` steps are used; near: and
// none behind one that sees another slope. (Behind a stair the slope may well be the same.)
Estimate best_of(const Ladder& ladder, std::size_t count, bool bend, bool near = false) {
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
  const auto look = [&](std::size_t k, const auto& value) {
    if (heard && (silent(k - 1) || silent(k) || silent(k + 1))) return;
    const double values[] = {value(k - 1), value(k), value(k + 1)};
    double spread = ladder[k].floor;
    for (const double v : values)
      spread = std::max(spread, std::isfinite(v) ? std::abs(v - values[1]) : kInfinity);
    // Three numbers may agree by chance. What contradicts smaller steps is the slope of something else.
    const double uncertainty = kChance * spread;
    if (uncertainty < best.uncertainty && std::abs(values[1] - best.value) <= best.uncertainty + uncertainty)
      best = {values[1], uncertainty, k};
  };
  for (std::size_t k = 1; k + 1 < count; ++k) {
    const bool more = k + 2 < count;
    const auto elsewhere = [&](double v) {
      return std::abs(v - best.value) > best.uncertainty + kChance * ladder[k + 1].floor;
    };
    if (near && elsewhere(plain(k + 1)) && (!more || elsewhere(extrapolated(k + 1)))) break;
    look(k, plain);
    if (more) look(k, extrapolated);
  }
  return best;
}

// Whether the slope at step k also holds closer to x, but for noise: what noise adds to f does not depend on
// the step and is learnt on the smallest ones, what kinks and bends add grows with it. Noise that hides the error is no
// proof of it: values that are rounded alike over two decades of steps look as steady as a slope.
bool holds_below(const Ladder& ladder, std::size_t k, double analytic) {
  double noise = 0;
  std::size_t rungs = 0;
  for (std::size_t i = 0; i < k; ++i) {
    if (ladder[i].touched == 0) continue;
    const double change = std::abs(ladder[i].numeric - ladder[k].numeric) * ladder[i].step;
    if (rungs++ < kRungs)
      noise = std::max(noise, change);
    else if (change > kFarAbove * noise)
      return false;
  }
  const Difference& middle = ladder[k + kRungs / 2];
  return noise <= std::abs(middle.numeric - analytic) * middle.step;
}

// A wrong gradient: over two decades of steps the error keeps its sign and its size, and is above rounding.
// The middle of the two decades in which it changes least.
std::optional<std::size_t> flat_error(const Ladder& ladder, std::size_t count, double analytic,
                                      double allowed) {
  std::optional<std::size_t> found;
  double least = kInfinity;
  for (std::size_t k = 0; k + kRungs <= count; ++k) {
    double low = kInfinity, high = -kInfinity, top = 0;
    bool clear = true;
    for (std::size_t i = k; i < k + kRungs; ++i) {
      const double error = ladder[i].numeric - analytic;
      low = std::min(low, error), high = std::max(high, error),
      top = std::max(top, std::abs(ladder[i].numeric));
      clear = clear && std::abs(error) > allowed + kAboveFloor * ladder[i].floor;
    }
    const bool flat = std::max(high, -low) <= kSame * std::max(low, -high);  // of one sign, as it is clear
    // Beside a large gradient the slope may look flat where it is not, as beyond the reach of a bounded
    // function.
    const bool settled = high - low <= std::max((kSame - 1) * top, kAboveFloor * ladder[k].floor);
    if (!clear || !flat || !settled || !holds_below(ladder, k, analytic)) continue;
    // Silence tells least.
    const double rank = ladder[k].touched == 0 ? std::numeric_limits<double>::max() : high - low;
    if (rank > least) continue;
    least = rank;
    found = k + kRungs / 2;
  }
  return found;
}

// The smallest step from which on the two one-sided slopes differ by the same amount: between x - h and x + h
// there is a kink. (In a smooth function their difference shrinks with h, and mere rounding grows as 1 / h.)
std::optional<std::size_t> kink(const Ladder& ladder, double allowed) {
  for (std::size_t k = 0; k + kRungs <= ladder.size(); ++k) {
    double low = kInfinity, high = 0;
    bool clear = true;
    for (std::size_t i = k; i < k + kRungs; ++i) {
      const double jump = std::abs(ladder[i].forward - ladder[i].backward);
      low = std::min(low, jump), high = std::max(high, jump);
      const double slope = std::max(std::abs(ladder[i].forward), std::abs(ladder[i].backward));
      clear = clear && jump > allowed + slope / kVast + kJumpAboveFloor * ladder[i].floor;
    }
    if (clear && high <= kSame * low) return k;
  }
  return std::nullopt;
}

// The change in f on that side of x on which it is larger.
double change(const Difference& d) {
  return std::max({std::abs(d.forward), std::abs(d.backward), std::abs(d.numeric)}) * d.step;
}

// f itself jumps: its change is the same however small the step.
bool jumps(const Ladder& ladder, double noise) {
  if (ladder.size() < kStepRungs) return false;
  double low = kInfinity, high = 0;
  for (std::size_t k = 0; k < kStepRungs; ++k) {
    const double jump = std::abs(ladder[k].above - ladder[k].below);
    low = std::min(low, jump), high = std::max(high, jump);
    if (!(jump > kFarAbove * std::max(kEpsilon * ladder[k].touched, noise))) return false;
  }
  return high <= kSameStep * low;
}

/// The study of one question: a ladder of steps that grows until something can be said.
class Study {
 public:
  Study(const Prober& prober, Line& line, const Question& question)
      : prober_(prober), line_(line), q_(question), changed_(prober.weights().size(), 0) {}

  Judgement judge() {
    const int decades_more = q_.widely ? 3 : 0;
    grow(-10, 11, false);
    for (int round = 0;; ++round) {
      if (ladder_.empty()) return {};
      const bool last = round == decades_more;
      look();
      if (!std::isfinite(q_.analytic)) return not_finite();
      if (!bend_ && jumps(ladder_, noise_))
        return unless_rounding(GradcheckBehaviour::Kink, ladder_.size() / 2);
      if (const auto judged = on_stairs()) return *judged;
      if (!is_right() && last && q_.widely && measure_far()) look();
      if (is_right()) return right();
      if (is_nothing() && best_.uncertainty <= kAboveFloor * nothing())
        return conclude(GradcheckBehaviour::Zero, best_.at, best_.value);
      if (const auto at = flat_error(ladder_, usable(), q_.analytic, allowed())) {
        if (is_nothing()) return conclude(GradcheckBehaviour::Zero, *at);
        if (is_hidden(*at)) {
          if (last) return conclude(unless_seen(*at), *at);
        } else if (is_proven(*at, last) && !is_followed(*at)) {
          return conclude(GradcheckBehaviour::Wrong, *at);
        } else if (last) {
          break;  // larger steps speak against it
        }
      } else if (bend_ &&
                 (round > 0 || last)) {  // in the first round a smaller step may still avoid the kink
        return at_bend();
      } else if (!bend_ && is_unseen(last)) {
        return conclude(is_nothing() ? GradcheckBehaviour::Zero : GradcheckBehaviour::BelowNoise, best_.at,
                        best_.value);
      }
      if (last && is_lost()) return conclude(GradcheckBehaviour::BelowNoise, best_.at, best_.value);
      if (last) break;
      grow(-20 - 10 * round, -10 - 10 * round, true);  // five decades more at each end
      grow(11 + 10 * round, 21 + 10 * round, false);
    }
    if (is_nothing()) return conclude(GradcheckBehaviour::Zero, best_.at, best_.value);
    std::size_t at = 0;
    while (at + 1 < ladder_.size() && ladder_[at].step < q_.usual) ++at;
    return unless_rounding(GradcheckBehaviour::Unclear, at);
  }

 private:
  // Rungs are numbered by their distance from the usual step; the ladder grows at both ends.
  void grow(int from, int to, bool below) {
    Ladder rungs;
    for (int rung = from; rung < to; ++rung)
      if (const auto d = difference(q_.usual * std::pow(10.0, rung / 2.0), &changed_)) rungs.push_back(*d);
    std::erase_if(rungs, [](const Difference& d) { return !(d.step > 0); });  // lost in the value's rounding
    ladder_.insert(below ? ladder_.begin() : ladder_.end(), rungs.begin(), rungs.end());
  }

  // Nothing where f refuses a step that leaves its domain, as a loss of probabilities does.
  std::optional<Difference> difference(double step, std::vector<char>* changed) {
    try {
      return prober_.difference(line_, step, changed);
    } catch (const Error&) {
      line_.move(0);
      return std::nullopt;
    }
  }

  void look() {
    set_floors();
    bend_ = kink(ladder_, allowed());
    best_ = best_of(ladder_, usable(), bend_.has_value());
    error_ = std::abs(best_.value - q_.analytic);
  }

  // What is compared with rounding: all results that depend on the entry, or if none seems to, all results.
  void set_floors() {
    const bool any = std::ranges::find(changed_, 1) != changed_.end();
    const std::vector<double>&r = prober_.weights(), &center = prober_.center(), &noise = prober_.noise();
    const std::vector<double>& sure = prober_.rounded();
    double size = 0, rounding = 0, surely = 0, all_sizes = 0, all = 0, all_surely = 0;
    for (std::size_t j = 0; j < r.size(); ++j) {
      all_sizes += std::abs(r[j] * center[j]);
      all += std::abs(r[j]) * noise[j];
      all_surely += std::abs(r[j]) * sure[j];
      if (any && changed_[j] == 0) continue;
      size += std::abs(r[j] * center[j]);
      rounding += std::abs(r[j]) * noise[j];
      surely += std::abs(r[j]) * sure[j];
    }
    rounding_ = std::max(kEpsilon * size, rounding);
    // What jumps at x is taken for noise, too; no rounding is so large, unless the whole gradient is nothing but rounding.
    const bool lost = q_.scale <= kAboveFloor * q_.largest_noise;
    const auto believed = [&](double measured, double shown, double of) {
      const double large = kVast * kEpsilon * std::max(of, 1.0);
      const double most = std::max(large, lost ? kFarAbove * q_.largest_noise * unit() : 0);
      return measured <= most ? measured : shown <= kFarAbove * large ? shown : 0;
    };
    noise_ = believed(rounding, surely, size);
    all_noise_ = believed(all, all_surely, all_sizes);
    silent_rounding_ = any ? std::max(kEpsilon * (all_sizes - size), all - rounding) : 0;
    // Far from x the numbers inside of f are larger, and so is their rounding.
    for (std::size_t k = 0; k < ladder_.size(); ++k) {
      Difference& d = ladder_[k];
      const double growth = far_.empty() ? std::max(1.0, d.step / unit()) : far_[k];
      d.floor = std::max(kEpsilon * d.touched, rounding_ * growth) / d.step;
    }
  }

  // How much more is rounded far from x than at x, as a factor. False where nothing tells.
  bool measure_far() {
    const double here = weighted(prober_.rounded());
    if (here == 0) return false;
    far_.assign(ladder_.size(), 1);
    for (std::size_t k = 0; k < ladder_.size(); ++k) {
      const double step = ladder_[k].step, most = step / unit();
      if (most <= 1) continue;
      double seen = 0;
      for (const double t : {step, -step}) {
        line_.move(t);
        seen = std::max(seen, weighted(prober_.rounded_here()));
      }
      far_[k] = std::clamp(seen / here, 1.0, most);
    }
    line_.move(0);
    return true;
  }

  /// The sum over all results that depend on the entry.
  double weighted(const std::vector<double>& noise) const {
    const std::vector<double>& r = prober_.weights();
    double sum = 0;
    for (std::size_t j = 0; j < r.size(); ++j) sum += changed_[j] == 0 ? 0 : std::abs(r[j]) * noise[j];
    return sum;
  }

  /// The scale of the entry's value.
  double unit() const { return q_.usual / usual_relative_step(); }
  std::size_t usable() const { return bend_.value_or(ladder_.size()); }

  /// How many rungs see a constant around x, or nothing but rounding, where the next one sees a jump that is too large
  /// for that: 0 if f is not like that. (Rounding makes stairs too, of any smooth function that is flat enough.)
  std::size_t rungs_before_a_stair() {
    const auto first = std::ranges::find_if(ladder_, [this](const Difference& d) {
      return change(d) > kAboveFloor * std::max(kEpsilon * d.touched, noise_);
    });
    if (first == ladder_.begin() || first == ladder_.end() || bend_) return 0;
    double reached = first->touched;
    if (const auto d = difference(std::max(unit(), 1.0), nullptr); d && std::isfinite(d->touched))
      reached = std::max(reached, d->touched);
    return change(*first) > std::max(kVast * kEpsilon * reached, kFarAbove * noise_)
               ? static_cast<std::size_t>(first - ladder_.begin())
               : 0;
  }

  /// A step of the usual size sees nothing, or nothing but one stair beside x.
  bool is_constant(std::size_t flat) const {
    if (ladder_[flat - 1].step >= q_.usual) return true;
    if (flat + kOneStair > ladder_.size()) return false;
    double low = kInfinity, high = 0;
    for (std::size_t k = flat; k < ladder_.size(); ++k) {
      if (k >= flat + kOneStair && ladder_[k].step > q_.usual) break;
      low = std::min(low, change(ladder_[k])), high = std::max(high, change(ladder_[k]));
    }
    return high <= kSameStep * low;
  }

  // A function that is constant piece by piece: its slope is 0, whatever larger steps see. Stairs that are narrower than
  // the usual step may as well be a slope that is rounded; then nothing can be said about a gradient of 0.
  std::optional<Judgement> on_stairs() {
    const std::size_t flat = rungs_before_a_stair();
    if (flat == 0) return std::nullopt;
    const bool zero = std::abs(q_.analytic) <= nothing();
    const bool constant = is_constant(flat);
    if (zero ? is_right() : !constant) return std::nullopt;
    std::size_t at = flat - 1;
    while (at > 0 && ladder_[at].step > q_.usual) --at;
    if (!constant) return conclude(unless_rounding(GradcheckBehaviour::Unclear, flat).behaviour, at);
    if (zero)
      return conclude(
          q_.analytic == 0 && ladder_[at].touched == 0 ? GradcheckBehaviour::Right : GradcheckBehaviour::Zero,
          at);
    // Stairs that climb as the gradient says, such as round(x) with the gradient of x, cannot be told from rounding.
    const bool proven =
        2 * std::min(ladder_[flat - 1].step, unit()) * std::abs(q_.analytic) > change(ladder_[flat]);
    return conclude(proven ? GradcheckBehaviour::Wrong : GradcheckBehaviour::Unclear, at);
  }

  /// Right to three digits of the entry's own size, as far as differences can tell.
  bool is_right() const {
    return best_.uncertainty + own_rounding() <=
               kResolved * std::max(std::abs(q_.analytic), std::abs(best_.value)) &&
           error_ <= allowed() + best_.uncertainty;
  }
  Judgement right() const {
    return conclude(
        ladder_[best_.at].step < q_.first ? GradcheckBehaviour::Truncation : GradcheckBehaviour::Rounding,
        best_.at, best_.value);
  }

  /// What the rounding of the backward pass itself may hide.
  double own_rounding() const { return kAboveFloor * q_.analytic_rounding; }
  double allowed() const { return q_.allowed + own_rounding(); }

  double nothing() const {
    const double of_f = rounding_ / std::min(unit(), 1.0);
    return std::max(
        {kFarAbove * of_f, std::min(kAboveFloor * q_.analytic_noise, kVast * of_f), own_rounding()});
  }
  /// Zero but for rounding, on both sides: of f's inner values, and of the backward pass.
  bool is_nothing() const {
    return std::abs(q_.analytic) <= nothing() && std::abs(best_.value) <= best_.uncertainty;
  }

  /// A result that no step has changed yet may hide the error in its rounding, as a saturated one does: a probability of 1
  /// beside one of 1e-20. Larger steps may tell whether it depends on the entry.
  bool is_hidden(std::size_t at) const {
    return std::abs(ladder_[at].numeric - q_.analytic) * ladder_[at].step <= kAboveFloor * silent_rounding_;
  }
  /// Where no step told: wrong, unless the gradient is right through the results that did change.
  GradcheckBehaviour unless_seen(std::size_t at) const {
    const double error = std::abs(q_.slope_of(prober_.gradient_through(changed_)) - ladder_[at].numeric);
    return error <= allowed() + best_.uncertainty ? GradcheckBehaviour::BelowNoise
                                                  : GradcheckBehaviour::Wrong;
  }

  // A function that does not change at all may be constant there, or its change may be lost in the rounding of
  // numbers that it adds up inside: only larger steps tell.
  bool is_proven(std::size_t at, bool last) const {
    if (ladder_[at].touched != 0) return true;
    if (!last) return false;
    double quantum = kInfinity;
    bool heard = false;
    for (const Difference& d : ladder_) {
      heard = heard || d.touched != 0;
      if (d.above != d.below) quantum = std::min(quantum, std::abs(d.above - d.below));
    }
    return !heard || bend_ || 2 * std::min(ladder_[at].step, unit()) * std::abs(q_.analytic) > quantum;
  }

  /// Whether f follows the gradient closer to x, on one side at least, where the two slopes begin to differ by more than
  /// rounding. Stairs a few times larger than rounding hide the slope between them from larger steps, as bends do.
  bool is_followed(std::size_t at) {
    const Difference& far = ladder_[at];
    const double gap = std::abs(far.numeric - q_.analytic);
    // Rounding; what the smallest steps show beside the slope; and if they show nothing, the smallest change of all.
    double noise = rounding_, least = kInfinity;
    for (std::size_t k = 0; k <= at; ++k)
      for (const double slope : {ladder_[k].forward, ladder_[k].backward}) {
        if (k < kRungs) noise = std::max(noise, kTold * ladder_[k].step * std::abs(slope - far.numeric));
        if (slope != 0) least = std::min(least, ladder_[k].step * std::abs(slope));
      }
    if (ladder_[0].touched == 0) noise = std::max(noise, least);
    const auto near = difference(kTold * noise / gap, nullptr);
    if (!near || !(near->step > 0)) return false;
    const double bend = std::abs(far.forward - far.backward) * near->step / far.step;
    const auto follows = [&](double slope) { return std::abs(slope - q_.analytic) + bend < gap / kTold; };
    return near->step < far.step && (follows(near->forward) || follows(near->backward));
  }

  /// Small beside the tensor's gradient, and lost in the rounding: nothing speaks against it, nor for it.
  bool is_unseen(bool last) const {
    const bool small = best_.uncertainty <= kResolved * q_.scale && error_ <= allowed() + best_.uncertainty;
    return small && (last || error_ <= 2 * best_.uncertainty / kChance);
  }

  /// As right as rounding shows, of f or of the backward pass, and that is not enough. It is rounding for sure, and not
  /// noise of another kind: no estimate is much better than one whose spread is that of rounding.
  bool is_lost() const {
    const Estimate near = best_of(ladder_, usable(), bend_.has_value(), true);
    if (!(std::abs(near.value - q_.analytic) <= allowed() + near.uncertainty)) return false;
    if (near.uncertainty <= own_rounding()) return true;
    const double rounding = weighted(prober_.rounded());
    for (std::size_t k = 1; k + 1 < usable(); ++k) {
      const Difference &d = ladder_[k], &before = ladder_[k - 1], &after = ladder_[k + 1];
      const double spread =
          std::max(std::abs(before.numeric - d.numeric), std::abs(after.numeric - d.numeric));
      const double floor = std::max(kEpsilon * d.touched, rounding) / d.step;
      const double uncertainty = kChance * std::max(spread, floor);
      if (spread <= kAboveFloor * floor && uncertainty <= kAboveFloor * near.uncertainty &&
          std::abs(d.numeric - q_.analytic) <= allowed() + uncertainty)
        return true;
    }
    return false;
  }

  /// Zero, for a gradient of 0, where the change in f is no larger than the rounding of other results, or of the
  /// backward pass.
  Judgement unless_rounding(GradcheckBehaviour otherwise, std::size_t at) const {
    const double rounding = std::max(all_noise_, q_.analytic_rounding * unit());
    const bool zero = std::abs(q_.analytic) <= nothing() && change(ladder_[at]) <= kFarAbove * rounding;
    return conclude(zero ? GradcheckBehaviour::Zero : otherwise, at);
  }

  Judgement at_bend() const {
    const Difference& d = ladder_[*bend_];
    // A slope that is small beside the one behind the kink: nothing speaks against it, nor for it.
    const double steep = std::max(std::abs(d.forward), std::abs(d.backward));
    if (best_.uncertainty <= kResolved * steep && error_ <= allowed() + best_.uncertainty)
      return conclude(is_nothing() ? GradcheckBehaviour::Zero : GradcheckBehaviour::BelowNoise, best_.at,
                      best_.value);
    const double margin = allowed() + kBetween * (d.high - d.low);
    const bool between = q_.analytic >= d.low - margin && q_.analytic <= d.high + margin;
    // Slopes on the two sides of a kink that is far away say nothing about x.
    const bool here = d.step <= q_.usual;
    return unless_rounding(between     ? GradcheckBehaviour::Kink
                           : here      ? GradcheckBehaviour::Wrong
                           : is_lost() ? GradcheckBehaviour::BelowNoise
                                       : GradcheckBehaviour::Unclear,
                           *bend_);
  }

  // NaN is right where there is no derivative.
  Judgement not_finite() const {
    const std::size_t n = ladder_.size();
    if (jumps(ladder_, noise_) || (bend_ && ladder_[*bend_].step <= q_.usual))
      return conclude(GradcheckBehaviour::Kink, n / 2);
    for (const Difference& d : ladder_)
      if (std::isfinite(d.numeric) && std::isfinite(d.floor)) {
        const bool middle = std::isfinite(ladder_[n / 2].numeric);
        return conclude(GradcheckBehaviour::Wrong,
                        middle ? n / 2 : static_cast<std::size_t>(&d - ladder_.data()));
      }
    return conclude(GradcheckBehaviour::Unclear, n / 2);
  }

  Judgement conclude(GradcheckBehaviour behaviour, std::size_t at) const {
    return conclude(behaviour, at, ladder_[at].numeric);
  }
  Judgement conclude(GradcheckBehaviour behaviour, std::size_t at, double numeric) const {
    Judgement judged{.behaviour = behaviour, .best = ladder_[at]};
    judged.best.numeric = numeric;
    return judged;
  }

  const Prober& prober_;
  Line& line_;
  const Question& q_;
  std::vector<char> changed_;
  Ladder ladder_;
  std::vector<double> far_;     // for each step, if it was measured
  double rounding_ = 0;         // what rounding adds to sum(r f)
  double noise_ = 0;            // the same, as measured, but for jumps of f
  double all_noise_ = 0;        // as measured, of all results
  double silent_rounding_ = 0;  // what rounding takes from sum(r f), of the results that no step has changed
  std::optional<std::size_t> bend_;
  double error_ = 0;
  Estimate best_;
};

}  // namespace

Judgement Prober::judge(Line& line, const Question& question) const {
  return Study(*this, line, question).judge();
}

}  // namespace tapegrad::inline v0::detail
