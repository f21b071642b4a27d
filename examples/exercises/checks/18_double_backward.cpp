#include "checks/18_double_backward.h"

#include <fmt/format.h>

#include <algorithm>

namespace exercise_18 {

namespace raw {

Tensor conv(const Tensor& x, const Tensor& w, const Options& o) {
  const tg::NoGrad no_grad;
  return tg::conv2d(x, w, o);
}
Tensor input_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Options& o) {
  const tg::NoGrad no_grad;
  return tg::conv2d_backprop_input(x_shape, w, dy, o);
}
Tensor filter_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Options& o) {
  const tg::NoGrad no_grad;
  return tg::conv2d_backprop_filter(x, w_shape, dy, o);
}

}  // namespace raw

namespace {

struct Case {
  Shape x, w;
  Options o;
  const char* text;
};

const std::vector<Case>& all_cases() {
  static const std::vector<Case> cases = {
      {{1, 3, 4, 1}, {2, 2, 1, 1}, {}, "strides 1, no padding"},
      {{2, 5, 4, 2},
       {3, 2, 2, 3},
       {.strides = {2, 3}, .padding = tg::Padding::Explicit(1, 0, 0, 1)},
       "strides 2 and 3, padding (1, 0) and (0, 1)"},
  };
  return cases;
}

std::string text(const Case& c) {
  return fmt::format("x {}, w {}, {}", c.x.str(), c.w.str(), c.text);
}

Shape result_of(const Case& c) {
  return raw::conv(new_tensor(c.x), new_tensor(c.w), c.o).shape();
}

/// dx and dw, one after the other in one tensor.
Tensor backward_pass(const Tensors& in, const Case& c) {
  return tg::concat({tg::reshape(raw::input_gradient(c.x, in[1], in[2], c.o), {-1}),
                     tg::reshape(raw::filter_gradient(in[0], c.w, in[2], c.o), {-1})},
                    0);
}
Tensor u_of(const Tensor& g, const Case& c) {
  return tg::reshape(tg::slice(g, {{0, c.x.size()}}), c.x);
}
Tensor v_of(const Tensor& g, const Case& c) {
  return tg::reshape(tg::slice(g, {{c.x.size(), c.x.size() + c.w.size()}}), c.w);
}

std::vector<GradientExplanation> explanations(const Case& c) {
  const auto with = [c](auto formula) {
    return [=](const Tensors& xs, const Tensor&, const Tensor& g) {
      return formula(xs[0], xs[1], xs[2], u_of(g, c), v_of(g, c));
    };
  };
  using T = const Tensor&;
  return {
      {2, "the term conv(x, v) is missing: dy stands in dw as well as in dx",
       with([c](T, T w, T, T u, T) { return raw::conv(u, w, c.o); })},
      {2, "the term conv(u, w) is missing: dy stands in dx as well as in dw",
       with([c](T x, T, T, T, T v) { return raw::conv(x, v, c.o); })},
      {2, "this is conv(x, w), the forward pass: u and v are what is multiplied here",
       with([c](T x, T w, T, T, T) { return raw::conv(x, w, c.o); })},
      {2,
       "the second term is conv(u, v) in place of conv(x, v): T is differentiated once, so only one of x and w is replaced",
       with([c](T, T w, T, T u, T v) { return raw::conv(u, w, c.o) + raw::conv(u, v, c.o); })},
      {0,
       "x's gradient is made with w in place of v: dw = filter_gradient(x, dy) meets v, so x's gradient is "
       "input_gradient(v, dy)",
       with([c](T, T w, T dy, T, T) { return raw::input_gradient(c.x, w, dy, c.o); })},
      {1,
       "w's gradient is made with x in place of u: dx = input_gradient(w, dy) meets u, so w's gradient is "
       "filter_gradient(u, dy)",
       with([c](T x, T, T dy, T, T) { return raw::filter_gradient(x, c.w, dy, c.o); })},
      {0,
       "v is turned by 180 degrees, and must not be: input_gradient() turns by itself what is to be turned",
       with([c](T, T, T dy, T, T v) { return raw::input_gradient(c.x, tg::rot180(v), dy, c.o); })},
      {1, "w's gradient is turned by 180 degrees, and must not be: filter_gradient() turns nothing",
       with([c](T, T, T dy, T u, T) { return tg::rot180(raw::filter_gradient(u, c.w, dy, c.o)); })},
      {0, "x is taken for a constant: dw depends on it, as dw = filter_gradient(x, dy)",
       with([c](T, T, T, T, T) { return new_tensor(c.x); })},
      {1, "w is taken for a constant: dx depends on it, as dx = input_gradient(w, dy)",
       with([c](T, T, T, T, T) { return new_tensor(c.w); })},
  };
}

void by_hand(Check& check, const Answers& answers) {
  check.part(
      "double_backward",
      "the table: one column for dx, which knows w and dy, and one for dw, which knows x and dy. Each gradient is "
      "what one kernel makes of the two other operands of T.",
      [&] {
        for (const Case& c : all_cases()) {
          check.context(text(c));
          check.backward(
              [&](const Tensors& in) { return backward_pass(in, c); },
              [&](const Tensors& in, const Tensor&, const Tensor& g) {
                try {
                  const Tensors found =
                      answers.double_backward(in[0], in[1], in[2], u_of(g, c), v_of(g, c), c.o);
                  for (std::size_t k = 0; k < 3; ++k)
                    if (found.at(k).shape() != in[k].shape())
                      throw tg::Error("double_backward",
                                      fmt::format("gradient {} has the shape {}, and must have {}", k,
                                                  found[k].shape().str(), in[k].shape().str()));
                  return found;
                } catch (const tg::Error& error) {
                  check.fail(
                      {.text = fmt::format("double_backward() ends with an error: {}", error.what()),
                       .tensors = {"double_backward"},
                       .hints = {"a kernel got operands that do not fit: u is like x, v like w, and every "
                                 "call needs the strides and the padding, o"}});
                }
              },
              {check.draw(c.x), check.draw(c.w), check.draw(result_of(c))},
              {.tolerance = 1e-10,
               .step = 1,
               .names = {"x", "w", "dy"},
               .axes = {"n h w in", "kh kw in out", "n p q out"}},
              explanations(c));
        }
      });
}

/// What gradcheck says of a function on the tape.
// known: what is said of second derivatives in the place of gradcheck's more general hints.
void require(Check& check, const tg::GradcheckReport& report, std::string_view known = {}) {
  if (report.passed) {
    check.expect(true, "");
    return;
  }
  Finding finding{.report = report};
  for (tg::GradcheckTensor& t : finding.report->tensors) {
    if (t.verdict == tg::GradcheckVerdict::Pass) continue;
    finding.tensors.push_back("d" + t.name);
    if (!known.empty()) {
      std::erase_if(t.hints, [](const tg::GradcheckHint& h) { return h.pattern != "zero"; });
      t.hints.push_back({"exercise", std::string(known)});
    }
    const auto zero = std::ranges::find(t.hints, "zero", &tg::GradcheckHint::pattern);
    if (known.empty() && zero != t.hints.end())
      t.hints = {
          {"zero",
           "the gradient is zero everywhere: has the op a rule for it? record() takes one for each input"}};
    for (const tg::GradcheckHint& hint : t.hints) finding.hints.push_back(hint.text);
  }
  check.fail(std::move(finding));
}

/// One of the learner's ops, and what it must give.
struct Op {
  const char *name, *look_next;
  std::vector<std::string> inputs;
  std::function<Tensor(const Tensors&in, const Case&c)> op, kernel;
  std::function<Tensors(const Case& c)> draw;
};

void first_order(Check& check, const Op& op) {
  check.part(op.name, op.look_next, [&] {
    for (const Case& c : all_cases()) {
      check.context(text(c) + ", on a tape");
      const Tensors in = op.draw(c);
      check.compare("the result", op.op(in, c), op.kernel(in, c));
      require(check, tg::gradcheck([&](const Tensors& xs) { return op.op(xs, c); }, in,
                                   {.tolerance = 1e-10, .step = 1, .names = op.inputs}));
    }
  });
}

// The rules of the rules, when all first derivatives are right.
void second_order(Check& check, const std::vector<Op>& ops) {
  check.part(
      "second derivatives",
      "the first derivatives of all three ops are right, so their rules give the right numbers. Does each rule call one of the "
      "three ops (not raw::), and keep its tensors as tg::Saved?",
      [&] {
        for (const Op& op : ops)
          for (const Case& c : all_cases()) {
            check.context(fmt::format("{}() differentiated twice, {}", op.name, text(c)));
            const Tensors in = op.draw(c);
            try {
              require(
                  check,
                  tg::gradcheck_second_order([&](const Tensors& xs) { return op.op(xs, c); }, in,
                                             {.tolerance = 1e-10, .step = 1, .names = op.inputs}),
                  "the first derivatives are right and the second are not: a rule of this op keeps a copy of numbers "
                  "where it must keep the tensor, as tg::Saved");
            } catch (const tg::Error& error) {
              check.fail(
                  {.text = fmt::format("the second derivative ends with an error: {}", error.what()),
                   .tensors = {op.name},
                   .hints = {
                       "a rule is computed with what the tape does not see, a kernel in raw:: or copied "
                       "numbers: let it call the ops conv, input_gradient and filter_gradient, and keep "
                       "tensors as tg::Saved"}});
            }
          }
      });
}

}  // namespace

void check(Check& check, const Answers& answers) {
  by_hand(check, answers);
  const std::vector<Op> ops = {
      {"conv",
       "exercises 7 and 8 are its two rules: from g, dx with w, and dw with x. Call the two other ops.",
       {"x", "w"},
       [&](const Tensors& in, const Case& c) { return answers.conv(in[0], in[1], c.o); },
       [](const Tensors& in, const Case& c) { return raw::conv(in[0], in[1], c.o); },
       [&](const Case& c) {
         return Tensors{check.draw(c.x), check.draw(c.w)};
       }},
      {"input_gradient",
       "in the table u stands for g, the gradient of dx. By w it is filter_gradient(g, dy), by dy it is conv(g, w).",
       {"w", "dy"},
       [&](const Tensors& in, const Case& c) { return answers.input_gradient(c.x, in[0], in[1], c.o); },
       [](const Tensors& in, const Case& c) { return raw::input_gradient(c.x, in[0], in[1], c.o); },
       [&](const Case& c) {
         return Tensors{check.draw(c.w), check.draw(result_of(c))};
       }},
      {"filter_gradient",
       "in the table v stands for g, the gradient of dw. By x it is input_gradient(g, dy), by dy it is conv(x, g).",
       {"x", "dy"},
       [&](const Tensors& in, const Case& c) { return answers.filter_gradient(in[0], c.w, in[1], c.o); },
       [](const Tensors& in, const Case& c) { return raw::filter_gradient(in[0], c.w, in[1], c.o); },
       [&](const Case& c) {
         return Tensors{check.draw(c.x), check.draw(result_of(c))};
       }}};
  for (const Op& op : ops) first_order(check, op);
  second_order(check, ops);
}

}  // namespace exercise_18
