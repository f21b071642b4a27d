#include "tapegrad/io/elements_internal.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace tapegrad::inline v0::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied from little-endian files");

float widen_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

float widen_float16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

// Calls f with the C++ type whose bytes the file holds.
template <class F>
decltype(auto) dispatch_stored(Stored stored, F&& f) {
  switch (stored) {
    case Stored::Bool:
    case Stored::UInt8:
      return f(std::type_identity<std::uint8_t>{});
    case Stored::Int8:
      return f(std::type_identity<std::int8_t>{});
    case Stored::UInt16:
    case Stored::Float16:
    case Stored::BFloat16:
      return f(std::type_identity<std::uint16_t>{});
    case Stored::Int16:
      return f(std::type_identity<std::int16_t>{});
    case Stored::UInt32:
      return f(std::type_identity<std::uint32_t>{});
    case Stored::Int32:
      return f(std::type_identity<std::int32_t>{});
    case Stored::UInt64:
      return f(std::type_identity<std::uint64_t>{});
    case Stored::Int64:
      return f(std::type_identity<std::int64_t>{});
    case Stored::Float64:
      return f(std::type_identity<double>{});
    case Stored::Float32:
      break;
  }
  return f(std::type_identity<float>{});
}

template <class T>
T load(const std::uint8_t* bytes, bool big_endian) {
  std::uint8_t ordered[sizeof(T)];
  std::copy_n(bytes, sizeof(T), ordered);
  if (big_endian) std::reverse(std::begin(ordered), std::end(ordered));
  T value;
  std::memcpy(&value, ordered, sizeof(T));
  return value;
}

template <class To, class From>
To convert(const InputFile& file, const ArrayLayout& layout, From value) {
  if constexpr (std::is_same_v<From, std::uint16_t> && std::is_same_v<To, float>) {
    return layout.stored == Stored::BFloat16 ? widen_bfloat16(value) : widen_float16(value);
  } else if constexpr (std::is_integral_v<From> && std::is_same_v<To, std::int32_t>) {
    if (!std::in_range<To>(value))
      file.fail("has {} in {}; only numbers that fit Int32 can be read", value, layout.what);
    return static_cast<To>(value);
  } else {
    if (layout.stored == Stored::Bool && value > From{1})
      file.fail("has {} in {}, where only 0 and 1 are possible", value, layout.what);
    return static_cast<To>(value);
  }
}

}  // namespace

std::size_t size_of(Stored stored) {
  return dispatch_stored(stored, [](auto type) { return sizeof(typename decltype(type)::type); });
}

DType dtype_of(Stored stored) {
  switch (stored) {
    case Stored::Bool:
    case Stored::UInt8:
      return DType::UInt8;
    case Stored::Float16:
    case Stored::BFloat16:
    case Stored::Float32:
      return DType::Float32;
    case Stored::Float64:
      return DType::Float64;
    default:
      return DType::Int32;
  }
}

Stored stored_as(DType dtype) {
  switch (dtype) {
    case DType::UInt8:
      return Stored::UInt8;
    case DType::Int32:
      return Stored::Int32;
    case DType::Float64:
      return Stored::Float64;
    case DType::Float32:
      break;
  }
  return Stored::Float32;
}

Shape shape_in(const InputFile& file, std::span<const std::uint64_t> sizes, std::string_view what) {
  std::vector<index_t> checked;
  for (const std::uint64_t size : sizes) {
    if (!std::in_range<index_t>(size)) file.fail("has an impossible shape in {}: {}", what, size);
    checked.push_back(static_cast<index_t>(size));
  }
  try {
    return Shape(checked);
  } catch (const Error& error) {
    file.fail("has an impossible shape in {}: {}", what, error.message());  // the cause is in the message
  }
}

Tensor read_elements(const InputFile& file, const ArrayLayout& layout, const ReadBytes& read) {
  Tensor made = TensorAccess::empty(layout.shape, dtype_of(layout.stored));
  dispatch(made.dtype(), [&](auto to_type) {
    dispatch_stored(layout.stored, [&](auto from_type) {
      using To = typename decltype(to_type)::type;
      using From = typename decltype(from_type)::type;
      std::span<To> left = made.mutable_values<To>();
      if (std::is_same_v<From, To> && layout.stored != Stored::Bool &&
          (!layout.big_endian || sizeof(To) == 1)) {
        if (!left.empty()) read({reinterpret_cast<std::uint8_t*>(left.data()), left.size_bytes()});
        return;
      }
      constexpr std::size_t kChunk = std::size_t{1} << 13;
      std::vector<std::uint8_t> chunk(std::min(left.size(), kChunk) * sizeof(From));
      while (!left.empty()) {
        const std::size_t count = std::min(left.size(), kChunk);
        read(std::span(chunk).first(count * sizeof(From)));
        for (std::size_t i = 0; i < count; ++i)
          left[i] = convert<To>(file, layout, load<From>(chunk.data() + i * sizeof(From), layout.big_endian));
        left = left.subspan(count);
      }
    });
  });
  return made;
}

}  // namespace tapegrad::inline v0::detail
