#include "checks/03_matmul_bias.h"

#include <fmt/format.h>

namespace exercise_03 {
namespace {

struct Sizes {
  index_t n, in, out;
};

void check_forward(Check& check, const Answers& answers, const Sizes& s) {
  const Tensor x = check.draw({s.n, s.in}), w = check.draw({s.in, s.out}), b = check.draw({s.out});
  const Tensor product = tg::matmul(x, w);
  check.context(fmt::format("x [{}, {}], w [{}, {}], b [{}]", s.n, s.in, s.in, s.out, s.out));
  check.compare(
      "y", answers.linear(x, w, b), product + b,
      {.axes = "n out",
       .explanations = {
           {"the bias is missing", [=] { return product; }},
           {"the bias is added once for every product: it belongs outside of the sum over the inputs",
            [=] { return product + b * static_cast<double>(s.in); }},
           {"this is w's row times its column, entry by entry, without the sum: a dot product is meant",
            [=] {
              return tg::slice(x, {{}, {s.in - 1, s.in}}) * tg::slice(w, {{s.in - 1, s.in}}) + b;
            }},
           {"only the bias is left: y is overwritten by it where it must be added",
            [=] { return product * 0.0 + b; }},
           {"only the last product of each sum is left, and the bias: overwritten (=) where the products must be added "
            "up (+=)",
            [=] {
              return tg::matmul(tg::slice(x, {{}, {s.in - 1, s.in}}), tg::slice(w, {{s.in - 1, s.in}})) + b;
            }},
           {"only the last product of each sum is left: overwritten (=) where the products must be added up (+=)",
            [=] {
              return tg::matmul(tg::slice(x, {{}, {s.in - 1, s.in}}), tg::slice(w, {{s.in - 1, s.in}}));
            }},
       }});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  const std::vector<Sizes> all = {{1, 3, 2}, {4, 3, 5}, {5, 2, 3}};
  check.part("linear",
             "three loops, over n, o and i. y[n, o] begins with b[o], and every i adds x[n, i] w[i, o].",
             [&] {
               for (const Sizes& s : all) check_forward(check, answers, s);
             });
  check.part(
      "linear_backward",
      "one product of the forward pass, x[n, i] w[i, o], is a part of y[n, o] alone. So it adds w[i, o] dy[n, o] to "
      "dx[n, i], and x[n, i] dy[n, o] to dw[i, o]; and b[o], which is a part of y[n, o] for every n, gets dy[n, o] "
      "from each. The same three loops, with three +=.",
      [&] {
        for (const Sizes& s : all) {
          const Tensor x = check.draw({s.n, s.in}), w = check.draw({s.in, s.out}), b = check.draw({s.out});
          check.context(fmt::format("x [{}, {}], w [{}, {}], b [{}]", s.n, s.in, s.in, s.out, s.out));
          check.backward(
              [](const Tensors& in) { return tg::matmul(in[0], in[1]) + in[2]; },
              [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                return answers.linear_backward(in[0], in[1], dy);
              },
              {x, w, b},
              {.tolerance = 1e-10, .step = 1, .names = {"x", "w", "b"}, .axes = {"n in", "in out", "out"}},
              {{2,
                "dy is added once for every input: b[o] stands outside of the sum over i, and so does its gradient",
                [&](const Tensors&, const Tensor&, const Tensor& dy) {
                  return tg::sum(dy, {0}) * static_cast<double>(s.in);
                }}});
        }
      });
}

}  // namespace exercise_03
