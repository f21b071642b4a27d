#pragma once

// For programs that print with fmt: fmt::format("{} {}", x.dtype(), x.shape()). tapegrad.h does not include this
// header, so that programs without fmt need none.

// Not fmt/format.h, which would compile the printing of numbers anew into every file.
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/shape.h"

/// As Shape::str().
template <>
struct fmt::formatter<tapegrad::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const tapegrad::Shape& shape, format_context& context) const {
    const std::string text = shape.str();
    return std::copy(text.begin(), text.end(), context.out());
  }
};

/// As to_string().
template <>
struct fmt::formatter<tapegrad::DType> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(tapegrad::DType dtype, format_context& context) const {
    const std::string text = tapegrad::to_string(dtype);
    return std::copy(text.begin(), text.end(), context.out());
  }
};
