#pragma once

// How an op tells the tape about its derivative. Ops are functions that compute their result and pass it
// through record(); a user's own op is written the same way.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
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
  /// Throws when x was never given a value.
  explicit Saved(const Tensor& x) : tensor_(x), version_(version_of(x)) {}
  Saved(const Saved&) = default;
  Saved(Saved&& other) noexcept : tensor_(std::move(other.tensor_)), version_(other.version_) {
    count_bytes();
  }
  Saved& operator=(const Saved&) = default;
  const Tensor& operator()() const {
    if (version_of(tensor_) != version_) refuse_changed();
    return tensor_;
  }

 private:
  static std::uint64_t version_of(const Tensor& x);
  [[noreturn]] void refuse_changed() const;
  void count_bytes() const noexcept;
  Tensor tensor_;
  std::uint64_t version_;
};

namespace detail {

/// A derivative rule in the tape's memory, whatever its closure's type.
struct Rule {
  virtual ~Rule() = default;
  virtual Tensor apply(const Tensor& output_gradient, const Tensor& output) const = 0;
};

template <class F>
inline constexpr bool takes_output = std::is_invocable_r_v<Tensor, const F&, const Tensor&, const Tensor&>;

template <class F>
struct RuleOf final : Rule {
  explicit RuleOf(F&& closure) : f(std::move(closure)) {}
  Tensor apply(const Tensor& output_gradient, const Tensor& output) const override {
    if constexpr (takes_output<F>)
      return f(output_gradient, output);
    else
      return f(output_gradient);
  }
  F f;
};

/// Who an input of an op is: a node of the tape that is recording on this thread; or a constant (no node); or
/// something that cannot be used, and why.
struct Resolved {
  Node* node = nullptr;
  const char* problem = nullptr;
};
/// Throws when this thread works on a loop that a recording thread started.
Resolved resolve(const Tensor& x);
/// Memory that lives as long as the recording.
void* tape_memory(std::size_t bytes);
/// How many bytes of tensors were moved into rules on this thread so far.
std::size_t& bytes_saved();

}  // namespace detail

/// One input of an op and the rule for its gradient: a function of the output's gradient (and of the output,
/// if it takes two arguments: only then is the output kept) that returns the input's gradient, with the
/// input's shape and dtype, computed with differentiable ops. The rule captures the tensors it needs as
/// Saved(x), never its own output. It is kept only if the input is tracked.
class Input {
 public:
  template <class F>
  Input(const Tensor& x, F rule) : resolved_(detail::resolve(x)), shape_(x.shape()) {
    static_assert(detail::takes_output<F> || std::is_invocable_r_v<Tensor, const F&, const Tensor&>,
                  "a rule is callable as Tensor(const Tensor& output_gradient) or with the output as well");
    static_assert(alignof(detail::RuleOf<F>) <= alignof(std::max_align_t));
    if (resolved_.node == nullptr) return;
    const std::size_t before = detail::bytes_saved();
    rule_ = new (detail::tape_memory(sizeof(detail::RuleOf<F>))) detail::RuleOf<F>(std::move(rule));
    bytes_ = detail::bytes_saved() - before;
    wants_output_ = detail::takes_output<F>;
  }
  Input(Input&& other) noexcept
      : resolved_(other.resolved_),
        shape_(other.shape_),
        rule_(std::exchange(other.rule_, nullptr)),
        bytes_(other.bytes_),
        wants_output_(other.wants_output_) {}
  Input& operator=(Input&&) = delete;
  ~Input() {
    if (rule_ != nullptr) rule_->~Rule();
  }

 private:
  friend Tensor record(const char* op, Tensor output, std::span<const Input> inputs);
  detail::Resolved resolved_;
  Shape shape_;
  mutable detail::Rule* rule_ = nullptr;  // record() takes it over
  std::size_t bytes_ = 0;
  bool wants_output_ = false;
};

/// Passes on output, the result of op. When a tape is recording and one of the inputs is tracked, the tape
/// gets a node for it, and the returned handle knows that node. op is a string literal.
Tensor record(const char* op, Tensor output, std::span<const Input> inputs);
inline Tensor record(const char* op, Tensor output, std::initializer_list<Input> inputs) {
  return record(op, std::move(output), std::span<const Input>(inputs.begin(), inputs.size()));
}

/// One rule for all inputs of an op: given the output's gradient, the output, and which inputs are wanted, it
/// returns one gradient for each input; those that are not wanted may be left undefined.
using JointRule = std::function<std::vector<Tensor>(const Tensor& output_gradient, const Tensor& output,
                                                    const std::vector<bool>& wanted)>;
/// As record(), for ops whose gradients are better computed together. The output is kept.
Tensor record_joint(const char* op, Tensor output, const std::vector<Tensor>& inputs, JointRule rule);

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
