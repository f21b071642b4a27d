#include "tapegrad/autograd/trace.h"

#include <iterator>
#include <utility>

#include "tapegrad/autograd/trace_internal.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace detail {

void Trace::result(const char* op, const Tensor& y, std::size_t inputs) {
  // Ops in the arguments of record() come between an input and its op: the last inputs are those of this one.
  const auto first = inputs_.end() - static_cast<std::ptrdiff_t>(inputs);
  next_.op = op;
  next_.inputs.insert(next_.inputs.end(), first, inputs_.end());
  next_.output = y;
  for (const Tensor& x : next_.inputs) next_.versions.push_back(TensorAccess::storage(x)->version());
  next_.versions.push_back(TensorAccess::storage(y)->version());
  next_.layer = layer;
  ops.push_back(std::exchange(next_, {}));
  inputs_.erase(first, inputs_.end());
}

namespace {

template <class T>
void note_all(const char* option, std::span<const T> values) {
  if (Trace* trace = context().trace; trace != nullptr)
    trace->option(option, std::vector<double>(values.begin(), values.end()));
}

}  // namespace

void note(const char* option, double value) {
  note_all<double>(option, {&value, 1});
}

void note(const char* option, std::span<const int> values) {
  note_all(option, values);
}

void note(const char* option, std::span<const index_t> values) {
  note_all(option, values);
}

void note_marked(const char* option, std::span<const bool> marks) {
  Trace* trace = context().trace;
  if (trace == nullptr) return;
  std::vector<double> places;
  for (std::size_t i = 0; i < marks.size(); ++i)
    if (marks[i]) places.push_back(static_cast<double>(i));
  trace->option(option, std::move(places));
}

void note(const Conv2DGeometry& g) {
  if (Trace* trace = context().trace; trace != nullptr) trace->geometry(g);
}

void note_input(const Tensor& x) {
  if (Trace* trace = context().trace; trace != nullptr) trace->extra(x);
}

Tensor noted(const char* op, Tensor y, std::span<const Tensor* const> inputs) {
  if (Trace* trace = context().trace; trace != nullptr) {
    for (const Tensor* x : inputs) trace->input(*x);
    trace->result(op, y, inputs.size());
  }
  return y;
}

}  // namespace detail

std::vector<TracedOp> trace_ops(const std::function<void()>& f) {
  if (!f) fail("trace_ops", "takes a function, and this one is empty");
  detail::Trace trace;
  struct Running {
    explicit Running(detail::Trace* own) : outer(std::exchange(detail::context().trace, own)) {}
    ~Running() { detail::context().trace = outer; }
    detail::Trace* outer;
  } running(&trace);
  f();
  return std::move(trace.ops);
}

}  // namespace tapegrad::inline v0
