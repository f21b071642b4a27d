#include "tapegrad/io/npz.h"

#include <exception>
#include <string_view>

#include "tapegrad/io/npy_internal.h"
#include "tapegrad/io/zip_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kSuffix = ".npy";

}  // namespace

NamedTensors read_npz(const std::filesystem::path& path) {
  const detail::ZipArchive archive("read_npz", path);
  NamedTensors tensors;
  for (const detail::ZipMember& member : archive.members()) {
    if (!member.name.ends_with(kSuffix))
      archive.file().fail("has a member that is not an array, '{}'", member.name);
    detail::ZipReader reader(archive, member);
    try {
      tensors.emplace_back(
          member.name.substr(0, member.name.size() - kSuffix.size()),
          detail::read_npy_array(archive.file(), member.size,
                                 [&](std::span<std::uint8_t> buffer) { reader.read(buffer); }));
    } catch (const Error& error) {
      std::throw_with_nested(
          Error("read_npz", fmt::format("{} (in its member '{}')", error.message(), member.name)));
    }
  }
  return tensors;
}

void write_npz(const std::filesystem::path& path, const NamedTensors& tensors, const NpzOptions& options) {
  constexpr std::string_view kOp = "write_npz";
  std::vector<std::vector<std::uint8_t>> headers;
  headers.reserve(tensors.size());
  std::vector<detail::ZipContent> contents;
  for (const auto& [name, x] : tensors) {
    if (!x.defined()) fail(kOp, "the tensor '{}' is not defined", name);
    contents.push_back({fmt::format("{}{}", name, kSuffix),
                        {headers.emplace_back(detail::npy_header(x)), detail::npy_elements(x)}});
  }
  detail::write_zip(kOp, path, contents, options.compressed);
}

}  // namespace tapegrad::inline v0
