#include "checks/05_conv1d_matrix.h"

#include <fmt/format.h>

namespace exercise_05 {
namespace {

struct Sizes {
  index_t n, k, stride;
};

Tensor matrix(const Tensor& w, index_t n, index_t stride) {
  const index_t k = w.size(), m = (n - k) / stride + 1;
  Tensor c = new_tensor({m, n});
  for (index_t p = 0; p < m; ++p)
    for (index_t i = 0; i < k; ++i)
      if (p * stride + i < n) c.set({p, p * stride + i}, w.at({i}));
  return c;
}

Tensor as_vector(const Tensor& t) {
  return tg::reshape(t, {t.size()});
}

Tensor transposed_times(const Tensor& c, const Tensor& dy) {
  return as_vector(tg::matmul(c, tg::reshape(dy, {dy.size(), 1}), {.transpose_a = true}));
}

void check_matrix(Check& check, const Answers& answers, const Tensor& w, const Sizes& s) {
  check.context(fmt::format("a filter of {}, {} entries in x, stride {}", s.k, s.n, s.stride));
  const Tensor right = matrix(w, s.n, s.stride);
  const index_t m = right.shape()[0];
  check.compare(
      "C", answers.conv_matrix(w, s.n, s.stride), right,
      {.axes = "p q",
       .explanations = {
           {"the filter is turned: w[0] stands at the right. Nothing is turned in C; in C^T it looks turned by itself",
            [=] { return matrix(tg::flip(w, 0), s.n, s.stride); }},
           {"this is C transposed: a row of C for each entry of y, a column for each entry of x",
            [=] { return tg::transpose(right); }},
           {"the stride is forgotten in the columns: row p begins at column p s",
            [=] {
              return s.n < m + s.k - 1 ? right : tg::slice(matrix(w, s.n, 1), {{0, m}});
            }},
           {"the stride is forgotten: this is the matrix of stride 1", [=] { return matrix(w, s.n, 1); }},
           {"the last row is missing: there are (n - k) / s + 1",
            [=] {
              return tg::slice(right, {{0, m - 1}});
            }},
           {"the rows wrap around or go on where the filter no longer fits: there are (n - k) / s + 1, not n",
            [=] {
              Tensor c = new_tensor({s.n, s.n});
              for (index_t p = 0; p < s.n; ++p)
                for (index_t i = 0; i < s.k; ++i)
                  if (p * s.stride + i < s.n) c.set({p, p * s.stride + i}, w.at({i}));
              return c;
            }},
       }});
}

void check_dx(Check& check, const Answers& answers, const Tensor& w, const Sizes& s) {
  check.context(fmt::format("a filter of {}, {} entries in x, stride {}", s.k, s.n, s.stride));
  const Tensor right = matrix(w, s.n, s.stride);
  const index_t m = right.shape()[0];
  check.backward(
      [&](const Tensors& in) {
        return as_vector(tg::matmul(right, tg::reshape(in[0], {s.n, 1})));
      },
      [&](const Tensors&, const Tensor&, const Tensor& dy) {
        return Tensors{answers.conv1d_dx(dy, w, s.n, s.stride)};
      },
      {check.draw({s.n})}, {.tolerance = 1e-10, .step = 1, .names = {"x"}, .axes = {"q"}},
      {{0,
        "the filter is turned where dy is spread out: these loops go from y to x, and there nothing is turned. It is turned "
        "only if dx is written as a convolution of dy",
        [=](const Tensors&, const Tensor&, const Tensor& dy) {
          return transposed_times(matrix(tg::flip(w, 0), s.n, s.stride), dy);
        }},
       {0, "the stride is forgotten: y[p] was made from x[p s + i]",
        [=](const Tensors&, const Tensor&, const Tensor& dy) {
          return transposed_times(tg::slice(matrix(w, s.n, 1), {{0, m}}), dy);
        }},
       {0,
        "only the last product that arrives at an entry is left: overwritten (=) where all must be added up (+=)",
        [=](const Tensors&, const Tensor&, const Tensor& dy) {
          Tensor dx = new_tensor({s.n});
          for (index_t p = 0; p < m; ++p)
            for (index_t i = 0; i < s.k; ++i) dx.set({p * s.stride + i}, dy.at({p}) * w.at({i}));
          return dx;
        }},
       {0, "dx ends where the last window ends: x has more entries, and their gradient is 0",
        [=](const Tensors&, const Tensor&, const Tensor& dy) {
          return tg::slice(transposed_times(right, dy), 0, (m - 1) * s.stride + s.k);
        }}});
}

}  // namespace

void check(Check& check, const Answers& answers) {
  const std::vector<Sizes> all = {{6, 3, 1}, {7, 4, 2}, {9, 2, 3}, {8, 3, 2}};
  const std::vector<Sizes> easy = {{6, 3, 1}, {5, 3, 1}};
  check.part(
      "conv_matrix",
      "y[p] = sum over i of x[p s + i] w[i]: in row p only the columns p s + i are not 0. Write the rows for n = 6, k = "
      "3 on paper, for stride 1 and for stride 2.",
      [&] {
        check_matrix(check, answers, tg::tensor({1, 0, 2}, tg::DType::Float64), {4, 3, 1});
        for (const Sizes& s : check.cases(all, easy)) check_matrix(check, answers, check.draw({s.k}), s);
      });
  check.part(
      "conv1d_dx",
      "dx has n entries. x[p s + i] w[i] is a part of y[p], so it gets w[i] dy[p]: two loops, over p and i, and one +=. "
      "Entries that no window reaches keep the gradient 0.",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) check_dx(check, answers, check.draw({s.k}), s);
      });
}

}  // namespace exercise_05
