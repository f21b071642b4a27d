#pragma once

#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {

/// Throws, in the name of `who`, unless the option `fits`: it must be `range`.
inline void require(const char* who, bool fits, const char* option, double value, const char* range) {
  if (!fits) fail(who, "{} must be {}, got {}", option, range, value);
}
inline void require_not_negative(const char* who, const char* option, double value) {
  require(who, value >= 0 && std::isfinite(value), option, value, "0 or more");
}

}  // namespace tapegrad::inline v0::detail
