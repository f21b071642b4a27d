#include "tapegrad/base/json_internal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "tapegrad/base/random.h"

namespace tapegrad::detail {
namespace {

// What was read, in words; and as nlohmann::json reads it.
struct Log : JsonEvents {
  void begin(char bracket) override { text += bracket; }
  void end(char bracket) override { text += bracket == '{' ? '}' : ']'; }
  void key(std::string name) override { text += "key " + nlohmann::json(name).dump() + " "; }
  void string(std::string value) override { text += nlohmann::json(value).dump() + " "; }
  void number(std::string_view written) override { text += "number " + std::string(written) + " "; }
  void literal(std::string_view word) override { text += std::string(word) + " "; }
  std::string text;
};

std::string read(const std::string& text) {
  Log log;
  const auto mistake = read_json(text, log);
  return mistake ? "mistake at " + std::to_string(*mistake) : log.text;
}

TEST(Json, IsRead) {
  EXPECT_EQ(
      read(R"( {"a":[1, -2.5e+3 ,{}], "" : "x\n\"\\\/\u00e4\ud83d\ude00" , "c":[ ],"d":null} )"),
      "{key \"a\" [number 1 number -2.5e+3 {}]key \"\" \"x\\n\\\"\\\\/\xC3\xA4\xF0\x9F\x98\x80\" key \"c\" []"
      "key \"d\" null }");
  EXPECT_EQ(read("0"), "number 0 ");
  EXPECT_EQ(read("true"), "true ");
}

TEST(Json, MistakesHaveAPlace) {
  EXPECT_EQ(read(""), "mistake at 0");
  EXPECT_EQ(read("[1 2]"), "mistake at 3");
  EXPECT_EQ(read("{\"a\" 1}"), "mistake at 5");
  EXPECT_EQ(read("[1,]"), "mistake at 3");
  EXPECT_EQ(read("[1}"), "mistake at 2");
  EXPECT_EQ(read("[\"\\x\"]"), "mistake at 3");
}

// Bytes near to JSON, from a grammar that is often broken.
std::string nearly_json(Generator& generator) {
  static const std::vector<std::string> pieces = {"{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ",",
                                                  ":",
                                                  "\"a\"",
                                                  "\"\\u00e4\"",
                                                  "\"\\ud800\"",
                                                  "\"\\ud83d\\ude00\"",
                                                  "\"\\udc00\"",
                                                  "\"\x80\"",
                                                  "\"\xC3\xA4\"",
                                                  "\"\xE0\x80\xAF\"",
                                                  "\"\xED\xA0\x80\"",
                                                  "\"\xF4\x90\x80\x80\"",
                                                  "\"\xF0\x9F\x98\x80\"",
                                                  "\"\x1F\"",
                                                  "\"\\q\"",
                                                  "\"",
                                                  "0",
                                                  "01",
                                                  "-",
                                                  "-0",
                                                  "1.",
                                                  "1.5",
                                                  ".5",
                                                  "1e",
                                                  "1e5",
                                                  "1E-5",
                                                  "+1",
                                                  "true",
                                                  "null",
                                                  "nul",
                                                  "false",
                                                  " ",
                                                  "\n",
                                                  "\t",
                                                  "\f",
                                                  "\\",
                                                  "\"k\":1",
                                                  "[1]",
                                                  "{\"a\":{}}",
                                                  "[[]]"};
  std::string text;
  for (std::uint64_t left = 1 + generator.integer(6); left > 0; --left)
    text += pieces[generator.integer(pieces.size())];
  return text;
}

TEST(Json, WhatIsAcceptedIsWhatAnotherReaderAccepts) {
  Generator generator(11);
  int accepted = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::string text = nearly_json(generator);
    Log log;
    const bool here = !read_json(text, log).has_value(), there = nlohmann::json::accept(text);
    // Numbers that no double holds are JSON: it is their reader that refuses them.
    static const std::regex large("[eE][+-]?[0-9]{3}");
    if (here != there && std::regex_search(text, large)) continue;
    ASSERT_EQ(here, there) << text;
    accepted += here ? 1 : 0;
  }
  EXPECT_GT(accepted, 5000);
}

TEST(Json, BracketsMayBeAsDeepAsTheyLike) {
  const std::size_t depth = 1'000'000;
  EXPECT_EQ(read(std::string(depth, '[') + std::string(depth, ']')).size(), 2 * depth);
  EXPECT_EQ(read(std::string(depth, '[')), "mistake at 1000000");
}

TEST(Json, IsWritten) {
  JsonWriter json;
  json.begin('{').key("a").begin('[').value(1).value(-0.5).value(true).begin('{').end().end();
  json.key("b\"").value("x\n\x01\x7F/\\\xC3\xA4").key("c").begin('[').end();
  json.key("d").value(std::numeric_limits<std::uint64_t>::max()).key("e").value(std::nan("")).end();
  EXPECT_EQ(json.text(),
            "{\"a\":[1,-0.5,true,{}],\"b\\\"\":\"x\\n\\u0001\x7F/\\\\\xC3\xA4\",\"c\":[],"
            "\"d\":18446744073709551615,\"e\":\"nan\"}");
}

TEST(Json, StringsAreWrittenAsAnotherWriterWritesThem) {
  Generator generator(12);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::uint64_t left = generator.integer(8); left > 0; --left)
      text += static_cast<char>(generator.integer(256));
    using Other = nlohmann::json;
    EXPECT_EQ(is_utf8(text), Other::accept("\"" + [&] {
                std::string printable = text;
                for (char& c : printable)
                  if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') c = 'x';
                return printable;
              }() + "\""));
    if (is_utf8(text)) {
      EXPECT_EQ(JsonWriter().value(text).text(), Other(text).dump());
    }
    EXPECT_TRUE(Other::accept(JsonWriter().value(text).text())) << "what is not UTF-8 is replaced";
  }
}

TEST(Json, NumbersGiveTheSameNumber) {
  Generator generator(13);
  for (int i = 0; i < 20000; ++i) {
    const double value =
        std::ldexp(generator.uniform() - 0.5, static_cast<int>(generator.integer(600)) - 300);
    EXPECT_EQ(nlohmann::json::parse(JsonWriter().value(value).text()).get<double>(), value);
  }
}

}  // namespace
}  // namespace tapegrad::detail
