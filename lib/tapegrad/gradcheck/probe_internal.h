#pragma once

// Internal: central differences along a line, and what an error does as the step changes.

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "tapegrad/gradcheck/gradcheck.h"

namespace tapegrad::inline v0::detail {

using Tensors = std::vector<Tensor>;

/// Whatever is checked: several inputs, several results, and the gradients of sum over o of <r_o, result_o>.
struct Problem {
  std::function<Tensors(const Tensors& xs)> forward;
  std::function<Tensors(const Tensors& xs, const Tensors& rs)> backward;
  /// The same with a result of the caller's in place of f's own; empty if the backward pass takes none.
  std::function<Tensors(const Tensors& xs, const Tensor& y, const Tensors& rs)> backward_with = {};
};

/// The unit of an entry's step: its magnitude, and that of its neighbours (up to 1) if it is small.
std::vector<double> scales(const Tensor& x);

/// The values of a tensor, which come back at the end of the scope, even if f throws.
class Restored {
 public:
  explicit Restored(Tensor& x) : x_(x), before_(x.values<double>().begin(), x.values<double>().end()) {}
  ~Restored() { set(before_); }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;
  void set(std::span<const double> values);

 private:
  Tensor& x_;
  std::vector<double> before_;
};

/// The line x + t d through a tensor's values, d given by its entries that are not zero.
class Line {
 public:
  using Direction = std::vector<std::pair<index_t, double>>;
  Line(Tensor& x, Direction direction);
  ~Line() { move(0); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  /// Returns the t that was reached: x + t is rounded.
  double move(double t);

 private:
  Tensor& x_;
  Direction direction_;
  std::vector<double> base_;
};

/// f at x + h and x - h, all for sum(r * f).
struct Difference {
  double step = 0;  // half of the distance
  double above = 0, below = 0;
  double numeric = 0;
  double second = 0;                 // the numeric slope for the second output gradient
  double forward = 0, backward = 0;  // the one-sided slopes
  double low = 0, high = 0;          // what the slope may be if each result has its own kink
  double touched = 0;                // sum of |r f| over the results that changed
  double floor = 0;                  // an error of the numeric slope that is mere rounding
};

struct Judgement {
  GradcheckBehaviour behaviour = GradcheckBehaviour::Unclear;
  Difference best;  // numeric is the best estimate
};

/// An analytic slope that the first step did not confirm.
struct Question {
  double first = 0;  // that step
  double usual = 0;  // the step of the automatic choice
  double analytic = 0;
  double analytic_noise = 0;     // what inputs a few roundings away make of it; much at a kink
  double analytic_rounding = 0;  // what rounding its terms may make of it
  double largest_noise = 0;      // the largest analytic_noise of the tensor
  double allowed = 0;            // the error that is allowed anyway
  double scale = 0;              // of the whole gradient
  bool widely = false;           // look further than ten decades
  std::function<double(const Tensors& gradients)> slope_of =
      {};  // the part of the gradients that is asked about
};

/// By how much each entry of an input's gradient changes with inputs that are moved by a few roundings, and where the
/// backward pass rounds its numbers another way.
struct AnalyticNoise {
  std::vector<double> of_inputs, of_rounding;
};

/// A problem at a point, with an output gradient.
class Prober {
 public:
  /// second: another output gradient, for Difference::second.
  Prober(const Problem& problem, Tensors& xs, const Tensors& rs, const Tensors& second);

  /// The same point with other output gradients.
  Prober(const Problem& problem, Tensors& xs, const Tensors& rs, const Tensors& second, const Prober& there);

  /// What is lost of sum(r * f) because it is rounded.
  double rounding() const;
  /// All results one after the other.
  std::vector<double> outputs() const;
  const std::vector<double>& center() const { return center_; }
  const std::vector<double>& weights() const { return r_; }

  /// changed: is set for the results that the move changed.
  Difference difference(Line& line, double step, std::vector<char>* changed = nullptr) const;
  /// Each result's part of the numeric slope.
  std::vector<double> contributions(Line& line, double step) const;
  /// The gradients with an output gradient that is 0 but for these results.
  Tensors gradient_through(const std::vector<char>& results) const;
  Judgement judge(Line& line, const Question& question) const;

  /// What rounding inside f adds to each result, from second differences at steps of a few units in the last
  /// place to 1e-7 of the inputs: sums that cancel leave a result far smaller than its rounding.
  const std::vector<double>& noise() const;
  /// The part of it that is surely rounding: numbers that are rounded another way show it.
  const std::vector<double>& rounded() const;
  /// The same at the inputs as they are now.
  std::vector<double> rounded_here() const;
  const AnalyticNoise& analytic_noise(std::size_t k) const;

 private:
  void perturbed(double size, std::uint64_t direction, const std::function<void()>& look) const;

  const Problem& problem_;
  Tensors& xs_;
  const Tensors& rs_;
  std::vector<double> r_, second_, center_;
  // Found when they are first asked for: most checks need neither.
  mutable std::vector<double> noise_, rounded_;
  mutable std::vector<AnalyticNoise> analytic_noise_;  // by input
};

/// The cube root of the machine epsilon: it balances the truncation (h^2) and the rounding (epsilon / h) of
/// central differences.
double usual_relative_step();

}  // namespace tapegrad::inline v0::detail
