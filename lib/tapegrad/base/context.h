#pragma once

// What a thread knows beside the arguments of its functions.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
class Module;
class Tensor;
}  // namespace v0
}  // namespace tapegrad

namespace tapegrad::inline v0::detail {

class CheckpointRun;
class ConstantFilters;
class Recording;
class SampleChunk;
class Trace;

/// A tape's scope, or a pause of recording. The scopes of a thread are a linked list that is never changed: a scope
/// that ends, on whatever thread, is marked as closed, and closed ones are left out by whoever looks at the list.
struct Scope {
  std::shared_ptr<Recording> recording;  // nullptr: nothing is recorded
  std::shared_ptr<Scope> outer;
  int loop_depth = 0;
  const void* context = nullptr;  // of the thread that opened it
  std::atomic<bool> closed = false;
};

/// One for each thread. A parallel loop hands a copy to its workers. Rooms above base/ keep here what they would
/// otherwise keep in thread-local variables; base/ itself knows only the types' names.
struct Context {
  std::shared_ptr<Scope> scope;        // the innermost one; may be closed
  int loop_depth = 0;                  // how many parallel loops the thread is inside of
  int thread_count = 0;                // that loops use; 0: not set yet
  std::size_t bytes_saved = 0;         // by rules that were made since the last input of an op
  SampleChunk* chunk = nullptr;        // of the batch_gradient() that the thread works for
  CheckpointRun* run = nullptr;        // the innermost run of a checkpointed function
  ConstantFilters* filters = nullptr;  // whose packed forms are kept meanwhile
  const void* task = nullptr;          // of the Background whose task the thread works on
  const char* called = nullptr;        // the op that the user called, while other ops compute it
  Trace* trace = nullptr;              // hears of ops' options and results; nullptr for none
  /// Hears of layers' results; nullptr for none.
  const std::function<void(const Module&, const Tensor&)>* call_observer = nullptr;
};

/// The calling thread's. Out of line, so that a program and a shared library see the same one. Take it once where
/// several members are needed.
Context& context();

/// Opens a scope on the calling thread, in front of those that are open there; without a recording, it is a pause.
[[nodiscard]] std::shared_ptr<Scope> open_scope(std::shared_ptr<Recording> recording);
/// On whatever thread.
void close_scope(Scope& scope);

/// Takes closed scopes off the front of the list, with what they hold, and returns the first open one.
const Scope* drop_closed(Context& own);

/// The innermost scope that is not closed, nullptr when there is none.
inline const Scope* innermost_scope(Context& own) {
  const Scope* scope = own.scope.get();
  return scope == nullptr || !scope->closed.load(std::memory_order_acquire) ? scope : drop_closed(own);
}

}  // namespace tapegrad::inline v0::detail
