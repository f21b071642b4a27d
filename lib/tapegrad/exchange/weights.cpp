#include "tapegrad/exchange/weights.h"

#include <algorithm>
#include <array>

#include "tapegrad/exchange/pytorch.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/npz.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/io/zip_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kRead = "read_weights";

enum class Format { Safetensors, Npz, PyTorch };

// A ZIP archive begins with the header of its first member, or, without members, with the end of its directory. What PyTorch
// wrote before 1.6 begins with a pickle of protocol 2.
Format format_of(const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> begin{};
  detail::InputFile file(kRead, path);
  if (file.read_some(begin) != begin.size()) return Format::Safetensors;
  const auto is = [&](std::array<std::uint8_t, 4> magic) { return begin == magic; };
  if (is({0x80, 2, 0x8a, 10})) return Format::PyTorch;
  if (!is({'P', 'K', 3, 4}) && !is({'P', 'K', 5, 6})) return Format::Safetensors;
  const detail::ZipArchive archive(kRead, path);
  const bool has_pickle = std::ranges::any_of(
      archive.members(), [](const detail::ZipMember& member) { return member.name.ends_with(".pkl"); });
  return has_pickle ? Format::PyTorch : Format::Npz;
}

}  // namespace

State read_weights(const std::filesystem::path& path) {
  switch (format_of(path)) {
    case Format::PyTorch:
      return read_pytorch(path);
    case Format::Npz:
      return {.tensors = read_npz(path)};
    case Format::Safetensors:
      break;
  }
  return read_safetensors(path);
}

}  // namespace tapegrad::inline v0
