#pragma once

// RealTimeScope, for forward passes that must not wait.

#include <memory>
#include <vector>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
namespace detail {
class TAPEGRAD_INTERNAL ConstantFilters;
}

/// For programs that have to answer in time, as those that work on sound do: until the end of the scope, the ops of this thread
/// compute on this thread alone, and nothing is recorded.
///
///   const tg::RealTimeScope scope(net.parameters());  // net.eval() was called before
///   for (const tg::Tensor& x : blocks) play(net(x));
///
/// After some passes with the same shapes on the same thread, such a pass starts no thread, and takes neither a lock nor memory
/// from the system: the memory of its results goes round. So do the layers, and the functions whose results have sizes that are
/// known beforehand. Not so: what returns a std::vector (split(), chunk()), or is given one that the caller makes anew (lists in
/// braces are not); Dense and matmul() of more than one row, which take OpenBLAS' locks and work space (a library that was built
/// with -DTAPEGRAD_BLAS=OFF has none); sort() and topk(); and what throws an error, or comes first after release_memory(). Scopes of
/// this kind end on the thread that made them, the last one first.
class [[nodiscard]] RealTimeScope {
 public:
  [[nodiscard]] RealTimeScope() : RealTimeScope(std::vector<Tensor>()) {}
  /// Nobody writes to these tensors until the end of the scope. The filters of convolutions among them are brought into the order
  /// of the kernels once, not in every pass: open such a scope around many. A filter that is written to by mutable_data() or an
  /// optimizer all the same counts from then on as any other; what is written through a pointer that was taken before may go
  /// unnoticed.
  [[nodiscard]] explicit RealTimeScope(const std::vector<Tensor>& constants);
  ~RealTimeScope();
  RealTimeScope(const RealTimeScope&) = delete;
  RealTimeScope& operator=(const RealTimeScope&) = delete;

 private:
  ThreadCountScope threads_;
  NoGrad nothing_recorded_;
  std::unique_ptr<detail::ConstantFilters> filters_;
};

}  // namespace v0
}  // namespace tapegrad
