#include "tapegrad/io/text_internal.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "tapegrad/io/from_chars_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

// The power of ten of the first digit that is not 0, of a number that std::from_chars has found well formed. It is
// compared with 0 only: exponents are cut off where no text could make up for them.
std::int64_t magnitude(std::string_view text) {
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  const std::string_view digits = text.substr(0, e);
  const std::size_t point = std::min(digits.find('.'), digits.size()),
                    first = std::min(digits.find_first_of("123456789"), digits.size());
  std::int64_t exponent = 0;
  for (const char c : text.substr(e))
    if (c >= '0' && c <= '9')
      exponent = std::min<std::int64_t>(10 * exponent + (c - '0'), std::int64_t{1} << 40);
  if (text.substr(e).find('-') != std::string_view::npos) exponent = -exponent;
  return exponent + static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
}

}  // namespace

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc()) return value;
  if (error != std::errc::result_out_of_range || magnitude(text) > 0) return std::nullopt;
  return text.starts_with('-') ? -0.0 : 0.0;
}

std::optional<std::uint64_t> parse_integer(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace tapegrad::inline v0::detail
