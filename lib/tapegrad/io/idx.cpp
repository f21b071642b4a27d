#include "tapegrad/io/idx.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "tapegrad/io/file_internal.h"

namespace tapegrad {
namespace {

// The third byte of a file.
enum ElementCode : std::uint8_t {
  kUInt8 = 0x08,
  kInt8 = 0x09,
  kInt16 = 0x0B,
  kInt32 = 0x0C,
  kFloat = 0x0D,
  kDouble = 0x0E
};

template <std::size_t kBytes>
using Bits =
    std::conditional_t<kBytes == 1, std::uint8_t,
                       std::conditional_t<kBytes == 2, std::uint16_t,
                                          std::conditional_t<kBytes == 4, std::uint32_t, std::uint64_t>>>;

template <class T>
T load_big_endian(const std::uint8_t* bytes) {
  Bits<sizeof(T)> bits = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bits = static_cast<Bits<sizeof(T)>>(std::uint64_t{bits} << 8 | bytes[i]);
  return std::bit_cast<T>(bits);
}

template <class T>
void append_big_endian(std::vector<std::uint8_t>& bytes, T value) {
  const auto bits = std::bit_cast<Bits<sizeof(T)>>(value);
  for (std::size_t i = sizeof(T); i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
}

// Calls f with the C++ type that a code stands for; false when it stands for none.
template <class F>
bool dispatch_code(std::uint8_t code, F&& f) {
  switch (code) {
    case kUInt8:
      return f(std::type_identity<std::uint8_t>{}), true;
    case kInt8:
      return f(std::type_identity<std::int8_t>{}), true;
    case kInt16:
      return f(std::type_identity<std::int16_t>{}), true;
    case kInt32:
      return f(std::type_identity<std::int32_t>{}), true;
    case kFloat:
      return f(std::type_identity<float>{}), true;
    case kDouble:
      return f(std::type_identity<double>{}), true;
    default:
      return false;
  }
}

// The tensor's element type that holds T.
template <class T>
using Held = std::conditional_t<is_element<T>, T, std::int32_t>;

std::uint8_t code_of(DType dtype) {
  switch (dtype) {
    case DType::UInt8:
      return kUInt8;
    case DType::Int32:
      return kInt32;
    case DType::Float64:
      return kDouble;
    case DType::Float32:
      break;
  }
  return kFloat;
}

Shape read_shape(detail::Unzipped& content, int rank) {
  std::vector<index_t> sizes;
  for (int axis = 0; axis < rank; ++axis) {
    std::array<std::uint8_t, 4> bytes{};
    content.read(bytes);
    sizes.push_back(load_big_endian<std::uint32_t>(bytes.data()));
  }
  try {
    return Shape(sizes);
  } catch (const Error& error) {
    content.file().fail("has an impossible header: {}", error.message());
  }
}

template <class T>
Tensor read_elements(detail::Unzipped& content, const Shape& shape) {
  const auto header = 4 + 4 * static_cast<std::uint64_t>(shape.rank());
  const auto total = header + static_cast<std::uint64_t>(shape.size()) * sizeof(T);
  if (content.size_limit() < total || (!content.is_gzip() && content.size_limit() > total))
    content.file().fail("is {} bytes long, but its header says {}: {} elements of {} bytes, shape {}",
                        content.file().size(), total, shape.size(), sizeof(T), shape);

  Tensor made = TensorAccess::empty(shape, dtype_of<Held<T>>);
  std::span<Held<T>> left = made.mutable_values<Held<T>>();
  std::vector<std::uint8_t> chunk(std::size_t{1} << 16);
  while (!left.empty()) {
    const std::size_t count = std::min(left.size(), chunk.size() / sizeof(T));
    content.read(std::span(chunk).first(count * sizeof(T)));
    for (std::size_t i = 0; i < count; ++i) left[i] = load_big_endian<T>(chunk.data() + i * sizeof(T));
    left = left.subspan(count);
  }
  std::uint8_t behind = 0;
  if (content.read_some({&behind, 1}) != 0)
    content.file().fail("is longer than its header says: {} elements of {} bytes, shape {}", shape.size(),
                        sizeof(T), shape);
  return made;
}

}  // namespace

Tensor read_idx(const std::filesystem::path& path) {
  detail::Unzipped content("read_idx", path);
  std::array<std::uint8_t, 4> magic{};
  content.read(magic);
  if (magic[0] != 0 || magic[1] != 0)
    content.file().fail("is not an IDX file: it begins with the bytes {:02x} {:02x}, not 00 00", magic[0],
                        magic[1]);
  if (magic[3] > Shape::kMaxRank)
    content.file().fail("has {} axes; a tensor has at most {}", magic[3], Shape::kMaxRank);

  Tensor made;
  const bool known = dispatch_code(magic[2], [&](auto type) {
    made = read_elements<typename decltype(type)::type>(content, read_shape(content, magic[3]));
  });
  if (!known) content.file().fail("has elements of an unknown type, 0x{:02x}", magic[2]);
  return made;
}

void write_idx(const std::filesystem::path& path, const Tensor& x) {
  const DType dtype = x.dtype();  // throws when x is not defined
  std::vector<std::uint8_t> bytes{0, 0, code_of(dtype), static_cast<std::uint8_t>(x.rank())};
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
  if (path.extension() == ".gz") bytes = detail::gzip("write_idx", bytes);
  const std::span<const std::uint8_t> part(bytes);
  detail::write_file("write_idx", path, {&part, 1});
}

}  // namespace tapegrad
