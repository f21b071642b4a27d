// Functions of single entries: what multiplies the output gradient, in a formula. And one thing taken for another:
// the input for the result, one operand for the other.

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

/// What a factor may be made of.
struct Variable {
  std::string name;
  Values values;
  bool is_result = false;
};

struct Expression {
  const char* text;  // {} stands for the variable
  double (*value)(double v);
};

double logistic(double v) {
  return 1 / (1 + std::exp(-v));
}

// The derivatives of what people write, with the variable being the input or the result, and their usual slips.
constexpr Expression kExpressions[] = {
    {"{}", [](double v) { return v; }},
    {"-{}", [](double v) { return -v; }},
    {"2 {}", [](double v) { return 2 * v; }},
    {"{}^2", [](double v) { return v * v; }},
    {"2 {}^2", [](double v) { return 2 * v * v; }},
    {"3 {}^2", [](double v) { return 3 * v * v; }},
    {"{}^3", [](double v) { return v * v * v; }},
    {"1 - {}", [](double v) { return 1 - v; }},
    {"1 + {}", [](double v) { return 1 + v; }},
    {"1 - {}^2", [](double v) { return 1 - v * v; }},
    {"1 + {}^2", [](double v) { return 1 + v * v; }},
    {"(1 - {})^2", [](double v) { return (1 - v) * (1 - v); }},
    {"{0} (1 - {0})", [](double v) { return v * (1 - v); }},
    {"{0} (1 + {0})", [](double v) { return v * (1 + v); }},
    {"{0} (1 - {0}^2)", [](double v) { return v * (1 - v * v); }},
    {"1 / {}", [](double v) { return 1 / v; }},
    {"1 / (1 - {})", [](double v) { return 1 / (1 - v); }},
    {"1 / (1 + {})", [](double v) { return 1 / (1 + v); }},
    {"-1 / {}", [](double v) { return -1 / v; }},
    {"1 / {}^2", [](double v) { return 1 / (v * v); }},
    {"-1 / {}^2", [](double v) { return -1 / (v * v); }},
    {"1 / (2 {})", [](double v) { return 1 / (2 * v); }},
    {"sqrt({})", [](double v) { return std::sqrt(v); }},
    {"1 / sqrt({})", [](double v) { return 1 / std::sqrt(v); }},
    {"1 / (2 sqrt({}))", [](double v) { return 1 / (2 * std::sqrt(v)); }},
    {"1 / (1 + {}^2)", [](double v) { return 1 / (1 + v * v); }},
    {"exp({})", [](double v) { return std::exp(v); }},
    {"exp(-{})", [](double v) { return std::exp(-v); }},
    {"log({})", [](double v) { return std::log(v); }},
    {"sin({})", [](double v) { return std::sin(v); }},
    {"-sin({})", [](double v) { return -std::sin(v); }},
    {"cos({})", [](double v) { return std::cos(v); }},
    {"tanh({})", [](double v) { return std::tanh(v); }},
    {"1 - tanh({})", [](double v) { return 1 - std::tanh(v); }},
    {"1 - tanh({})^2", [](double v) { return 1 - std::tanh(v) * std::tanh(v); }},
    {"sigmoid({})", logistic},
    {"1 - sigmoid({})", [](double v) { return 1 - logistic(v); }},
    {"sigmoid({0}) (1 + {0} (1 - sigmoid({0})))",
     [](double v) { return logistic(v) * (1 + v * (1 - logistic(v))); }},
    {"sigmoid({0}) (1 - {0} (1 - sigmoid({0})))",
     [](double v) { return logistic(v) * (1 - v * (1 - logistic(v))); }},
    {"sigmoid({0}) + {0} (1 - sigmoid({0}))", [](double v) { return logistic(v) + v * (1 - logistic(v)); }},
    {"sigmoid({0}) (1 - sigmoid({0}))", [](double v) { return logistic(v) * (1 - logistic(v)); }},
};

/// A factor that was recognized.
struct Factor {
  std::string text;
  const Expression* expression = nullptr;
  const Variable* variable = nullptr;
};

class Factors {
 public:
  explicit Factors(const Case& c) : c_(c) {
    const Values r = values_of(c.output_gradient());
    for (std::size_t i = 0; i < r.size(); ++i) {
      right_.push_back(c.numeric[i] / r[i]);
      found_.push_back(c.analytic[i] / r[i]);
    }
    const auto add = [&](std::size_t m) {
      if (c.e.xs[m].shape() == c.me.shape)
        variables_.push_back({c.e.xs.size() == 1 ? "x" : c.name_of(m), values_of(c.e.xs[m])});
    };
    add(c.e.k);
    for (std::size_t m = 0; m < c.e.xs.size(); ++m)
      if (m != c.e.k) add(m);
    variables_.push_back({"y", values_of(c.result()), true});
  }

  Hint find() const {
    const auto found = name_of(found_), right = name_of(right_);
    if (!found || (right && right->text == found->text)) return std::nullopt;
    std::string text = "the output gradient is multiplied by " + found->text;
    if (right) text += ", where it should be by " + right->text;
    if (right && right->expression != nullptr && right->expression == found->expression &&
        right->variable->is_result != found->variable->is_result)
      text += found->variable->is_result ? ": the result is taken for the input"
                                         : ": the input is taken for the result";
    if (!right) text += ", which is not the derivative";
    return GradcheckHint{"", text + " (y is the result)"};
  }

 private:
  std::optional<Factor> name_of(const Values& values) const {
    double top = 0;
    for (const std::size_t i : c_.checked) top = std::max(top, std::abs(values[i]));
    const auto is = [&](auto&& value) {
      return std::ranges::all_of(c_.checked,
                                 [&](std::size_t i) { return std::abs(values[i] - value(i)) <= 1e-5 * top; });
    };
    const double first = values[c_.checked[0]];
    if (is([&](std::size_t) { return first; }))
      return Factor{.text = first == 1 ? "1 everywhere" : fmt::format("{:.6g} everywhere", first)};
    if (const auto found = by_sign(values, is)) return found;
    for (const Expression& e : kExpressions)  // the simpler ones first
      for (const Variable& v : variables_)
        if (is([&](std::size_t i) { return e.value(v.values[i]); }))
          return Factor{fmt::format(fmt::runtime(e.text), v.name), &e, &v};
    return of_two(is);
  }

  // One number where the input is positive, another one where it is negative.
  template <class Is>
  std::optional<Factor> by_sign(const Values& values, Is&& is) const {
    const Values& x = variables_[0].values;
    std::optional<double> above, below;
    for (const std::size_t i : c_.checked) (x[i] > 0 ? above : below) = values[i];
    if (!above || !below || !is([&](std::size_t i) { return x[i] > 0 ? *above : *below; }))
      return std::nullopt;
    return Factor{.text = fmt::format("{0:.6g} where {1} > 0 and {2:.6g} where {1} < 0", *above + 0.0,
                                      variables_[0].name, *below + 0.0)};  // no -0
  }

  // The derivatives of products, quotients and powers.
  template <class Is>
  std::optional<Factor> of_two(Is&& is) const {
    using Two = double (*)(double, double);
    constexpr std::pair<const char*, Two> kTwo[] = {
        {"{0} {1}", [](double a, double b) { return a * b; }},
        {"-{0} {1}", [](double a, double b) { return -a * b; }},
        {"{0} / {1}", [](double a, double b) { return a / b; }},
        {"-{0} / {1}", [](double a, double b) { return -a / b; }},
        {"{0} / {1}^2", [](double a, double b) { return a / (b * b); }},
        {"-{0} / {1}^2", [](double a, double b) { return -a / (b * b); }},
        {"{0}^{1}", [](double a, double b) { return std::pow(a, b); }},
        {"{1} {0}^({1} - 1)", [](double a, double b) { return b * std::pow(a, b - 1); }},
        {"{0}^({1} - 1)", [](double a, double b) { return std::pow(a, b - 1); }},
        {"{0}^{1} log({0})", [](double a, double b) { return std::pow(a, b) * std::log(a); }},
        {"1 - {0} {1}", [](double a, double b) { return 1 - a * b; }},
        {"{0} (1 - {1})", [](double a, double b) { return a * (1 - b); }},
    };
    for (const auto& [text, value] : kTwo)
      for (const Variable& a : variables_)
        for (const Variable& b : variables_)
          if (&a != &b && is([&, f = value](std::size_t i) { return f(a.values[i], b.values[i]); }))
            return Factor{.text = fmt::format(fmt::runtime(text), a.name, b.name)};
    return std::nullopt;
  }

  const Case& c_;
  Values right_, found_;
  std::vector<Variable> variables_;
};

/// Whether each result depends on its own entry alone, found by moving some entries. (Those that are wrong tell: of a
/// transpose the diagonal is right.)
bool by_entries(const Case& c) {
  if (c.e.second_order || c.wrong.empty() || c.checked.size() < 3 || c.result().shape() != c.me.shape)
    return false;
  for (std::size_t n = 0; n < 8; ++n) {
    const std::vector<std::size_t>& from = n < 4 ? c.checked : c.wrong;
    const std::size_t i = from[n % 4 * (from.size() - 1) / 3];
    Line line(c.e.xs[c.e.k], {{static_cast<index_t>(i), 1.0}});
    const Values parts = c.e.prober.contributions(line, c.e.steps[i]);
    for (std::size_t j = 0; j < parts.size(); ++j)
      if (j != i && parts[j] != 0) return false;
  }
  return true;
}

Hint factor(const Case& c) {
  return Factors(c).find();
}

// The rule is right with the result where it has the input, or the other way round.
Hint taken_for_each_other(const Case& c) {
  Tensor& x = c.e.xs[c.e.k];
  if (const auto found = c.backward_with(TensorAccess::clone(x)); found && c.explains(*found))
    return GradcheckHint{"",
                         "the gradient would be right with " + c.name_of(c.e.k) +
                             " in place of the result y: the rule uses the result where it needs the input"};
  Restored restored(x);
  restored.set(c.result().values<double>());
  if (const auto found = c.backward(c.e.rs); found && c.explains(*found))
    return GradcheckHint{"", "the gradient would be right with the result y in place of " + c.name_of(c.e.k) +
                                 ": the rule uses the input where it needs the result"};
  return std::nullopt;
}

bool same_shape_as_result(const Case& c) {
  return first_order(c) && !c.wrong.empty() && c.checked.size() > 1 && c.result().shape() == c.me.shape;
}

// The gradient is off by a power of an operand, entry by entry, or by one along the last axis: a factor forgotten or
// used twice.
Hint power_of_operand(const Case& c) {
  for (std::size_t m = 0; m < c.e.xs.size(); ++m) {
    const Values v = values_of(c.e.xs[m]);
    const bool broadcast = c.me.shape.rank() > 1 && c.e.xs[m].rank() == 1 && v.size() > 1 &&
                           static_cast<index_t>(v.size()) == c.me.shape[c.me.shape.rank() - 1];
    if (c.e.xs[m].shape() != c.me.shape && !broadcast) continue;
    for (const double power : {1.0, -1.0, 2.0, -2.0}) {
      const bool fits = std::ranges::all_of(c.checked, [&](std::size_t i) {
        return c.close(c.numeric[i] * std::pow(v[i % v.size()], power), c.analytic[i]);
      });
      if (!fits) continue;
      const std::string what = c.name_of(m) + (std::abs(power) == 2 ? "^2" : "");
      return GradcheckHint{
          "", fmt::format("a factor {} in every entry: the gradient is {} times what it should be",
                          power > 0 ? what + " too many" : what + " is missing",
                          power > 0 ? what : "1 / " + what)};
    }
  }
  return std::nullopt;
}

/// Whether the gradient that the backward pass gives changes when input m is another one.
std::optional<bool> follows(const Case& c, std::size_t m) {
  Tensor& x = c.e.xs[m];
  Restored restored(x);
  Values moved = values_of(x);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += 0.1 + 0.05 * static_cast<double>(i % 5);
  restored.set(moved);
  const auto found = c.backward(c.e.rs);
  if (!found) return std::nullopt;
  double change = 0;
  for (std::size_t i = 0; i < found->size(); ++i)
    change = std::max(change, std::abs((*found)[i] - c.analytic[i]));
  return change > 1e-6 * largest(c.analytic);
}

/// Whether the true gradient does, where f is linear in input k: its part along a line.
bool should_follow(const Case& c, std::size_t m) {
  const auto slope = [&] {
    Tensor& x = c.e.xs[c.e.k];
    Restored restored(x);
    const Values before = c.e.prober.outputs();
    Values moved = values_of(x);
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += 0.3 + 0.2 * static_cast<double>(i % 3);
    restored.set(moved);
    const Values after = c.e.prober.outputs();
    Values slopes;
    for (std::size_t j = 0; j < before.size(); ++j) slopes.push_back(after[j] - before[j]);
    return slopes;
  };
  const Values here = slope();
  Tensor& x = c.e.xs[m];
  Restored restored(x);
  Values moved = values_of(x);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += 0.1 + 0.05 * static_cast<double>(i % 5);
  restored.set(moved);
  const Values there = slope();
  double change = 0;
  for (std::size_t j = 0; j < here.size(); ++j) change = std::max(change, std::abs(here[j] - there[j]));
  return change > 1e-6 * largest(here);
}

// Where f is linear in an input, the gradient of that input does not depend on it, but on the other operand.
Hint operand_for_operand(const Case& c) {
  const auto on_itself = follows(c, c.e.k);
  if (!on_itself) return std::nullopt;
  const std::string mine = c.name_of(c.e.k);
  for (std::size_t m = 0; m < c.e.xs.size(); ++m) {
    if (m == c.e.k) continue;
    const auto follows_other = follows(c, m);
    if (!follows_other || *follows_other || !should_follow(c, m)) continue;
    return GradcheckHint{
        "", *on_itself ? fmt::format("{0} is used in the place of {1}: the gradient of {0} changes with {0}, "
                                     "in which the function is linear, and does not change with {1}",
                                     mine, c.name_of(m))
                       : fmt::format("{1} is not used: the gradient of {0} does not change with {1}, though "
                                     "it should",
                                     mine, c.name_of(m))};
  }
  if (!*on_itself) return std::nullopt;
  return GradcheckHint{
      "", fmt::format("the gradient of {0} changes with {0}, in which the function is linear: it should "
                      "depend on the other operands only",
                      mine)};
}

bool linear_among_others(const Case& c) {
  return first_order(c) && !c.wrong.empty() && c.e.xs.size() > 1 && c.linear();
}
bool some_wrong_of_several(const Case& c) {
  return first_order(c) && !c.wrong.empty() && c.checked.size() > 1;
}

constexpr Pattern kFactorPatterns[] = {
    {"operand", Strength::Exact, linear_among_others, operand_for_operand},
    {"factor", Strength::Exact, by_entries, factor},
    {"input-output", Strength::Exact, same_shape_as_result, taken_for_each_other},
    {"power", Strength::Exact, some_wrong_of_several, power_of_operand},
};

}  // namespace

std::span<const Pattern> factor_patterns() {
  return kFactorPatterns;
}

}  // namespace tapegrad::inline v0::detail
