#pragma once

// Internal: std::from_chars of doubles, which the standard library of LLVM has since version 20 alone.

#include <charconv>

namespace tapegrad::inline v0::detail {

#if defined(__cpp_lib_to_chars)
using std::from_chars;
#else
/// What std::from_chars does.
std::from_chars_result from_chars(const char* first, const char* last, double& value);
#endif

}  // namespace tapegrad::inline v0::detail
