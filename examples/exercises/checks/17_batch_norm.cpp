#include "checks/17_batch_norm.h"

#include <fmt/format.h>

namespace exercise_17 {
namespace {

struct Case {
  Shape x;
  double offset, scale, epsilon;
};
const std::vector<Case> kCases = {
    {{7, 1, 1, 3}, 0, 1, 1e-2}, {{2, 3, 4, 3}, 1, 2, 1e-2}, {{3, 2, 1, 2}, -5, 0.1, 1e-3}};
const std::vector<Case> kEasy = {{{2, 4, 4, 3}, 0, 1, 1e-5}};

std::string text(const Case& c) {
  return fmt::format("x {} with a mean of {} and a standard deviation of {}, epsilon {}", c.x.str(), c.offset,
                     c.scale, c.epsilon);
}

Tensor mean_of(const Tensor& t) {
  return tg::mean(t, {0, 1, 2}, {.keepdims = true});
}

std::vector<GradientExplanation> explanations(double epsilon) {
  const auto over_batch = [epsilon](const Tensors& xs, const Tensor&, const Tensor& dy) {
    const auto m = [](const Tensor& t) { return tg::mean(t, {0}, {.keepdims = true}); };
    const Tensor centred = xs[0] - mean_of(xs[0]), s = 1.0 / tg::sqrt(mean_of(tg::square(centred)) + epsilon);
    const Tensor xhat = centred * s, d = dy * xs[1];
    return s * (d - m(d) - xhat * m(d * xhat));
  };
  return {
      {0,
       "the means of dy and dy xhat are taken over the batch only: they run over rows and columns as well, as those of x "
       "do (axes 0, 1 and 2)",
       over_batch}};
}

}  // namespace

void check(Check& check, const Answers& answers) {
  check.part(
      "batch_norm_backward",
      "does dbeta pass, and dgamma? They need nothing but sums. For dx count its three terms, then the example "
      "in numbers, whose dx is zero.",
      [&] {
        for (const Case& c : check.cases(kCases, kEasy)) {
          check.context(text(c));
          const index_t channels = c.x[3];
          const Tensor gamma = tg::abs(check.draw({channels})) + 0.5;
          check.backward([&](const Tensors& in) { return tg::batch_norm(in[0], in[1], in[2], c.epsilon).y; },
                         [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                           return answers.batch_norm_backward(in[0], in[1], dy, c.epsilon);
                         },
                         {check.draw(c.x, c.offset, c.scale), gamma, check.draw({channels})},
                         {.names = {"x", "gamma", "beta"}, .axes = {"n h w c", "c", "c"}},
                         explanations(c.epsilon));
        }
      });
  check.part(
      "inference_backward",
      "mean and variance do not depend on x here. Which of the three ways from an x to the results are left?",
      [&] {
        for (const Case& c : check.cases(kCases, kEasy)) {
          check.context(text(c));
          const index_t channels = c.x[3];
          const Tensor mean = check.draw({channels}), variance = tg::square(check.draw({channels})) + 0.3;
          check.backward(
              [&](const Tensors& in) {
                return tg::batch_norm(in[0], in[1], in[2], mean, variance, c.epsilon);
              },
              [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                return answers.inference_backward(in[0], in[1], mean, variance, dy, c.epsilon);
              },
              {check.draw(c.x, c.offset, c.scale), check.draw({channels}), check.draw({channels})},
              {.step = 1, .names = {"x", "gamma", "beta"}, .axes = {"n h w c", "c", "c"}},
              {{0,
                "dx is divided by the variance, and y by the standard deviation: s = 1 / sqrt(var + epsilon)",
                [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                  return dy * xs[1] / (variance + c.epsilon);
                }},
               {0, "gamma is left out of dx",
                [&](const Tensors&, const Tensor&, const Tensor& dy) {
                  return dy / tg::sqrt(variance + c.epsilon);
                }},
               {0,
                "this is the training step's dx: here mean and variance are constants, and the terms with the means "
                "of dy and of dy xhat are not there",
                [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                  const Tensor s = 1.0 / tg::sqrt(variance + c.epsilon), xhat = (xs[0] - mean) * s,
                               d = dy * xs[1];
                  return s * (d - mean_of(d) - xhat * mean_of(d * xhat));
                }},
               {1, "dgamma is made with x in place of xhat = (x - mean) s",
                [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                  return tg::sum(dy * xs[0], {0, 1, 2});
                }},
               {1, "dgamma is made with x - mean in place of xhat = (x - mean) s",
                [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                  return tg::sum(dy * (xs[0] - mean), {0, 1, 2});
                }}});
        }
      });
}

}  // namespace exercise_17
