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

/// Reads an array that NumPy saved (format versions 1 to 3; either byte order; in Fortran's order too,
/// which takes twice the memory meanwhile). float32,
/// float64, int32 and uint8 are read as they are, float16 widened to Float32, bool as UInt8, other integers
/// as Int32 when all values fit. Throws when the file cannot be read, has elements of another type, more axes
/// than a tensor, or is not exactly as long as its header says.
[[nodiscard]] Tensor read_npy(const std::filesystem::path& path);

/// Opens such a file, to read rows of it when they are asked for. Throws as read_npy, before elements are
/// read, and for arrays in Fortran's order, whose rows do not lie together.
[[nodiscard]] ArrayFile open_npy(const std::filesystem::path& path);

/// Writes a tensor as NumPy does. Replaces the file only once all of it is written, and the same tensor gives
/// the same bytes every time. Throws when it cannot be written.
void write_npy(const std::filesystem::path& path, const Tensor& x);

/// Tensors by name, in a fixed order, as in a State.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Reads the arrays that np.savez or np.savez_compressed saved, in the order of the file, each as read_npy
/// does. Throws also when the archive is damaged (checksums included) or holds anything but arrays.
[[nodiscard]] NamedTensors read_npz(const std::filesystem::path& path);

struct NpzOptions {
  bool compressed = false;  ///< as np.savez_compressed
};

/// Writes tensors for np.load. Replaces the file only once all of it is written; the same tensors give the
/// same bytes every time (there are no times in it). Throws when it cannot be written, when a name is used
/// twice, for a tensor that is not defined, and for files of 4 GB and more.
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors,
               const NpzOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
