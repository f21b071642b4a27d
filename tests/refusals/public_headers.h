#pragma once

// What the public headers declare, as far as a reader of their text can tell: for tests that no function is forgotten.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace tapegrad::testing {

/// A function, an operator, a member or a constructor.
struct PublicFunction {
  std::string header;  ///< below lib/tapegrad
  std::string scope;   ///< the class; empty for a free function
  std::string name;
  std::string parameters;
  bool free = false;
  bool takes_tensors = false;
};

/// The headers that tapegrad.h includes.
inline std::vector<std::string> headers_for_users() {
  std::ifstream file(TAPEGRAD_SOURCE "/lib/tapegrad/tapegrad.h");
  std::vector<std::string> found;
  static const std::regex include(R"(#include "tapegrad/(.*)\")");
  std::smatch match;
  for (std::string line; std::getline(file, line);)
    if (std::regex_search(line, match, include)) found.push_back(match[1]);
  return found;
}

inline std::string without_comments(std::string text) {
  text = std::regex_replace(text, std::regex(R"(//[^\n]*)"), "");
  text = std::regex_replace(text, std::regex(R"(/\*[\s\S]*?\*/)"), "");
  return std::regex_replace(text, std::regex(R"(#[^\n]*)"), "");
}

/// Reads declarations one after the other: bodies of functions are skipped, namespaces other than detail and the public parts
/// of classes are entered.
class HeaderReader {
 public:
  HeaderReader(std::string header, std::vector<PublicFunction>& found)
      : header_(std::move(header)), found_(found) {
    std::ifstream file(std::string(TAPEGRAD_SOURCE "/lib/tapegrad/") + header_);
    text_ = without_comments({std::istreambuf_iterator<char>(file), {}});
    declarations("", true);
  }

 private:
  // Until the brace that closes this scope.
  void declarations(const std::string& scope, bool is_public) {
    std::string declaration;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '(') {
        const std::string inside = balanced('(', ')');
        static const std::regex in_parentheses(R"([\s\S]*\bTensor\s*)"), word(R"(\w+)");  // Tensor(max)(...)
        if (std::regex_match(declaration, in_parentheses) && std::regex_match(inside, word)) {
          declaration += ' ' + inside;
          continue;
        }
        note(declaration, inside, scope, is_public);
        declaration += "()";
      } else if (c == ';') {
        declaration.clear();
      } else if (c == '{') {
        open(declaration, scope, is_public);
        declaration.clear();
      } else if (c == '}') {
        return;
      } else if (c == ':' &&
                 std::regex_match(declaration, std::regex(R"(\s*(public|private|protected)\s*)"))) {
        is_public = declaration.find("private") == std::string::npos;
        declaration.clear();
      } else {
        declaration += c;
      }
    }
  }

  void open(const std::string& declaration, const std::string& scope, bool is_public) {
    std::smatch match;
    static const std::regex space(R"((inline\s+)?namespace\s*([\w:]*)[\s\S]*)"),
        type(R"([\s\S]*\b(class|struct)\s+(?:\[\[\w+\]\]\s*)?(?:TAPEGRAD_\w+\s+)?(\w+)[^()]*)");
    const std::string plain = std::regex_replace(declaration, std::regex(R"(^\s+|\s+$)"), "");
    if (std::regex_match(plain, match, space) && match[2].str().find("detail") == std::string::npos) {
      ++at_;
      declarations(scope, true);
    } else if (is_public && std::regex_match(plain, match, type)) {
      ++at_;
      declarations(scope.empty() ? match[2].str() : scope + "::" + match[2].str(), match[1] == "struct");
    } else {
      balanced('{', '}');
    }
  }

  // From the opening sign on; stays at the closing one.
  std::string balanced(char open_sign, char close_sign) {
    const std::size_t begin = at_ + 1;
    for (int depth = 0; at_ < text_.size(); ++at_) {
      if (text_[at_] == open_sign) ++depth;
      if (text_[at_] == close_sign && --depth == 0) break;
    }
    return text_.substr(begin, at_ - begin);
  }

  void note(const std::string& before, const std::string& parameters, const std::string& scope,
            bool is_public) {
    static const std::regex named(R"([\s\S]*?((?:operator\s*[-+*/<>=!()\[\]]+)|\w+)\s*$)");
    static const std::regex tensors(R"(\b(Tensor|Gradients|ParameterList|NamedTensors|State)\b)");
    std::smatch match;
    static const std::regex initializers(R"([\s\S]*\(\)\s*:[\s\S]*)");
    if (!is_public || std::regex_match(before, initializers) || !std::regex_match(before, match, named))
      return;
    const std::string name = match[1];
    if (before.ends_with("()") || name == "requires" || name == "decltype" || name == "void") return;
    if (name == "Tensor" && scope.empty()) return;  // std::function<Tensor(...)>
    found_.push_back(
        {header_, scope, name, parameters, scope.empty(), std::regex_search(parameters, tensors)});
  }

  std::string header_, text_;
  std::size_t at_ = 0;
  std::vector<PublicFunction>& found_;
};

inline std::vector<PublicFunction> public_functions() {
  std::vector<PublicFunction> found;
  for (const std::string& header : headers_for_users()) HeaderReader(header, found);
  return found;
}

}  // namespace tapegrad::testing
