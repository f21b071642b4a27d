#pragma once

// Files of the safetensors format, which hold the state of a model.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads a file of the safetensors format (https://github.com/huggingface/safetensors). The tensors come in
/// the order of the file's header. F32, F64, I32 and U8 are read as they are, BOOL as UInt8, F16 and BF16
/// widened to Float32, I64 as Int32 when all values fit. Numbers and integers that write_safetensors saved
/// are found again, other metadata is ignored. Throws when the file cannot be read or breaks any rule of the
/// format: it is checked whole before a tensor is made.
[[nodiscard]] State read_safetensors(const std::filesystem::path& path);

/// What the header of such a file says.
struct SafetensorsHeader {
  struct Entry {
    std::string name, dtype;  ///< as the format calls it: "F32", "BF16", ...
    Shape shape;
  };
  std::vector<Entry> tensors;
  std::map<std::string, std::string> metadata;
};
/// Reads no more than that; throws as read_safetensors.
[[nodiscard]] SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

/// Writes a state as a safetensors file: tensors in their order, numbers and integers as strings in the
/// metadata, exact to the last bit. Replaces the file only once all of it is written; the same state gives
/// the same bytes every time. Throws when it cannot be written, when a name is used twice, is not UTF-8 or is
/// "__metadata__", and for a tensor that is not defined.
void write_safetensors(const std::filesystem::path& path, const State& state);

}  // namespace v0
}  // namespace tapegrad
