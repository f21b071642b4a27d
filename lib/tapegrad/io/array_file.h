#pragma once

// ArrayFile: an array in a file, of which rows are read when they are needed.

#include <memory>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// An array in an open file, whose rows are read on demand: open_idx() and open_npy() return one. Copies share the open
/// file. The file must not change while it is open.
class ArrayFile {
 public:
  const Shape& shape() const;
  /// The dtype of the tensors that rows() returns.
  DType dtype() const;
  /// Rows first to first + count - 1 along the first axis: [count, ...]. May be called on several threads at once.
  /// Throws when the file has fewer rows, when it cannot be read, and for elements that the dtype cannot hold.
  [[nodiscard]] Tensor rows(index_t first, index_t count) const;

  struct Source;  ///< internal
  explicit ArrayFile(std::shared_ptr<const Source> source);

 private:
  std::shared_ptr<const Source> source_;
};

}  // namespace v0
}  // namespace tapegrad
