// The elements of a TensorProto: in the file, in lists, or in a file beside the model.

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "tapegrad/exchange/onnx_value_internal.h"
#include "tapegrad/io/file_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "raw data is little-endian");

float from_half(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FFu;
  if (exponent == 0) {  // subnormal: fraction 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 0x1F ? 0xFF : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float from_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::size_t bytes_of(ElementType type) {
  using enum ElementType;
  switch (type) {
    case Bool:
    case UInt8:
    case Int8:
      return 1;
    case UInt16:
    case Int16:
    case Float16:
    case BFloat16:
      return 2;
    case Float:
    case Int32:
    case UInt32:
      return 4;
    default:
      return 8;
  }
}

// The elements from bytes, converted by f from the C++ type that the file has.
template <class From, class To, class F>
void convert(std::string_view bytes, std::span<To> to, const F& f) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    From from;
    std::memcpy(&from, bytes.data() + i * sizeof(From), sizeof(From));
    to[i] = static_cast<To>(f(from));
  }
}

void fill_from_bytes(std::string_view bytes, ElementType type, Tensor& made) {
  const auto as_is = [](auto v) { return v; };
  const auto whole = [&]<class From>(std::type_identity<From>) {
    convert<From>(bytes, made.mutable_values<double>(), as_is);
  };
  using enum ElementType;
  switch (type) {
    case Float:
      return convert<float>(bytes, made.mutable_values<float>(), as_is);
    case Double:
      return convert<double>(bytes, made.mutable_values<double>(), as_is);
    case Float16:
      return convert<std::uint16_t>(bytes, made.mutable_values<float>(), from_half);
    case BFloat16:
      return convert<std::uint16_t>(bytes, made.mutable_values<float>(), from_bfloat);
    case Bool:
      return convert<std::uint8_t>(bytes, made.mutable_values<std::uint8_t>(), [](int v) { return v != 0; });
    case UInt8:
      return whole(std::type_identity<std::uint8_t>{});
    case Int8:
      return whole(std::type_identity<std::int8_t>{});
    case UInt16:
      return whole(std::type_identity<std::uint16_t>{});
    case Int16:
      return whole(std::type_identity<std::int16_t>{});
    case UInt32:
      return whole(std::type_identity<std::uint32_t>{});
    case Int32:
      return whole(std::type_identity<std::int32_t>{});
    case UInt64:
      return whole(std::type_identity<std::uint64_t>{});
    default:
      return whole(std::type_identity<std::int64_t>{});
  }
}

// The list of a TensorProto that has the elements of a type, as the bytes that raw data would be.
std::optional<std::string> bytes_of_list(const TensorProto& proto, std::size_t count) {
  const auto packed = [&]<class As>(std::type_identity<As>, const auto& list) -> std::optional<std::string> {
    if (list.size() != count) return std::nullopt;
    std::string bytes(count * sizeof(As), '\0');
    for (std::size_t i = 0; i < count; ++i) {
      const As element = static_cast<As>(list[i]);
      std::memcpy(bytes.data() + i * sizeof(As), &element, sizeof(As));
    }
    return bytes;
  };
  using enum ElementType;
  switch (proto.type) {
    case Float:
      return packed(std::type_identity<float>{}, proto.floats);
    case Double:
      return packed(std::type_identity<double>{}, proto.doubles);
    case Int64:
      return packed(std::type_identity<std::int64_t>{}, proto.int64s);
    case UInt64:
      return packed(std::type_identity<std::uint64_t>{}, proto.uint64s);
    case UInt32:
      return packed(std::type_identity<std::uint32_t>{}, proto.uint64s);
    default:
      break;
  }
  switch (bytes_of(proto.type)) {
    case 1:
      return packed(std::type_identity<std::uint8_t>{}, proto.int32s);
    case 2:
      return packed(std::type_identity<std::uint16_t>{}, proto.int32s);
    default:
      return packed(std::type_identity<std::int32_t>{}, proto.int32s);
  }
}

// ---- External data

const std::string* entry(const TensorProto& proto, std::string_view key) {
  for (const auto& [name, value] : proto.external)
    if (name == key) return &value;
  return nullptr;
}

std::uint64_t offset_or_length(const Source& source, const TensorProto& proto, std::string_view key,
                               std::uint64_t otherwise) {
  const std::string* text = entry(proto, key);
  if (text == nullptr) return otherwise;
  std::uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || at != end)
    source.fail("has '{}' as the {} of the external data of '{}'", *text, key, proto.name);
  return value;
}

// The file of external data. It must lie in the model's folder or below, wherever symbolic links lead.
std::filesystem::path external_file(const Source& source, const TensorProto& proto) {
  const std::string* location = entry(proto, "location");
  if (source.folder.empty())
    source.fail("keeps '{}' in another file: give load_onnx() the path of the model", proto.name);
  if (location == nullptr || location->empty() || location->find('\0') != std::string::npos)
    source.fail("does not say in which file the elements of '{}' are", proto.name);
  const std::filesystem::path relative(*location);
  bool inside = relative.is_relative();
  for (const auto& part : relative) inside = inside && part != "..";
  std::error_code error;
  const auto folder = std::filesystem::canonical(source.folder, error);
  if (error) source.fail("lies in a folder that cannot be read: {}", error.message());
  const auto path = std::filesystem::weakly_canonical(folder / relative, error);
  if (inside && !error) {
    const auto below = path.lexically_relative(folder);
    inside = !below.empty() && *below.begin() != "..";
  }
  if (!inside)
    source.fail("keeps '{}' in '{}': external data must lie in the model's folder", proto.name, *location);
  return path;
}

std::string external_bytes(const Source& source, const TensorProto& proto, std::uint64_t wanted) {
  const detail::InputFile file("load_onnx", external_file(source, proto));
  const std::uint64_t offset = offset_or_length(source, proto, "offset", 0);
  const std::uint64_t length = offset_or_length(source, proto, "length", wanted);
  if (length != wanted)
    source.fail("has {} bytes of external data for '{}', which takes {}", length, proto.name, wanted);
  if (offset > file.size() || length > file.size() - offset)
    source.fail("has {} bytes for '{}' from byte {} on in a file of {} bytes", length, proto.name, offset,
                file.size());
  std::string bytes(static_cast<std::size_t>(length), '\0');
  file.read_at(offset, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

Shape shape_of(const Source& source, const TensorProto& proto) {
  try {
    return Shape(proto.dims);
  } catch (const Error& error) {
    source.fail("has the tensor '{}' of an impossible shape: {}", proto.name, error.message());
  }
}

}  // namespace

Value constant(const Source& source, const TensorProto& proto) {
  if (proto.type == ElementType::Undefined ||
      (!is_floating(proto.type) && !is_whole(proto.type) && proto.type != ElementType::Bool))
    source.fail("has elements of type {} in the tensor '{}', which cannot be read", name(proto.type),
                proto.name);
  if (proto.has_segment || proto.has_strings)
    source.fail("has a part of a tensor, or strings, in '{}', which cannot be read", proto.name);
  const Shape shape = shape_of(source, proto);
  const auto count = static_cast<std::uint64_t>(shape.size());
  const std::uint64_t wanted = count * bytes_of(proto.type);
  std::string made_bytes;
  std::string_view bytes = proto.raw;
  if (proto.is_external) {
    bytes = made_bytes = external_bytes(source, proto, wanted);
  } else if (!proto.has_raw) {
    std::optional<std::string> list = bytes_of_list(proto, static_cast<std::size_t>(count));
    if (!list)
      source.fail("has another number of elements for the tensor '{}' than its shape {} takes", proto.name,
                  shape);
    bytes = made_bytes = std::move(*list);
  }
  if (bytes.size() != wanted)
    source.fail("has {} bytes for the tensor '{}', which takes {} ({} {})", bytes.size(), proto.name, wanted,
                name(proto.type), shape);
  Tensor made = TensorAccess::empty(shape, stored_dtype(proto.type), "load_onnx");
  fill_from_bytes(bytes, proto.type, made);
  return value_of(std::move(made), proto.type);
}

}  // namespace tapegrad::inline v0::onnx
