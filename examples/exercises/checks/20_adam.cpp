#include "checks/20_adam.h"

#include <fmt/format.h>

#include <cmath>

namespace exercise_20 {
namespace {

constexpr int kSteps = 25;
constexpr std::size_t kSize = 5;

/// Gradients of all steps: of very different sizes, with a zero among them.
std::vector<Numbers> gradients() {
  tg::Generator generator(20, 7);
  std::vector<Numbers> all;
  const double scale[kSize] = {1, 1000, 1e-3, 1e-9, 1};
  for (int t = 0; t < kSteps; ++t) {
    Numbers g(kSize);
    for (std::size_t k = 0; k < kSize; ++k) g[k] = scale[k] * generator.normal(0.3, 1);
    if (t % 5 == 3) g[4] = 0;
    all.push_back(g);
  }
  return all;
}

const Numbers kStart = {1, -2, 0.5, 3, -1};

using Trajectory = std::vector<Numbers>;

Trajectory run(const Step& step, const Settings& s) {
  Numbers p = kStart;
  Memory memory{Numbers(kSize, 0), Numbers(kSize, 0), 0};
  Trajectory all;
  for (const Numbers& g : gradients()) {
    step(p, g, memory, s);
    all.push_back(p);
  }
  return all;
}

/// tapegrad's own.
template <class Optimizer, class Options>
Trajectory reference(const Options& options) {
  const tg::Tensor p = tg::parameter(tg::tensor(kStart, {static_cast<index_t>(kSize)}));
  Optimizer optimizer({p}, options);
  Trajectory all;
  for (const Numbers& g : gradients()) {
    optimizer.step(tg::Gradients({p}, {tg::tensor(g, {static_cast<index_t>(kSize)})}));
    const auto now = p.values<double>();
    all.emplace_back(now.begin(), now.end());
  }
  return all;
}

/// Adam with a mistake in it.
struct Wrong {
  bool first_uncorrected = false, second_uncorrected = false, constant_correction = false, exchanged = false,
       inside = false, keras = false, ascent = false, no_memory = false, no_root = false, no_square = false,
       decay_in_gradient = false, decay_after = false, no_decay = false, shared_square = false,
       decay_without_rate = false;

  void operator()(Numbers& p, const Numbers& gradient, Memory& memory, const Settings& s) const {
    ++memory.t;
    const double b1 = exchanged ? s.beta2 : s.beta1, b2 = exchanged ? s.beta1 : s.beta2;
    const double t = constant_correction ? 1 : static_cast<double>(memory.t);
    double total = 0;
    for (const double g : gradient) total += g * g;
    for (std::size_t k = 0; k < p.size(); ++k) {
      const bool decays = !decay_in_gradient && !no_decay;
      if (decays && !decay_after) p[k] -= (decay_without_rate ? 1 : s.learning_rate) * s.decay * p[k];
      const double before = p[k];
      const double g = gradient[k] + (decay_in_gradient ? s.decay * p[k] : 0);
      memory.m[k] = (no_memory ? 0 : b1 * memory.m[k]) + (1 - b1) * g;
      const double square = no_square       ? std::abs(g)
                            : shared_square ? total / static_cast<double>(p.size())
                                            : g * g;
      memory.v[k] = (no_memory ? 0 : b2 * memory.v[k]) + (1 - b2) * square;
      const double c1 = 1 - std::pow(b1, t), c2 = 1 - std::pow(b2, t);
      const double m = first_uncorrected ? memory.m[k] : memory.m[k] / c1;
      const double v = second_uncorrected ? memory.v[k] : memory.v[k] / c2;
      double change = s.learning_rate * m / (std::sqrt(v) + s.epsilon);
      if (inside) change = s.learning_rate * m / std::sqrt(v + s.epsilon);
      if (no_root) change = s.learning_rate * m / (v + s.epsilon);
      if (keras) change = s.learning_rate * std::sqrt(c2) * m / (std::sqrt(memory.v[k]) + s.epsilon);
      p[k] += ascent ? change : -change;
      if (decays && decay_after) p[k] -= s.learning_rate * s.decay * before;
    }
  }
};

struct Rival {
  const char* text;
  Wrong step;
};

const std::vector<Rival>& rivals() {
  static const std::vector<Rival> all = {
      {"no bias correction: m and v begin with 0, and must be divided by 1 - beta^t",
       {.first_uncorrected = true, .second_uncorrected = true}},
      {"the bias correction of m is missing: mhat = m / (1 - beta1^t)", {.first_uncorrected = true}},
      {"the bias correction of v is missing: vhat = v / (1 - beta2^t)", {.second_uncorrected = true}},
      {"the bias correction stays that of the first step, 1 - beta: t must count the steps",
       {.constant_correction = true}},
      {"beta1 and beta2 are exchanged: beta1 goes with m", {.exchanged = true}},
      {"epsilon is inside of the root: the paper's algorithm 1 adds it to sqrt(vhat)", {.inside = true}},
      {"epsilon is added to sqrt(v) before the correction (Keras' order, and the paper's \"efficient\" one): algorithm 1 adds it to "
       "sqrt(vhat)",
       {.keras = true}},
      {"the sign: this goes uphill. p <- p - learning_rate ...", {.ascent = true}},
      {"m and v are forgotten from step to step: they must be those of the memory", {.no_memory = true}},
      {"the root is missing: the step is divided by vhat, not by sqrt(vhat)", {.no_root = true}},
      {"v is a running mean of |g|, and must be one of g^2", {.no_square = true}},
      {"v is one number for all parameters (a mean over the whole vector): each parameter has its own",
       {.shared_square = true}},
      {"the decay is added to the gradient (an L2 penalty), where Adam divides it by sqrt(vhat): AdamW leaves the gradient alone",
       {.decay_in_gradient = true}},
      {"there is no decay", {.no_decay = true}},
      {"the decay is not multiplied by the learning rate", {.decay_without_rate = true}},
  };
  return all;
}

bool near(double a, double b) {
  return a == b || std::abs(a - b) <= std::min(1e-11 * std::max(std::abs(a), std::abs(b)), 1e300);
}
bool same(const Trajectory& a, const Trajectory& b) {
  for (std::size_t t = 0; t < a.size(); ++t)
    for (std::size_t k = 0; k < kSize; ++k)
      if (!near(a[t][k], b[t][k])) return false;
  return true;
}

// Compares all steps, and says at which one it begins to differ.
void compare(Check& check, const char* name, const Step& step, const Settings& s, const Trajectory& right) {
  check.context(fmt::format("learning rate {}, beta1 {}, beta2 {}, epsilon {}, decay {}", s.learning_rate,
                            s.beta1, s.beta2, s.epsilon, s.decay));
  const Trajectory got = run(step, s);
  const auto all_gradients = gradients();
  for (std::size_t t = 0; t < got.size(); ++t) {
    if (got[t].size() != kSize)
      check.fail({.text = fmt::format("p has {} numbers after step {}, and must keep its {}", got[t].size(),
                                      t + 1, kSize),
                  .tensors = {name}});
    for (std::size_t k = 0; k < kSize; ++k) {
      if (near(got[t][k], right[t][k])) continue;
      const double before = t == 0 ? kStart[k] : right[t - 1][k];
      Finding finding{
          .text = fmt::format(
              "after step {} p[{}] is {:.12g} and must be {:.12g}\n  before it was {:.12g}, and the "
              "gradient was {:.6g}:\n  the step is {:.10g} and must be {:.10g}",
              t + 1, k, got[t][k], right[t][k], before, all_gradients[t][k], got[t][k] - before,
              right[t][k] - before),
          .tensors = {name}};
      for (const Rival& rival : rivals())
        if (finding.hints.empty() && same(got, run(rival.step, s))) finding.hints.emplace_back(rival.text);
      if (finding.hints.empty() && !std::isfinite(got[t][k]))
        finding.hints.emplace_back(
            "something was divided by 0: 1 - beta^t is 0 for t = 0, so t is counted before it is used");
      if (finding.hints.empty() && t > 0)
        finding.hints.push_back(fmt::format(
            "the first {} step{} right: what is it that the memory must keep, or that depends on t?", t,
            t == 1 ? " is" : "s are"));
      check.fail(std::move(finding));
    }
  }
  for (int t = 0; t < kSteps; ++t) check.expect(true, "");
}

}  // namespace

void check(Check& check, const Answers& answers) {
  const std::vector<Settings> settings = {
      {.learning_rate = 0.1, .epsilon = 1e-8},
      {.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-4}};
  check.part(
      "adam_step",
      "the first step: by how much must each parameter move? Compute t, m, v, mhat, vhat of one parameter by hand.",
      [&] {
        for (const Settings& s : settings)
          compare(check, "adam_step", answers.adam_step, s,
                  reference<tg::Adam>(tg::AdamOptions{.learning_rate = s.learning_rate,
                                                      .beta1 = s.beta1,
                                                      .beta2 = s.beta2,
                                                      .epsilon = s.epsilon}));
      });
  check.part("adamw_step", "one line before adam_step(), which knows nothing of it.", [&] {
    for (Settings s : settings) {
      s.decay = 0.1;
      compare(check, "adamw_step", answers.adamw_step, s,
              reference<tg::AdamW>(tg::AdamWOptions{.learning_rate = s.learning_rate,
                                                    .beta1 = s.beta1,
                                                    .beta2 = s.beta2,
                                                    .epsilon = s.epsilon,
                                                    .weight_decay = s.decay}));
    }
  });
}

}  // namespace exercise_20
