#include "tapegrad/exchange/weights.h"

#include <algorithm>
#include <array>

#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/npz.h"
#include "tapegrad/io/safetensors.h"

namespace tapegrad::inline v0 {
namespace {

// A ZIP archive begins with the header of its first member, or, without members, with the end of its directory.
bool is_zip(const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> begin{};
  detail::InputFile file("read_weights", path);
  if (file.read_some(begin) != begin.size()) return false;
  const auto is = [&](std::array<std::uint8_t, 4> magic) { return begin == magic; };
  return is({'P', 'K', 3, 4}) || is({'P', 'K', 5, 6});
}

}  // namespace

State read_weights(const std::filesystem::path& path) {
  if (is_zip(path)) return {.tensors = read_npz(path)};
  return read_safetensors(path);
}

}  // namespace tapegrad::inline v0
