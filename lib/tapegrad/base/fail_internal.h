#pragma once

// Internal: the way errors are raised inside the library. fmt stays out of the public headers.

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/error.h"
#include "tapegrad/base/shape.h"

template <>
struct fmt::formatter<tapegrad::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const tapegrad::Shape& shape, format_context& context) const {
    return fmt::format_to(context.out(), "{}", shape.str());
  }
};

template <>
struct fmt::formatter<tapegrad::DType> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(tapegrad::DType dtype, format_context& context) const {
    return fmt::format_to(context.out(), "{}", tapegrad::name(dtype));
  }
};

namespace tapegrad {

/// Throws Error(op, message).
template <class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> message, Args&&... args) {
  throw Error(op, fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace tapegrad
