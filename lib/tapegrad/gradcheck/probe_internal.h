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
};

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
  double forward = 0, backward = 0;  // the one-sided slopes
  double low = 0, high = 0;          // what the slope may be if each result has its own kink
  double touched = 0;                // sum of |r f| over the results that changed
  double floor = 0;                  // an error of the numeric slope that is mere rounding
};

struct Judgement {
  GradcheckBehaviour behaviour = GradcheckBehaviour::Right;
  Difference best;  // numeric is the best estimate
};

/// A problem at a point, with an output gradient.
class Prober {
 public:
  Prober(const Problem& problem, Tensors& xs, const Tensors& rs);

  /// All results one after the other.
  std::vector<double> outputs() const;
  const std::vector<double>& center() const { return center_; }
  const std::vector<double>& weights() const { return r_; }

  /// changed: is set for the results that the move changed.
  Difference difference(Line& line, double step, std::vector<char>* changed = nullptr) const;
  /// Each result's part of the numeric slope.
  std::vector<double> contributions(Line& line, double step) const;
  /// What is wrong with an analytic slope that the first step did not confirm. first: that step. usual: the
  /// step of the automatic choice. allowed: the error that is allowed anyway; scale: of the whole gradient.
  /// widely: look further than ten decades.
  Judgement judge(Line& line, double first, double usual, double analytic, double allowed, double scale,
                  bool widely) const;

 private:
  const Problem& problem_;
  Tensors& xs_;
  std::vector<double> r_, center_;
};

/// The cube root of the machine epsilon: it balances the truncation (h^2) and the rounding (epsilon / h) of
/// central differences.
double usual_relative_step();

}  // namespace tapegrad::inline v0::detail
