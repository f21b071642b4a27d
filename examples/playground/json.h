#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace playground {

/// Writes JSON, member by member.
class Json {
 public:
  Json& open(std::string_view name, char bracket = '{') {
    begin(name) += bracket;
    return *this;
  }
  Json& close(char bracket = '}') {
    text_ += bracket;
    return *this;
  }
  Json& add(std::string_view name, double value) {
    begin(name) += number(value);
    return *this;
  }
  Json& add(std::string_view name, bool value) {
    begin(name) += value ? "true" : "false";
    return *this;
  }
  Json& add(std::string_view name, std::string_view value) {
    std::string& text = begin(name);
    text += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      if (c == '\n')
        text += "\\n";
      else
        text += c;
    }
    text += '"';
    return *this;
  }
  template <class Range>
  Json& add_all(std::string_view name, const Range& values) {
    std::string& text = begin(name);
    text += '[';
    bool first = true;
    for (const auto value : values) {
      if (!first) text += ',';
      first = false;
      text += number(static_cast<double>(value));
    }
    text += ']';
    return *this;
  }
  /// An image or a filter of one channel: its rows, its columns and its values.
  Json& add_plane(std::string_view name, tapegrad::index_t rows, tapegrad::index_t columns,
                  const tapegrad::Tensor& x) {
    open(name).add("rows", static_cast<double>(rows)).add("columns", static_cast<double>(columns));
    return add_all("values", x.values<double>()).close();
  }
  const std::string& text() const { return text_; }

 private:
  static std::string number(double value) {
    if (!std::isfinite(value)) return "null";
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    return digits;
  }
  std::string& begin(std::string_view name) {
    if (!text_.empty() && text_.back() != '{' && text_.back() != '[') text_ += ',';
    if (!name.empty()) text_.append("\"").append(name).append("\":");
    return text_;
  }
  std::string text_;
};

}  // namespace playground
