#pragma once

// Internal: the way errors are raised inside the library. fmt stays out of the public headers.

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "tapegrad/base/dtype.h"
#include "tapegrad/base/error.h"
#include "tapegrad/base/shape.h"

template <>
struct fmt::formatter<tapegrad::Shape> : fmt::formatter<std::string> {
  auto format(const tapegrad::Shape& shape, format_context& context) const {
    return fmt::formatter<std::string>::format(shape.str(), context);
  }
};

template <>
struct fmt::formatter<tapegrad::DType> : fmt::formatter<std::string_view> {
  auto format(tapegrad::DType dtype, format_context& context) const {
    return fmt::formatter<std::string_view>::format(tapegrad::name(dtype), context);
  }
};

namespace tapegrad {

/// Throws Error(op, message).
template <class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> message, Args&&... args) {
  throw Error(op, fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace tapegrad
