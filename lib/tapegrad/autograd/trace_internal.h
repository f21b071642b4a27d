#pragma once

// What ops tell trace_ops(). Nothing is done for it unless a trace is running on this thread.

#include <span>
#include <utility>
#include <vector>

#include "tapegrad/autograd/trace.h"
#include "tapegrad/base/context.h"

namespace tapegrad::inline v0::detail {

/// The ops that one call of trace_ops() has seen.
class Trace {
 public:
  void input(const Tensor& x) { inputs_.push_back(x); }
  void option(const char* name, std::vector<double> values) {
    next_.options.push_back({name, std::move(values)});
  }
  void extra(const Tensor& x) { next_.inputs.push_back(x); }
  void geometry(const Conv2DGeometry& g) { next_.geometry = g; }
  /// The op's result: the last `inputs` inputs are the op's, and so is all else since the last result.
  void result(const char* op, const Tensor& y, std::size_t inputs);

  std::vector<TracedOp> ops;
  const Module* layer = nullptr;  // the innermost that is called

 private:
  std::vector<Tensor> inputs_;
  TracedOp next_;
};

/// A call of a module, until the end of the scope.
class TracedLayer {
 public:
  explicit TracedLayer(const Module& module) : trace_(context().trace) {
    if (trace_ != nullptr) outer_ = std::exchange(trace_->layer, &module);
  }
  ~TracedLayer() {
    if (trace_ != nullptr) trace_->layer = outer_;
  }
  TracedLayer(const TracedLayer&) = delete;
  TracedLayer& operator=(const TracedLayer&) = delete;

 private:
  Trace* trace_;
  const Module* outer_ = nullptr;
};

/// An option of the op whose result is recorded next.
void note(const char* option, double value);
void note(const char* option, std::span<const int> values);
void note(const char* option, std::span<const index_t> values);
void note(const Conv2DGeometry& g);
/// Which places of marks are true.
void note_marked(const char* option, std::span<const bool> marks);
/// A mask or indices of the op whose result is recorded next: an input without a gradient.
void note_input(const Tensor& x);
/// y, the result of an op that is not recorded, or of one that is made of recorded ops.
Tensor noted(const char* op, Tensor y, std::span<const Tensor* const> inputs);
inline Tensor noted(const char* op, Tensor y, std::initializer_list<const Tensor*> inputs) {
  return noted(op, std::move(y), std::span<const Tensor* const>(inputs.begin(), inputs.size()));
}

}  // namespace tapegrad::inline v0::detail
