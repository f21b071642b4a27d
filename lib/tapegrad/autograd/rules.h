#pragma once

// How an op tells the tape about its derivative. Ops are functions that compute their result and pass it
// through record(); a user's own op is written the same way.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A tensor as a rule saves it: the handle and the version of its elements. Reading it throws when the
/// elements were changed in place since.
class Saved {
 public:
  /// x may be a tensor that was never given a value, until it is read: whose op it is, record() can say.
  explicit Saved(const Tensor& x) : tensor_(x), version_(saved_version(x)) {}
  const Tensor& operator()() const {
    if (!tensor_.defined() || version() != version_) refuse();
    return tensor_;
  }

 private:
  static std::uint64_t saved_version(const Tensor& x);
  std::uint64_t version() const { return TensorAccess::storage(tensor_)->version(); }
  [[noreturn, gnu::cold]] void refuse() const;
  Tensor tensor_;
  std::uint64_t version_;
};

class Input;

namespace detail {

class TAPEGRAD_INTERNAL Recording;
struct Context;

/// Sums a gradient over the axes along which an input of this shape was broadcast. Differentiable.
using SumTo = Tensor (*)(Tensor gradient, const Shape& shape);

/// A type-erased derivative rule in the tape's memory: for one input (Result is Tensor), or for all inputs together
/// (Result is a list of tensors, and Wanted tells the rule which inputs need a gradient).
template <class Result, class... Wanted>
class Rule {
 public:
  /// output is defined only if the rule takes it.
  Result apply(const Tensor& output_gradient, const Tensor& output, const Wanted&... wanted) const {
    return apply_(*this, output_gradient, output, wanted...);
  }
  /// Adds to sum, in place, what apply() returns. False if the rule has no such form: then sum is as it was.
  bool add_to(Tensor& sum, const Tensor& output_gradient) const {
    if (add_to_ != nullptr) add_to_(*this, sum, output_gradient);
    return add_to_ != nullptr;
  }
  /// Whether read_back() may be called.
  bool reads_back() const { return read_back_ != nullptr; }
  /// The gradient of the output gradient that add_to() adds, from the gradient of the sum.
  Tensor read_back(const Tensor& sum_gradient) const { return read_back_(*this, sum_gradient); }
  /// In place of a destructor.
  void destroy() { destroy_(*this); }

 protected:
  using Apply = Result (*)(const Rule&, const Tensor&, const Tensor&, const Wanted&...);
  using AddTo = void (*)(const Rule&, Tensor&, const Tensor&);
  using ReadBack = Tensor (*)(const Rule&, const Tensor&);
  Rule(Apply run, AddTo add, ReadBack read, void (*end)(Rule&))
      : apply_(run), add_to_(add), read_back_(read), destroy_(end) {}

 private:
  // Not virtual: tables and names of classes, one for each rule, were a tenth of the ops.
  Apply apply_;
  AddTo add_to_;
  ReadBack read_back_;
  void (*destroy_)(Rule&);
};

/// What a joint rule is asked for.
struct JointCall {
  const std::vector<bool>& wanted;  ///< which inputs need a gradient
  /// The output gradient is zero already where the op's output is not positive.
  bool gated = false;
  /// The rule sets the gradient of its first input to zero where that input is not positive, as the rule of the op that made the
  /// input would do next. Only rules that take a JointCall are asked to.
  bool gate_first = false;
};
using InputRule = Rule<Tensor>;
using JointRule = Rule<std::vector<Tensor>, JointCall>;

/// A joint rule that takes a list of the wanted inputs.
template <class F>
struct OfWanted {
  using Wanted = std::vector<bool>;
  static constexpr bool kTakesOutput =
      std::is_invocable_v<const F&, const Tensor&, const Tensor&, const Wanted&>;
  F f;
  std::vector<Tensor> operator()(const Tensor& g, const JointCall& call) const requires(!kTakesOutput) {
    return f(g, call.wanted);
  }
  std::vector<Tensor> operator()(const Tensor& g, const Tensor& output, const JointCall& call) const
      requires(kTakesOutput) {
    return f(g, output, call.wanted);
  }
};

/// Whether a closure says of itself that the output gradient matters to it only where the op's output is positive, as to
/// relu's rule. A rule of one input is such a gate and nothing else.
template <class F>
inline constexpr bool gates = requires {
  requires F::kGates;
};
/// Whether F can be asked for what stands in a JointCall.
template <class F>
inline constexpr bool takes_call = true;
template <class F>
inline constexpr bool takes_call<OfWanted<F>> = false;
/// Whether the closure F is a rule that takes the op's output.
template <class F, class Result = Tensor, class... Wanted>
inline constexpr bool takes_output =
    std::is_invocable_r_v<Result, const F&, const Tensor&, const Tensor&, const Wanted&...>;
/// Whether the closure F is a rule that takes the output gradient, but not the output.
template <class F, class Result = Tensor, class... Wanted>
inline constexpr bool takes_gradient_only =
    !takes_output<F, Result, Wanted...> &&
    std::is_invocable_r_v<Result, const F&, const Tensor&, const Wanted&...>;

template <class F, class Result, class... Wanted>
struct RuleOf final : Rule<Result, Wanted...> {
  using Base = Rule<Result, Wanted...>;
  static constexpr bool kAdds = requires(const F& f, Tensor& sum) { f.add_to(sum, sum); };
  static constexpr bool kReads = requires(const F& f, const Tensor& g) { f.read_back(g); };
  explicit RuleOf(F&& closure)
      : Base(run, kAdds ? add : nullptr, kReads ? read : nullptr, end), f(std::move(closure)) {}
  static Result run(const Base& rule, const Tensor& output_gradient, const Tensor& output,
                    const Wanted&... wanted) {
    const F& f = static_cast<const RuleOf&>(rule).f;
    if constexpr (takes_output<F, Result, Wanted...>)
      return f(output_gradient, output, wanted...);
    else
      return f(output_gradient, wanted...);
  }
  static void add(const Base& rule, Tensor& sum, const Tensor& output_gradient) {
    if constexpr (kAdds) static_cast<const RuleOf&>(rule).f.add_to(sum, output_gradient);
  }
  static Tensor read(const Base& rule, const Tensor& sum_gradient) {
    if constexpr (kReads)
      return static_cast<const RuleOf&>(rule).f.read_back(sum_gradient);
    else
      return sum_gradient;
  }
  static void end(Base& rule) { static_cast<RuleOf&>(rule).f.~F(); }
  F f;
};

/// How an input of an op was resolved: to a node of the recording that is active on this thread, to a constant (no
/// node), or to a tensor that cannot be an input (then problem says why).
struct Resolved {
  Node* node = nullptr;
  Recording* recording = nullptr;  // that the node belongs to
  const char* problem = nullptr;
  std::size_t bytes_saved = 0;  // since the last call, that is by the rule of this input
};
/// Resolves an input, on the thread that has this context. Throws inside a parallel loop that a recording thread started.
Resolved resolve(Context& own, const Tensor& x);
Resolved resolve(const Tensor& x);
/// Whether a NoGrad or a spent tape keeps this thread's ops from being recorded, and nobody else hears of them. An op then
/// need not make Inputs of its rules.
bool skips_recording();

/// A closure, for as long as it is not known whether it will be kept as a rule.
template <class Rule>
struct Closure {
  void* closure;
  Rule* (*move_to)(void* memory, void* closure);
  std::size_t bytes;  // of the memory
  bool takes_output, gates, takes_call;
};
using InputClosure = Closure<InputRule>;
using JointClosure = Closure<JointRule>;
template <class F, class Result, class... Wanted>
Closure<Rule<Result, Wanted...>> closure_of(F& rule) {
  using Kept = RuleOf<F, Result, Wanted...>;
  static_assert(alignof(Kept) <= alignof(std::max_align_t));
  const auto move_to = [](void* memory, void* closure) -> Rule<Result, Wanted...>* {
    return new (memory) Kept(std::move(*static_cast<F*>(closure)));
  };
  return {&rule, move_to, sizeof(Kept), takes_output<F, Result, Wanted...>, gates<F>, takes_call<F>};
}

Tensor record_joint(const char* op, Tensor output, std::span<const Tensor> inputs, const JointClosure& rule);

/// For the library's joint rules, which take a JointCall.
template <class F>
Tensor record_joint_call(const char* op, Tensor output, std::span<const Tensor> inputs, F rule) {
  return record_joint(op, std::move(output), inputs, closure_of<F, std::vector<Tensor>, JointCall>(rule));
}

/// record(), of the handle that the op will return.
void record_result(const char* op, Tensor& output, std::span<const Input> inputs);

}  // namespace detail

/// One input of an op, and the rule for that input's gradient. The rule is a function of the output gradient, or of the
/// output gradient and the output (only then does the tape keep the output). It returns the input's gradient, with the
/// input's shape and dtype, computed with differentiable ops. The rule captures the tensors that it needs as Saved(x),
/// and never its own output. A rule is kept only if its input is tracked.
///
/// A rule whose gradient is zero but for a small part may be an object with a second member, add_to(Tensor& sum,
/// const Tensor& output_gradient), which adds that part to the sum of the input's gradients in place. It is called
/// instead where there is a sum that nobody else holds, and nothing is recorded: then many slices of one tensor do
/// not cost a pass over the whole tensor each.
class Input {
 public:
  template <class F>
  Input(const Tensor& x, F rule) : Input(x, nullptr, detail::closure_of<F, Tensor>(rule)) {
    static_assert(detail::takes_output<F> || detail::takes_gradient_only<F>,
                  "a rule is callable as Tensor(const Tensor& output_gradient) or with the output as well");
  }
  /// For the library's ops, whose inputs are broadcast: where x was, sum_to() is applied to what the rule returns.
  template <class F>
  Input(const Tensor& x, F&& rule, detail::SumTo sum_to)
      : Input(x, sum_to, detail::closure_of<F, Tensor>(rule)) {
    static_assert(!std::is_lvalue_reference_v<F>, "the rule is moved from");
    static_assert(!detail::RuleOf<F, Tensor>::kAdds, "what add_to() adds would not be summed");
  }
  Input(Input&& other) noexcept
      : own_(other.own_),
        resolved_(other.resolved_),
        shape_(other.shape_),
        rule_(std::exchange(other.rule_, nullptr)),
        sum_to_(other.sum_to_),
        wants_output_(other.wants_output_),
        gates_(other.gates_) {}
  Input& operator=(Input&&) = delete;
  ~Input();

 private:
  Input(const Tensor& x, detail::SumTo sum_to, const detail::InputClosure& rule);
  friend void detail::record_result(const char* op, Tensor& output, std::span<const Input> inputs);
  detail::Context& own_;  // of the thread that makes the op
  detail::Resolved resolved_;
  Shape shape_;
  mutable detail::InputRule* rule_ = nullptr;  // record() takes it over
  detail::SumTo sum_to_;
  bool wants_output_ = false, gates_ = false;
};

/// Returns output, the result of op. When a tape is recording and one of the inputs is tracked, the tape gets a node
/// for the op, and the returned handle belongs to that node. op, a string literal, names the op in errors.
[[nodiscard]] inline Tensor record(const char* op, Tensor output, std::span<const Input> inputs) {
  detail::record_result(op, output, inputs);
  return output;
}
[[nodiscard]] inline Tensor record(const char* op, Tensor output, std::initializer_list<Input> inputs) {
  detail::record_result(op, output, {inputs.begin(), inputs.size()});
  return output;
}

/// As record(), for ops that compute the gradients of all inputs together: one rule for all inputs. rule is callable as
///   std::vector<Tensor>(const Tensor& output_gradient, const std::vector<bool>& wanted)
/// or with the output as the second of three arguments (only then does the tape keep the output). The rule returns one
/// gradient for each input; a gradient that is not wanted may be left undefined.
template <class F>
[[nodiscard]] Tensor record_joint(const char* op, Tensor output, std::span<const Tensor> inputs, F rule) {
  using Found = std::vector<Tensor>;
  using Wanted = std::vector<bool>;
  static_assert(detail::takes_output<F, Found, Wanted> || detail::takes_gradient_only<F, Found, Wanted>,
                "a joint rule is callable as std::vector<Tensor>(const Tensor& output_gradient, "
                "const std::vector<bool>& wanted), or with the output in between");
  return detail::record_joint_call(op, std::move(output), inputs, detail::OfWanted<F>{std::move(rule)});
}
template <class F>
[[nodiscard]] Tensor record_joint(const char* op, Tensor output, std::initializer_list<Tensor> inputs,
                                  F rule) {
  return record_joint(op, std::move(output), std::span<const Tensor>(inputs.begin(), inputs.size()),
                      std::move(rule));
}

}  // namespace v0
}  // namespace tapegrad
