#pragma once

// RealTimeScope, for forward passes that must not wait.

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// For programs that have to answer in time, as those that work on sound do: until the end of the scope, the ops of this thread
/// compute on this thread alone, and nothing is recorded.
///
///   const tg::RealTimeScope scope;
///   const tg::Tensor y = net(x);  // net.eval() was called before
///
/// After some passes with the same shapes on the same thread, such a pass takes no memory from the system, starts no thread
/// and takes no lock: the memory of its results goes round. Not so where an error is thrown, after release_memory(), and in
/// Dense and matmul(), as OpenBLAS takes locks of its own (a library that was built with -DTAPEGRAD_BLAS=OFF has none).
class [[nodiscard]] RealTimeScope {
 public:
  [[nodiscard]] RealTimeScope() : threads_(1) {}

 private:
  ThreadCountScope threads_;
  NoGrad nothing_recorded_;
};

}  // namespace v0
}  // namespace tapegrad
