#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include "common/exercise.h"

namespace exercises {
namespace {

struct NotWritten {};
struct Failed {
  Finding finding;
};

constexpr double kCourseTolerance = 1e-2;  // minitorch: rtol = atol = 1e-2
constexpr double kMeansTolerance = 1e-6;
constexpr std::ptrdiff_t kMostHints = 2;

double mean_of(const Tensor& t) {
  const auto values = t.values<double>();
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(std::max<index_t>(t.size(), 1));
}

/// Whether a weak check takes these for the same. NaN is never right.
bool close_enough(Rigour rigour, const Tensor& got, const Tensor& expected, double tolerance) {
  if (rigour == Rigour::Means) {
    const double a = mean_of(got), b = mean_of(expected);
    return std::abs(a - b) <= kMeansTolerance * std::max(1.0, std::abs(b));
  }
  const auto a = got.values<double>(), b = expected.values<double>();
  double largest = 0;
  for (const double v : b) largest = std::max(largest, std::abs(v));
  for (std::size_t k = 0; k < a.size(); ++k) {
    const double allowed = rigour == Rigour::Loose ? kCourseTolerance * (1 + std::abs(b[k]))
                                                   : tolerance * std::max(largest, 1e-300);
    if (!(std::abs(a[k] - b[k]) <= allowed)) return false;
  }
  return true;
}

std::vector<std::string> words_of(const std::string& text, int rank) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (static_cast<int>(words.size()) != rank) {
    words.clear();
    for (int d = 0; d < rank; ++d) words.push_back(fmt::format("axis {}", d));
  }
  return words;
}

std::string place_of(const std::vector<index_t>& index) {
  return index.empty() ? "" : fmt::format("[{}]", fmt::join(index, ", "));
}

/// What gradcheck knows about a tensor that is wrong: the tensor is taken for the gradient of z -> sum(z * expected).
std::vector<std::string> general_hints(std::string_view name, const Tensor& got, const Tensor& expected,
                                       const std::string& axes) {
  if (expected.size() == 0 || expected.rank() == 0) return {};
  tg::GradcheckOptions options{
      .tolerance = 1e-9, .step = 1, .names = {std::string(name)}, .allow_untested = true};
  if (!axes.empty()) options.axes = {axes};
  const tg::GradcheckReport report = tg::gradcheck_backward(
      [&](const Tensors& z) { return tg::sum(z[0] * expected); },
      [&](const Tensors&, const Tensor&, const Tensor& dy) { return Tensors{got * dy.item()}; },
      {tg::ones(expected.shape(), tg::DType::Float64)}, options);
  std::vector<std::string> hints;
  for (const tg::GradcheckHint& hint : report.tensors[0].hints) {
    constexpr std::array known = {"sign",    "ratio",  "rotated",   "flipped", "axes", "channels",
                                  "shifted", "border", "unwritten", "place",   "zero"};
    if (std::ranges::find(known, hint.pattern) == known.end()) continue;
    std::string text =
        hint.pattern == "zero" ? "the gradient is zero everywhere: it is never written" : hint.text;
    for (std::size_t at; (at = text.find("the gradient")) != std::string::npos;) text.replace(at, 12, name);
    hints.push_back(text);
  }
  return hints;
}

std::string shape_text(std::string_view name, const Tensor& got, const Shape& expected) {
  return fmt::format("{} has the shape {}, and must have {}", name, got.shape().str(), expected.str());
}

/// The gradient of sum(dy * f) by central differences, for weak checks.
Tensor numeric_gradient(const tg::TensorFunction& f, const Tensors& inputs, std::size_t k, const Tensor& dy,
                        double step) {
  Tensors xs;
  for (const Tensor& x : inputs) xs.push_back(tg::copy(x));
  Tensor gradient = new_tensor(xs[k].shape());
  const auto value = [&] { return tg::sum(f(xs) * dy).item(); };
  for (index_t e = 0; e < xs[k].size(); ++e) {
    double& entry = xs[k].mutable_values<double>()[static_cast<std::size_t>(e)];
    const double before = entry;
    entry = before + step;
    const double above = value();
    xs[k].mutable_values<double>()[static_cast<std::size_t>(e)] = before - step;
    const double below = value();
    xs[k].mutable_values<double>()[static_cast<std::size_t>(e)] = before;
    gradient.mutable_values<double>()[static_cast<std::size_t>(e)] = (above - below) / (2 * step);
  }
  return gradient;
}

bool contains(const std::vector<std::size_t>& list, std::size_t k) {
  return std::ranges::find(list, k) != list.end();
}

/// Whether this is what a known mistake gives. A mistake that cannot be made with these sizes throws, and is not it.
bool is(const Tensor& got, const std::function<Tensor()>& mistake) {
  try {
    const Tensor wrong = mistake();
    return wrong.shape() == got.shape() && close_enough(Rigour::Strict, got, wrong, 1e-9);
  } catch (const tg::Error&) {
    return false;
  }
}

/// Fails unless there is one gradient for each input, with its shape.
void check_form(const Tensors& got, const Tensors& inputs, const tg::GradcheckOptions& options,
                const std::function<std::vector<std::string>(std::size_t)>& known) {
  if (got.size() != inputs.size())
    throw Failed{{.text = fmt::format("{} gradients must be returned, one for each input, got {}",
                                      inputs.size(), got.size())}};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const std::string name = k < options.names.size() ? options.names[k] : fmt::format("input {}", k);
    if (!got[k].defined())
      throw Failed{
          {.text = fmt::format("d{} is a Tensor without a value: return what new_tensor() gave", name),
           .tensors = {"d" + name}}};
    if (got[k].dtype() != tg::DType::Float64)
      throw Failed{{.text = fmt::format("d{} is {}, and must be Float64: make it with new_tensor()", name,
                                        tg::to_string(got[k].dtype())),
                    .tensors = {"d" + name}}};
    if (got[k].shape() != inputs[k].shape())
      throw Failed{{.text = fmt::format("d{} has the shape {}, and must have {}, that of {}", name,
                                        got[k].shape().str(), inputs[k].shape().str(), name),
                    .tensors = {"d" + name},
                    .hints = known(k)}};
  }
}

}  // namespace

Tensor new_tensor(const Shape& shape) {
  return tg::zeros(shape, tg::DType::Float64);
}

void add_to(Tensor& t, std::initializer_list<index_t> index, double value) {
  t.set(index, t.at(index) + value);
}

void not_written() {
  throw NotWritten{};
}

std::string_view name(Rigour rigour) {
  switch (rigour) {
    case Rigour::Strict:
      return "gradcheck";
    case Rigour::OnesGradient:
      return "an all-ones output gradient";
    case Rigour::Loose:
      return "rtol = atol = 1e-2";
    case Rigour::Means:
      return "comparison of means";
  }
  return "";
}

void Check::part(std::string_view function, std::string_view look_next, const std::function<void()>& body) {
  context_.clear();
  passed_ = 0;
  Part part{.function = std::string(function)};
  const auto failed = [&](Finding finding) {
    part.status = Part::Status::Failed;
    part.finding = std::move(finding);
    part.context = context_;
    part.look_next = look_next;
  };
  try {
    body();
  } catch (const NotWritten&) {
    part.status = Part::Status::NotWritten;
    part.look_next = look_next;
  } catch (Failed& failure) {
    failed(std::move(failure.finding));
  } catch (const std::exception& error) {
    Finding finding{.text = fmt::format("{}() ends with an error: {}", function, error.what()),
                    .tensors = {part.function}};
    if (finding.text.find("is out of bounds") != std::string::npos)
      finding.hints = {
          "an index is too large for its axis: are two axes exchanged, or does a loop go too far?"};
    failed(std::move(finding));
  }
  part.checks = passed_;
  parts_.push_back(std::move(part));
}

bool Check::passed() const {
  return std::ranges::all_of(parts_, [](const Part& p) { return p.status == Part::Status::Passed; });
}

void Check::fail(Finding finding) {
  throw Failed{std::move(finding)};
}

Tensor Check::draw(const Shape& shape, double mean, double standard_deviation) {
  tg::Generator generator(20, ++drawn_);
  return tg::normal(shape, mean, standard_deviation, generator, tg::DType::Float64);
}

void Check::compare(std::string_view tensor, const Tensor& got, const Tensor& expected,
                    const CompareOptions& options) {
  const auto refuse = [&](std::string text) {
    Finding finding{.text = std::move(text), .tensors = {std::string(tensor)}};
    for (const Explanation& e : options.explanations) {
      if (!got.defined() || got.dtype() != tg::DType::Float64) break;
      if (is(got, e.wrong)) finding.hints.push_back(e.text);
    }
    fail(std::move(finding));
  };
  if (!got.defined())
    refuse(fmt::format("{} is a Tensor without a value: return what new_tensor() gave", tensor));
  if (got.dtype() != tg::DType::Float64)
    refuse(fmt::format("{} is {}, and must be Float64: make it with new_tensor()", tensor,
                       tg::to_string(got.dtype())));
  if (got.shape() != expected.shape()) refuse(shape_text(tensor, got, expected.shape()));
  const bool right = rigour_ == Rigour::Loose || rigour_ == Rigour::Means
                         ? close_enough(rigour_, got, expected, 0)
                         : close_enough(Rigour::Strict, got, expected, options.tolerance);
  if (!right) differ(tensor, got, expected, options);
  ++passed_;
}

void Check::differ(std::string_view tensor, const Tensor& got, const Tensor& expected,
                   const CompareOptions& options) {
  const auto a = got.values<double>(), b = expected.values<double>();
  const std::vector<std::string> axes = words_of(options.axes, expected.rank());
  double largest = 0;
  for (const double v : b) largest = std::max(largest, std::abs(v));
  std::vector<std::size_t> wrong;
  for (std::size_t k = 0; k < a.size(); ++k)
    if (!(std::abs(a[k] - b[k]) <= options.tolerance * largest)) wrong.push_back(k);
  Finding finding{.tensors = {std::string(tensor)}};
  finding.text = fmt::format("{} {} is wrong in {} of {} entries", tensor, expected.shape().str(),
                             wrong.size(), a.size());
  if (expected.rank() > 0) finding.text += fmt::format(" (axes: {})", fmt::join(axes, ", "));
  for (std::size_t k = 0; k < std::min<std::size_t>(wrong.size(), 3); ++k)
    finding.text += fmt::format("\n  {}{} is {:.10g} and must be {:.10g}", tensor,
                                place_of(expected.shape().position(static_cast<index_t>(wrong[k]))),
                                a[wrong[k]], b[wrong[k]]);
  if (wrong.size() > 3) finding.text += "\n  ...";
  Tensor error = new_tensor(expected.shape());
  for (std::size_t k = 0; k < a.size(); ++k)
    error.mutable_values<double>()[k] = (b[k] - a[k]) / (largest > 0 ? largest : 1);
  finding.maps.push_back({std::string(tensor), options.axes, error});
  for (const Explanation& e : options.explanations) {
    if (is(got, e.wrong)) finding.hints.push_back(e.text);
  }
  if (finding.hints.empty()) finding.hints = general_hints(tensor, got, expected, options.axes);
  fail(std::move(finding));
}

void Check::number(std::string_view what, double got, double expected, double tolerance,
                   const std::vector<std::pair<double, std::string>>& explanations) {
  if (rigour_ == Rigour::Loose) tolerance = kCourseTolerance * (1 + 1 / std::max(std::abs(expected), 1e-300));
  const auto is = [&](double value, double relative) {
    return std::abs(got - value) <= relative * std::max(std::abs(value), 1e-300);
  };
  if (is(expected, tolerance) || got == expected) {
    ++passed_;
    return;
  }
  Finding finding{.text = fmt::format("{} is {:.12g} and must be {:.12g}", what, got, expected),
                  .tensors = {std::string(what)}};
  for (const auto& [value, text] : explanations)
    if (is(value, std::max(tolerance, 1e-12)) || got == value) finding.hints.push_back(text);
  if (finding.hints.empty() && is(-expected, tolerance)) finding.hints.push_back("the sign is wrong");
  fail(std::move(finding));
}

void Check::expect(bool holds, std::string_view text, std::string_view hint) {
  if (holds) {
    ++passed_;
    return;
  }
  Finding finding{.text = std::string(text)};
  if (!hint.empty()) finding.hints.emplace_back(hint);
  fail(std::move(finding));
}

void Check::backward(const tg::TensorFunction& forward, const tg::BackwardFunction& backward,
                     const Tensors& inputs, const tg::GradcheckOptions& options,
                     const std::vector<GradientExplanation>& explanations,
                     const std::vector<std::size_t>& given) {
  if (rigour_ != Rigour::Strict) {
    weak_backward(forward, backward, inputs, options, given);
    return;
  }
  const Tensor y = forward(inputs), dy = draw(y.shape());
  const Tensors got = backward(inputs, y, dy);
  const auto known = [&](std::size_t k) {  // the explanations of what was got for input k
    std::vector<std::string> texts;
    for (const GradientExplanation& e : explanations) {
      if (e.input != k || got[k].dtype() != tg::DType::Float64) continue;
      if (is(got[k], [&] { return e.wrong(inputs, y, dy); })) texts.push_back(e.text);
    }
    return texts;
  };
  check_form(got, inputs, options, known);
  tg::GradcheckReport report = tg::gradcheck_backward(forward, backward, inputs, options);
  if (report.passed) {
    ++passed_;
    return;
  }
  // What the exercise knows about its own mistakes stands in the place of gradcheck's more general hints.
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const std::vector<std::string> texts = known(k);
    if (report.tensors[k].verdict == tg::GradcheckVerdict::Pass || texts.empty()) continue;
    report.tensors[k].hints.clear();
    for (const std::string& text : texts) report.tensors[k].hints.push_back({"exercise", text});
  }
  for (tg::GradcheckTensor& t : report.tensors)  // the first ones say most; more is a wall
    if (std::ssize(t.hints) > kMostHints) t.hints.erase(t.hints.begin() + kMostHints, t.hints.end());
  for (std::size_t k = inputs.size(); k-- > 0;)
    if (contains(given, k)) report.tensors.erase(report.tensors.begin() + static_cast<std::ptrdiff_t>(k));
  Finding finding{.report = report};
  std::vector<std::string> right;
  for (std::size_t k = 0; k < report.tensors.size(); ++k) {
    const tg::GradcheckTensor& t = report.tensors[k];
    if (t.verdict == tg::GradcheckVerdict::Pass) {
      right.push_back("d" + t.name);
      continue;
    }
    finding.tensors.push_back("d" + t.name);
    for (const tg::GradcheckHint& hint : t.hints) finding.hints.push_back(hint.text);
    if (t.numeric.defined())
      finding.maps.push_back({"d" + t.name, fmt::format("{}", fmt::join(t.axes, " ")), report.error_map(k)});
  }
  finding.text = fmt::format("{} {} wrong", fmt::join(finding.tensors, " and "),
                             finding.tensors.size() == 1 ? "is" : "are");
  if (!right.empty())
    finding.text += fmt::format("; {} {} right", fmt::join(right, " and "), right.size() == 1 ? "is" : "are");
  finding.text += "\nnumeric: from differences of the forward pass. analytic: what your function returned";
  fail(std::move(finding));
}

void Check::weak_backward(const tg::TensorFunction& forward, const tg::BackwardFunction& backward,
                          const Tensors& inputs, const tg::GradcheckOptions& options,
                          const std::vector<std::size_t>& given) {
  const Tensor y = forward(inputs);
  const Tensor dy =
      rigour_ == Rigour::OnesGradient ? tg::ones(y.shape(), tg::DType::Float64) : draw(y.shape());
  const Tensors got = backward(inputs, y, dy);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (contains(given, k)) continue;
    if (got[k].shape() != inputs[k].shape())
      fail({.text = shape_text("a gradient", got[k], inputs[k].shape())});
    const Tensor expected = numeric_gradient(forward, inputs, k, dy, options.step > 0 ? options.step : 1e-5);
    // As numpy.allclose has it: where a gradient is zero, its differences are only nearly so.
    if (tg::max(tg::abs(got[k] - expected)).item() <= 1e-8) continue;
    if (!close_enough(rigour_, got[k], expected, options.step > 0 ? 1e-7 : 1e-5))
      fail({.text = fmt::format("gradient {} differs", k)});
  }
  ++passed_;
}

}  // namespace exercises
