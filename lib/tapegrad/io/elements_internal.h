#pragma once

// Internal: the elements of arrays in files, of every type that IDX, npy and safetensors know, as elements of
// tensors.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tapegrad/io/array_file.h"
#include "tapegrad/io/file_internal.h"

namespace tapegrad::inline v0::detail {

/// How a file stores an element.
enum class Stored : std::uint8_t {
  Bool,
  UInt8,
  Int8,
  UInt16,
  Int16,
  UInt32,
  Int32,
  UInt64,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64
};

std::size_t size_of(Stored stored);

/// What the elements become: Float16 and BFloat16 Float32, Bool UInt8, other integers Int32.
DType dtype_of(Stored stored);

/// The one that holds a tensor's elements as they are.
Stored stored_as(DType dtype);

/// An array in a file, as the file's header describes it.
struct ArrayLayout {
  Stored stored = Stored::Float32;
  bool big_endian = false;
  Shape shape{};
  std::string what = "its elements";  ///< the array's name in errors

  /// Bytes of all elements.
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(shape.size()) * size_of(stored); }
};

/// The shape of these sizes; throws the file's error when there is none.
Shape shape_in(const InputFile& file, std::span<const std::uint64_t> sizes, std::string_view what);

/// Fills a buffer with the next bytes of an array, or throws.
using ReadBytes = std::function<void(std::span<std::uint8_t>)>;

/// Reads all elements. Throws for those that the dtype does not hold: integers that do not fit Int32, and
/// booleans that are neither 0 nor 1.
Tensor read_elements(const InputFile& file, const ArrayLayout& layout, const ReadBytes& read);

}  // namespace tapegrad::inline v0::detail

namespace tapegrad::inline v0 {

struct ArrayFile::Source {
  detail::InputFile file;
  detail::ArrayLayout layout{};
  std::uint64_t begin = 0;  ///< of the elements, in bytes
};

}  // namespace tapegrad::inline v0
