#pragma once

// Internal: the way errors are raised inside the library. fmt stays out of the public headers.

// No format_to(): Clang gives what that calls another name than libfmt has for it, being made by GCC.
#include <fmt/core.h>

#include <string>
#include <string_view>

#include "tapegrad/base/error.h"
#include "tapegrad/base/fmt.h"

namespace tapegrad::inline v0 {

/// Throws Error(op, message).
[[noreturn, gnu::cold]] void fail_formatted(std::string_view op, fmt::string_view message,
                                            fmt::format_args args);
template <class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> message, Args&&... args) {
  fail_formatted(op, message, fmt::make_format_args(args...));
}

/// The values as text, with a separator between them.
template <class Values>
std::string join(const Values& values, std::string_view separator) {
  std::string text;
  std::string_view before;
  for (const auto& value : values) {
    text += fmt::format("{}{}", before, value);
    before = separator;
  }
  return text;
}

}  // namespace tapegrad::inline v0
