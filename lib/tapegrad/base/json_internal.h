#pragma once

// Internal: JSON (RFC 8259), read and written.

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tapegrad::inline v0::detail {

/// The length of the character that text begins with, 1 to 4 bytes; 0 if it is not UTF-8.
std::size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);

/// Is told what a text holds, in its order.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void begin(char bracket) = 0;  ///< '{' or '['
  virtual void end(char bracket) = 0;    ///< the one that it began with
  virtual void key(std::string name) = 0;
  virtual void string(std::string value) = 0;
  virtual void number(std::string_view text) = 0;   ///< as it is written
  virtual void literal(std::string_view word) = 0;  ///< true, false or null
};

/// Reads one value, which the whole text is. Returns nothing, or the place of the first mistake. Needs memory for one
/// string and a byte for each open bracket; handlers that throw end it.
std::optional<std::size_t> read_json(std::string_view text, JsonEvents& to);

/// Writes values one after the other, without spaces.
class JsonWriter {
 public:
  JsonWriter& begin(char bracket);  ///< '{' or '['
  JsonWriter& end();
  JsonWriter& key(std::string_view name);
  /// What is not UTF-8 becomes U+FFFD.
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool value) { return literal(value ? "true" : "false"); }
  template <std::integral T>
  JsonWriter& value(T value) {
    return literal(std::to_string(value));
  }
  /// The shortest text that gives the same number; "nan", "inf" or "-inf" for what JSON has no numbers for.
  JsonWriter& value(double value);

  /// The text of a number, or a word of JSON, as it is.
  JsonWriter& literal(std::string_view text);

  const std::string& text() const { return text_; }

 private:
  void separate();
  void quote(std::string_view text);
  std::string text_, open_;
};

}  // namespace tapegrad::inline v0::detail
