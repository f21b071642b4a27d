#pragma once

// Internal: checks of options that throw what a user can act on.

#include <cmath>
#include <string_view>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

/// Throws, in the name of `who`, unless the option `fits`: it must be `range`.
inline void require(std::string_view who, bool fits, const char* option, double value, const char* range) {
  if (!fits) fail(who, "{} must be {}, got {}", option, range, value);
}
inline void require_not_negative(std::string_view who, const char* option, double value) {
  require(who, value >= 0 && std::isfinite(value), option, value, "finite and at least 0");
}
inline void require_finite(std::string_view who, const char* option, double value) {
  require(who, std::isfinite(value), option, value, "finite");
}

}  // namespace tapegrad::inline v0::detail
