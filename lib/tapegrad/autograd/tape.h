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
  /// Allow several calls of gradient(): what the tape saved is kept until the tape goes out of scope.
  bool persistent = false;
  /// Check every result and every gradient: the first op that makes a NaN or an infinity throws. For finding where a
  /// training run goes wrong; costs a pass over every tensor. Applies to the tapes around this one as well.
  bool check_finite = false;
};

struct GradientOptions {
  /// Record the computation of the gradients on the same tape, so that they can be differentiated again.
  bool create_graph = false;
  /// Return zeros for sources that y does not depend on (for all of them if y is a constant) instead of throwing.
  bool zeros_for_unreached = false;
  /// Throw when y depends on a parameter that is not among the sources and so would not be trained: a member that
  /// visit() forgot, a parameter captured by a lambda, or a clone that still uses the original's parameter.
  bool all_parameters = false;
  /// The gradient of the final result with respect to y, with y's shape: the factor that the backward pass begins with.
  /// If it is not given: 1, for a y with one element.
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
/// A tape in the scope of another tape of the same thread is a mark in the same recording: the inner tape's gradient()
/// covers what was recorded after the mark, and is itself recorded for the outer tape. To keep the inner tape
/// independent, open a NoGrad before it.
///
/// Threads. A tape belongs to the thread that made it: ops of other threads are not recorded; every member throws on
/// another thread, and inside a parallel loop that began after the tape; and no thread may write to tensors that the
/// open tape recorded. Only the destructor may run on another thread: it ends the recording. Several threads may have
/// tapes of their own at the same time and share parameters, as long as no thread writes to the parameters meanwhile.
/// Other objects: a Module may be called by several threads at once while no thread trains or changes it (a call
/// changes layers that count, such as Dropout or BatchNorm in training); an Optimizer, a Loader and a Generator may be
/// used by one thread at a time.
class [[nodiscard]] Tape {
 public:
  [[nodiscard]] explicit Tape(TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A new handle on x's elements that is an independent variable of this tape. (For a tape around this one the handle
  /// is x itself.) Throws unless x is Float32 or Float64.
  [[nodiscard]] Tensor watch(const Tensor& x);
  /// watch(x) for each x of xs.
  [[nodiscard]] std::vector<Tensor> watch(const std::vector<Tensor>& xs,
                                          Constants constants = Constants::Refuse);

  /// The gradients of y with respect to the sources xs (parameters, watched tensors, or results of ops on this tape),
  /// in the order of xs, each with the shape and dtype of its source and in memory of its own. Frees what the tape
  /// saved and ends the recording, unless the tape is persistent or create_graph is set; a second call then throws.
  ///
  /// Throws when y was not computed on this tape, or has several elements and there is no output_gradient; when y does
  /// not depend on one of xs; when a tensor that a rule needs was changed in place; and when a rule returns a gradient
  /// of the wrong shape or dtype. An exception thrown by a rule is nested in an Error that names the op
  /// (std::rethrow_if_nested gives it back).
  [[nodiscard]] Gradients gradient(const Tensor& y, const std::vector<Tensor>& xs,
                                   const GradientOptions& options = {});
  [[nodiscard]] Gradients gradient(const Tensor& y, std::initializer_list<Tensor> xs,
                                   const GradientOptions& options = {}) {
    return gradient(y, std::vector<Tensor>(xs), options);
  }
  [[nodiscard]] Tensor gradient(const Tensor& y, const Tensor& x, const GradientOptions& options = {});

  /// Calls hook with the gradient of x, a tensor of this tape or a parameter, as soon as gradient() of this tape has
  /// summed all of it: if x is one of the sources, or lies between y and one of them. Tapes inside or around this one
  /// do not call the hook. The gradient of a parameter includes all its uses, through whatever views; x must not be a
  /// part of a parameter. The hook may call everything that is allowed while gradient() runs, such as on_gradient()
  /// (the new hook is called by the next gradient()), and may destroy the tape. gradient() rethrows what the hook
  /// throws. A hook must not change the gradient in place, as others may share it: gradient() throws then.
  void on_gradient(const Tensor& x, std::function<void(const Tensor& gradient)> hook);

  /// The parameters that were used since the recording began, in order of their first use.
  [[nodiscard]] std::vector<Tensor> parameters() const;

  /// What was recorded so far. Parameters that `names` contains get their names from there.
  [[nodiscard]] Graph graph(const State& names = {}) const;

  /// The number of nodes: recorded ops, watched tensors and parameters. May be called on a spent tape.
  index_t size() const;

 private:
  std::shared_ptr<detail::TapeState> state_;  // outlives a tape that one of its hooks ends
};

/// Stops recording on this thread until the end of the scope. A tape that is opened inside the scope records, and is
/// independent of tapes outside.
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
