#include "tapegrad/gradcheck/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/check_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Check;
using detail::describe;
using detail::Draw;
using detail::Problem;
using detail::random_like;
using detail::require_float64;
using detail::share_memory;
using detail::Tensors;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class F>
void require_function(const char* which, const F& f) {
  if (!f) fail("gradcheck", "the {} is empty: pass a function", which);
}

// Everything up to the first call of f: the inputs to work on, or a report that there are none.
struct Start {
  Tensors xs;
  std::vector<GradcheckTensor> tensors;
  std::string dependent;
};

Start start(const Tensors& inputs, const GradcheckOptions& options) {
  Start made{.xs = {}, .tensors = describe(inputs, options), .dependent = {}};
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    for (std::size_t m = 0; m < k; ++m)
      if (share_memory(inputs[m], x) && x.size() > 0 && made.dependent.empty())
        made.dependent = fmt::format(
            "'{}' and '{}' share memory, so neither can change alone: pass copies, or one of them",
            made.tensors[m].name, made.tensors[k].name);
    made.xs.push_back(x.is_parameter() ? x : TensorAccess::clone(x));
  }
  return made;
}

GradcheckReport refused(Start begun, const GradcheckOptions& options) {
  return {.verdict = GradcheckVerdict::DependentInputs,
          .tensors = std::move(begun.tensors),
          .options = options,
          .note = std::move(begun.dependent)};
}

Problem of_function(const TensorFunction& f) {
  return {.forward = [&f](const Tensors& xs) { return Tensors{f(xs)}; },
          .backward =
              [&f](const Tensors& xs, const Tensors& rs) {
                Tape tape;
                const Tensors watched = tape.watch(xs, Constants::KeepParameters);
                return tape.gradient(f(watched), watched,
                                     {.zeros_for_unreached = true, .output_gradient = rs[0]});
              }};
}

// The gradients of f as functions of its inputs and, the last of xs, of the output gradient.
Problem of_gradients(const TensorFunction& f) {
  const auto gradients = [&f](Tape& tape, const Tensors& xs, bool create_graph) -> Tensors {
    const Tensors inputs(xs.begin(), xs.end() - 1);
    return tape.gradient(
        f(inputs), inputs,
        {.create_graph = create_graph, .zeros_for_unreached = true, .output_gradient = xs.back()});
  };
  return {.forward =
              [gradients](const Tensors& xs) {
                Tape tape;
                return gradients(tape, tape.watch(xs, Constants::KeepParameters), false);
              },
          .backward =
              [gradients](const Tensors& xs, const Tensors& rs) {
                Tape tape;
                const Tensors watched = tape.watch(xs, Constants::KeepParameters);
                const Tensors found = gradients(tape, watched, true);
                Tensor total = zeros({}, DType::Float64);
                for (std::size_t k = 0; k < found.size(); ++k) total = total + sum(rs[k] * found[k]);
                return tape.gradient(total, watched, {.zeros_for_unreached = true});
              }};
}

}  // namespace

GradcheckReport gradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options) {
  require_function("function", f);
  if (options.order == 2) return gradcheck_second_order(f, inputs, options);
  if (options.order != 1) fail("gradcheck", "options.order must be 1 or 2, got {}", options.order);
  const NoGrad no_grad;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), options);
  return Check(of_function(f), std::move(begun.xs), std::move(begun.tensors), options).run();
}

GradcheckReport gradcheck_second_order(const TensorFunction& f, const Tensors& inputs,
                                       const GradcheckOptions& options) {
  require_function("function", f);
  const NoGrad no_grad;
  GradcheckOptions second = options;
  second.order = 2;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), second);
  const Tensor y = f(begun.xs);
  require_float64("the result", y);
  Generator generator = detail::own_generator(options.seed, Draw::SecondOrder);
  begun.xs.push_back(random_like(y, generator));
  GradcheckTensor output{.name = "output gradient", .shape = y.shape()};
  for (int axis = 0; axis < y.rank(); ++axis) output.axes.push_back(fmt::format("axis {}", axis));
  begun.tensors.push_back(std::move(output));
  return Check(of_gradients(f), std::move(begun.xs), std::move(begun.tensors), second).run();
}

// A parameter that f uses but the state does not show would not be checked: visit() forgot it, or a lambda holds it.
static void require_all_shown(const std::function<Tensor()>& f, const Tensors& parameters) {
  const NoGrad no_grad;
  const Tape tape;
  (void)f();
  for (const Tensor& used : tape.parameters())
    if (std::ranges::none_of(parameters, [&](const Tensor& p) { return share_memory(p, used); }))
      fail(
          "gradcheck",
          "the function uses a parameter of shape {} that the state does not show, so it would not be checked: is it "
          "missing in visit()? If it is not to be checked, freeze it (stop_gradient), or set allow_untested",
          used.shape());
}

GradcheckReport gradcheck_parameters(const std::function<Tensor()>& f, const State& state,
                                     const GradcheckOptions& options) {
  require_function("function", f);
  GradcheckOptions named = options;
  named.names.clear();
  Tensors parameters, others;
  for (const auto& [path, tensor] : state.tensors) {
    if (!tensor.is_parameter()) {
      if (tensor.defined() && tensor.dtype() == DType::Float64) others.push_back(tensor);
      continue;
    }
    // Tied weights are one parameter with several names.
    if (std::ranges::any_of(parameters, [&t = tensor](const Tensor& p) { return share_memory(p, t); }))
      continue;
    named.names.push_back(path);
    parameters.push_back(tensor);
  }
  if (parameters.empty())
    fail("gradcheck",
         "the state has no parameters (of {} tensors): give it the tensors of the module themselves, "
         "model.state_view(), not the copies that are in model.state()",
         state.tensors.size());
  std::list<detail::Restored> restored;  // statistics that f updates in every call
  for (Tensor& x : others) restored.emplace_back(x);
  const bool checkable =
      std::ranges::all_of(parameters, [](const Tensor& p) { return p.dtype() == DType::Float64; });
  // Otherwise gradcheck() says what is wrong.
  if (checkable && !options.allow_untested) require_all_shown(f, parameters);
  return gradcheck([&f](const Tensors&) { return f(); }, parameters, named);
}

GradcheckReport gradcheck_backward(const TensorFunction& forward, const BackwardFunction& backward,
                                   const Tensors& inputs, const GradcheckOptions& options) {
  require_function("forward pass", forward);
  require_function("backward pass", backward);
  if (options.order != 1)
    fail("gradcheck", "a backward pass written by hand can be checked in the first order only");
  const NoGrad no_grad;
  Start begun = start(inputs, options);
  if (!begun.dependent.empty()) return refused(std::move(begun), options);
  const auto gradients = [&](const Tensors& xs, const Tensor& y, const Tensors& rs) {
    Tensors copies;  // whatever backward does with them
    for (const Tensor& x : xs) copies.push_back(TensorAccess::clone(x));
    Tensors found = backward(copies, y, TensorAccess::clone(rs[0]));
    if (found.size() != xs.size())
      fail("gradcheck", "the backward pass must return one gradient for each input, got {} for {} inputs",
           found.size(), xs.size());
    for (std::size_t k = 0; k < xs.size(); ++k) {
      if (!found[k].defined())
        fail("gradcheck", "the backward pass returned no gradient for '{}'", begun.tensors[k].name);
      if (found[k].shape() != xs[k].shape() || found[k].dtype() != xs[k].dtype())
        fail("gradcheck", "the backward pass returned a gradient of {} {} for '{}', which is {} {}",
             found[k].dtype(), found[k].shape(), begun.tensors[k].name, xs[k].dtype(), xs[k].shape());
      found[k] = TensorAccess::clone(found[k]);
    }
    return found;
  };
  const Problem problem{
      .forward = [&](const Tensors& xs) { return Tensors{forward(xs)}; },
      .backward = [&](const Tensors& xs, const Tensors& rs) { return gradients(xs, forward(xs), rs); },
      .backward_with = gradients};
  return Check(problem, begun.xs, begun.tensors, options).run();
}

GradcheckReport gradcheck_adjoint(const std::function<Tensor(const Tensor&)>& a,
                                  const std::function<Tensor(const Tensor&)>& a_transposed,
                                  const Shape& input_shape, const GradcheckOptions& options) {
  require_function("function", a);
  require_function("transposed function", a_transposed);
  if (options.order != 1) fail("gradcheck", "an adjoint is checked in the first order only");
  const NoGrad no_grad;
  GradcheckOptions mine = options;
  if (!mine.tolerance) mine.tolerance = 1e-12;
  const double tolerance = *mine.tolerance;
  Generator generator = detail::own_generator(options.seed, Draw::Adjoint);
  const Tensor x = random_like(zeros(input_shape, DType::Float64), generator);
  const Tensor ax = a(x);
  require_float64("the result", ax);
  const Tensor y = random_like(ax, generator);
  const Tensor aty = a_transposed(y);
  require_float64("the transposed function's result", aty);
  if (aty.shape() != input_shape)
    fail("gradcheck", "the transposed function makes {} from {}, but the function takes {}", aty.shape(),
         y.shape(), input_shape);
  // Linear, to begin with: A(x + 2 x') = A x + 2 A x'.
  const Tensor other = random_like(x, generator);
  const Tensor together = a(x + 2.0 * other), apart = ax + 2.0 * a(other);
  const double curved = sum(abs(together - apart)).item(),
               size = sum(abs(together)).item() + sum(abs(apart)).item();

  const double left = sum(ax * y).item(), right = sum(x * aty).item();
  const double scale = sum(abs(ax * y)).item() + sum(abs(x * aty)).item();
  GradcheckReport report{.options = mine};
  report.tensors = describe({x}, mine);
  GradcheckTensor& tensor = report.tensors[0];
  tensor.entries = 1;
  tensor.largest_error = std::abs(left - right);
  tensor.largest_relative_error = scale > 0 ? tensor.largest_error / scale : 0;
  tensor.analytic = aty;
  tensor.numeric = full(input_shape, kNaN, DType::Float64);
  tensor.largest_gradient = scale;
  if (!(curved <= tolerance * size)) {
    report.note = fmt::format(
        "the function is not linear: A(x + 2x') differs from Ax + 2Ax' by {:.3g} (of {:.3g})", curved, size);
    tensor.verdict = report.verdict = GradcheckVerdict::Fail;
  } else if (!(tensor.largest_error <= tolerance * scale) || !std::isfinite(scale)) {
    GradcheckOptions exact = mine;
    if (exact.step == 0) exact.step = 1;
    report = gradcheck_backward(
        [&](const Tensors& xs) { return a(xs[0]); },
        [&](const Tensors&, const Tensor&, const Tensor& dy) { return Tensors{a_transposed(dy)}; }, {x},
        exact);
    report.passed = false;
    if (report.verdict == GradcheckVerdict::Pass) report.verdict = GradcheckVerdict::Suspicious;
  } else {
    tensor.verdict = report.verdict = scale == 0 ? GradcheckVerdict::Vacuous : GradcheckVerdict::Pass;
    report.passed = report.verdict == GradcheckVerdict::Pass;
  }
  const std::string products = fmt::format("<Ax, y> = {:.15g}, <x, A^T y> = {:.15g}", left, right);
  report.note = report.note.empty() ? products : report.note + "; " + products;
  return report;
}

}  // namespace tapegrad::inline v0
