#include "tapegrad/base/context.h"

#include <utility>

#include "tapegrad/base/blocks_internal.h"

namespace tapegrad::inline v0::detail {

namespace {

// Destructors of a thread's other thread-local variables may still ask for the context: it is not destroyed. What
// it owns is the list of scopes, which the end of the thread gives up.
Context& make_context() {
  union Lasting {
    constexpr Lasting() : context() {}
    ~Lasting() {}
    Context context;
  };
  constinit thread_local Lasting own;
  return own.context;
}

}  // namespace

Context& context() {
  constinit thread_local Context* own = nullptr;  // without a look at whether it has to be destroyed
  if (own == nullptr) [[unlikely]]
    own = &make_context();
  return *own;
}

std::shared_ptr<Scope> open_scope(std::shared_ptr<Recording> recording) {
  struct End {
    ~End() { context().scope.reset(); }
  };
  thread_local const End end;  // of the context
  static_cast<void>(&end);
  Context& own = context();
  const auto scope = std::allocate_shared<Scope>(BlockAllocator<Scope>());
  scope->recording = std::move(recording);
  scope->outer = own.scope;
  scope->loop_depth = own.loop_depth;
  scope->context = &own;
  own.scope = scope;
  return scope;
}

void close_scope(Scope& scope) {
  scope.closed.store(true, std::memory_order_release);
  Context& own = context();
  // Another thread may be looking at the recording of a scope that does not end where it began.
  if (scope.context == &own && scope.loop_depth == own.loop_depth) scope.recording.reset();
  drop_closed(own);
}

const Scope* drop_closed(Context& own) {
  while (own.scope != nullptr && own.scope->closed.load(std::memory_order_acquire)) {
    // What the scope holds is destroyed last: its destructors may look at the list.
    const std::shared_ptr<Scope> closed = std::exchange(own.scope, std::shared_ptr<Scope>(own.scope->outer));
  }
  return own.scope.get();
}

}  // namespace tapegrad::inline v0::detail
