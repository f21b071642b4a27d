#pragma once

// NumPy's files: .npy for one array, .npz for several.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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

/// Tensors by name, in a fixed order, as in a State.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Reads the arrays that np.savez or np.savez_compressed saved, in the order of the file, each as read_npy() does.
/// Throws as well when the archive is damaged (checksums are verified) or contains anything but arrays.
[[nodiscard]] NamedTensors read_npz(const std::filesystem::path& path);

struct NpzOptions {
  bool compressed = false;  ///< compress the arrays, as np.savez_compressed does
};

/// Writes tensors as a .npz file for np.load. An earlier file is replaced only when the new one is complete; the same
/// tensors give the same bytes every time (the archive contains no dates). Throws when the file cannot be written, when
/// a name is used twice, for an undefined tensor, and for files of 4 GB and more.
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors,
               const NpzOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
