#include "tapegrad/gradcheck/check_internal.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// So many entries proven wrong, or unclear, are enough to stop looking closer at the others of a tensor.
constexpr index_t kEnough = 8;
// So many entries that only the second output gradient calls in doubt are looked at closer.
constexpr std::size_t kEnoughAgain = 64;
// So many entries that seem to have no effect are looked at closer because they have one at a large step.
constexpr std::size_t kEnoughSilent = 32;
// What a backward pass that is linear may make of -2 dy, relative to its largest entry.
constexpr double kLinear = 1e-10;

bool same_bits(const Tensors& a, const Tensors& b) {
  for (std::size_t k = 0; k < a.size(); ++k)
    if (a[k].shape() != b[k].shape() ||
        std::memcmp(a[k].data<double>(), b[k].data<double>(),
                    static_cast<std::size_t>(a[k].size()) * sizeof(double)) != 0)
      return false;
  return true;
}

bool all_finite(const Tensors& tensors) {
  for (const Tensor& x : tensors)
    for (const double v : x.values<double>())
      if (!std::isfinite(v)) return false;
  return true;
}

void require_sensible(const GradcheckOptions& options) {
  const auto not_negative = [](const char* what, double value) {
    if (!(value >= 0 && std::isfinite(value)))
      fail("gradcheck", "options.{} must be finite and not negative, got {}", what, value);
  };
  if (options.tolerance) not_negative("tolerance", *options.tolerance);
  not_negative("step", options.step);
  if (options.samples < 1) fail("gradcheck", "options.samples must be at least 1, got {}", options.samples);
}

GradcheckEntry entry(const Difference& d, double analytic) {
  return {.step = d.step,
          .above = d.above,
          .below = d.below,
          .numeric = d.numeric,
          .analytic = analytic,
          .error = std::abs(d.numeric - analytic)};
}

// The larger of two numbers that are not negative; a NaN is larger than any, and what comes after it does not replace it.
double larger(double a, double b) {
  return std::isnan(b) || a <= b ? b : a;
}

double largest_of(const Tensor& x) {
  double found = 0;
  for (const double v : x.values<double>())
    if (std::isfinite(v)) found = std::max(found, std::abs(v));
  return found;
}

// An infinite gradient has no size: it would allow itself any error.
double own_size(const GradcheckEntry& e) {
  const double seen = std::abs(e.numeric);
  return std::isfinite(e.analytic) ? std::max(std::abs(e.analytic), seen) : seen;
}

bool is_untested(const GradcheckEntry& e) {
  return e.behaviour == GradcheckBehaviour::Zero || e.behaviour == GradcheckBehaviour::BelowNoise;
}

// Whether f does not change at a step as large as the value either: a small change may be lost beside large numbers.
// True as well where f refuses so large a step, as a loss does whose targets are probabilities.
bool stays_silent(const Prober& prober, Line& line, double unit) {
  try {
    return prober.difference(line, unit).touched == 0;
  } catch (const Error&) {
    line.move(0);
    return true;
  }
}

// -2 x: a power of two, so that a linear function gives the same bits, and a sign, so that a mask shows.
Tensors minus_twice(const Tensors& xs) {
  Tensors found;
  for (const Tensor& x : xs) {
    found.push_back(TensorAccess::clone(x));
    for (double& v : found.back().mutable_values<double>()) v *= -2;
  }
  return found;
}

// Whether b is -2 a, but for rounding.
bool is_minus_twice(const Tensor& b, const Tensor& a, double tolerance) {
  const double margin = std::max(tolerance, kLinear) * largest_of(a);
  for (std::size_t i = 0; i < static_cast<std::size_t>(a.size()); ++i) {
    const double from = a.values<double>()[i], to = b.values<double>()[i];
    if (std::isfinite(from) && !(std::abs(to + 2 * from) <= margin)) return false;
  }
  return true;
}

}  // namespace

Generator own_generator(std::uint64_t seed, Draw what) {
  const auto key = [](std::uint64_t a) {
    return std::array{static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32)};
  };
  const auto [s0, s1] = key(seed);
  const auto hashed =
      philox4x32({s0, s1, static_cast<std::uint32_t>(what), 0x67726164}, {0x74617065, 0x63686563});
  const auto number = [](std::uint32_t low, std::uint32_t high) {
    return std::uint64_t{low} | std::uint64_t{high} << 32;
  };
  return Generator(number(hashed[0], hashed[1]), number(hashed[2], hashed[3]));
}

Tensor random_like(const Tensor& x, Generator& generator) {
  Tensor drawn = TensorAccess::clone(x);
  for (double& v : drawn.mutable_values<double>()) {
    const double size = generator.uniform(0.5, 2);
    v = generator.bits() % 2 == 0 ? size : -size;
  }
  return drawn;
}

void require_float64(const std::string& what, const Tensor& x) {
  if (!x.defined()) fail("gradcheck", "{} was never given a value", what);
  if (!is_floating(x.dtype()))
    fail("gradcheck", "{} is {} {}, which has no gradient: let the function capture it instead", what,
         x.dtype(), x.shape());
  if (x.dtype() != DType::Float64)
    fail("gradcheck",
         "{} is {} {}: differences need Float64; convert with cast(x, DType::Float64), a module with "
         "model.to(DType::Float64)",
         what, x.dtype(), x.shape());
}

bool share_memory(const Tensor& a, const Tensor& b) {
  if (TensorAccess::storage(a) != TensorAccess::storage(b)) return false;
  const index_t begin_a = TensorAccess::offset(a), begin_b = TensorAccess::offset(b);
  return begin_a < begin_b + b.size() && begin_b < begin_a + a.size();
}

std::vector<GradcheckTensor> describe(const Tensors& inputs, const GradcheckOptions& options) {
  require_sensible(options);
  const auto one_each = [&](const char* what, std::size_t count) {
    if (count != 0 && count != inputs.size())
      fail("gradcheck", "options.{} must have one entry for each input, got {} for {} inputs", what, count,
           inputs.size());
  };
  one_each("names", options.names.size());
  one_each("axes", options.axes.size());
  static const std::set<std::string> kFilterNames = {"w", "weight", "weights", "kernel", "filter", "filters"};
  std::vector<GradcheckTensor> tensors;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    require_float64(options.names.empty() ? fmt::format("input {}", k) : "'" + options.names[k] + "'", x);
    GradcheckTensor tensor{.name = options.names.empty() ? fmt::format("input {}", k) : options.names[k],
                           .shape = x.shape()};
    std::string words;
    if (!options.axes.empty()) words = options.axes[k];
    if (words.empty() && x.rank() == 4) {
      const std::string last_word = tensor.name.substr(tensor.name.rfind('.') + 1);
      const bool later =
          k > 0 && inputs[0].rank() == 4 && inputs[0].shape() != x.shape() && options.names.empty();
      words = x.is_parameter() || kFilterNames.contains(last_word) || later ? "kh kw in out" : "n h w c";
    }
    for (std::size_t at = 0; (at = words.find_first_not_of(" ,", at)) != std::string::npos;) {
      const std::size_t end = std::min(words.find_first_of(" ,", at), words.size());
      tensor.axes.push_back(words.substr(at, end - at));
      at = end;
    }
    if (tensor.axes.empty())
      for (int axis = 0; axis < x.rank(); ++axis) tensor.axes.push_back(fmt::format("axis {}", axis));
    if (static_cast<int>(tensor.axes.size()) != x.rank())
      fail("gradcheck", "options.axes must name each axis, got {} for '{}', which has shape {}",
           tensor.axes.size(), tensor.name, x.shape());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Check::Check(Problem problem, Tensors xs, std::vector<GradcheckTensor> tensors,
             const GradcheckOptions& options)
    : problem_(std::move(problem)),
      xs_(std::move(xs)),
      options_(options),
      tolerance_(options.tolerance.value_or(1e-7)),
      generator_(own_generator(options.seed, Draw::OutputGradients)) {
  options_.tolerance = tolerance_;
  report_.options = options_;
  report_.tensors = std::move(tensors);
}

GradcheckReport Check::run() {
  const Tensors results = problem_.forward(xs_);
  for (const Tensor& y : results) require_float64("the result", y);
  for (const Tensor& y : results) rs_.push_back(random_like(y, generator_));
  for (const Tensor& y : results) second_rs_.push_back(random_like(y, generator_));
  if (!same_bits(results, problem_.forward(xs_)))
    return end(
        GradcheckVerdict::NonDeterministic,
        "the function gives different results for the same inputs: give it a generator that starts at the "
        "same position in every call, and keep it from changing what it reads");
  analytic_ = problem_.backward(xs_, rs_);
  if (!same_bits(analytic_, problem_.backward(xs_, rs_)))
    return end(GradcheckVerdict::NonDeterministic,
               "the gradient differs from call to call for the same inputs");
  if (!all_finite(results))
    return end(GradcheckVerdict::Suspicious,
               "the function itself is NaN or infinite at these inputs: choose others");
  second_analytic_ = problem_.backward(xs_, second_rs_);

  const Prober prober(problem_, xs_, rs_, second_rs_);
  for (std::size_t k = 0; k < xs_.size(); ++k) {
    prepare(k);
    if (options_.mode == GradcheckMode::Direction)
      check_direction(prober, k);
    else
      check_entries(prober, k, entries_to_check(k), report_.tensors[k]);
  }
  if (!same_bits(results, problem_.forward(xs_)))
    return end(
        GradcheckVerdict::NonDeterministic,
        "the function gives other results for the same inputs after it was called with others: it keeps "
        "something from call to call");
  find_nonlinear();
  find_all_hints(prober);
  return judged();
}

GradcheckReport Check::end(GradcheckVerdict verdict, std::string note) {
  report_.verdict = verdict;
  report_.passed = verdict == GradcheckVerdict::Pass;
  report_.note = std::move(note);
  return std::move(report_);
}

GradcheckReport Check::judged() {
  std::string untested;
  for (const GradcheckTensor& tensor : report_.tensors)
    if (tensor.verdict == GradcheckVerdict::Vacuous)
      untested += (untested.empty() ? "'" : ", '") + tensor.name + "'";
  return end(overall(), untested.empty()
                            ? ""
                            : "NOT TESTED: " + untested + " (the gradient is zero, or lost in rounding)");
}

void Check::prepare(std::size_t k) {
  std::vector<double>& steps = steps_.emplace_back(scales(xs_[k]));
  for (double& step : steps) step = options_.step != 0 ? options_.step : step * usual_relative_step();
  GradcheckTensor& tensor = report_.tensors[k];
  tensor.analytic = analytic_[k];
  tensor.numeric = full(xs_[k].shape(), kNaN, DType::Float64);
  for (const double a : analytic_[k].values<double>())
    tensor.largest_gradient = larger(std::abs(a), tensor.largest_gradient);
}

// A backward pass is linear in the output gradient: that of -2 dy is -2 times that of dy. In the second order
// this is asked of the gradients that are differentiated, too.
void Check::find_nonlinear() {
  const auto accuse = [&](std::size_t k) {
    report_.tensors[k].linear = false;
    report_.tensors[k].verdict = GradcheckVerdict::Fail;
  };
  const Tensors found = problem_.backward(xs_, minus_twice(rs_));
  for (std::size_t k = 0; k < xs_.size(); ++k)
    if (!is_minus_twice(found[k], analytic_[k], tolerance_)) accuse(k);
  if (options_.order != 2) return;
  const Tensors before = problem_.forward(xs_);
  Tensors other = xs_;
  other.back() = minus_twice({xs_.back()})[0];
  const Tensors after = problem_.forward(other);
  for (std::size_t k = 0; k < before.size(); ++k)
    if (!is_minus_twice(after[k], before[k], tolerance_)) accuse(k);
}

void Check::find_all_hints(const Prober& prober) {
  std::vector<std::string> result_names;
  for (std::size_t o = 0; o < rs_.size(); ++o)
    result_names.push_back(options_.order == 2 ? fmt::format("gradient of '{}'", report_.tensors[o].name)
                                               : "result");
  const auto failed = [&](std::size_t k) { return report_.tensors[k].verdict == GradcheckVerdict::Fail; };
  if (options_.mode == GradcheckMode::Direction)
    for (std::size_t k = 0; k < xs_.size(); ++k)
      if (failed(k)) sample_for_hints(prober, k);
  for (std::size_t k = 0; k < xs_.size(); ++k)
    if (failed(k))
      report_.tensors[k].hints = find_hints({.problem = problem_,
                                             .prober = prober,
                                             .xs = xs_,
                                             .rs = rs_,
                                             .analytic = analytic_,
                                             .tensors = report_.tensors,
                                             .result_names = result_names,
                                             .k = k,
                                             .steps = steps_[k],
                                             .second_order = options_.order == 2});
}

std::vector<index_t> Check::entries_to_check(std::size_t k) const {
  const index_t size = xs_[k].size();
  std::vector<index_t> all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  return options_.mode == GradcheckMode::EveryEntry || size <= options_.samples ? all : some_entries(k);
}

std::vector<index_t> Check::some_entries(std::size_t k) const {
  const index_t size = xs_[k].size(), count = std::min(size, std::max<index_t>(options_.samples, 2));
  Generator generator = generator_.child(k + 1);
  std::set<index_t> picked = {0, size - 1};
  while (static_cast<index_t>(picked.size()) < count)
    picked.insert(static_cast<index_t>(generator.integer(static_cast<std::uint64_t>(size))));
  return {picked.begin(), picked.end()};
}

void Check::check_entries(const Prober& prober, std::size_t k, const std::vector<index_t>& entries,
                          GradcheckTensor& tensor) {
  const auto analytic = analytic_[k].values<double>(), second = second_analytic_[k].values<double>();
  std::vector<GradcheckEntry> found, again;
  std::vector<std::size_t> doubtful, doubtful_again;
  const std::vector<double> units = scales(xs_[k]);
  const double lost = prober.rounding();
  std::size_t silent = 0;
  for (const index_t i : entries) {
    const auto at = static_cast<std::size_t>(i);
    Line line(xs_[k], {{i, 1.0}});
    Difference d = prober.difference(line, steps_[k][at]);
    found.push_back(entry(d, analytic[at]));
    d.numeric = d.second;
    again.push_back(entry(d, second[at]));
    found.back().index = again.back().index = index_of(i, tensor.shape);
    if (d.touched == 0 && analytic[at] == 0 && second[at] == 0) {
      if (silent < kEnoughSilent && !stays_silent(prober, line, units[at]))
        doubtful.push_back(found.size() - 1), ++silent;
      else if (tensor.largest_gradient > 0 && lost > tolerance_ * tensor.largest_gradient * units[at])
        found.back().behaviour = GradcheckBehaviour::BelowNoise;  // so large a slope would be lost as well
      continue;
    }
    if (!(found.back().error <= tolerance_ * own_size(found.back())))
      doubtful.push_back(found.size() - 1);
    else if (!(again.back().error <= tolerance_ * own_size(again.back())))
      doubtful_again.push_back(found.size() - 1);
  }
  tensor.entries = static_cast<index_t>(entries.size());
  tensor.retried = static_cast<index_t>(doubtful.size());
  judge_entries(prober, k, analytic_, doubtful, found, entries);
  const bool accused = std::ranges::any_of(
      found, [](const GradcheckEntry& e) { return e.behaviour == GradcheckBehaviour::Wrong; });
  if (!accused && !doubtful_again.empty()) {
    // Right for one output gradient. What is wrong for another one takes the entry's place.
    doubtful_again.resize(std::min(doubtful_again.size(), kEnoughAgain));
    const Prober other(problem_, xs_, second_rs_, rs_, prober);
    judge_entries(other, k, second_analytic_, doubtful_again, again, entries);
    for (const std::size_t n : doubtful_again)
      if (again[n].behaviour == GradcheckBehaviour::Wrong) found[n] = again[n];
  }
  double* numeric = tensor.numeric.mutable_data<double>();
  for (std::size_t n = 0; n < found.size(); ++n)
    if (found[n].behaviour != GradcheckBehaviour::Kink && found[n].behaviour != GradcheckBehaviour::Unclear)
      numeric[entries[n]] = found[n].numeric;
  summarize(tensor, std::move(found));
}

void Check::judge_entries(const Prober& prober, std::size_t k, const Tensors& analytic,
                          std::vector<std::size_t> doubtful, std::vector<GradcheckEntry>& found,
                          const std::vector<index_t>& entries) {
  if (doubtful.empty()) return;
  // The largest errors first; NaN before all.
  std::ranges::sort(doubtful, [&](std::size_t a, std::size_t b) {
    const double ea = found[a].error, eb = found[b].error;
    return std::isnan(ea) != std::isnan(eb) ? std::isnan(ea) : ea > eb || (ea == eb && a < b);
  });
  const std::vector<double> units = scales(xs_[k]);
  const double scale = largest_of(analytic[k]);
  const AnalyticNoise& noise = prober.analytic_noise(k);
  index_t proven = 0, unclear = 0;
  for (const std::size_t n : doubtful) {
    GradcheckEntry& e = found[n];
    if (proven >= kEnough) {
      e.behaviour = GradcheckBehaviour::NotJudged;
      continue;
    }
    const auto i = static_cast<std::size_t>(entries[n]);
    Line line(xs_[k], {{entries[n], 1.0}});
    const auto judged = prober.judge(
        line, {.first = e.step,
               .usual = units[i] * usual_relative_step(),
               .analytic = e.analytic,
               .analytic_noise = noise.of_inputs[i],
               .analytic_rounding = noise.of_rounding[i],
               .largest_noise = std::ranges::max(noise.of_inputs),
               .allowed = tolerance_ * std::abs(e.analytic),
               .scale = scale,
               .widely = unclear < kEnough,
               .slope_of = [&](const Tensors& gradients) { return gradients[k].values<double>()[i]; }});
    const std::vector<index_t> index = e.index;
    e = entry(judged.best, e.analytic);
    e.index = index;
    e.behaviour = judged.behaviour;
    proven += e.behaviour == GradcheckBehaviour::Wrong;
    unclear += e.behaviour == GradcheckBehaviour::Unclear || is_untested(e);
  }
}

// x + t d for a random d in units of the entries' own scales.
void Check::check_direction(const Prober& prober, std::size_t k) {
  GradcheckTensor& tensor = report_.tensors[k];
  Generator generator = generator_.child(k + 1);
  const std::vector<double> units = scales(xs_[k]);
  if (units.empty()) return summarize(tensor, {});
  Line::Direction direction;
  for (std::size_t i = 0; i < units.size(); ++i)
    direction.emplace_back(static_cast<index_t>(i), units[i] * generator.normal());
  Line line(xs_[k], direction);
  const double step = options_.step != 0 ? options_.step : usual_relative_step();
  Difference d = prober.difference(line, step);
  tensor.entries = 1;
  GradcheckEntry first = along(prober, k, line, direction, analytic_[k], d);
  if (first.behaviour == GradcheckBehaviour::Wrong) return summarize(tensor, {first});
  d.numeric = d.second;
  const Prober other(problem_, xs_, second_rs_, rs_, prober);
  const GradcheckEntry second = along(other, k, line, direction, second_analytic_[k], d);
  summarize(tensor, {second.behaviour == GradcheckBehaviour::Wrong ? second : first});
}

// The slope along a line against the gradient. d: the first step.
GradcheckEntry Check::along(const Prober& prober, std::size_t k, Line& line, const Line::Direction& direction,
                            const Tensor& gradient, const Difference& d) {
  double squares = 0, noise = 0, rounding = 0;
  const auto slope_along = [&direction](const Tensor& of) {
    double sum = 0;
    for (const auto& [i, move] : direction) sum += of.values<double>()[static_cast<std::size_t>(i)] * move;
    return sum;
  };
  const double slope = slope_along(gradient);
  for (const auto& [i, move] : direction)
    squares += std::pow(gradient.values<double>()[static_cast<std::size_t>(i)] * move, 2);
  // The entries' parts may cancel: their root mean square is the measure.
  const double scale = std::isfinite(squares) ? std::sqrt(squares) : 0;
  GradcheckEntry e = entry(d, slope);
  if (e.error <= tolerance_ * scale) return e;
  const AnalyticNoise& own = prober.analytic_noise(k);
  for (const auto& [i, move] : direction)
    noise += std::abs(own.of_inputs[static_cast<std::size_t>(i)] * move),
        rounding += std::abs(own.of_rounding[static_cast<std::size_t>(i)] * move);
  const auto judged =
      prober.judge(line, {.first = d.step,
                          .usual = usual_relative_step(),
                          .analytic = slope,
                          .analytic_noise = noise,
                          .analytic_rounding = rounding,
                          .largest_noise = noise,
                          .allowed = tolerance_ * scale,
                          .scale = scale,
                          .widely = true,
                          .slope_of = [&](const Tensors& gradients) { return slope_along(gradients[k]); }});
  e = entry(judged.best, slope);
  e.behaviour = judged.behaviour;
  report_.tensors[k].retried = 1;
  return e;
}

// One direction tells that a gradient is wrong, not where: some entries give hints.
void Check::sample_for_hints(const Prober& prober, std::size_t k) {
  GradcheckTensor scratch = report_.tensors[k];
  check_entries(prober, k, some_entries(k), scratch);
  for (GradcheckEntry& e : scratch.worst) report_.tensors[k].worst.push_back(std::move(e));
}

void Check::summarize(GradcheckTensor& tensor, std::vector<GradcheckEntry> found) const {
  bool all_zero = !found.empty(), exactly = true, lost = false;
  tensor.wrong = tensor.kinks = tensor.unclear = tensor.below_noise = tensor.not_judged = 0;
  tensor.largest_error = tensor.largest_relative_error = 0;
  double seen = 0;
  for (const GradcheckEntry& e : found) {
    tensor.wrong += e.behaviour == GradcheckBehaviour::Wrong;
    tensor.kinks += e.behaviour == GradcheckBehaviour::Kink;
    tensor.unclear += e.behaviour == GradcheckBehaviour::Unclear;
    tensor.not_judged += e.behaviour == GradcheckBehaviour::NotJudged;
    tensor.below_noise += is_untested(e);
    const bool nothing = e.numeric == 0 && e.analytic == 0;
    all_zero = all_zero && (is_untested(e) || nothing);
    exactly = exactly && nothing;
    lost = lost || e.behaviour == GradcheckBehaviour::BelowNoise;
    if (is_untested(e)) seen = std::max(seen, std::abs(e.analytic));
    if (e.behaviour == GradcheckBehaviour::Kink) continue;
    tensor.largest_error = larger(e.error, tensor.largest_error);
    if (!is_untested(e) && e.error != 0)
      tensor.largest_relative_error = larger(e.error / own_size(e), tensor.largest_relative_error);
  }
  tensor.verdict = tensor.wrong > 0     ? GradcheckVerdict::Fail
                   : tensor.unclear > 0 ? GradcheckVerdict::Suspicious
                   : tensor.kinks > 0   ? GradcheckVerdict::AtKink
                   : all_zero           ? GradcheckVerdict::Vacuous
                                        : GradcheckVerdict::Pass;
  if (tensor.verdict == GradcheckVerdict::Vacuous)
    tensor.why =
        exactly ? "the function does not change with it, and the gradient is 0"
        : lost
            ? fmt::format(
                  "the gradient is 0 but for rounding, or lost in that of the function or its own: {:.1g} at most",
                  seen)
            : fmt::format("the gradient is 0 but for rounding: {:.1g} at most, where terms cancel", seen);
  const auto rank = [](const GradcheckEntry& e) {
    return e.behaviour == GradcheckBehaviour::Wrong       ? 4
           : e.behaviour == GradcheckBehaviour::Unclear   ? 3
           : e.behaviour == GradcheckBehaviour::NotJudged ? 2
           : e.behaviour == GradcheckBehaviour::Kink      ? 1
                                                          : 0;
  };
  std::ranges::stable_sort(found, [&](const GradcheckEntry& a, const GradcheckEntry& b) {
    if (rank(a) != rank(b)) return rank(a) > rank(b);
    return std::isnan(a.error) != std::isnan(b.error) ? std::isnan(a.error) : a.error > b.error;
  });
  found.resize(std::min<std::size_t>(found.size(), 5));
  tensor.worst = std::move(found);
}

GradcheckVerdict Check::overall() const {
  const bool allowed = options_.allow_untested || options_.order == 2;
  bool passed = false, vacuous = false;
  for (const GradcheckVerdict verdict :
       {GradcheckVerdict::Fail, GradcheckVerdict::Suspicious, GradcheckVerdict::AtKink})
    for (const GradcheckTensor& tensor : report_.tensors)
      if (tensor.verdict == verdict) return verdict;
  for (const GradcheckTensor& tensor : report_.tensors) {
    vacuous = vacuous || tensor.verdict == GradcheckVerdict::Vacuous;
    passed = passed || (tensor.verdict == GradcheckVerdict::Pass && tensor.shape.size() > 0);
  }
  if (!passed) return GradcheckVerdict::Vacuous;
  return vacuous && !allowed ? GradcheckVerdict::Vacuous : GradcheckVerdict::Pass;
}

}  // namespace tapegrad::inline v0::detail
