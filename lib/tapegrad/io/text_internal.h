#pragma once

// Internal: numbers in text files.

#include <cstdint>
#include <optional>
#include <string_view>

namespace tapegrad::inline v0::detail {

/// The number that the whole text is, with a point whatever the locale; nothing when it is none, or too large for a
/// double. What is nearer to 0 than any double is 0, with its sign.
std::optional<double> parse_double(std::string_view text);
std::optional<std::uint64_t> parse_integer(std::string_view text);

}  // namespace tapegrad::inline v0::detail
