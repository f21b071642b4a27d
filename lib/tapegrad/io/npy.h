#pragma once

// NumPy's files of one array, .npy.

#include <filesystem>

#include "tapegrad/io/array_file.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads an array that NumPy saved (format versions 1 to 3; either byte order; also in Fortran order, which needs twice
/// the memory while reading). float32, float64, int32 and uint8 are read as they are, float16 as Float32, bool as
/// UInt8, other integers as Int32 if all values fit. Throws when the file cannot be read, has elements of another type,
/// more axes than a tensor can have, or is not exactly as long as its header says.
[[nodiscard]] Tensor read_npy(const std::filesystem::path& path);

/// Opens a .npy file, to read its rows on demand. Throws as read_npy(), before elements are read, and for arrays in
/// Fortran order, whose rows are not contiguous.
[[nodiscard]] ArrayFile open_npy(const std::filesystem::path& path);

/// Writes a tensor as a .npy file. An earlier file is replaced only when the new one is complete; the same tensor gives
/// the same bytes every time. Throws when the file cannot be written.
void write_npy(const std::filesystem::path& path, const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
