#include "checks/16_kinks.h"

#include <fmt/format.h>

#include <cmath>

namespace exercise_16 {
namespace {

void relu_part(Check& check, const Answers& answers) {
  check.part(
      "relu_backward",
      "the first picture. Which of x, y and dy says where dy is passed on, and what is passed on?", [&] {
        const Tensor x = check.draw({3, 7});
        check.context("x [3, 7]");
        check.backward(
            [](const Tensors& in) { return tg::relu(in[0]); },
            [&](const Tensors& in, const Tensor&, const Tensor& dy) {
              return Tensors{answers.relu_backward(in[0], dy)};
            },
            {x}, {.names = {"x"}},
            {{0, "the mask is made from dy: dy is passed on where x is above 0, whatever its own sign",
              [](const Tensors&, const Tensor&, const Tensor& dy) { return tg::relu(dy); }},
             {0, "the mask is made from x, and then x is passed on in place of dy",
              [](const Tensors& xs, const Tensor&, const Tensor&) { return tg::relu(xs[0]); }},
             {0, "dy is passed on everywhere, also where relu(x) is 0 whatever x is",
              [](const Tensors&, const Tensor&, const Tensor& dy) { return dy * 1.0; }},
             {0, "dy is passed on where x is below 0: it is the other side",
              [](const Tensors& xs, const Tensor&, const Tensor& dy) {
                return dy - dy * tg::cast(tg::greater(xs[0], 0.0), tg::DType::Float64);
              }}});
        check.context("x = (-1, 0, 2, 0, -0), dy = (1, 2, 3, 4, 5): at the kink");
        const Tensor dy = tg::tensor({1, 2, 3, 4, 5}, tg::DType::Float64);
        check.compare(
            "dx", answers.relu_backward(tg::tensor({-1.0, 0.0, 2.0, 0.0, -0.0}, tg::DType::Float64), dy),
            tg::tensor({0, 0, 3, 0, 0}, tg::DType::Float64),
            {.explanations = {
                 {"x >= 0: at exactly 0 the convention is a slope of 0, as if relu were still flat. It "
                  "matters: pixels that are exactly 0 are common",
                  [] {
                    return tg::tensor({0, 2, 3, 4, 5}, tg::DType::Float64);
                  }}}});
      });
}

/// max_pool2d's gradient in loops, with mistakes in it.
struct Pooling {
  bool overwrite = false, to_all = false, to_ties = false, last_tie = false, no_stride = false,
       exchanged = false, first_channel = false;

  Tensor operator()(const Tensor& x, const Tensor& dy, const Window& k) const {
    Tensor dx = new_tensor(x.shape());
    const index_t sh = no_stride   ? 1
                       : exchanged ? k.stride_w
                                   : k.stride_h,
                  sw = no_stride   ? 1
                       : exchanged ? k.stride_h
                                   : k.stride_w;
    for (index_t n = 0; n < dy.shape()[0]; ++n)
      for (index_t p = 0; p < dy.shape()[1]; ++p)
        for (index_t q = 0; q < dy.shape()[2]; ++q)
          for (index_t c = 0; c < dy.shape()[3]; ++c)
            window(x, dx, {n, p * sh, q * sw, c}, dy.at({n, p, q, c}), k);
    return dx;
  }

  void window(const Tensor& x, Tensor& dx, std::array<index_t, 4> at, double value, const Window& k) const {
    const auto [n, top, left, c] = at;
    double best = -INFINITY;
    index_t best_h = -1, best_w = -1;
    for (const bool giving : {false, true})
      for (index_t h = top; h < std::min(top + k.height, x.shape()[1]); ++h)
        for (index_t w = left; w < std::min(left + k.width, x.shape()[2]); ++w) {
          const double here = x.at({n, h, w, first_channel ? 0 : c});
          if (!giving && (here > best || (last_tie && here == best))) best = here, best_h = h, best_w = w;
          if (!giving) continue;
          const bool gets = to_all || (to_ties ? here == best : h == best_h && w == best_w);
          if (gets && overwrite) dx.set({n, h, w, c}, value);
          if (gets && !overwrite) add_to(dx, {n, h, w, c}, value);
        }
  }
};

const std::vector<std::pair<const char*, Pooling>>& wrong_poolings() {
  static const std::vector<std::pair<const char*, Pooling>> all = {
      {"where windows overlap, the last one is left: a pixel that is the largest of several windows gets the sum of their dy",
       {.overwrite = true}},
      {"every pixel of a window gets dy: only the largest one may have it", {.to_all = true}},
      {"the stride is left out: the window of y[p, q] begins at row p stride_h and column q stride_w",
       {.no_stride = true}},
      {"the strides are exchanged: stride_h goes with rows", {.exchanged = true}},
      {"channel 0 decides for all channels: each channel has a largest pixel of its own",
       {.first_channel = true}},
  };
  return all;
}

void pool_part(Check& check, const Answers& answers) {
  struct Sizes {
    Shape x;
    Window k;
  };
  const std::vector<Sizes> all = {{{1, 2, 4, 1}, {2, 2, 1, 1}},
                                  {{2, 4, 6, 3}, {2, 2, 2, 2}},
                                  {{2, 7, 6, 3}, {3, 2, 2, 1}},
                                  {{2, 5, 8, 2}, {2, 1, 1, 3}}};
  const std::vector<Sizes> easy = {{{2, 4, 4, 3}, {2, 2, 2, 2}}};
  const auto text = [](const Sizes& s) {
    return fmt::format("x {}, windows {} x {}, strides {} and {}", s.x.str(), s.k.height, s.k.width,
                       s.k.stride_h, s.k.stride_w);
  };
  check.part(
      "max_pool_backward",
      "the second picture: which window's largest pixel is where? For every y[n, p, q, c] look through its window for the "
      "largest pixel, remember its row and column, and add dy there.",
      [&] {
        for (const Sizes& s : check.cases(all, easy)) {
          check.context(text(s));
          std::vector<GradientExplanation> explanations;
          for (const auto& [what, wrong] : wrong_poolings())
            explanations.push_back(
                {0, what, [wrong = wrong, &s](const Tensors& xs, const Tensor&, const Tensor& dy) {
                   return wrong(xs[0], dy, s.k);
                 }});
          const tg::Pool2DOptions options{.pool_size = {s.k.height, s.k.width},
                                          .strides = tg::Size2D(s.k.stride_h, s.k.stride_w)};
          check.backward([&](const Tensors& in) { return tg::max_pool2d(in[0], options); },
                         [&](const Tensors& in, const Tensor&, const Tensor& dy) {
                           return Tensors{answers.max_pool_backward(in[0], dy, s.k)};
                         },
                         {check.draw(s.x)}, {.names = {"x"}, .axes = {"n h w c"}}, explanations);
        }
        // Whole numbers from 0 to 2: ties everywhere, also with the first value that is looked at.
        const Sizes s{{2, 6, 5, 2}, {3, 2, 1, 2}};
        check.context(text(s) + ", x of -2, -1 and 0 only, so that pixels of a window are equal");
        const Tensor x = tg::floor(tg::abs(check.draw(s.x)) * 1.2) * -1.0;
        const Tensor ties = tg::maximum(x, -2.0);
        const Tensor dy = check.draw({2, 4, 2, 2});
        check.compare(
            "dx", answers.max_pool_backward(ties, dy, s.k), Pooling{}(ties, dy, s.k),
            {.axes = "n h w c",
             .explanations = {
                 {"all pixels that share the largest value get dy, which counts it several times: the first one gets it",
                  [&] { return Pooling{.to_ties = true}(ties, dy, s.k); }},
                 {"the last of the largest pixels gets dy; the convention is the first: compare with >, not with >=",
                  [&] { return Pooling{.last_tie = true}(ties, dy, s.k); }}}});
      });
}

struct Question {
  std::string what;
  Function f;
  double x, derivative;
  Judgement right;
  const char* hint;
};

const char* const kCurved =
    "the two slopes differ because f is curved: their difference shrinks with h, and at a kink it does not. Compare it at two "
    "steps";

std::string_view hint_for(const Question& q, Judgement says) {
  if (q.hint == nullptr) return "";
  if (q.hint != kCurved || says == Judgement::AtKink) return q.hint;
  return "it is not at a kink, and the number is right: the step is too large for such a curved function (the error of central "
         "differences grows with h^2), or the tolerance too small";
}

const char* name(Judgement judgement) {
  return judgement == Judgement::Right ? "Right" : judgement == Judgement::Wrong ? "Wrong" : "AtKink";
}

std::vector<Question> questions() {
  const Function relu = [](double t) { return t > 0 ? t : 0.0; };
  const Function square = [](double t) { return t * t; };
  const Function steep = [](double t) { return std::exp(20 * t); };
  const Function bent = [](double t) { return std::max(t, 2 * t - 1); };
  using enum Judgement;
  const char* central =
      "central differences see the mean of the two slopes at a kink, at every h: look at the two sides by themselves";
  const char* curved = kCurved;
  const char* near =
      "the kink is beside x, not at x: the step walks over it. Use one that is smaller than 1e-4";
  const char* between =
      "it is a kink, but this number lies outside of the two slopes: no convention allows it";
  const char* coarse = "the number is wrong by a percent or less: compare with a tolerance near 1e-6";
  return {
      {"x^2 at 3, derivative 6", square, 3, 6, Right, curved},
      {"x^2 at 3, derivative 6.01", square, 3, 6.01, Wrong, coarse},
      {"relu at 0, derivative 0", relu, 0, 0, AtKink, central},
      {"relu at 0, derivative 1", relu, 0, 1, AtKink, central},
      {"relu at 0, derivative 1/2", relu, 0, 0.5, AtKink, central},
      {"relu at 0, derivative 2", relu, 0, 2, Wrong, between},
      {"|x| at 0, derivative -1.5", [](double t) { return std::abs(t); }, 0, -1.5, Wrong, between},
      {"max(x, 2x - 1) at 1, derivative 1.25", bent, 1, 1.25, AtKink, central},
      {"relu at 0.0001, derivative 1", relu, 1e-4, 1, Right, near},
      {"relu at -0.0001, derivative 0", relu, -1e-4, 0, Right, near},
      {"relu at 0.0001, derivative 1/2", relu, 1e-4, 0.5, Wrong, near},
      {"exp(20 x) at 1", steep, 1, 20 * std::exp(20.0), Right, curved},
      {"exp(20 x) at 1, derivative too large by 0.1%", steep, 1, 20.02 * std::exp(20.0), Wrong, coarse},
      {"sin(100 x) at 1", [](double t) { return std::sin(100 * t); }, 1, 100 * std::cos(100.0), Right,
       curved},
      {"x^2 at 0, derivative 0", square, 0, 0, Right, curved},
      {"x^2 at 0, derivative 0.5", square, 0, 0.5, Wrong, nullptr},
      {"3 x + 1000 at 2, derivative 3", [](double t) { return 3 * t + 1000; }, 2, 3, Right,
       "the difference of the two slopes is rounding here: f is 1000, its rounding 1e-13, and divided by a small h that is no "
       "longer small. A kink's is far larger"},
  };
}

}  // namespace

void check(Check& check, const Answers& answers) {
  relu_part(check, answers);
  pool_part(check, answers);
  check.part(
      "judge",
      "compute above(h) and below(h) for h = 1e-5 and h = 1e-6, for relu at 0, for relu at 1e-4 and for exp(20 x) at 1. "
      "What does above - below do from one h to the other?",
      [&] {
        for (const Question& q : questions()) {
          const Judgement says = answers.judge(q.f, q.x, q.derivative);
          check.expect(says == q.right,
                       fmt::format("judge() says {} of {}, and it is {}", name(says), q.what, name(q.right)),
                       hint_for(q, says));
        }
      });
}

}  // namespace exercise_16
