// The report of a gradient check, for people and for programs.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/json_internal.h"
#include "tapegrad/gradcheck/gradcheck.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kRed = "\033[31m", kGreen = "\033[32m", kYellow = "\033[33m", kBold = "\033[1m";

class Painter {
 public:
  explicit Painter(bool colour) : colour_(colour) {}
  std::string operator()(std::string_view code, std::string_view text) const {
    return colour_ ? fmt::format("{}{}\033[0m", code, text) : std::string(text);
  }

 private:
  bool colour_;
};

std::string_view colour_of(GradcheckVerdict verdict) {
  return verdict == GradcheckVerdict::Pass ? kGreen : verdict == GradcheckVerdict::Fail ? kRed : kYellow;
}

std::string_view explain(GradcheckVerdict verdict) {
  switch (verdict) {
    case GradcheckVerdict::Pass:
      return "passed";
    case GradcheckVerdict::Fail:
      return "FAILED";
    case GradcheckVerdict::Suspicious:
      return "SUSPICIOUS: not all entries could be judged";
    case GradcheckVerdict::Vacuous:
      return "VACUOUS: not everything was tested";
    case GradcheckVerdict::NonDeterministic:
      return "NON-DETERMINISTIC: nothing can be compared";
    case GradcheckVerdict::AtKink:
      return "AT A KINK: some entries sit where there is no derivative; all others are right";
    case GradcheckVerdict::DependentInputs:
      return "DEPENDENT INPUTS: nothing was compared";
  }
  return "";
}

std::string_view explain(GradcheckBehaviour behaviour) {
  switch (behaviour) {
    case GradcheckBehaviour::Right:
      return "right";
    case GradcheckBehaviour::Wrong:
      return "the error is the same at every step: wrong";
    case GradcheckBehaviour::Truncation:
      return "the error shrank with the step: truncation, right";
    case GradcheckBehaviour::Rounding:
      return "the error shrank with a larger step: rounding, right";
    case GradcheckBehaviour::Kink:
      return "the slopes on the two sides differ: a kink";
    case GradcheckBehaviour::Zero:
      return "nothing but rounding";
    case GradcheckBehaviour::BelowNoise:
      return "lost in the rounding of f: not tested";
    case GradcheckBehaviour::Unclear:
      return "no step tells: noise, stairs, or not finite";
    case GradcheckBehaviour::NotJudged:
      return "not judged: enough others are wrong";
  }
  return "";
}

std::string_view text_of(GradcheckMode mode) {
  switch (mode) {
    case GradcheckMode::EveryEntry:
      return "every entry";
    case GradcheckMode::Sample:
      return "a sample of entries";
    case GradcheckMode::Direction:
      return "one direction";
  }
  return "";
}

std::string place_of(const GradcheckEntry& entry, const GradcheckTensor& tensor) {
  if (entry.index.empty()) return tensor.shape.rank() == 0 ? "the only entry" : "a random direction";
  if (tensor.axes[0] == "axis 0") return fmt::format("[{}]", join(entry.index, ", "));  // no words
  std::string text;
  for (std::size_t d = 0; d < entry.index.size(); ++d)
    text += fmt::format("{}{} {}", d == 0 ? "" : ", ", tensor.axes[d], entry.index[d]);
  return text;
}

// What stands at the end of a tensor's line.
std::string status_of(const GradcheckTensor& tensor, double tolerance) {
  std::string text;
  switch (tensor.verdict) {
    case GradcheckVerdict::Pass:
      if (tensor.entries == 0) return "empty";
      text = tensor.largest_relative_error <= tolerance
                 ? "ok"
                 : fmt::format("right to {:.0e}: the rounding of f hides more than that",
                               tensor.largest_relative_error);
      if (tensor.retried > 0) text += fmt::format(" ({} needed other steps)", tensor.retried);
      break;
    case GradcheckVerdict::Fail:
      text = tensor.wrong == 0        ? "WRONG: not linear in the output gradient"
             : tensor.not_judged == 0 ? fmt::format("WRONG in {} of {}", tensor.wrong, tensor.entries)
                                      : fmt::format("WRONG in at least {} of {}; {} more not judged",
                                                    tensor.wrong, tensor.entries, tensor.not_judged);
      break;
    case GradcheckVerdict::Suspicious:
      text = fmt::format("unclear in {} of {}", tensor.unclear, tensor.entries);
      break;
    case GradcheckVerdict::AtKink:
      text = fmt::format("at a kink in {} of {}", tensor.kinks, tensor.entries);
      break;
    case GradcheckVerdict::Vacuous:
      return fmt::format("{}: not tested ({})",
                         tensor.why.find("lost") == std::string::npos ? "all zero" : "zero or lost",
                         tensor.why);
    default:
      return "not compared";
  }
  if (tensor.below_noise == 1) text += "; 1 entry lies below the noise: not tested";
  if (tensor.below_noise > 1)
    text += fmt::format("; {} entries lie below the noise: not tested", tensor.below_noise);
  return text;
}

void write_list(detail::JsonWriter& json, std::string_view key, const auto& values) {
  json.key(key).begin('[');
  for (const auto& value : values) json.value(value);
  json.end();
}

void write(detail::JsonWriter& json, const GradcheckEntry& e) {
  json.begin('{');
  write_list(json, "index", e.index);
  using Numbers = std::initializer_list<std::pair<const char*, double>>;
  for (const auto& [key, value] : Numbers{{"step", e.step},
                                          {"above", e.above},
                                          {"below", e.below},
                                          {"numeric", e.numeric},
                                          {"analytic", e.analytic},
                                          {"error", e.error}})
    json.key(key).value(value);
  json.key("behaviour").value(name(e.behaviour)).end();
}

void write(detail::JsonWriter& json, const GradcheckTensor& t) {
  json.begin('{').key("name").value(t.name);
  write_list(json, "shape", t.shape);
  write_list(json, "axes", t.axes);
  json.key("verdict").value(name(t.verdict));
  using Counts = std::initializer_list<std::pair<const char*, index_t>>;
  for (const auto& [key, value] : Counts{{"entries", t.entries},
                                         {"retried", t.retried},
                                         {"wrong", t.wrong},
                                         {"kinks", t.kinks},
                                         {"unclear", t.unclear},
                                         {"below_noise", t.below_noise},
                                         {"not_judged", t.not_judged}})
    json.key(key).value(value);
  json.key("linear").value(t.linear).key("why").value(t.why);
  json.key("largest_gradient").value(t.largest_gradient).key("largest_error").value(t.largest_error);
  json.key("largest_relative_error").value(t.largest_relative_error);
  json.key("worst").begin('[');
  for (const GradcheckEntry& e : t.worst) write(json, e);
  json.end().key("hints").begin('[');
  for (const GradcheckHint& h : t.hints)
    json.begin('{').key("pattern").value(h.pattern).key("text").value(h.text).end();
  json.end().end();
}

}  // namespace

std::string_view name(GradcheckVerdict verdict) {
  switch (verdict) {
    case GradcheckVerdict::Pass:
      return "pass";
    case GradcheckVerdict::Fail:
      return "fail";
    case GradcheckVerdict::Suspicious:
      return "suspicious";
    case GradcheckVerdict::Vacuous:
      return "vacuous";
    case GradcheckVerdict::NonDeterministic:
      return "non-deterministic";
    case GradcheckVerdict::AtKink:
      return "at a kink";
    case GradcheckVerdict::DependentInputs:
      return "dependent inputs";
  }
  return "";
}

std::string_view name(GradcheckBehaviour behaviour) {
  switch (behaviour) {
    case GradcheckBehaviour::Right:
      return "right";
    case GradcheckBehaviour::Wrong:
      return "wrong";
    case GradcheckBehaviour::Truncation:
      return "truncation";
    case GradcheckBehaviour::Rounding:
      return "rounding";
    case GradcheckBehaviour::Kink:
      return "kink";
    case GradcheckBehaviour::Zero:
      return "zero";
    case GradcheckBehaviour::BelowNoise:
      return "below the noise";
    case GradcheckBehaviour::Unclear:
      return "unclear";
    case GradcheckBehaviour::NotJudged:
      return "not judged";
  }
  return "";
}

std::string GradcheckReport::str(const GradcheckTextOptions& text_options) const {
  const Painter paint(text_options.colour);
  const double tolerance = options.tolerance.value_or(1e-7);
  std::string text =
      paint(kBold, "gradcheck ") + paint(colour_of(verdict), explain(verdict)) +
      fmt::format(" ({} order, {}, tolerance {:g}, seed {})\n", options.order == 2 ? "second" : "first",
                  text_of(options.mode), tolerance, options.seed);
  if (!note.empty()) text += "  " + paint(kBold, note) + "\n";
  if (verdict == GradcheckVerdict::NonDeterministic || verdict == GradcheckVerdict::DependentInputs)
    return text;

  std::size_t names = 5, shapes = 5;
  for (const GradcheckTensor& t : tensors) {
    names = std::max(names, t.name.size());
    shapes = std::max(shapes, t.shape.str().size());
  }
  text += fmt::format("  {:<{}}  {:<{}}  {:>7}  {:>12}  {:>9}  {:>9}\n", "input", names, "shape", shapes,
                      "checked", "largest grad", "abs error", "rel error");
  for (const GradcheckTensor& t : tensors)
    text += fmt::format("  {:<{}}  {:<{}}  {:>7}  {:>12.3e}  {:>9.2e}  {:>9.2e}  {}\n", t.name, names,
                        t.shape.str(), shapes, t.entries, t.largest_gradient, t.largest_error,
                        t.largest_relative_error, paint(colour_of(t.verdict), status_of(t, tolerance)));
  for (const GradcheckTensor& t : tensors) {
    const bool accused = t.verdict == GradcheckVerdict::Fail || t.verdict == GradcheckVerdict::Suspicious ||
                         t.verdict == GradcheckVerdict::AtKink;
    if (!accused) continue;
    text += fmt::format("\n  {}: the worst entries\n", paint(kBold, t.name));
    for (const GradcheckEntry& e : std::span(t.worst).first(std::min<std::size_t>(t.worst.size(), 3))) {
      text += fmt::format("    {}: numeric {:.10g}, analytic {:.10g}\n", paint(kBold, place_of(e, t)),
                          e.numeric, e.analytic);
      text += fmt::format("      f(x + h) = {:.15g}, f(x - h) = {:.15g}, h = {:.3g}; {}\n", e.above, e.below,
                          e.step, explain(e.behaviour));
    }
    for (const GradcheckHint& hint : t.hints) text += paint(kYellow, "  hint: " + hint.text) + "\n";
  }
  return text;
}

std::string GradcheckReport::json() const {
  detail::JsonWriter json;
  json.begin('{').key("verdict").value(tapegrad::name(verdict)).key("passed").value(passed);
  json.key("order").value(options.order).key("mode").value(text_of(options.mode));
  json.key("tolerance").value(options.tolerance.value_or(1e-7)).key("seed").value(options.seed);
  json.key("note").value(note).key("tensors").begin('[');
  for (const GradcheckTensor& t : tensors) write(json, t);
  return json.end().end().text() + "\n";
}

Tensor GradcheckReport::error_map(std::size_t k) const {
  if (k >= tensors.size()) fail("gradcheck", "the report has no input {} (of {})", k, tensors.size());
  const GradcheckTensor& t = tensors[k];
  if (!t.numeric.defined()) fail("gradcheck", "'{}' was not compared, so it has no error map", t.name);
  Tensor map = zeros(t.shape, DType::Float64);
  const double scale = t.largest_gradient > 0 && std::isfinite(t.largest_gradient) ? t.largest_gradient : 1;
  const auto numeric = t.numeric.values<double>(), analytic = t.analytic.values<double>();
  const auto to = map.mutable_values<double>();
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = (numeric[i] - analytic[i]) / scale;
  return map;
}

bool GradcheckReport::has_hint(std::string_view pattern) const {
  for (const GradcheckTensor& t : tensors)
    for (const GradcheckHint& hint : t.hints)
      if (hint.pattern == pattern) return true;
  return false;
}

}  // namespace tapegrad::inline v0
