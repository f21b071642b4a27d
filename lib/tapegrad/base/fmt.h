#pragma once

// For programs that print with fmt: fmt::format("{} {}", x.dtype(), x.shape()). tapegrad.h does not include this
// header, so that programs without fmt need none. What prints with << prints with fmt, but for tensors.

// Not fmt/format.h, which would compile the printing of numbers anew into every file.
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/base/window.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

enum class GradcheckVerdict;
enum class GradcheckBehaviour;
[[nodiscard]] std::string_view name(GradcheckVerdict verdict);
[[nodiscard]] std::string_view name(GradcheckBehaviour behaviour);

namespace detail {

struct TextFormatter {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

 protected:
  [[gnu::always_inline]] static auto write(std::string_view text, fmt::format_context& context) {
    return std::copy(text.begin(), text.end(), context.out());
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace tapegrad

/// As Shape::str().
template <>
struct fmt::formatter<tapegrad::Shape> : tapegrad::detail::TextFormatter {
  auto format(const tapegrad::Shape& shape, format_context& context) const {
    return write(shape.str(), context);
  }
};

/// As Padding::str().
template <>
struct fmt::formatter<tapegrad::Padding> : tapegrad::detail::TextFormatter {
  auto format(const tapegrad::Padding& padding, format_context& context) const {
    return write(padding.str(), context);
  }
};

/// As to_string().
template <>
struct fmt::formatter<tapegrad::DType> : tapegrad::detail::TextFormatter {
  auto format(tapegrad::DType dtype, format_context& context) const {
    return write(tapegrad::to_string(dtype), context);
  }
};

/// As name().
template <>
struct fmt::formatter<tapegrad::GradcheckVerdict> : tapegrad::detail::TextFormatter {
  auto format(tapegrad::GradcheckVerdict verdict, format_context& context) const {
    return write(tapegrad::name(verdict), context);
  }
};

/// As name().
template <>
struct fmt::formatter<tapegrad::GradcheckBehaviour> : tapegrad::detail::TextFormatter {
  auto format(tapegrad::GradcheckBehaviour behaviour, format_context& context) const {
    return write(tapegrad::name(behaviour), context);
  }
};
