#pragma once

// parallel_for(), the number of threads, and memory that threads keep for reuse.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "tapegrad/base/shape.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The number of threads that parallel loops of the calling thread use. By default the number of CPUs that the
/// process may use (its affinity, and the CPU quota of its control group, rounded up), at most 64. Loops that run on
/// several threads at once use fewer where the process has 256 workers already.
[[nodiscard]] int thread_count();

/// Sets thread_count() for the calling thread until the end of the scope. Other threads are not affected.
/// Results never depend on it: they are the same bits for any number of threads.
class [[nodiscard]] ThreadCountScope {
 public:
  /// Throws when count is not in 1..1024.
  [[nodiscard]] explicit ThreadCountScope(int count);
  ~ThreadCountScope();
  ThreadCountScope(const ThreadCountScope&) = delete;
  ThreadCountScope& operator=(const ThreadCountScope&) = delete;

 private:
  int previous_;
  const void* context_;  // of the thread that made it
};

/// Returns to the system the memory that the calling thread and its workers keep for reuse: blocks of freed tensors and
/// the kernels' scratch buffers. Inside a parallel loop, only the calling thread's memory is returned.
void release_memory();

namespace detail {

/// A non-owning reference to a callable void(index_t begin, index_t end).
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

/// How many parallel loops the calling thread is inside of.
int& loop_depth();

/// Counts the loop depth while a loop of a single piece runs on the thread that called parallel_for().
class SinglePiece {
 public:
  SinglePiece() : depth_(++loop_depth()) {}
  ~SinglePiece() { --depth_; }
  SinglePiece(const SinglePiece&) = delete;
  SinglePiece& operator=(const SinglePiece&) = delete;

 private:
  int& depth_;
};

}  // namespace detail

/// Calls f(begin, end) for the pieces [0, piece), [piece, 2 piece), ... of [0, count), on several threads.
/// The pieces depend on count and piece only. If no piece writes what another piece reads or writes, the results are
/// the same bits for any number of threads. Workers run with the caller's floating-point environment. A parallel loop
/// inside a piece runs serially, on the piece's thread. If pieces throw, the exception of the first of them (in order
/// of position) is rethrown; later pieces may not have run. Throws when piece is less than 1.
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

}  // namespace v0
}  // namespace tapegrad
