// Planted mistakes: each must be caught, and the report must say which one it is.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Gradients = std::vector<Tensor>;

Tensor draw(const Shape& shape, std::uint64_t stream = 1) {
  Generator generator(31, stream);
  return uniform(shape, -1, 1, generator, DType::Float64);
}

void expect_hint(const GradcheckReport& report, const std::string& what, const std::string& pattern,
                 const std::string& words) {
  EXPECT_EQ(report.verdict, GradcheckVerdict::Fail) << what << "\n" << report.str();
  EXPECT_TRUE(report.has_hint(pattern)) << what << ": " << pattern << "\n" << report.str();
  EXPECT_NE(report.str().find(words), std::string::npos) << what << ": " << words << "\n" << report.str();
}

// ---- Rules on the tape

using One = std::function<Tensor(const Tensor& x)>;
using OneRule = std::function<Tensor(const Tensor& g, const Tensor& x)>;
using Two = std::function<Tensor(const Tensor& a, const Tensor& b)>;
using TwoRule = std::function<Tensor(const Tensor& g, const Tensor& a, const Tensor& b)>;

TensorFunction unary(One f, OneRule rule) {
  return [=](Inputs in) {
    const Tensor x = in[0];
    Tensor y;
    {
      const NoGrad no_grad;
      y = copy(f(x));
    }
    return record("planted", y, {{x, [rule, x = Saved(x)](const Tensor& g) { return rule(g, x()); }}});
  };
}

TensorFunction binary(Two f, TwoRule rule_a, TwoRule rule_b) {
  return [=](Inputs in) {
    const Tensor a = in[0], b = in[1];
    Tensor y;
    {
      const NoGrad no_grad;
      y = copy(f(a, b));
    }
    return record("planted", y,
                  {{a, [=, a = Saved(a), b = Saved(b)](const Tensor& g) { return rule_a(g, a(), b()); }},
                   {b, [=, a = Saved(a), b = Saved(b)](const Tensor& g) { return rule_b(g, a(), b()); }}});
  };
}

struct Planted {
  std::string what, pattern, words;
  TensorFunction f;
  std::vector<Tensor> inputs;
};

const Conv2DOptions kSame{.padding = Padding::Same};
Tensor same(const Tensor& x, const Tensor& w) {
  return conv2d(x, w, kSame);
}
Tensor same_x(const Tensor& g, const Tensor& x, const Tensor& w) {
  return conv2d_backprop_input(x.shape(), w, g, kSame);
}
Tensor same_w(const Tensor& g, const Tensor& x, const Tensor& w) {
  return conv2d_backprop_filter(x, w.shape(), g, kSame);
}
Tensor product(const Tensor& a, const Tensor& b) {
  return matmul(a, b);
}
Tensor product_a(const Tensor& g, const Tensor&, const Tensor& b) {
  return matmul(g, b, {.transpose_b = true});
}
Tensor product_b(const Tensor& g, const Tensor& a, const Tensor&) {
  return matmul(a, g, {.transpose_a = true});
}
Tensor times(const Tensor& g, const Tensor& factor) {
  return g * factor;
}

std::vector<Planted> planted_rules() {
  const Tensor x = draw({3, 4}), image = draw({2, 5, 4, 3}), w = draw({3, 3, 3, 2}, 2);
  const Tensor small = draw({1, 5, 5, 1}), filter = draw({3, 3, 1, 1}, 2);
  const auto cube = [](const Tensor& t) { return t * t * t; };
  return {
      {"a forgotten 2", "ratio", "1/2 of what it should be", unary(square, times), {x}},
      {"twice",
       "ratio",
       "2 times",
       unary(sin, [](const Tensor& g, const Tensor& t) { return 2.0 * g * cos(t); }),
       {x}},
      {"the sign",
       "sign",
       "-1 times",
       unary(cos, [](const Tensor& g, const Tensor& t) { return g * sin(t); }),
       {x}},
      {"an odd factor",
       "ratio",
       "0.75 times",
       unary(sin, [](const Tensor& g, const Tensor& t) { return 0.75 * g * cos(t); }),
       {x}},
      {"nearly right",
       "ratio",
       "1.000001",
       unary(cube, [](const Tensor& g, const Tensor& t) { return g * 3.000003 * square(t); }),
       {x}},
      {"a mean's divisor forgotten",
       "ratio",
       "1/12 of a mean is forgotten",
       unary([](const Tensor& t) { return mean(t); },
             [](const Tensor& g, const Tensor& t) { return broadcast_to(g, t.shape()); }),
       {x}},
      {"a mean's divisor in a sum",
       "ratio",
       "1/4 of what it should be",
       unary([](const Tensor& t) { return sum(t, 1, {.keepdims = true}); },
             [](const Tensor& g, const Tensor& t) { return broadcast_to(g, t.shape()) / 4; }),
       {x}},
      {"the output gradient forgotten",
       "output-gradient",
       "output gradient is forgotten",
       unary(exp, [](const Tensor&, const Tensor& t) { return exp(t); }),
       {x}},
      {"the output gradient squared",
       "output-gradient-squared",
       "enters twice",
       unary(exp, [](const Tensor& g, const Tensor& t) { return g * g * exp(t); }),
       {x}},
      {"the output gradient forgotten in one term",
       "output-gradient-part",
       "a part of it ignores it",
       unary([](const Tensor& t) { return square(t) + sin(t); },
             [](const Tensor& g, const Tensor& t) { return 2.0 * g * t + cos(t); }),
       {x}},
      {"the output gradient summed",
       "output-gradient-sum",
       "only the sum",
       unary(sin, [](const Tensor& g, const Tensor& t) { return sum(g) * cos(t); }),
       {x}},
      {"no gradient",
       "zero",
       "zero everywhere",
       unary(sin, [](const Tensor& g, const Tensor&) { return zeros_like(g); }),
       {x}},
      {"not recorded",
       "zero",
       "not recorded",
       [](Inputs in) {
         const NoGrad no_grad;
         return copy(sin(in[0]));
       },
       {x}},
      {"a division by zero",
       "not-finite",
       "NaN or infinite",
       unary([](const Tensor& t) { return square(t); },
             [](const Tensor& g, const Tensor& t) { return 2.0 * g * square(t) / t; }),
       {x * tensor({1, 1, 0, 1}, DType::Float64)}},
      {"the filter not turned in dx",
       "rotated",
       "turned by 180 degrees",
       binary(
           same, [](const Tensor& g, const Tensor&, const Tensor& q) { return same(g, q); }, same_w),
       {small, filter}},
      {"dw turned",
       "rotated",
       "turned by 180 degrees",
       binary(same, same_x,
              [](const Tensor& g, const Tensor& p, const Tensor& q) { return rot180(same_w(g, p, q)); }),
       {image, w}},
      {"dw turned along one axis",
       "rotated",
       "reversed along kh",
       binary(same, same_x,
              [](const Tensor& g, const Tensor& p, const Tensor& q) { return flip(same_w(g, p, q), {0}); }),
       {image, w}},
      {"a flip forgotten",
       "flipped",
       "reversed along axis 1",
       unary([](const Tensor& t) { return flip(t, {1}); }, [](const Tensor& g, const Tensor&) { return g; }),
       {x}},
      {"channels reversed",
       "channels",
       "channels (c) in reverse order",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) { return flip(g * cos(t), {3}); }),
       {image}},
      {"channels rotated",
       "channels",
       "along c are in the wrong order",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) {
               const Tensor d = g * cos(t);
               Tensor moved = zeros_like(d);
               for (index_t i = 0; i < d.size(); ++i) {
                 const index_t c = i % 3;
                 moved.mutable_data<double>()[i - c + (c + 1) % 3] = d.data<double>()[i];
               }
               return moved;
             }),
       {image}},
      {"kh and kw exchanged",
       "axes",
       "kh and kw exchanged",
       binary(same, same_x,
              [](const Tensor& g, const Tensor& p, const Tensor& q) {
                return permute(same_w(g, p, q), {1, 0, 2, 3});
              }),
       {image, w}},
      {"a transpose forgotten",
       "axes",
       "'input 1' were transposed",
       binary(
           product, [](const Tensor& g, const Tensor&, const Tensor& q) { return matmul(g, q); }, product_b),
       {draw({3, 3}), draw({3, 3}, 2)}},
      {"the result transposed",
       "axes",
       "transposed",
       binary(product, product_a,
              [](const Tensor& g, const Tensor& p, const Tensor&) {
                return transpose(matmul(p, g, {.transpose_a = true}));
              }),
       {draw({3, 3}), draw({3, 3}, 2)}},
      {"the transposed one reshaped",
       "axes",
       "read as [4, 3]",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) {
               return reshape(transpose(g * cos(t)), {3, 4});
             }),
       {x}},
      {"the permutation instead of its inverse",
       "axes",
       "permuted",
       unary(
           [](const Tensor& t) {
             return permute(t, {1, 2, 0});
           },
           [](const Tensor& g, const Tensor&) {
             return permute(g, {1, 2, 0});
           }),
       {draw({2, 2, 2})}},
      {"rules exchanged",
       "exchanged",
       "in the place of 'input 1'",
       binary([](const Tensor& a, const Tensor& b) { return sin(a) + exp(b); },
              [](const Tensor& g, const Tensor&, const Tensor& b) { return g * exp(b); },
              [](const Tensor& g, const Tensor& a, const Tensor&) { return g * cos(a); }),
       {x, draw({3, 4}, 2)}},
      {"the wrong operand",
       "operands",
       "in each other's place",
       binary([](const Tensor& a, const Tensor& b) { return square(a) * b; },
              [](const Tensor& g, const Tensor& a, const Tensor& b) { return 2.0 * g * a * b; },
              [](const Tensor& g, const Tensor&, const Tensor& b) { return g * square(b); }),
       {x, draw({3, 4}, 2)}},
      {"one column off",
       "shifted",
       "shifted by 1 along axis 1",
       unary(
           [](const Tensor& t) {
             return pad(t, {{0, 0}, {1, 1}});
           },
           [](const Tensor& g, const Tensor&) {
             return slice(g, {{}, {0, 4}});
           }),
       {x}},
      {"the padding of both axes forgotten",
       "shifted",
       "shifted by 1 along h and w",
       unary(
           [](const Tensor& t) {
             return pad(t, {{0, 0}, {1, 1}, {1, 1}, {0, 0}});
           },
           [](const Tensor& g, const Tensor&) {
             return slice(g, {{}, {0, 5}, {0, 4}});
           }),
       {image}},
      {"a stride off",
       "shifted",
       "shifted by 2 along axis 1",
       unary(
           [](const Tensor& t) {
             return slice(t, {{}, {0, Range::kToEnd, 2}});
           },
           [](const Tensor& g, const Tensor&) {
             return slice(pad(zero_insert(g, {0, 1}), {{0, 0}, {2, 0}}), {{}, {0, 8}});
           }),
       {draw({2, 8})}},
      {"a row never written",
       "unwritten",
       "axis 0 = 2, the last one",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) {
               return g * cos(t) * tensor({{1}, {1}, {0}}, DType::Float64);
             }),
       {x}},
      {"every second column never written",
       "unwritten",
       "axis 1 = 1, 3, ...",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) {
               return g * cos(t) * tensor({1, 0, 1, 0}, DType::Float64);
             }),
       {x}},
      {"only the last row of the batch",
       "overwritten",
       "only the last index of axis 0",
       binary(product, product_a,
              [](const Tensor& g, const Tensor& p, const Tensor&) {
                return matmul(slice(p, {{4, 5}}), slice(g, {{4, 5}}), {.transpose_a = true});
              }),
       {draw({5, 3}), draw({3, 2}, 2)}},
      {"the last row of the batch missing",
       "missing-term",
       "last term is missing",
       binary(product, product_a,
              [](const Tensor& g, const Tensor& p, const Tensor&) {
                return matmul(slice(p, {{0, 4}}), slice(g, {{0, 4}}), {.transpose_a = true});
              }),
       {draw({5, 3}), draw({3, 2}, 2)}},
      {"the first row of the batch missing",
       "missing-term",
       "first term is missing",
       binary(product, product_a,
              [](const Tensor& g, const Tensor& p, const Tensor&) {
                return matmul(slice(p, {{1, 5}}), slice(g, {{1, 5}}), {.transpose_a = true});
              }),
       {draw({5, 3}), draw({3, 2}, 2)}},
      {"Valid in place of Same",
       "border",
       "only at the border",
       unary(
           [](const Tensor& t) { return sin(t); },
           [](const Tensor& g, const Tensor& t) {
             const Tensor inside = pad(ones({2, 3, 2, 3}, DType::Float64), {{0, 0}, {1, 1}, {1, 1}, {0, 0}});
             return g * cos(t) * (2.0 - inside);
           }),
       {image}},
      {"one channel",
       "place",
       "only in entries with c = 2, the last one",
       unary([](const Tensor& t) { return sin(t); },
             [](const Tensor& g, const Tensor& t) {
               return g * (cos(t) + tensor({0, 0, 1}, DType::Float64) * t);
             }),
       {image}},
  };
}

TEST(GradcheckHints, RulesOnTheTape) {
  const std::vector<Planted> all = planted_rules();
  EXPECT_GE(all.size(), 35u);
  for (const Planted& p : all) expect_hint(gradcheck(p.f, p.inputs), p.what, p.pattern, p.words);
}

// A sample and a direction catch them as well.
TEST(GradcheckHints, RulesOnTheTapeInTheOtherModes) {
  for (const GradcheckMode mode : {GradcheckMode::Sample, GradcheckMode::Direction}) {
    int hinted = 0;
    const std::vector<Planted> all = planted_rules();
    for (const Planted& p : all) {
      const GradcheckReport report = gradcheck(p.f, p.inputs, {.mode = mode, .samples = 30});
      EXPECT_EQ(report.verdict, GradcheckVerdict::Fail) << p.what << "\n" << report.str();
      hinted += report.has_hint(p.pattern) ? 1 : 0;
    }
    EXPECT_GE(hinted, static_cast<int>(all.size()) - 3);
  }
}

// The size of the gradients does not matter: the same hints.
TEST(GradcheckHints, AtAnyScale) {
  for (const double s : {1e-6, 1e6})
    for (const Planted& p : planted_rules()) {
      if (p.pattern == "output-gradient-part" || p.pattern == "ratio") continue;  // f * s has other factors
      const TensorFunction f = [&](Inputs in) { return p.f(in) * s; };
      const GradcheckReport report = gradcheck(f, p.inputs);
      EXPECT_TRUE(report.has_hint(p.pattern)) << p.what << " times " << s << "\n" << report.str();
    }
}

// Sums of exactly two terms: y = (a + b)(...) adds two for each entry.
TEST(GradcheckHints, SumsOfTwoTerms) {
  // y = [x, 2 x]: dx = dy[0] + 2 dy[1], of which one term arrives; which one differs from entry to entry.
  const Tensor x = draw({6});
  const TensorFunction f = [](Inputs in) { return stack({in[0] * 1.0, in[0] * 2.0}, 0); };
  const Tensor pick = tensor({1, 0, 0, 1, 0, 1}, DType::Float64);
  const auto terms = [](const Tensor& dy) {
    return std::pair{reshape(slice(dy, {{0, 1}}), {6}), 2.0 * reshape(slice(dy, {{1, 2}}), {6})};
  };
  const GradcheckReport one = gradcheck_backward(f,
                                                 [=](Inputs, const Tensor&, const Tensor& dy) {
                                                   const auto [a, b] = terms(dy);
                                                   return Gradients{a * pick + b * (1.0 - pick)};
                                                 },
                                                 {x});
  expect_hint(one, "one of two terms", "overwritten", "one single term of a sum of up to 2");
}

// What is wrong in digits that no hint can tell apart is not explained by a term that is as small.
TEST(GradcheckHints, ErrorsTooSmallForHints) {
  const TensorFunction f = [](Inputs in) { return stack({in[0] * 1.0, in[0] * 1e-6}, 0); };
  const GradcheckReport report =
      gradcheck_backward(f,
                         [](Inputs, const Tensor&, const Tensor& dy) {
                           const Tensor right = slice(dy, {{0, 1}}) + 1e-6 * slice(dy, {{1, 2}});
                           return Gradients{reshape(right, {6}) *
                                            tensor({1, 1 + 1e-7, 1, 1 - 2e-7, 1, 1 + 3e-7}, DType::Float64)};
                         },
                         {draw({6})}, {.tolerance = 1e-10, .step = 1});
  EXPECT_EQ(report.verdict, GradcheckVerdict::Fail) << report.str();
  for (const char* pattern : {"missing-term", "overwritten"})
    EXPECT_FALSE(report.has_hint(pattern)) << report.str();
}

// Right in the first order, wrong in the second.
std::vector<Planted> planted_second_rules() {
  const Tensor x = draw({3, 4}), image = draw({1, 4, 5, 1}), filter = draw({3, 3, 1, 1}, 2);
  const auto cube = [](const Tensor& t) { return t * t * t; };
  // The derivative of x^3 with a rule of its own.
  const auto derivative = [](OneRule rule) {
    return [f = unary([](const Tensor& t) { return 3.0 * square(t); }, std::move(rule))](
               const Tensor& g, const Tensor& t) { return g * f({t}); };
  };
  return {
      {"a stopped factor",
       "zero",
       "for a constant",
       unary(cube, [](const Tensor& g, const Tensor& t) { return 3.0 * g * square(stop_gradient(t)); }),
       {x}},
      {"half",
       "ratio",
       "1/2",
       unary(cube, derivative([](const Tensor& g, const Tensor& t) { return 3.0 * g * t; })),
       {x}},
      {"twice",
       "ratio",
       "2 times",
       unary(cube, derivative([](const Tensor& g, const Tensor& t) { return 12.0 * g * t; })),
       {x}},
      {"the sign",
       "sign",
       "-1 times",
       unary(cube, derivative([](const Tensor& g, const Tensor& t) { return -6.0 * g * t; })),
       {x}},
      {"transposed",
       "axes",
       "exchanged",
       unary(cube, derivative([](const Tensor& g, const Tensor& t) { return transpose(6.0 * g * t); })),
       {draw({3, 3})}},
      {"one operand stopped",
       "zero",
       "for a constant",
       binary(
           product,
           [](const Tensor& g, const Tensor& p, const Tensor& q) {
             return product_a(g, p, stop_gradient(q));
           },
           product_b),
       {draw({3, 2}), draw({2, 4}, 2)}},
      {"a filter stopped",
       "zero",
       "for a constant",
       binary(
           same,
           [](const Tensor& g, const Tensor& p, const Tensor& q) { return same_x(g, p, stop_gradient(q)); },
           same_w),
       {image, filter}},
      {"one of two paths stopped",
       "missing-term",
       "the part that comes through the gradient of 'input 0' is missing",
       binary([](const Tensor& a, const Tensor& b) { return a * square(b); },
              [](const Tensor& g, const Tensor&, const Tensor& b) { return g * square(stop_gradient(b)); },
              [](const Tensor& g, const Tensor& a, const Tensor& b) { return 2.0 * g * a * b; }),
       {x, draw({3, 4}, 2)}},
      {"one column",
       "unwritten",
       "axis 1 = 3, the last one",
       unary(cube, derivative([](const Tensor& g, const Tensor& t) {
               return 6.0 * g * t * tensor({1, 1, 1, 0}, DType::Float64);
             })),
       {x}},
  };
}

TEST(GradcheckHints, SecondOrder) {
  const std::vector<Planted> all = planted_second_rules();
  for (const Planted& p : all) {
    const GradcheckReport first = gradcheck(p.f, p.inputs);
    EXPECT_TRUE(first.passed) << p.what << "\n" << first.str();
    expect_hint(gradcheck_second_order(p.f, p.inputs), p.what, p.pattern, p.words);
  }
}

// ---- Hand-written pairs that have never heard of the tape

// A convolution of images [h, w] with filters [k, k] in loops, and its backward pass with one mistake.
struct Loops {
  static constexpr index_t kSize = 6, kFilter = 3, kOut = kSize - kFilter + 1;

  static Tensor forward(Inputs in) {
    Tensor y = zeros({kOut, kOut}, DType::Float64);
    for (index_t p = 0; p < kOut; ++p)
      for (index_t q = 0; q < kOut; ++q)
        for (index_t i = 0; i < kFilter; ++i)
          for (index_t j = 0; j < kFilter; ++j)
            y.set({p, q}, y.at({p, q}) + in[0].at({p + i, q + j}) * in[1].at({i, j}));
    return y;
  }

  enum Mistake {
    None,
    OverwriteX,
    OverwriteW,
    TurnedX,
    ShiftedX,
    LastRowX,
    LastTapX,
    LastTapW,
    LastOutputW,
    Forgotten,
    TransposedW
  };

  static BackwardFunction backward(Mistake mistake) {
    return [mistake](Inputs in, const Tensor&, const Tensor& dy) {
      Tensor dx = zeros({kSize, kSize}, DType::Float64), dw = zeros({kFilter, kFilter}, DType::Float64);
      const auto add = [](Tensor& to, index_t a, index_t b, double value, bool overwrite) {
        to.set({a, b}, (overwrite ? 0 : to.at({a, b})) + value);
      };
      for (index_t p = 0; p < kOut; ++p)
        for (index_t q = 0; q < kOut; ++q)
          for (index_t i = 0; i < kFilter; ++i)
            for (index_t j = 0; j < kFilter; ++j) {
              const double g = mistake == Forgotten ? 1 : dy.at({p, q});
              const double w =
                  mistake == TurnedX ? in[1].at({kFilter - 1 - i, kFilter - 1 - j}) : in[1].at({i, j});
              const index_t down = mistake == ShiftedX ? 1 : 0;
              if (p + i + down < kSize && !(mistake == LastRowX && p + i == kSize - 1) &&
                  !(mistake == LastTapX && i == kFilter - 1 && j == kFilter - 1))
                add(dx, p + i + down, q + j, g * w, mistake == OverwriteX);
              if (!(mistake == LastTapW && i == kFilter - 1) && !(mistake == LastOutputW && q == kOut - 1))
                add(dw, mistake == TransposedW ? j : i, mistake == TransposedW ? i : j,
                    g * in[0].at({p + i, q + j}), mistake == OverwriteW);
            }
      return Gradients{dx, dw};
    };
  }
};

TEST(GradcheckHints, HandWrittenPairs) {
  const std::vector<Tensor> inputs = {draw({6, 6}), draw({3, 3}, 2)};
  const GradcheckOptions options{
      .tolerance = 1e-10, .step = 1, .names = {"x", "w"}, .axes = {"h w", "kh kw"}};
  const GradcheckReport right =
      gradcheck_backward(Loops::forward, Loops::backward(Loops::None), inputs, options);
  EXPECT_TRUE(right.passed) << right.str();
  struct Case {
    Loops::Mistake mistake;
    std::string pattern, words;
  };
  for (const Case& c : std::vector<Case>{
           {Loops::OverwriteX, "overwritten", "one single term"},
           {Loops::OverwriteW, "overwritten", "overwritten instead of accumulated"},
           {Loops::TurnedX, "rotated", "'w' were turned by 180 degrees"},
           {Loops::ShiftedX, "shifted", "shifted by 1 along h"},
           {Loops::LastRowX, "unwritten", "h = 5, the last one"},
           {Loops::LastTapX, "missing-term", "one term of each sum"},
           {Loops::LastTapW, "unwritten", "kh = 2, the last one"},
           {Loops::LastOutputW, "missing-term", "last index of axis 1 of the result"},
           {Loops::Forgotten, "output-gradient", "forgotten"},
           {Loops::TransposedW, "axes", "kh and kw exchanged"},
       })
    expect_hint(gradcheck_backward(Loops::forward, Loops::backward(c.mistake), inputs, options), c.pattern,
                c.pattern, c.words);
}

// What looks like another mistake is not named as it.
TEST(GradcheckHints, ACopiedColumnIsNotAShiftAndNaNIsNotZero) {
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  const Tensor x = draw({4, 2});
  const GradcheckReport copied = gradcheck_backward(
      f,
      [](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{copy(broadcast_to(slice(dy * 2.0 * in[0], {{}, {0, 1}}), in[0].shape()))};
      },
      {x});
  EXPECT_EQ(copied.verdict, GradcheckVerdict::Fail);
  EXPECT_FALSE(copied.has_hint("shifted")) << copied.str();
  const GradcheckReport none =
      gradcheck_backward(f,
                         [](Inputs in, const Tensor&, const Tensor&) {
                           return Gradients{full(in[0].shape(), std::nan(""), DType::Float64)};
                         },
                         {x});
  EXPECT_TRUE(none.has_hint("not-finite")) << none.str();
  EXPECT_FALSE(none.has_hint("zero")) << none.str();
}

// A convolution of images NHWC with filters HWIO and zeros around, in loops, and its backward pass. What goes
// wrong is decided for each product of the sums.
struct ImageLoops {
  static constexpr index_t kBatch = 2, kHeight = 5, kWidth = 6, kIn = 3, kOut = 2, kFilter = 3;

  /// One product x[n, h, w, in] * filter[i, j, in, out] that adds to y[n, p, q, out].
  struct Product {
    index_t n, p, q, i, j, in, out;
    index_t h() const { return p + i - 1; }
    index_t w() const { return q + j - 1; }
  };
  template <class F>
  static void for_each(F&& f) {
    for (index_t n = 0; n < kBatch; ++n)
      for (index_t p = 0; p < kHeight; ++p)
        for (index_t q = 0; q < kWidth; ++q)
          for (index_t out = 0; out < kOut; ++out)
            for (index_t i = 0; i < kFilter; ++i)
              for (index_t j = 0; j < kFilter; ++j)
                for (index_t in = 0; in < kIn; ++in) {
                  const Product t{n, p, q, i, j, in, out};
                  if (t.h() >= 0 && t.w() >= 0 && t.h() < kHeight && t.w() < kWidth) f(t);
                }
  }

  static Tensor forward(Inputs in) {
    Tensor y = zeros({kBatch, kHeight, kWidth, kOut}, DType::Float64);
    for_each([&](const Product& t) {
      y.set({t.n, t.p, t.q, t.out}, y.at({t.n, t.p, t.q, t.out}) + in[0].at({t.n, t.h(), t.w(), t.in}) *
                                                                       in[1].at({t.i, t.j, t.in, t.out}));
    });
    return y;
  }

  using Factor = std::function<double(const Product&)>;
  /// The products in dx and dw are multiplied by these.
  static BackwardFunction backward(Factor of_x, Factor of_w) {
    return [=](Inputs in, const Tensor&, const Tensor& dy) {
      Tensor dx = zeros(in[0].shape(), DType::Float64), dw = zeros(in[1].shape(), DType::Float64);
      for_each([&](const Product& t) {
        const double g = dy.at({t.n, t.p, t.q, t.out});
        const double x = in[0].at({t.n, t.h(), t.w(), t.in}), w = in[1].at({t.i, t.j, t.in, t.out});
        dx.set({t.n, t.h(), t.w(), t.in}, dx.at({t.n, t.h(), t.w(), t.in}) + g * w * of_x(t));
        dw.set({t.i, t.j, t.in, t.out}, dw.at({t.i, t.j, t.in, t.out}) + g * x * of_w(t));
      });
      return Gradients{dx, dw};
    };
  }
};

TEST(GradcheckHints, ImagesAndFilters) {
  using T = ImageLoops::Product;
  using L = ImageLoops;
  const std::vector<Tensor> inputs = {draw({2, 5, 6, 3}), draw({3, 3, 3, 2}, 2)};
  const GradcheckOptions options{.tolerance = 1e-10, .step = 1, .names = {"x", "w"}};
  const auto all = [](const T&) { return 1.0; };
  const auto without = [](auto&& left_out) { return [=](const T& t) { return left_out(t) ? 0.0 : 1.0; }; };
  struct Case {
    std::string what, pattern, words;
    L::Factor of_x, of_w;
  };
  const std::vector<Case> cases = {
      {"a mean over n, h and w", "ratio", "1/60 of what it should be, and 60 is axis 0 * axis 1 * axis 2",
       all, [](const T&) { return 1.0 / 60; }},
      {"a mean over h and w", "ratio", "1/30 of what it should be, and 30 is axis 1 * axis 2", all,
       [](const T&) { return 1.0 / 30; }},
      {"a mean over the filter", "ratio", "9 times what it should be, and 9 is kh * kw of 'w'",
       [](const T&) { return 9.0; }, all},
      {"a mean over a batch of two", "ratio",
       "1/2 of what it should be, and 2 is axis 0 of the result: divided by it", all,
       [](const T&) { return 0.5; }},
      {"the last tap", "missing-term", "one term of each sum (of up to 9) is missing",
       without([](const T& t) { return t.i == 2 && t.j == 2; }), all},
      {"the last of two channels", "missing-term", "the last index of axis 3 of the result (size 2)",
       without([](const T& t) { return t.out == 1; }), all},
      {"the last of two images", "missing-term", "the last index of axis 0 of the result (size 2)", all,
       without([](const T& t) { return t.n == 1; })},
      {"the border of the result", "border", "the border of the result", all, without([](const T& t) {
         return t.p == 0 || t.q == 0 || t.p == L::kHeight - 1 || t.q == L::kWidth - 1;
       })},
      {"h < height - 1", "unwritten", "those with the last index of h or w",
       without([](const T& t) { return t.h() == L::kHeight - 1 || t.w() == L::kWidth - 1; }), all},
      {"h > 0", "unwritten", "those with the first index of h or w",
       without([](const T& t) { return t.h() == 0 || t.w() == 0; }), all},
      {"the middle of the filter", "unwritten", "those with kh = 1 and kw = 1", all,
       without([](const T& t) { return t.i == 1 && t.j == 1; })},
  };
  EXPECT_TRUE(gradcheck_backward(L::forward, L::backward(all, all), inputs, options).passed);
  for (const Case& c : cases)
    expect_hint(gradcheck_backward(L::forward, L::backward(c.of_x, c.of_w), inputs, options), c.what,
                c.pattern, c.words);
  for (const int axis : {2, 3}) {
    const BackwardFunction right = L::backward(all, all);
    const BackwardFunction swapped = [&](Inputs in, const Tensor& y, const Tensor& dy) {
      Gradients found = right(in, y, dy);
      return Gradients{found[0], flip(found[1], {axis})};
    };
    expect_hint(gradcheck_backward(L::forward, swapped, inputs, options), "swapped", "channels",
                axis == 2 ? "channels (in) in reverse order" : "channels (out) in reverse order");
  }
}

TEST(GradcheckHints, WhatABackwardPassReturnsIsChecked) {
  const TensorFunction f = [](Inputs in) { return square(in[0]); };
  const Tensor x = draw({3});
  EXPECT_TRUE(refuses("gradcheck", {"got 2 for 1 inputs"}, [&] {
    (void)gradcheck_backward(f,
                             [](Inputs in, const Tensor&, const Tensor&) {
                               return Gradients{in[0], in[0]};
                             },
                             {x});
  }));
  EXPECT_TRUE(refuses("gradcheck", {"gradient of Float64 [1]", "'input 0'", "Float64 [3]"}, [&] {
    (void)gradcheck_backward(f, [](Inputs, const Tensor&, const Tensor&) { return Gradients{draw({1})}; },
                             {x});
  }));
  EXPECT_TRUE(refuses("gradcheck", {"no gradient for 'input 0'"}, [&] {
    (void)gradcheck_backward(f, [](Inputs, const Tensor&, const Tensor&) { return Gradients{Tensor()}; },
                             {x});
  }));
  // It may do with its arguments what it likes.
  const GradcheckReport report = gradcheck_backward(f,
                                                    [](Inputs in, const Tensor&, const Tensor& dy) {
                                                      Tensor g = dy;
                                                      for (index_t i = 0; i < g.size(); ++i)
                                                        g.mutable_data<double>()[i] *=
                                                            2 * in[0].data<double>()[i];
                                                      return Gradients{g};
                                                    },
                                                    {x});
  EXPECT_TRUE(report.passed) << report.str();
}

// ---- The adjoint test

TEST(GradcheckAdjoint, AConvolutionAndItsTranspose) {
  const Tensor w = draw({3, 3, 2, 4});
  const Conv2DOptions options{.strides = 2, .padding = Padding::Same};
  const Shape shape = {2, 7, 6, 2};
  const auto a = [&](const Tensor& x) { return conv2d(x, w, options); };
  const auto transposed = [&](const Tensor& y) { return conv2d_backprop_input(shape, w, y, options); };
  const GradcheckReport right = gradcheck_adjoint(a, transposed, shape);
  EXPECT_TRUE(right.passed) << right.str();
  EXPECT_NE(right.note.find("<Ax, y> = "), std::string::npos);

  const GradcheckReport turned = gradcheck_adjoint(
      a, [&](const Tensor& y) { return conv2d_backprop_input(shape, rot180(w), y, options); }, shape);
  EXPECT_EQ(turned.verdict, GradcheckVerdict::Fail) << turned.str();
  const GradcheckReport doubled = gradcheck_adjoint(
      a, [&](const Tensor& y) { return 2.0 * transposed(y); }, shape);
  expect_hint(doubled, "doubled", "ratio", "2 times");
  const GradcheckReport nearly = gradcheck_adjoint(
      a, [&](const Tensor& y) { return (1 + 1e-9) * transposed(y); }, shape);
  EXPECT_FALSE(nearly.passed) << nearly.str();
}

TEST(GradcheckAdjoint, WhatIsNotLinearIsRefused) {
  const auto twice = [](const Tensor& x) { return 2.0 * x; };
  const GradcheckReport affine = gradcheck_adjoint([](const Tensor& x) { return 2.0 * x + 1.0; }, twice, {4});
  EXPECT_EQ(affine.verdict, GradcheckVerdict::Fail);
  EXPECT_NE(affine.str().find("not linear"), std::string::npos) << affine.str();
  EXPECT_TRUE(gradcheck_adjoint(twice, twice, {4}).passed);
  const auto nothing = [](const Tensor& x) { return 0.0 * x; };
  EXPECT_EQ(gradcheck_adjoint(nothing, nothing, {4}).verdict, GradcheckVerdict::Vacuous);
  EXPECT_TRUE(refuses("gradcheck", {"makes [4] from [4]", "takes [2, 2]"}, [&] {
    (void)gradcheck_adjoint([](const Tensor& x) { return reshape(x, {4}); }, twice, {2, 2});
  }));
}

}  // namespace
}  // namespace tapegrad::testing
