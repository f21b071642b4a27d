#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// How many threads the parallel loops of the calling thread use: by default as many as the CPUs the process
/// may run on, at most 64.
int thread_count();

/// Sets thread_count() for the calling thread until the end of the scope. Other threads are not affected.
/// Results never depend on it: they are the same bits for any number of threads.
class ThreadCountScope {
 public:
  /// Throws when count is not in 1..1024.
  explicit ThreadCountScope(int count);
  ~ThreadCountScope();
  ThreadCountScope(const ThreadCountScope&) = delete;
  ThreadCountScope& operator=(const ThreadCountScope&) = delete;

 private:
  int previous_;
};

namespace detail {

/// A reference to a callable void(index_t begin, index_t end), without owning it.
class RangeFunction {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, RangeFunction>) explicit RangeFunction(F& f)
      : object_(std::addressof(f)), call_([](const void* object, index_t begin, index_t end) {
          (*static_cast<F*>(const_cast<void*>(object)))(begin, end);
        }) {}

  void operator()(index_t begin, index_t end) const { call_(object_, begin, end); }

 private:
  const void* object_;
  void (*call_)(const void*, index_t, index_t);
};

void run_pieces(index_t count, index_t piece, RangeFunction f);

/// What a thread tells the loops that it starts about itself, and what its workers see: how deep in parallel
/// loops the thread is, and whether the threads around the loop were recording (autograd sets it; a worker
/// must refuse to compute what a tape outside the loop would have to record).
struct LoopContext {
  int depth = 0;
  bool recording_outside = false;
  bool (*is_recording)() = nullptr;  // asked by the loop when it starts
};
inline LoopContext& loop_context() {
  constinit thread_local LoopContext context;
  return context;
}

/// While the only piece of a loop runs on the thread that started it.
class SinglePiece {
 public:
  SinglePiece() { ++loop_context().depth; }
  ~SinglePiece() { --loop_context().depth; }
  SinglePiece(const SinglePiece&) = delete;
  SinglePiece& operator=(const SinglePiece&) = delete;
};

}  // namespace detail

/// Calls f(begin, end) for the pieces [0, piece), [piece, 2 piece), ... of [0, count), on several threads.
/// The cut depends on count and piece only, and every piece must write what no other piece reads or writes,
/// so the results are the same bits for any number of threads. Workers run with the caller's floating-point
/// environment. A loop inside a piece runs on the thread it is in. The exception of the first piece that
/// threw is rethrown; pieces after it may not have run.
template <class F>
void parallel_for(index_t count, index_t piece, F&& f) {
  if (count <= 0) return;
  if (count <= piece) {
    const detail::SinglePiece inside;
    f(index_t{0}, count);
    return;
  }
  detail::run_pieces(count, piece, detail::RangeFunction(f));
}

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
