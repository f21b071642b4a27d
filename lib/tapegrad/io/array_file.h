#pragma once

// ArrayFile: an array in a file, of which rows are read when they are needed.

#include <memory>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// An array in a file, of which rows are read when they are asked for: open_idx and open_npy make it. Copies
/// share the open file. The file must not be changed meanwhile.
class ArrayFile {
 public:
  const Shape& shape() const;
  /// Of what is read.
  DType dtype() const;
  /// The rows first, first + 1, ... along the first axis: [count, ...]. May be called on several threads at a
  /// time. Throws when there are not so many, when the file cannot be read, and for elements that the dtype
  /// does not hold.
  [[nodiscard]] Tensor rows(index_t first, index_t count) const;

  struct Source;  ///< internal
  explicit ArrayFile(std::shared_ptr<const Source> source);

 private:
  std::shared_ptr<const Source> source_;
};

}  // namespace v0
}  // namespace tapegrad
