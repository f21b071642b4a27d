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

/// Reads a file of the safetensors format (https://github.com/huggingface/safetensors). The tensors come in the order
/// of the file's header. F32, F64, I32 and U8 are read as they are, BOOL as UInt8, F16 and BF16 as Float32, I64 as
/// Int32 if all values fit. Numbers and integers that write_safetensors() saved are restored, other metadata is
/// ignored. Throws when the file cannot be read or breaks a rule of the format; the whole header is checked before a
/// tensor is made.
[[nodiscard]] State read_safetensors(const std::filesystem::path& path);

/// The header of a safetensors file.
struct SafetensorsHeader {
  struct Entry {
    std::string name, dtype;  ///< dtype is the format's name: "F32", "BF16", ...
    Shape shape;              ///< the tensor's sizes
  };
  std::vector<Entry> tensors;                   ///< in the order of the file
  std::map<std::string, std::string> metadata;  ///< the texts that the file holds beside its tensors
};
/// Reads the header only; throws as read_safetensors().
[[nodiscard]] SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

/// Writes a state as a safetensors file: tensors in their order, numbers and integers as strings in the metadata, exact
/// to the last bit. An earlier file is replaced only when the new one is complete; the same state gives the same bytes
/// every time. Throws when the file cannot be written, when a name is used twice, is not UTF-8 or is "__metadata__",
/// and for an undefined tensor.
void write_safetensors(const std::filesystem::path& path, const State& state);

}  // namespace v0
}  // namespace tapegrad
