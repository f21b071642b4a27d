#pragma once

// DType, the element type of a tensor, and dispatch() from a DType to the C++ type.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <utility>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The element types of a tensor.
enum class DType : std::uint8_t { Float32, Float64, Int32, UInt8 };

/// "Float32", "Float64", "Int32" or "UInt8".
[[nodiscard]] std::string to_string(DType dtype);
/// Writes to_string(dtype).
std::ostream& operator<<(std::ostream& stream, DType dtype);
/// Writes name(value), of the enums that have names.
template <class Enum>
requires std::is_enum_v<Enum> && requires(Enum value) {
  std::string(name(value));
}
std::ostream& operator<<(std::ostream& stream, Enum value) {
  return stream << name(value);
}

/// Whether dtype is Float32 or Float64.
[[nodiscard]] inline bool is_floating(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float64;
}

namespace detail {

template <class T>
concept Arithmetic = std::is_arithmetic_v<T>;

}  // namespace detail

/// Whether a tensor's elements can have the C++ type T: float, double, std::int32_t or std::uint8_t.
template <class T>
inline constexpr bool is_element = std::is_same_v<T, float> || std::is_same_v<T, double> ||
                                   std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint8_t>;

/// The DType of a C++ element type: dtype_of<float> is DType::Float32.
template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(is_element<T>, "tensors hold float, double, std::int32_t or std::uint8_t");
  if constexpr (std::is_same_v<T, float>) return DType::Float32;
  if constexpr (std::is_same_v<T, double>) return DType::Float64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::Int32;
  return DType::UInt8;
}();

/// Returns f(std::type_identity<T>{}), where T is the C++ type of dtype.
template <class F>
[[nodiscard]] decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::Float64:
      return std::forward<F>(f)(std::type_identity<double>{});
    case DType::Int32:
      return std::forward<F>(f)(std::type_identity<std::int32_t>{});
    case DType::UInt8:
      return std::forward<F>(f)(std::type_identity<std::uint8_t>{});
    case DType::Float32:
      break;
  }
  return std::forward<F>(f)(std::type_identity<float>{});
}

namespace detail {
[[noreturn]] void refuse_not_floating(DType dtype);
}  // namespace detail

/// As dispatch(), for Float32 and Float64 only. Throws for other dtypes. A function that users call checks the dtype
/// before, so that the error names that function.
template <class F>
[[nodiscard]] decltype(auto) dispatch_floating(DType dtype, F&& f) {
  if (dtype == DType::Float64) return std::forward<F>(f)(std::type_identity<double>{});
  if (dtype != DType::Float32) detail::refuse_not_floating(dtype);
  return std::forward<F>(f)(std::type_identity<float>{});
}

/// Bytes of one element.
[[nodiscard]] inline std::size_t size_of(DType dtype) {
  return dispatch(dtype, []<class T>(std::type_identity<T>) { return sizeof(T); });
}

}  // namespace v0
}  // namespace tapegrad
