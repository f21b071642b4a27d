#include "tapegrad/gradcheck/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <list>
#include <numeric>
#include <set>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/gradcheck/hints_internal.h"
#include "tapegrad/gradcheck/probe_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Line;
using detail::Prober;
using detail::Problem;
using detail::Tensors;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// So many entries proven wrong, or unclear, are enough to stop looking closer at the others of a tensor.
constexpr index_t kEnough = 8;

// Random output gradients: all ones would hide a rule that mixes up the entries.
Tensor random_like(const Tensor& x, Generator& generator) {
  return normal(x.shape(), 0, 1, generator, DType::Float64);
}

void require_float64(const std::string& what, const Tensor& x) {
  if (!x.defined()) fail("gradcheck", "{} is a Tensor that was never given a value", what);
  if (!is_floating(x.dtype()))
    fail("gradcheck", "{} is {} {}, which has no gradient: let the function capture it instead", what,
         x.dtype(), x.shape());
  if (x.dtype() != DType::Float64)
    fail("gradcheck",
         "{} is {} {}: differences need Float64; convert with cast(x, DType::Float64), a module with "
         "model.to(DType::Float64)",
         what, x.dtype(), x.shape());
}

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

bool share_memory(const Tensor& a, const Tensor& b) {
  if (TensorAccess::storage(a) != TensorAccess::storage(b)) return false;
  const index_t begin_a = TensorAccess::offset(a), begin_b = TensorAccess::offset(b);
  return begin_a < begin_b + b.size() && begin_b < begin_a + a.size();
}

void require_sensible(const GradcheckOptions& options) {
  const auto not_negative = [](const char* what, double value) {
    if (!(value >= 0 && std::isfinite(value)))
      fail("gradcheck", "options.{} is {}: it must be finite and not negative", what, value);
  };
  not_negative("tolerance", options.tolerance);
  not_negative("step", options.step);
  if (options.samples < 1) fail("gradcheck", "options.samples is {}: at least 1", options.samples);
}

// What stands in the report for each input.
std::vector<GradcheckTensor> describe(const Tensors& inputs, const GradcheckOptions& options) {
  require_sensible(options);
  const auto one_each = [&](const char* what, std::size_t count) {
    if (count != 0 && count != inputs.size())
      fail("gradcheck", "options.{} has {} entries for {} inputs", what, count, inputs.size());
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
      fail("gradcheck", "options.axes names {} axes for '{}', which has shape {}", tensor.axes.size(),
           tensor.name, x.shape());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// One check, from the problem to the report.
class Check {
 public:
  Check(Problem problem, Tensors xs, std::vector<GradcheckTensor> tensors, const GradcheckOptions& options)
      : problem_(std::move(problem)), xs_(std::move(xs)), options_(options), generator_(options.seed) {
    report_.options = options;
    report_.tensors = std::move(tensors);
  }

  GradcheckReport run(bool second_order) {
    const Tensors results = problem_.forward(xs_);
    for (const Tensor& y : results) require_float64("the result", y);
    for (const Tensor& y : results) rs_.push_back(random_like(y, generator_));
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

    const Prober prober(problem_, xs_, rs_);
    std::vector<std::vector<double>> steps;
    for (std::size_t k = 0; k < xs_.size(); ++k) {
      steps.push_back(detail::scales(xs_[k]));
      for (double& step : steps[k])
        step = options_.step != 0 ? options_.step : step * detail::usual_relative_step();
      prepare(k);
      if (options_.mode == GradcheckMode::Direction)
        check_direction(prober, k);
      else
        check_entries(prober, k, steps[k], entries_to_check(k), report_.tensors[k]);
    }
    if (!same_bits(results, problem_.forward(xs_)))
      return end(
          GradcheckVerdict::NonDeterministic,
          "the function gives other results for the same inputs after it was called with others: it keeps "
          "something from call to call");
    std::vector<std::string> result_names;
    for (std::size_t o = 0; o < rs_.size(); ++o)
      result_names.push_back(second_order ? fmt::format("gradient of '{}'", report_.tensors[o].name)
                                          : "result");
    for (std::size_t k = 0; k < xs_.size(); ++k)
      if (report_.tensors[k].verdict == GradcheckVerdict::Fail)
        if (options_.mode == GradcheckMode::Direction) sample_for_hints(prober, k, steps[k]);
    for (std::size_t k = 0; k < xs_.size(); ++k)
      if (report_.tensors[k].verdict == GradcheckVerdict::Fail)
        report_.tensors[k].hints = detail::find_hints({.problem = problem_,
                                                       .prober = prober,
                                                       .xs = xs_,
                                                       .rs = rs_,
                                                       .analytic = analytic_,
                                                       .tensors = report_.tensors,
                                                       .result_names = result_names,
                                                       .k = k,
                                                       .steps = steps[k],
                                                       .second_order = second_order});
    return end(overall(), "");
  }

 private:
  GradcheckReport end(GradcheckVerdict verdict, std::string note) {
    report_.verdict = verdict;
    report_.passed = verdict == GradcheckVerdict::Pass;
    report_.note = std::move(note);
    return std::move(report_);
  }

  void prepare(std::size_t k) {
    GradcheckTensor& tensor = report_.tensors[k];
    tensor.analytic = analytic_[k];
    tensor.numeric = full(xs_[k].shape(), kNaN, DType::Float64);
    for (const double a : analytic_[k].values<double>())
      if (!(std::abs(a) <= tensor.largest_gradient)) tensor.largest_gradient = std::abs(a);
  }

  std::vector<index_t> entries_to_check(std::size_t k) const {
    const index_t size = xs_[k].size();
    std::vector<index_t> all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    return options_.mode == GradcheckMode::EveryEntry || size <= options_.samples ? all : some_entries(k);
  }

  std::vector<index_t> some_entries(std::size_t k) const {
    const index_t size = xs_[k].size(), count = std::min(size, std::max<index_t>(options_.samples, 2));
    Generator generator = generator_.child(k + 1);
    std::set<index_t> picked = {0, size - 1};
    while (static_cast<index_t>(picked.size()) < count)
      picked.insert(static_cast<index_t>(generator.below(static_cast<std::uint64_t>(size))));
    return {picked.begin(), picked.end()};
  }

  void check_entries(const Prober& prober, std::size_t k, const std::vector<double>& steps,
                     const std::vector<index_t>& entries, GradcheckTensor& tensor) {
    const auto analytic = analytic_[k].values<double>();
    double scale = 0;
    for (const double a : analytic)
      if (std::isfinite(a)) scale = std::max(scale, std::abs(a));
    const double allowed = options_.tolerance * scale;

    std::vector<GradcheckEntry> found;
    std::vector<std::size_t> doubtful;
    for (const index_t i : entries) {
      Line line(xs_[k], {{i, 1.0}});
      const auto d = prober.difference(line, steps[static_cast<std::size_t>(i)]);
      found.push_back(entry(d, analytic[static_cast<std::size_t>(i)]));
      found.back().index = detail::index_of(i, tensor.shape);
      if (!(found.back().error <= allowed)) doubtful.push_back(found.size() - 1);
    }
    // The largest errors first; NaN before all.
    std::ranges::sort(doubtful, [&](std::size_t a, std::size_t b) {
      const double ea = found[a].error, eb = found[b].error;
      return std::isnan(ea) != std::isnan(eb) ? std::isnan(ea) : ea > eb || (ea == eb && a < b);
    });
    const std::vector<double> units = detail::scales(xs_[k]);
    index_t proven = 0, unclear = 0;
    for (const std::size_t n : doubtful) {
      GradcheckEntry& e = found[n];
      const index_t i = entries[n];
      if (proven >= kEnough) {
        e.behaviour = GradcheckBehaviour::Wrong;
        continue;
      }
      Line line(xs_[k], {{i, 1.0}});
      const auto judged =
          prober.judge(line, e.step, units[static_cast<std::size_t>(i)] * detail::usual_relative_step(),
                       e.analytic, allowed, scale, unclear < kEnough);
      const std::vector<index_t> index = e.index;
      e = entry(judged.best, e.analytic);
      e.index = index;
      e.behaviour = judged.behaviour;
      proven += e.behaviour == GradcheckBehaviour::Wrong;
      unclear += e.behaviour == GradcheckBehaviour::Unclear || e.behaviour == GradcheckBehaviour::Zero;
    }
    double* numeric = tensor.numeric.mutable_data<double>();
    for (std::size_t n = 0; n < found.size(); ++n)
      if (found[n].behaviour != GradcheckBehaviour::Kink && found[n].behaviour != GradcheckBehaviour::Unclear)
        numeric[entries[n]] = found[n].numeric;
    tensor.entries = static_cast<index_t>(entries.size());
    tensor.retried = static_cast<index_t>(doubtful.size());
    summarize(tensor, std::move(found), scale);
  }

  // x + t d for a random d in units of the entries' own scales.
  void check_direction(const Prober& prober, std::size_t k) {
    GradcheckTensor& tensor = report_.tensors[k];
    Generator generator = generator_.child(k + 1);
    const std::vector<double> units = detail::scales(xs_[k]);
    const auto analytic = analytic_[k].values<double>();
    Line::Direction direction;
    double slope = 0, squares = 0;
    for (std::size_t i = 0; i < units.size(); ++i) {
      direction.emplace_back(static_cast<index_t>(i), units[i] * generator.normal());
      slope += analytic[i] * direction[i].second;
      squares += std::pow(analytic[i] * direction[i].second, 2);
    }
    const double scale = std::isfinite(squares) ? std::sqrt(squares) : 0;
    const double allowed = options_.tolerance * scale;
    if (units.empty()) return summarize(tensor, {}, 0);
    Line line(xs_[k], std::move(direction));
    const double usual = detail::usual_relative_step();
    const auto d = prober.difference(line, options_.step != 0 ? options_.step : usual);
    GradcheckEntry e = entry(d, slope);
    tensor.entries = 1;
    if (!(e.error <= allowed)) {
      const auto judged = prober.judge(line, d.step, usual, slope, allowed, scale, true);
      e = entry(judged.best, slope);
      e.behaviour = judged.behaviour;
      tensor.retried = 1;
    }
    summarize(tensor, {e}, scale);
  }

  // One direction tells that a gradient is wrong, not where: some entries give hints.
  void sample_for_hints(const Prober& prober, std::size_t k, const std::vector<double>& steps) {
    GradcheckTensor scratch = report_.tensors[k];
    check_entries(prober, k, steps, some_entries(k), scratch);
    for (GradcheckEntry& e : scratch.worst) report_.tensors[k].worst.push_back(std::move(e));
  }

  static GradcheckEntry entry(const detail::Difference& d, double analytic) {
    return {.step = d.step,
            .above = d.above,
            .below = d.below,
            .numeric = d.numeric,
            .analytic = analytic,
            .error = std::abs(d.numeric - analytic)};
  }

  static void summarize(GradcheckTensor& tensor, std::vector<GradcheckEntry> found, double scale) {
    bool all_zero = true;
    double largest = scale;
    tensor.wrong = tensor.kinks = tensor.unclear = 0;
    tensor.largest_error = 0;
    for (const GradcheckEntry& e : found) {
      tensor.wrong += e.behaviour == GradcheckBehaviour::Wrong;
      tensor.kinks += e.behaviour == GradcheckBehaviour::Kink;
      tensor.unclear += e.behaviour == GradcheckBehaviour::Unclear;
      const bool zero = e.behaviour == GradcheckBehaviour::Zero || (e.numeric == 0 && e.analytic == 0);
      all_zero = all_zero && zero;
      if (e.behaviour == GradcheckBehaviour::Kink) continue;
      if (!(e.error <= tensor.largest_error)) tensor.largest_error = e.error;  // NaN is the largest
      if (!zero && std::isfinite(e.numeric)) largest = std::max(largest, std::abs(e.numeric));
    }
    tensor.largest_relative_error =
        tensor.largest_error == 0 || largest == 0 ? 0 : tensor.largest_error / largest;
    tensor.verdict = tensor.wrong > 0     ? GradcheckVerdict::Fail
                     : tensor.unclear > 0 ? GradcheckVerdict::Suspicious
                     : tensor.kinks > 0   ? GradcheckVerdict::AtKink
                     : all_zero           ? GradcheckVerdict::Vacuous
                                          : GradcheckVerdict::Pass;
    const auto rank = [](const GradcheckEntry& e) {
      return e.behaviour == GradcheckBehaviour::Wrong     ? 3
             : e.behaviour == GradcheckBehaviour::Unclear ? 2
             : e.behaviour == GradcheckBehaviour::Kink    ? 1
                                                          : 0;
    };
    std::ranges::stable_sort(found, [&](const GradcheckEntry& a, const GradcheckEntry& b) {
      if (rank(a) != rank(b)) return rank(a) > rank(b);
      return std::isnan(a.error) != std::isnan(b.error) ? std::isnan(a.error) : a.error > b.error;
    });
    found.resize(std::min<std::size_t>(found.size(), 5));
    tensor.worst = std::move(found);
  }

  GradcheckVerdict overall() const {
    for (const GradcheckVerdict verdict : {GradcheckVerdict::Fail, GradcheckVerdict::Suspicious,
                                           GradcheckVerdict::AtKink, GradcheckVerdict::Pass})
      for (const GradcheckTensor& tensor : report_.tensors)
        if (tensor.verdict == verdict) return verdict;
    return GradcheckVerdict::Vacuous;
  }

  const Problem problem_;
  Tensors xs_, rs_, analytic_;
  GradcheckOptions options_;
  Generator generator_;
  GradcheckReport report_;
};

// Everything up to the first call of f: the inputs to work on, or a report that there are none.
struct Start {
  Tensors xs;
  std::vector<GradcheckTensor> tensors;
  std::string dependent;
};

Start start(const Tensors& inputs, const GradcheckOptions& options) {
  Start made{.xs = {}, .tensors = describe(inputs, options), .dependent = {}};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    for (std::size_t m = 0; m < k; ++m)
      if (share_memory(inputs[m], x) && x.size() > 0 && made.dependent.empty())
        made.dependent = fmt::format(
            "'{}' and '{}' share memory, so neither can change alone: pass copies, or one of them",
            made.tensors[m].name, made.tensors[k].name);
    made.xs.push_back(x.is_parameter() ? x : TensorAccess::clone(x));
  }
  return made;
}

GradcheckReport refused(Start begun, const GradcheckOptions& options) {
  return {.verdict = GradcheckVerdict::DependentInputs,
          .tensors = std::move(begun.tensors),
          .options = options,
          .note = std::move(begun.dependent)};
}

Tensors watch_all(Tape& tape, const Tensors& xs) {
  Tensors watched;
  for (const Tensor& x : xs) watched.push_back(x.is_parameter() ? x : tape.watch(x));
  return watched;
}

Problem of_function(const TensorFunction& f) {
  return {.forward = [&f](const Tensors& xs) { return Tensors{f(xs)}; },
          .backward =
              [&f](const Tensors& xs, const Tensors& rs) {
                Tape tape;
                const Tensors watched = watch_all(tape, xs);
                return tape.gradient(f(watched), watched,
                                     {.zeros_for_unreached = true, .output_gradient = rs[0]});
              }};
}

// The gradients of f as functions of its inputs and, the last of xs, of the output gradient.
Problem of_gradients(const TensorFunction& f) {
  const auto gradients = [&f](Tape& tape, const Tensors& xs, bool create_graph) -> Tensors {
    const Tensors inputs(xs.begin(), xs.end() - 1);
    return tape.gradient(
        f(inputs), inputs,
        {.create_graph = create_graph, .zeros_for_unreached = true, .output_gradient = xs.back()});
  };
  return {.forward =
              [gradients](const Tensors& xs) {
                Tape tape;
                return gradients(tape, watch_all(tape, xs), false);
              },
          .backward =
              [gradients](const Tensors& xs, const Tensors& rs) {
                Tape tape;
                const Tensors watched = watch_all(tape, xs);
                const Tensors found = gradients(tape, watched, true);
                Tensor total = zeros({}, DType::Float64);
                for (std::size_t k = 0; k < found.size(); ++k) total = total + sum(rs[k] * found[k]);
                return tape.gradient(total, watched, {.zeros_for_unreached = true});
              }};
}

}  // namespace

GradcheckReport gradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options) {
  if (options.order == 2) return gradcheck_second_order(f, inputs, options);
  if (options.order != 1) fail("gradcheck", "options.order is {}: 1 or 2", options.order);
  const NoGrad no_grad;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), options);
  return Check(of_function(f), std::move(begun.xs), std::move(begun.tensors), options).run(false);
}

GradcheckReport gradcheck_second_order(const TensorFunction& f, const Tensors& inputs,
                                       const GradcheckOptions& options) {
  const NoGrad no_grad;
  GradcheckOptions second = options;
  second.order = 2;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), second);
  const Tensor y = f(begun.xs);
  require_float64("the result", y);
  Generator generator(options.seed, 2);
  begun.xs.push_back(random_like(y, generator));
  GradcheckTensor output{.name = "output gradient", .shape = y.shape()};
  for (int axis = 0; axis < y.rank(); ++axis) output.axes.push_back(fmt::format("axis {}", axis));
  begun.tensors.push_back(std::move(output));
  return Check(of_gradients(f), std::move(begun.xs), std::move(begun.tensors), second).run(true);
}

// A parameter that f uses but the state does not show would not be checked: visit() forgot it, or a lambda holds it.
static void require_all_shown(const std::function<Tensor()>& f, const Tensors& parameters) {
  const NoGrad no_grad;
  const Tape tape;
  (void)f();
  for (const Tensor& used : tape.parameters())
    if (std::ranges::none_of(parameters, [&](const Tensor& p) { return share_memory(p, used); }))
      fail(
          "gradcheck",
          "the function uses a parameter of shape {} that the state does not show, so it would not be checked: is it "
          "missing in visit()? If it is not to be checked, freeze it (stop_gradient)",
          used.shape());
}

GradcheckReport gradcheck_parameters(const std::function<Tensor()>& f, const State& state,
                                     const GradcheckOptions& options) {
  GradcheckOptions named = options;
  named.names.clear();
  Tensors parameters, others;
  for (const auto& [path, tensor] : state.tensors) {
    if (!tensor.is_parameter()) {
      if (tensor.defined() && tensor.dtype() == DType::Float64) others.push_back(tensor);
      continue;
    }
    // Tied weights are one parameter with several names.
    if (std::ranges::any_of(parameters, [&t = tensor](const Tensor& p) { return share_memory(p, t); }))
      continue;
    named.names.push_back(path);
    parameters.push_back(tensor);
  }
  if (parameters.empty())
    fail("gradcheck",
         "the state has no parameters (of {} tensors): give it the tensors of the module themselves, "
         "model.state_view(), not the copies that are in model.state()",
         state.tensors.size());
  std::list<detail::Restored> restored;  // statistics that f updates in every call
  for (Tensor& x : others) restored.emplace_back(x);
  const bool checkable =
      std::ranges::all_of(parameters, [](const Tensor& p) { return p.dtype() == DType::Float64; });
  if (checkable) require_all_shown(f, parameters);  // otherwise gradcheck() says what is wrong
  return gradcheck([&f](const Tensors&) { return f(); }, parameters, named);
}

GradcheckReport gradcheck_backward(const TensorFunction& forward, const BackwardFunction& backward,
                                   const Tensors& inputs, const GradcheckOptions& options) {
  if (options.order != 1)
    fail("gradcheck", "a backward pass written by hand can be checked in the first order only");
  const NoGrad no_grad;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), options);
  const auto gradients = [&](const Tensors& xs, const Tensors& rs) {
    Tensors copies;  // whatever backward does with them
    for (const Tensor& x : xs) copies.push_back(TensorAccess::clone(x));
    Tensors found = backward(copies, forward(xs), TensorAccess::clone(rs[0]));
    if (found.size() != xs.size())
      fail("gradcheck", "the backward pass returned {} gradients for {} inputs", found.size(), xs.size());
    for (std::size_t k = 0; k < xs.size(); ++k) {
      if (!found[k].defined())
        fail("gradcheck", "the backward pass returned no gradient for '{}'", begun.tensors[k].name);
      if (found[k].shape() != xs[k].shape() || found[k].dtype() != xs[k].dtype())
        fail("gradcheck", "the backward pass returned a gradient of {} {} for '{}', which is {} {}",
             found[k].dtype(), found[k].shape(), begun.tensors[k].name, xs[k].dtype(), xs[k].shape());
      found[k] = TensorAccess::clone(found[k]);
    }
    return found;
  };
  const Problem problem{.forward = [&](const Tensors& xs) { return Tensors{forward(xs)}; },
                        .backward = gradients};
  return Check(problem, begun.xs, begun.tensors, options).run(false);
}

GradcheckReport gradcheck_adjoint(const std::function<Tensor(const Tensor&)>& a,
                                  const std::function<Tensor(const Tensor&)>& a_transposed,
                                  const Shape& input_shape, const GradcheckOptions& options) {
  if (options.order != 1) fail("gradcheck", "an adjoint is checked in the first order only");
  const NoGrad no_grad;
  Generator generator(options.seed, 3);
  const Tensor x = normal(input_shape, 0, 1, generator, DType::Float64);
  const Tensor ax = a(x);
  require_float64("the result", ax);
  const Tensor y = random_like(ax, generator);
  const Tensor aty = a_transposed(y);
  require_float64("the transposed function's result", aty);
  if (aty.shape() != input_shape)
    fail("gradcheck", "the transposed function makes {} from {}, but the function takes {}", aty.shape(),
         y.shape(), input_shape);
  // Linear, to begin with: A(x + 2 x') = A x + 2 A x'.
  const Tensor other = random_like(x, generator);
  const Tensor together = a(x + 2.0 * other), apart = ax + 2.0 * a(other);
  const double curved = sum(abs(together - apart)).item(),
               size = sum(abs(together)).item() + sum(abs(apart)).item();

  const double left = sum(ax * y).item(), right = sum(x * aty).item();
  const double scale = sum(abs(ax * y)).item() + sum(abs(x * aty)).item();
  GradcheckReport report{.options = options};
  report.tensors = describe({x}, options);
  GradcheckTensor& tensor = report.tensors[0];
  tensor.entries = 1;
  tensor.largest_error = std::abs(left - right);
  tensor.largest_relative_error = scale > 0 ? tensor.largest_error / scale : 0;
  tensor.analytic = aty;
  tensor.numeric = full(input_shape, kNaN, DType::Float64);
  tensor.largest_gradient = scale;
  if (!(curved <= options.tolerance * size)) {
    report.note = fmt::format(
        "the function is not linear: A(x + 2x') differs from Ax + 2Ax' by {:.3g} (of {:.3g})", curved, size);
    tensor.verdict = report.verdict = GradcheckVerdict::Fail;
  } else if (!(tensor.largest_error <= options.tolerance * scale)) {
    GradcheckOptions exact = options;
    if (exact.step == 0) exact.step = 1;
    report = gradcheck_backward(
        [&](const Tensors& xs) { return a(xs[0]); },
        [&](const Tensors&, const Tensor&, const Tensor& dy) { return Tensors{a_transposed(dy)}; }, {x},
        exact);
    report.passed = false;
    if (report.verdict == GradcheckVerdict::Pass) report.verdict = GradcheckVerdict::Suspicious;
  } else {
    tensor.verdict = report.verdict = scale == 0 ? GradcheckVerdict::Vacuous : GradcheckVerdict::Pass;
    report.passed = report.verdict == GradcheckVerdict::Pass;
  }
  const std::string products = fmt::format("<Ax, y> = {:.15g}, <x, A^T y> = {:.15g}", left, right);
  report.note = report.note.empty() ? products : report.note + "; " + products;
  return report;
}

}  // namespace tapegrad::inline v0
