#include "tapegrad/base/json_internal.h"

#include <array>
#include <cmath>
#include <cstdint>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

constexpr std::string_view kEscapes = "\"\\/bfnrt", kEscaped = "\"\\/\b\f\n\r\t";

void append_utf8(std::string& to, std::uint32_t code) {
  const auto rest = [&](int shift) { to += static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
  if (code < 0x80) {
    to += static_cast<char>(code);
  } else if (code < 0x800) {
    to += static_cast<char>(0xC0U | (code >> 6));
    rest(0);
  } else if (code < 0x10000) {
    to += static_cast<char>(0xE0U | (code >> 12));
    rest(6), rest(0);
  } else {
    to += static_cast<char>(0xF0U | (code >> 18));
    rest(12), rest(6), rest(0);
  }
}

char closing(char bracket) {
  return bracket == '{' ? '}' : ']';
}

class Reader {
 public:
  Reader(std::string_view text, JsonEvents& to) : text_(text), to_(to) {}

  std::size_t at() const { return at_; }

  // Not recursive: brackets may be as deep as they like.
  bool read() {
    bool wants_value = true;
    for (;;) {
      skip_space();
      if (at_ == text_.size()) return !wants_value && open_.empty();
      const char c = text_[at_];
      if (wants_value && (c == '{' || c == '[')) {
        ++at_;
        to_.begin(c);
        open_ += c;
        skip_space();
        if (is(closing(c)))
          wants_value = false;
        else if (c == '{' && !key())
          return false;
      } else if (wants_value) {
        if (!scalar()) return false;
        wants_value = false;
      } else if (open_.empty()) {
        return false;
      } else if (c == ',') {
        ++at_;
        skip_space();
        if (open_.back() == '{' && !key()) return false;
        wants_value = true;
      } else if (c == closing(open_.back())) {
        ++at_;
        to_.end(open_.back());
        open_.pop_back();
      } else {
        return false;
      }
    }
  }

 private:
  bool is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool is_digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }
  void skip_space() {
    while (is(' ') || is('\t') || is('\n') || is('\r')) ++at_;
  }

  bool key() {
    std::string name;
    if (!string(name)) return false;
    skip_space();
    if (!is(':')) return false;
    ++at_;
    to_.key(std::move(name));
    return true;
  }

  bool scalar() {
    if (is('"')) {
      std::string value;
      if (!string(value)) return false;
      to_.string(std::move(value));
      return true;
    }
    if (is('-') || is_digit()) return number();
    for (const std::string_view word : {"true", "false", "null"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        to_.literal(word);
        return true;
      }
    return false;
  }

  bool digits() {
    if (!is_digit()) return false;
    while (is_digit()) ++at_;
    return true;
  }

  bool number() {
    const std::size_t first = at_;
    if (is('-')) ++at_;
    if (is('0'))
      ++at_;
    else if (!digits())
      return false;
    if (is('.') && (++at_, !digits())) return false;
    if (is('e') || is('E')) {
      ++at_;
      if (is('+') || is('-')) ++at_;
      if (!digits()) return false;
    }
    to_.number(text_.substr(first, at_ - first));
    return true;
  }

  bool string(std::string& value) {
    if (!is('"')) return false;
    for (++at_; at_ < text_.size();) {
      if (is('"')) return ++at_, true;
      if (is('\\')) {
        if (!escape(value)) return false;
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0 || static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      value.append(text_, at_, length);
      at_ += length;
    }
    return false;
  }

  bool escape(std::string& value) {
    ++at_;
    if (is('u')) {
      const std::uint32_t code = hexadecimal();
      const bool is_first = code >= 0xD800 && code < 0xDC00;
      if (code == kNone || (code >= 0xDC00 && code < 0xE000)) return false;
      if (!is_first) return append_utf8(value, code), true;
      if (!is('\\') || (++at_, !is('u'))) return false;
      const std::uint32_t second = hexadecimal();
      if (second < 0xDC00 || second >= 0xE000) return false;
      return append_utf8(value, 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00)), true;
    }
    const std::size_t which = at_ < text_.size() ? kEscapes.find(text_[at_]) : kEscapes.npos;
    if (which == kEscapes.npos) return false;
    value += kEscaped[which];
    ++at_;
    return true;
  }

  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  // The four digits after a u.
  std::uint32_t hexadecimal() {
    constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
    std::uint32_t code = 0;
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      const std::size_t digit = at_ < text_.size() ? kDigits.find(text_[at_]) : kDigits.npos;
      if (digit == kDigits.npos) return kNone;
      code = code * 16 + static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
    }
    return code;
  }

  std::string_view text_;
  JsonEvents& to_;
  std::size_t at_ = 0;
  std::string open_;
};

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  // Neither longer forms than needed nor halves of surrogate pairs nor what lies beyond U+10FFFF.
  if (first >= 0xE0 && first <= 0xEF)
    return follows(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return follows(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3)
               ? 4
               : 0;
  return 0;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<std::size_t> read_json(std::string_view text, JsonEvents& to) {
  Reader reader(text, to);
  if (reader.read()) return std::nullopt;
  return reader.at();
}

void JsonWriter::separate() {
  if (!text_.empty() && text_.back() != '{' && text_.back() != '[' && text_.back() != ':') text_ += ',';
}

JsonWriter& JsonWriter::begin(char bracket) {
  separate();
  text_ += bracket;
  open_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::end() {
  text_ += closing(open_.back());
  open_.pop_back();
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  text_ += ':';
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::value(double value) {
  if (std::isfinite(value)) return literal(fmt::format("{}", value));
  return JsonWriter::value(std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

JsonWriter& JsonWriter::literal(std::string_view text) {
  separate();
  text_ += text;
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  text_ += '"';
  while (!text.empty()) {
    const std::size_t length = utf8_length(text), which = kEscaped.find(text[0]);
    if (which != kEscaped.npos && text[0] != '/')
      text_ += {'\\', kEscapes[which]};
    else if (static_cast<unsigned char>(text[0]) < 0x20)
      text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(text[0]));
    else if (length == 0)
      append_utf8(text_, 0xFFFD);
    else
      text_ += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  text_ += '"';
}

}  // namespace tapegrad::inline v0::detail
