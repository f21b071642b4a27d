// What the library's own fail_formatted() is: a shared library hides it. No op that a tape records fails here.

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

void fail_formatted(std::string_view op, fmt::string_view message, fmt::format_args args) {
  throw Error(op, fmt::vformat(message, args));
}

}  // namespace tapegrad::inline v0
