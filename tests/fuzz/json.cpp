// JSON: read_json() against another reader, and what was read, written and read again.

#include "tapegrad/base/json_internal.h"

#include <nlohmann/json.hpp>

#include "fuzz.h"

using namespace tapegrad;

namespace {

struct Log : detail::JsonEvents {
  void begin(char bracket) override {
    open += bracket;
    text += bracket;
    if (writable) writer.begin(bracket);
  }
  void end(char bracket) override {
    if (open.empty() || open.back() != bracket) fuzz::found("a bracket is closed that is not open");
    open.pop_back();
    text += bracket == '{' ? '}' : ']';
    if (writable) writer.end();
  }
  void key(std::string name) override {
    text += "k" + std::to_string(name.size()) + name;
    writer.key(name);
  }
  void string(std::string value) override {
    text += "s" + std::to_string(value.size()) + value;
    writer.value(value);
  }
  void number(std::string_view written) override {
    text += "n";
    text += written;
    writable = false;  // the writer writes doubles, in its own way
  }
  void literal(std::string_view word) override {
    text += word;
    word == "null" ? void(writable = false) : void(writer.value(word == "true"));
  }
  std::string open, text;
  detail::JsonWriter writer;
  bool writable = true;
};

// Numbers that no double holds are JSON, but nlohmann's reader refuses them.
bool has_large_number(std::string_view text) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 200) return true;
  }
  for (std::size_t at = 0; at + 3 < text.size(); ++at)
    if (text[at] == 'e' || text[at] == 'E') {
      const std::size_t sign = text[at + 1] == '+' || text[at + 1] == '-' ? 1 : 0;
      std::size_t count = 0;
      while (at + 1 + sign + count < text.size() &&
             std::isdigit(static_cast<unsigned char>(text[at + 1 + sign + count])))
        ++count;
      if (count >= 3) return true;
    }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Log log;
  const auto mistake = detail::read_json(text, log);
  if (mistake && *mistake > text.size()) fuzz::found("the mistake is behind the text");
  // What nlohmann's reader allows and JSON does not: a byte order mark, and anything behind a zero byte.
  const bool other_rules = text.starts_with("\xEF\xBB\xBF") || text.find('\0') != text.npos;
  if (!other_rules && !has_large_number(text) && nlohmann::json::accept(text) == mistake.has_value())
    fuzz::found("another reader has another opinion");
  if (mistake || !log.writable) return 0;
  Log again;
  if (detail::read_json(log.writer.text(), again) || again.text != log.text)
    fuzz::found("what was written is read as something else: " + log.writer.text());
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  for (const std::string_view text :
       {R"({"a":[1,-2.5e+3,{}],"" :"x\n\"\\\/\u00e4\ud83d\ude00\u0001","c":[ ],"d":null})",
        R"([true,false,"\t\b\f\r"])", "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\"", "-0.0e-0",
        R"([[[[{"x":{"y":[]}}]]]])"})
    made.emplace_back("text" + std::to_string(made.size()), Bytes(text.begin(), text.end()));
  return made;
}
