#include "checks/15_softmax_cross_entropy.h"

#include <fmt/format.h>

#include <cmath>

namespace exercise_15 {
namespace {

Tensor as_tensor(const Labels& labels) {
  const std::vector<std::int32_t> values(labels.begin(), labels.end());
  return tg::tensor(values, {static_cast<index_t>(values.size())});
}

double loss_of(const Tensor& z, const Labels& labels) {
  return tg::cross_entropy(z, as_tensor(labels)).item();
}

/// Logits, and what is special about them.
struct Case {
  std::string what;
  Tensor z;
  Labels labels;
};

std::vector<Case> stable_cases(Check& check) {
  return {
      {"logits around 1000, where exp() is infinite", check.draw({3, 4}) + 1000.0, {1, 0, 3}},
      {"logits around -1000, where exp() is 0", check.draw({3, 4}) - 1000.0, {2, 2, 0}},
      {"a row of logits around 900 above one around -900",
       check.draw({2, 5}) + tg::tensor({{900}, {-900}}, tg::DType::Float64),
       {4, 1}},
      {"a label that is 2000 below the largest logit",
       tg::tensor({{0, 2000, 5}, {1, 2, 3}}, tg::DType::Float64),
       {0, 2}},
  };
}

void value(Check& check, const Answers& answers, const Tensor& z, const Labels& labels) {
  const double right = loss_of(z, labels);
  const auto rows = static_cast<double>(z.shape()[0]), classes = static_cast<double>(z.shape()[1]);
  double of_labels = 0, other_axis = 0, bits = right / std::log(2.0), unnormalized = 0, without_log = 0,
         largest = 0;
  const Tensor q = tg::log_softmax(z, 0), p = tg::softmax(z, 1);
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const auto row = static_cast<index_t>(n);
    of_labels += tg::row(z, row).at({labels[n]}) / rows;
    other_axis -= q.at({row, labels[n]}) / rows;
    without_log += (1 - p.at({row, labels[n]})) / rows;
    unnormalized -= z.at({row, labels[n]}) / rows;
    largest += tg::max(tg::row(z, row)).item() / rows;
  }
  check.number(
      "the loss", answers.cross_entropy(z, labels), right, 1e-12,
      {{right * rows, "this is the sum over the rows; the loss is their mean: divide by N"},
       {right / classes, "the mean is taken over the classes as well: divide by the number of rows only"},
       {-right, "the sign: the loss is -log p, and never negative"},
       {other_axis, "softmax runs along the wrong axis: the probabilities of a row add up to 1, over k"},
       {bits, "this is the logarithm to base 2: the loss takes the natural one, std::log"},
       {right + of_labels, "the label's logit is not subtracted: this is log sum exp alone"},
       {unnormalized, "log sum exp is missing: this is the label's logit alone, which any shift changes"},
       {right - largest, "the largest logit was subtracted, and not added again: m + log sum exp(z - m)"},
       {without_log, "this is 1 - p of the label, not -log p"}});
}

void value_part(Check& check, const Answers& answers) {
  check.part(
      "cross_entropy",
      "the row by hand in the text: what do you get for z = (1, 3), label 0? Then for (1001, 1003): it must be the "
      "same number.",
      [&] {
        check.context("the text's row, z = (1, 3), label 0");
        value(check, answers, tg::tensor({{1, 3}}, tg::DType::Float64), {0});
        check.context("z [4, 5]");
        value(check, answers, check.draw({4, 5}), {0, 4, 2, 4});
        for (const Case& c : stable_cases(check)) {
          check.context(c.what);
          const double got = answers.cross_entropy(c.z, c.labels), right = loss_of(c.z, c.labels);
          const bool capped = got < right && got > 5 && got < 50;
          check.expect(
              std::isfinite(got), fmt::format("the loss is {} and must be {:.12g}", got, right),
              "an exp() overflowed, or all of a row's were 0, or a log() met a 0: subtract the largest logit of the row (of each "
              "row) first, and use log sum exp, not the log of a probability");
          check.expect(
              !(std::abs(got - right) > 1e-12 * right) || !capped,
              fmt::format("the loss is {:.12g} and must be {:.12g}", got, right),
              "the loss has a ceiling: log(p + epsilon) cannot say more than -log(epsilon). Use log sum exp, "
              "which needs no epsilon");
          value(check, answers, c.z, c.labels);
        }
      });
}

void gradient(Check& check, const Answers& answers, const Case& c, double dy) {
  Tensor expected;
  {
    tg::Tape tape;
    const Tensor z = tape.watch(c.z);
    expected = dy * tape.gradient(tg::cross_entropy(z, as_tensor(c.labels)), z);
  }
  const Tensor got = answers.cross_entropy_backward(c.z, c.labels, dy);
  if (got.defined() && got.shape() == c.z.shape())
    for (const double v : got.values<double>())
      check.expect(
          std::isfinite(v), fmt::format("dz has the entry {}", std::isnan(v) ? "NaN" : "infinity"),
          "an exp() overflowed, or a row's were all 0: here, too, the largest logit of the row is subtracted first");
  check.compare("dz", got, expected, {.axes = "n k", .tolerance = 1e-12});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  value_part(check, answers);
  check.part(
      "cross_entropy_backward",
      "the row by hand in the text. Which entries are negative? Only those of the labels. What is the sum of a row? "
      "Zero. What happens to dz if dy is doubled, and if the batch is?",
      [&] {
        const Labels labels = {0, 4, 2, 4};  // at the edges too, and one class twice
        check.context("z [4, 5], dy random");
        check.backward(
            [&](const Tensors& in) { return tg::cross_entropy(in[0], as_tensor(labels)); },
            [&](const Tensors& in, const Tensor&, const Tensor& dy) {
              return Tensors{answers.cross_entropy_backward(in[0], labels, dy.item())};
            },
            {check.draw({4, 5})}, {.names = {"z"}, .axes = {"n k"}},
            {{0,
              "the cross terms are missing: this is p_k (1 - p_k), softmax's derivative entry by entry; the label's "
              "logit moves the other probabilities as well",
              [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                const Tensor p = tg::softmax(xs[0], 1);
                return dy.item() * p * (1.0 - p) / 4.0;
              }},
             {0, "1/N is applied twice: the mean over the rows divides once",
              [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                tg::Tape tape;
                const Tensor z = tape.watch(xs[0]);
                return dy.item() / 4.0 * tape.gradient(tg::cross_entropy(z, as_tensor(labels)), z);
              }}});
        for (const Case& c : stable_cases(check)) {
          check.context(c.what);
          gradient(check, answers, c, -1.5);
        }
      });
}

}  // namespace exercise_15
