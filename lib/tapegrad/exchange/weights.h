#pragma once

// Weights in files of every format that the library reads.

#include <filesystem>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads the tensors of a file, whatever its format is: safetensors (see read_safetensors()), or NumPy's .npz (see
/// read_npz()). The content tells the format, not the name. Throws what the reader of the format throws.
[[nodiscard]] State read_weights(const std::filesystem::path& path);

}  // namespace v0
}  // namespace tapegrad
