#pragma once

// Samples: tensors of one shape that are read one by one, from memory, a file or a function.

#include <functional>

#include "tapegrad/io/array_file.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The inputs or the targets of a data set: samples of one shape and dtype that are read one by one, by number. They
/// are stored in a tensor, or a function reads or makes each one on demand, so that a data set may be larger than
/// memory. Copies are cheap: they share the tensor or the function.
class Samples {
 public:
  /// Returns sample number i, in 0..size() - 1. Loaders call it on several threads at once; an exception reaches the
  /// user of the loader together with the sample's number.
  using Read = std::function<Tensor(index_t i)>;

  /// Undefined samples: defined() is false.
  Samples() = default;
  /// The rows of a tensor along its first axis, shared, not copied. An undefined Tensor makes undefined Samples. Throws
  /// for a scalar.
  Samples(Tensor rows);
  /// The rows of an array in a file, read on demand. Throws for a scalar.
  Samples(const ArrayFile& file);
  /// n samples of shape [...], which the function read returns; shape is [n, ...].
  Samples(const Shape& shape, DType dtype, Read read);

  bool defined() const { return read_ != nullptr; }
  index_t size() const { return shape_.rank() == 0 ? 0 : shape_[0]; }
  /// [n, ...]
  const Shape& shape() const { return shape_; }
  /// The shape of one sample: shape() without its first axis.
  const Shape& sample_shape() const { return sample_shape_; }
  DType dtype() const { return dtype_; }

  /// Sample number i. It may share memory with the data set: do not write to it. Throws when there is no such sample,
  /// and when the function returned another shape or dtype.
  [[nodiscard]] Tensor operator[](index_t i) const;

 private:
  Shape shape_, sample_shape_;
  DType dtype_ = DType::Float32;
  Read read_;
};

/// All samples in one tensor of shape [n, ...], in the dtype that they are stored in: pixels of UInt8 are 0 to 255.
/// A network that was trained through a Loader takes read_all(samples, DType::Float32) instead.
[[nodiscard]] Tensor read_all(const Samples& samples);

/// All samples in one tensor, converted as a Loader converts its inputs: UInt8 to a floating dtype by dividing by
/// 255, so that pixels lie in [0, 1]; others by value. Throws for integer dtypes other than the samples' own.
[[nodiscard]] Tensor read_all(const Samples& samples, DType dtype);

}  // namespace v0
}  // namespace tapegrad
