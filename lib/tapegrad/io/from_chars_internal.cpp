#include "tapegrad/io/from_chars_internal.h"

#if !defined(__cpp_lib_to_chars)
#include <locale.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include <cctype>
#include <cerrno>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace tapegrad::inline v0::detail {
namespace {

std::size_t digits_at(std::string_view text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return end - from;
}

bool is_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(text[i])) != word[i]) return false;
  return true;
}

// How many characters from the beginning on are a number; 0: none.
std::size_t number_length(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  for (const std::string_view word : {"infinity", "inf", "nan"})
    if (is_word(text.substr(at), word)) return at + word.size();
  const std::size_t whole = digits_at(text, at);
  at += whole;
  std::size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    fraction = digits_at(text, at + 1);
    if (whole + fraction > 0) at += 1 + fraction;
  }
  if (whole + fraction == 0) return 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    const std::size_t sign = at + 1 < text.size() && (text[at + 1] == '+' || text[at + 1] == '-') ? 1 : 0;
    const std::size_t exponent = digits_at(text, at + 1 + sign);
    if (exponent > 0) at += 1 + sign + exponent;
  }
  return at;
}

}  // namespace

std::from_chars_result from_chars(const char* first, const char* last, double& value) {
  const std::string text(first, number_length({first, static_cast<std::size_t>(last - first)}));
  if (text.empty()) return {first, std::errc::invalid_argument};
  // The program's locale may write numbers with a comma.
  const std::unique_ptr<std::remove_pointer_t<locale_t>, void (*)(locale_t)> plain(
      newlocale(LC_ALL_MASK, "C", locale_t{}), &freelocale);
  const int before = std::exchange(errno, 0);
  const double found = strtod_l(text.c_str(), nullptr, plain.get());
  const bool out_of_range = errno == ERANGE && (std::isinf(found) || found == 0);
  errno = before;
  const char* const end = first + text.size();
  if (out_of_range) return {end, std::errc::result_out_of_range};
  value = found;
  return {end, std::errc()};
}

}  // namespace tapegrad::inline v0::detail
#endif
