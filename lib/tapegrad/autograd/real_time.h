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
/// After some passes with the same shapes on the same thread, such a pass starts no thread, and takes neither a lock nor memory
/// from the system: the memory of its results goes round. So do convolutions of all kinds, BatchNorm, LayerNorm, Flatten,
/// activations, softmax, reductions, and arithmetic with tensors. Poolings, GroupNorm, concat(), slice(), permute() and pad() make
/// a few small lists; Dense and matmul() take OpenBLAS' locks (a library that was built with -DTAPEGRAD_BLAS=OFF has none); and
/// memory is taken where an error is thrown, and after release_memory(). Scopes of this kind end on the thread that made them, the
/// last one first.
class [[nodiscard]] RealTimeScope {
 public:
  [[nodiscard]] RealTimeScope() : threads_(1) {}

 private:
  ThreadCountScope threads_;
  NoGrad nothing_recorded_;
};

}  // namespace v0
}  // namespace tapegrad
