#pragma once

// NumPy's files of several arrays, .npz.

#include <filesystem>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

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
