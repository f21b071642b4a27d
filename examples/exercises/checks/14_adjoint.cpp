#include "checks/14_adjoint.h"

#include <fmt/format.h>

#include <memory>

namespace exercise_14 {
namespace {

using tg::Conv2DOptions;

/// A pair to be judged.
struct Pair {
  std::string title;
  bool right = true;
  Function a, at;
  Shape in, out;
  std::string hint = {};  ///< what an answer misses that judges it wrongly
};

const char* const kRounding =
    "two sums in another order differ in their last digits: allow for rounding, about 1e-12 of the products' size";

const Shape kX{2, 7, 6, 2}, kW{3, 2, 2, 3};
const Conv2DOptions kOptions{.strides = {2, 3}, .padding = tg::Padding::Explicit(1, 0, 0, 1)};

Tensor drawn(const Shape& shape, std::uint64_t stream) {
  tg::Generator generator(14, stream);
  return tg::normal(shape, 0, 1, generator, tg::DType::Float64);
}

Pair convolution(std::string title, bool right,
                 const std::function<Tensor(const Tensor& y, const Tensor& w)>& back, std::string hint) {
  const Tensor w = drawn(kW, 1);
  return {.title = std::move(title),
          .right = right,
          .a = [w](const Tensor& x) { return tg::conv2d(x, w, kOptions); },
          .at = [w, back](const Tensor& y) { return back(y, w); },
          .in = kX,
          .out = tg::conv2d(tg::zeros(kX), tg::zeros(kW), kOptions).shape(),
          .hint = std::move(hint)};
}

Tensor backprop(const Tensor& y, const Tensor& w) {
  return tg::conv2d_backprop_input(kX, w, y, kOptions);
}

Pair matrix(std::string title, bool right, const Tensor& a, const Tensor& at, std::string hint) {
  return {.title = std::move(title),
          .right = right,
          .a = [a](const Tensor& x) { return tg::matmul(a, x); },
          .at = [at](const Tensor& y) { return tg::matmul(at, y); },
          .in = {a.shape()[1], 1},
          .out = {a.shape()[0], 1},
          .hint = std::move(hint)};
}

std::vector<Pair> right_pairs() {
  const Tensor m = drawn({5, 4}, 2), large = drawn({200, 150}, 3),
               swap = tg::tensor({{0, 1}, {-1, 0}}, tg::DType::Float64);
  const std::string scale =
      "the allowed difference does not grow with the numbers: compare with the size of the products, not with a constant";
  const std::string rounding = kRounding;
  return {
      convolution("a convolution and its gradient", true, backprop, rounding),
      matrix("a matrix of 5 x 4", true, m, tg::transpose(m), rounding),
      matrix("a matrix times 1e9", true, 1e9 * m, 1e9 * tg::transpose(m), scale),
      matrix("a matrix times 1e-9", true, 1e-9 * m, 1e-9 * tg::transpose(m), scale),
      matrix("a matrix of 200 x 150", true, large, tg::transpose(large), rounding),
      matrix(
          "a quarter turn of the plane: y = (x1, -x0)", true, swap, tg::transpose(swap),
          "for this A <A x, x> is 0 for every x: where terms cancel, compare with the size of the products, not with "
          "their sum"),
      {.title = "padding and cropping",
       .a =
           [](const Tensor& x) {
             return tg::pad(x, {{1, 2}, {0, 3}});
           },
       .at =
           [](const Tensor& y) {
             return tg::slice(y, {{1, 4}, {0, 2}});
           },
       .in = {3, 2},
       .out = {6, 5}},
      {.title = "repeating a row, and the sum of rows",
       .a =
           [](const Tensor& x) {
             return tg::broadcast_to(x, {6, 5});
           },
       .at = [](const Tensor& y) { return tg::sum(y, {0}, {.keepdims = true}); },
       .in = {1, 5},
       .out = {6, 5}},
  };
}

std::vector<Pair> wrong_pairs() {
  const Tensor m = drawn({5, 4}, 4), square = drawn({4, 4}, 5);
  const Tensor bias = drawn({5, 1}, 6);
  Tensor nearly = tg::transpose(m);
  nearly.set({2, 3}, nearly.at({2, 3}) * 1.001);
  const std::string sums =
      "the sum over all entries is right, which is all that ones can tell: draw x and y at random";
  const std::string same =
      "it never asks whether <A x, y> and <x, A^T y> are equal, with one side from each function";
  const std::string coarse =
      "what is allowed is too much: one entry is wrong by a thousandth, and rounding is 1e-16";
  Pair affine{.title = "a function with a bias, which is not linear",
              .right = false,
              .a = [=](const Tensor& x) { return tg::matmul(m, x) + bias; },
              .at = [=](const Tensor& y) { return tg::matmul(tg::transpose(m), y); },
              .in = {4, 1},
              .out = {5, 1},
              .hint = same};
  return {
      convolution(
          "a convolution whose gradient turns the filter", false,
          [](const Tensor& y, const Tensor& w) { return backprop(y, tg::rot180(w)); }, sums),
      matrix("a matrix whose transpose has its columns in another order", false, m,
             tg::transpose(tg::concat({tg::slice(m, {{1, 5}}), tg::slice(m, {{0, 1}})}, 0)), sums),
      matrix("a square matrix that is not transposed", false, square, square,
             "<A x, y> and <x, A y> are the same number if y is x: draw y for itself"),
      matrix("one entry of the transpose is wrong by 0.001 of itself", false, m, nearly, coarse),
      matrix(
          "a tiny matrix (times 1e-9) and twice its transpose", false, 1e-9 * m, 2e-9 * tg::transpose(m),
          "the allowed difference is a constant, and these numbers are smaller than it: compare with the size of the "
          "products"),
      matrix("minus the transpose", false, m, -1.0 * tg::transpose(m),
             "the sign counts: compare the numbers, not their magnitudes"),
      convolution(
          "a gradient that is zero", false, [](const Tensor&, const Tensor&) { return new_tensor(kX); },
          same),
      std::move(affine),
      {.title = "a rectifier, and its mask for positive numbers: not linear",
       .right = false,
       .a = [](const Tensor& x) { return tg::relu(x); },
       .at = [](const Tensor& y) { return tg::relu(y); },
       .in = {30, 1},
       .out = {30, 1},
       .hint = same},
      {.title =
           "the identity, plus a curve that is orthogonal to every x: x + (x1^3, -x0 x1^2), and the identity",
       .right = false,
       .a =
           [](const Tensor& x) {
             const double a = x.at({0}), b = x.at({1});
             return tg::tensor({a + b * b * b, b - a * b * b}, tg::DType::Float64);
           },
       .at = [](const Tensor& y) { return y * 1.0; },
       .in = {2},
       .out = {2},
       .hint =
           "y is x: <A x, x> does not see what is orthogonal to x. Draw y for itself, and ask whether A is linear"},
      {.title = "a square whose backward pass remembers x: <x^2, y> = <x, x y>",
       .right = false,
       .a = {},
       .at = {},
       .in = {6},
       .out = {6},
       .hint =
           "A(x + 2 x') must be A x + 2 A x' as well: with a backward pass that remembers x, the identity alone does not say "
           "that A is linear"},
  };
}

// The last pair: both functions share the x that was seen first.
void complete(Pair& pair) {
  const auto seen = std::make_shared<Tensor>();
  pair.a = [seen](const Tensor& x) {
    if (!seen->defined()) *seen = x;
    return x * x;
  };
  pair.at = [seen](const Tensor& y) { return *seen * y; };
}

void judge_pairs(Check& check, const Answers& answers) {
  std::vector<Pair> pairs = right_pairs(), wrong = wrong_pairs();
  complete(wrong.back());
  for (Pair& p : wrong) pairs.push_back(std::move(p));
  Finding finding;
  index_t accused = 0, escaped = 0, right = 0;
  std::string text;
  for (const Pair& p : pairs) {
    right += p.right ? 1 : 0;
    bool says = false;
    try {
      says = answers.is_adjoint(p.a, p.at, p.in, p.out);
    } catch (const tg::Error& error) {
      finding.text = fmt::format("is_adjoint() ends with an error for \"{}\": {}", p.title, error.what());
      finding.tensors = {"is_adjoint"};
      check.fail(std::move(finding));
    }
    if (says == p.right) continue;
    (p.right ? accused : escaped) += 1;
    if (accused + escaped <= 4)
      text += fmt::format("\n  {}: {}", p.right ? "accused, and right" : "passed, and wrong", p.title);
    if (!p.hint.empty() && std::ranges::find(finding.hints, p.hint) == finding.hints.end() &&
        finding.hints.size() < 2)
      finding.hints.push_back(p.hint);
  }
  if (accused + escaped == 0) {
    for (std::size_t k = 0; k < pairs.size(); ++k) check.expect(true, "");
    return;
  }
  if (const Pair& zero = pairs[right_pairs().size() + 6]; escaped > 6) finding.hints = {zero.hint};
  // Where rounding is not allowed for, nothing is said by the size of the numbers.
  if (std::ranges::find(finding.hints, kRounding) != finding.hints.end()) finding.hints = {kRounding};
  finding.text = fmt::format("of {} wrong pairs {} passed, and of {} right ones {} were accused{}{}",
                             static_cast<index_t>(pairs.size()) - right, escaped, right, accused, text,
                             accused + escaped > 4 ? "\n  ..." : "");
  finding.tensors = {"is_adjoint"};
  check.fail(std::move(finding));
}

struct Case {
  std::string title;
  Which wrong;
  Trio f;
  std::string hint;
};

std::vector<Case> trios() {
  const auto conv = [](const Tensor& x, const Tensor& w) { return tg::conv2d(x, w, kOptions); };
  const auto input = [](const Tensor& y, const Tensor& w) {
    return tg::conv2d_backprop_input(kX, w, y, kOptions);
  };
  const auto filter = [](const Tensor& x, const Tensor& y) {
    return tg::conv2d_backprop_filter(x, kW, y, kOptions);
  };
  const auto scaled = [](auto f, double by) {
    return [f, by](const Tensor& a, const Tensor& b) { return by * f(a, b); };
  };
  return {
      {"all three are right",
       Which::None,
       {conv, input, filter},
       "all three numbers agree, up to rounding: that is None"},
      {"the image's gradient turns the filter",
       Which::InputGradient,
       {conv, [=](const Tensor& y, const Tensor& w) { return input(y, tg::rot180(w)); }, filter},
       "<conv(x, w), y> and <w, filter_gradient(x, y)> agree, so the third one is wrong"},
      {"the filter's gradient is turned",
       Which::FilterGradient,
       {conv, input, [=](const Tensor& x, const Tensor& y) { return tg::rot180(filter(x, y)); }},
       "<conv(x, w), y> and <x, input_gradient(y, w)> agree, so the third one is wrong"},
      {"the convolution turns the filter",
       Which::Conv,
       {[=](const Tensor& x, const Tensor& w) { return conv(x, tg::rot180(w)); }, input, filter},
       "the two gradients agree with each other: it is the convolution that is wrong"},
      {"the filter's gradient is divided by the batch",
       Which::FilterGradient,
       {conv, input, scaled(filter, 0.5)},
       "<conv(x, w), y> and <x, input_gradient(y, w)> agree, so the third one is wrong"},
      {"all three are right, and small",
       Which::None,
       {scaled(conv, 1e-9), scaled(input, 1e-9), scaled(filter, 1e-9)},
       "all three numbers agree, up to rounding: that is None"},
      {"all are small, and the image's gradient is half of what it should be",
       Which::InputGradient,
       {scaled(conv, 1e-9), scaled(input, 5e-10), scaled(filter, 1e-9)},
       "the allowed difference is a constant, and these numbers are smaller than it"},
  };
}

std::string_view name(Which which) {
  switch (which) {
    case Which::None:
      return "None";
    case Which::Conv:
      return "Conv";
    case Which::InputGradient:
      return "InputGradient";
    case Which::FilterGradient:
      return "FilterGradient";
  }
  return "";
}

std::uint64_t drawn_so_far = 0;

}  // namespace

Tensor random(const Shape& shape) {
  return drawn(shape, 100 + ++drawn_so_far);
}
Tensor all_ones(const Shape& shape) {
  return tg::ones(shape, tg::DType::Float64);
}

void check(Check& check, const Answers& answers) {
  drawn_so_far = 0;
  check.part(
      "is_adjoint",
      "draw x and y, compute <a(x), y> and <x, at(y)>, and compare their difference with 1e-12 of the size of all "
      "products. And is a(x + 2 x') = a(x) + 2 a(x'), entry by entry?",
      [&] { judge_pairs(check, answers); });
  check.part(
      "wrong_one", "compute the one number in three ways, from the same x, w and y. Which two agree?", [&] {
        const Shape y = tg::conv2d(tg::zeros(kX), tg::zeros(kW), kOptions).shape();
        for (const Case& c : trios()) {
          const std::uint64_t before = drawn_so_far;
          const Which says = answers.wrong_one(c.f, kX, kW, y);
          const std::uint64_t drawn = drawn_so_far - before;
          // Of three right functions all numbers agree, unless they are numbers of different tensors.
          const bool redrawn = c.wrong == Which::None && drawn > 3;
          check.expect(
              says == c.wrong,
              fmt::format("{}: the answer is {}, and must be {}", c.title, name(says), name(c.wrong)),
              redrawn
                  ? fmt::format(
                        "random() was called {} times for one answer. It is one number only for one x, one w "
                        "and one y: draw each once, and take the same three in all three ways",
                        drawn)
                  : c.hint);
        }
      });
}

}  // namespace exercise_14
