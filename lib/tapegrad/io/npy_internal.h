#pragma once

// Internal: arrays in NumPy's format, in files of their own and in archives.

#include <cstdint>
#include <span>
#include <vector>

#include "tapegrad/io/elements_internal.h"
#include "tapegrad/tensor/tensor.h"

namespace tapegrad::inline v0::detail {

/// The array that the next `total` bytes are, which read() gives. file is named in errors.
Tensor read_npy_array(const InputFile& file, std::uint64_t total, const ReadBytes& read);

/// What stands before the elements, byte for byte as NumPy 1.24 writes it.
std::vector<std::uint8_t> npy_header(const Tensor& x);

/// The elements as they stand behind that.
std::span<const std::uint8_t> npy_elements(const Tensor& x);

}  // namespace tapegrad::inline v0::detail
