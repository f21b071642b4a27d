#include "tapegrad/io/idx.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <vector>

#include "tapegrad/io/elements_internal.h"
#include "tapegrad/io/gzip_internal.h"

namespace tapegrad::inline v0 {
namespace {

// The third byte of a file says how it stores its elements.
struct Code {
  std::uint8_t byte;
  detail::Stored stored;
};
constexpr std::array kCodes{
    Code{0x08, detail::Stored::UInt8},   Code{0x09, detail::Stored::Int8},
    Code{0x0B, detail::Stored::Int16},   Code{0x0C, detail::Stored::Int32},
    Code{0x0D, detail::Stored::Float32}, Code{0x0E, detail::Stored::Float64},
};

template <class T>
void append_big_endian(std::vector<std::uint8_t>& bytes, T value) {
  const auto little = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
  bytes.insert(bytes.end(), little.rbegin(), little.rend());
}

std::uint64_t header_bytes(const detail::ArrayLayout& layout) {
  return 4 + 4 * static_cast<std::uint64_t>(layout.shape.rank());
}

// Reads what stands before the elements.
detail::ArrayLayout read_header(const detail::InputFile& file, const detail::ReadBytes& read) {
  std::array<std::uint8_t, 4> magic{};
  read(magic);
  if (magic[0] != 0 || magic[1] != 0)
    file.fail("is not an IDX file{}: it begins with the bytes {:02x} {:02x}, not 00 00",
              magic[0] == 0x1f && magic[1] == 0x8b ? " that is not gzipped" : "", magic[0], magic[1]);
  const auto code = std::ranges::find(kCodes, magic[2], &Code::byte);
  if (code == kCodes.end()) file.fail("has elements of an unknown type, 0x{:02x}", magic[2]);
  if (magic[3] > Shape::kMaxRank)
    file.fail("has {} axes; a tensor has at most {}", magic[3], Shape::kMaxRank);
  std::vector<std::uint64_t> sizes;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<std::uint8_t, 4> bytes{};
    read(bytes);
    sizes.push_back(std::uint64_t{bytes[0]} << 24 | std::uint64_t{bytes[1]} << 16 |
                    std::uint64_t{bytes[2]} << 8 | bytes[3]);
  }
  return {.stored = code->stored, .big_endian = true, .shape = detail::shape_in(file, sizes, "its header")};
}

[[noreturn]] void refuse_length(const detail::InputFile& file, const detail::ArrayLayout& layout) {
  file.fail("is {} bytes long, but its header says {}: {} elements of {} bytes, shape {}", file.size(),
            header_bytes(layout) + layout.bytes(), layout.shape.size(), detail::size_of(layout.stored),
            layout.shape);
}

}  // namespace

Tensor read_idx(const std::filesystem::path& path) {
  detail::Unzipped content("read_idx", path);
  const detail::InputFile& file = content.file();
  const auto read = [&](std::span<std::uint8_t> buffer) { content.read(buffer); };
  const detail::ArrayLayout layout = read_header(file, read);
  const std::uint64_t total = header_bytes(layout) + layout.bytes();
  if (content.size_limit() < total || (!content.is_gzip() && content.size_limit() > total))
    refuse_length(file, layout);
  Tensor made = detail::read_elements(file, layout, read);
  std::uint8_t behind = 0;
  if (content.read_some({&behind, 1}) != 0)
    file.fail("is longer than its header says: {} elements of {} bytes, shape {}", layout.shape.size(),
              detail::size_of(layout.stored), layout.shape);
  return made;
}

ArrayFile open_idx(const std::filesystem::path& path) {
  const std::shared_ptr<ArrayFile::Source> source(new ArrayFile::Source{.file = {"open_idx", path}});
  detail::InputFile& file = source->file;
  source->layout = read_header(file, [&](std::span<std::uint8_t> buffer) { file.read(buffer); });
  source->begin = header_bytes(source->layout);
  if (file.size() != source->begin + source->layout.bytes()) refuse_length(file, source->layout);
  return ArrayFile(source);
}

void write_idx(const std::filesystem::path& path, const Tensor& x) {
  if (!x.defined()) fail("write_idx", "x was never given a value");
  const DType dtype = x.dtype();
  std::vector<std::uint8_t> bytes{0, 0,
                                  std::ranges::find(kCodes, detail::stored_as(dtype), &Code::stored)->byte,
                                  static_cast<std::uint8_t>(x.rank())};
  bytes.reserve(bytes.size() + 4 * Shape::kMaxRank + static_cast<std::size_t>(x.size()) * size_of(dtype));
  for (const index_t size : x.shape()) {
    if (size > std::numeric_limits<std::uint32_t>::max())
      fail("write_idx", "an axis of shape {} is longer than the 32 bits of the format allow", x.shape());
    append_big_endian(bytes, static_cast<std::uint32_t>(size));
  }
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (const T value : x.values<T>()) append_big_endian(bytes, value);
  });
  std::span<const std::uint8_t> part(bytes);
  if (path.extension() == ".gz") {
    bytes = detail::gzip("write_idx", {&part, 1});
    part = bytes;
  }
  detail::write_file("write_idx", path, {&part, 1});
}

}  // namespace tapegrad::inline v0
