#pragma once

// Tape, which records ops and computes gradients, and NoGrad, which keeps ops from being recorded.

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "tapegrad/autograd/gradients.h"
#include "tapegrad/tensor/graph.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

namespace detail {
struct Scope;
struct TapeState;
}  // namespace detail

struct TapeOptions {
  /// gradient() may be called several times; what was saved for it is kept until the tape goes out of scope.
  bool persistent = false;
  /// Every result and gradient is looked through: the first op that makes a NaN or an infinity throws. For
  /// finding where a training run goes wrong; it costs a pass over every tensor. Holds for the tapes around
  /// this one as well.
  bool check_finite = false;
};

struct GradientOptions {
  /// Record the computation of the gradients on the same tape, so that they can be differentiated again.
  bool create_graph = false;
  /// A source that the result does not depend on gets zeros instead of an error; all do when it is a
  /// constant.
  bool zeros_for_unreached = false;
  /// Throw when the result depends on a parameter that is not among the sources, and so would not be trained: a
  /// member that visit() forgot, a parameter that a lambda holds, the original's in a clone.
  bool all_parameters = false;
  /// The gradient of whatever comes after y, with y's shape. Not given: 1, for a y with one element.
  Tensor output_gradient = {};
};

/// What Tape::watch() of several tensors does with those that have no gradient, or have one already.
enum class Constants {
  Refuse,  ///< throw for Int32 and UInt8; what stop_gradient() made becomes a variable, as by watch(x)
  Keep,    ///< return Int32, UInt8 and what stop_gradient() made as they are
  KeepParameters,  ///< as Refuse, but return parameters as they are: tapes watch them by themselves
};

/// Records the differentiable ops of this thread from its construction until it goes out of scope or its
/// gradient is taken. Parameters are watched by themselves.
///
/// A tape in the scope of another one of the same thread is a mark in the same recording: its gradient()
/// covers what came after it, and is itself recorded for the outer one. To keep it apart, open a
/// NoGrad first.
///
/// Threads. A tape belongs to the thread that made it: ops of other threads are not recorded, every member throws on
/// another thread and inside of a parallel loop that began after the tape, and what the tape made cannot be written
/// to by any thread. Only its end may come on another thread: from then on nothing is recorded on it. Any number of
/// threads may have tapes of their own at once, which share parameters, as long as none writes to the parameters
/// then. The same holds for the objects around it: a Module may be called by several threads at once while none
/// trains or changes it (layers that count, such as Dropout or BatchNorm in training, are changed by a call); an
/// Optimizer, a Loader and a Generator are each used by one thread at a time.
class [[nodiscard]] Tape {
 public:
  [[nodiscard]] explicit Tape(TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A new handle on x's elements that is an independent variable of this tape (for a tape around this one it
  /// is x). Throws unless x is Float32 or Float64.
  [[nodiscard]] Tensor watch(const Tensor& x);
  /// The same for each of xs.
  [[nodiscard]] std::vector<Tensor> watch(const std::vector<Tensor>& xs,
                                          Constants constants = Constants::Refuse);

  /// The gradients of y with respect to xs (parameters, watched tensors, or results of ops on this tape), in
  /// their order, each with the shape and dtype of its x and in memory of its own. Frees what the tape saved,
  /// and ends the recording, unless the tape is persistent or create_graph is set. A second call after that
  /// is an error.
  ///
  /// Throws when y was not computed on this tape or has several elements and no output_gradient; when y does
  /// not depend on one of xs; when a tensor that a rule needs was changed in place; and when a rule is wrong.
  /// What a rule throws is nested in an Error that names the op (std::rethrow_if_nested gives it back).
  [[nodiscard]] Gradients gradient(const Tensor& y, const std::vector<Tensor>& xs,
                                   const GradientOptions& options = {});
  [[nodiscard]] Gradients gradient(const Tensor& y, std::initializer_list<Tensor> xs,
                                   const GradientOptions& options = {}) {
    return gradient(y, std::vector<Tensor>(xs), options);
  }
  [[nodiscard]] Tensor gradient(const Tensor& y, const Tensor& x, const GradientOptions& options = {});

  /// Calls hook with the gradient of x, a tensor of this tape or a parameter, whenever gradient() has found
  /// all of it: where gradient() of this tape passes x on its way, or is asked for it. Gradients of tapes inside or
  /// around this one do not call it. Of a parameter, the hook hears of all uses, whatever views they were of; a part
  /// of a parameter is an error. The hook may do anything that is allowed beside a running gradient(), such as
  /// adding hooks (which hear of the next gradient) or ending the tape; what it throws, gradient() throws. Others
  /// may hold the gradient as well: a hook that changes it in place is an error.
  void on_gradient(const Tensor& x, std::function<void(const Tensor& gradient)> hook);

  /// The parameters that were used since the recording began, in the order of their first use.
  [[nodiscard]] std::vector<Tensor> parameters() const;

  /// What was recorded so far; parameters are named as in `names`, if they are found there.
  Graph graph(const State& names = {}) const;

  /// The number of nodes: recorded ops, watched tensors and parameters. Of a spent tape as well.
  index_t size() const;

 private:
  std::shared_ptr<detail::TapeState> state_;  // outlives a tape that one of its hooks ends
};

/// Nothing is recorded on this thread until the end of the scope (but by tapes opened inside it, which are
/// then on their own).
class [[nodiscard]] NoGrad {
 public:
  [[nodiscard]] NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  std::shared_ptr<detail::Scope> scope_;
};

/// Whether a tape records the ops of this thread.
[[nodiscard]] bool is_recording();

}  // namespace v0
}  // namespace tapegrad
