#include "command_line/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <locale>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>
#include <type_traits>

namespace cli {
namespace {

#if defined(__cpp_lib_to_chars)
constexpr bool kReadsAnyNumber = true;
#else  // LLVM's standard library before version 20
constexpr bool kReadsAnyNumber = false;
#endif

template <class T>
std::optional<T> parsed(const std::string& text) {
  T value{};
  if constexpr (std::is_integral_v<T> || kReadsAnyNumber) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  } else {  // no infinities and no NaN
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    if (!(in >> std::noskipws >> value) || in.peek() != std::istringstream::traits_type::eof())
      return std::nullopt;
  }
  return value;
}

// What is wrong with an option that the program does not have; empty if there is no such option.
std::string about_unknown(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining();
  const auto option = std::ranges::find_if(left, [](const std::string& s) { return s.starts_with('-'); });
  if (option == left.end()) return "";
  const std::string name = option->substr(0, option->find('='));
  std::string nearest;
  std::size_t least = 3;
  for (const CLI::Option* known : app.get_options())
    for (const std::string& word : known->get_lnames()) {
      const std::string candidate = "--" + word;
      const bool begun = name.size() > 3 && candidate.starts_with(name);
      if (const std::size_t d = begun ? 1 : edit_distance(name, candidate); d < least) {
        least = d;
        nearest = candidate;
      }
    }
  return fmt::format("there is no option {}{}", name,
                     nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest));
}

std::string explain(const CLI::App& app, const CLI::Error& error) {
  const std::string said = error.what();
  const auto kind = static_cast<CLI::ExitCodes>(error.get_exit_code());
  // Before whatever else is wrong: what is missing may have been meant by the unknown option.
  if (const std::string unknown = about_unknown(app); !unknown.empty()) return unknown;
  if (kind == CLI::ExitCodes::ExtrasError)
    return fmt::format("'{}' belongs to no option", app.remaining().front());
  const std::size_t colon = said.find(": ");
  // What our own checks say goes on after the option's name.
  if (kind == CLI::ExitCodes::ValidationError && colon != std::string::npos && said.find(": must ") == colon)
    return said.substr(0, colon) + said.substr(colon + 1);
  if (kind == CLI::ExitCodes::ArgumentMismatch && said.starts_with("--")) {
    const std::string name = said.substr(0, said.find_first_of(": "));
    const CLI::Option* option = app.get_option_no_throw(name);
    if (option != nullptr && option->results().size() > 1) return name + " is given more than once";
    return name + " needs a value";
  }
  if (kind == CLI::ExitCodes::ExcludesError) {
    const std::size_t excludes = said.find(" excludes ");
    if (excludes != std::string::npos)
      return fmt::format("{} and {} cannot be given together", said.substr(0, excludes),
                         said.substr(excludes + 10));
  }
  return said;
}

std::string not_one_of(const std::vector<std::string>& words, const std::string& text) {
  if (std::ranges::find(words, text) != words.end()) return "";
  return fmt::format("must be {}, got {}", fmt::join(words, " or "), text);
}

std::string without_quotes(const std::string& text) {
  return text.size() >= 2 && text.front() == '"' && text.back() == '"' ? text.substr(1, text.size() - 2)
                                                                       : text;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

struct Program::Parser {
  CLI::App app;
};

Program::Program(const std::string& name, const std::string& description)
    : name_(name), parser_(std::make_unique<Parser>()) {
  parser_->app.name(name);
  parser_->app.description(description);
}
Program::~Program() = default;

void Program::add_whole(const std::string& name, const std::string& now, std::int64_t least,
                        std::uint64_t most, const std::string& what,
                        const std::function<void(std::uint64_t)>& take) {
  const bool bounded = most < static_cast<std::uint64_t>((std::numeric_limits<int>::max)());
  const std::string bounds =
      bounded ? fmt::format("from {} to {}", least, most) : fmt::format("of at least {}", least);
  const auto check = [=](const std::string& text) -> std::string {
    const std::optional<std::int64_t> number = parsed<std::int64_t>(text);
    const std::optional<std::uint64_t> large = parsed<std::uint64_t>(text);
    const bool fits = number
                          ? *number >= least && (*number < 0 || static_cast<std::uint64_t>(*number) <= most)
                          : large && *large <= most;
    if (fits) return "";
    const bool too_large = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos &&
                           (!number || *number >= least);
    if (too_large && !bounded) return fmt::format("must be a whole number of at most {}, got {}", most, text);
    return fmt::format("must be a whole number {}, got {}", bounds, text);
  };
  const auto read = [take](const std::string& text) {
    const std::optional<std::int64_t> number = parsed<std::int64_t>(text);
    take(number ? static_cast<std::uint64_t>(*number) : parsed<std::uint64_t>(text).value());
  };
  parser_->app.add_option_function<std::string>(name, read, what)
      ->type_name("N")
      ->default_str(now)
      ->check(check);
}

void Program::add_number(const std::string& name, double& value, const std::string& what) {
  parser_->app.add_option(name, value, what)
      ->type_name("X")
      ->default_str(fmt::format("{}", value))
      ->check([](const std::string& text) -> std::string {
        const std::optional<double> number = parsed<double>(text);
        if (number && std::isfinite(*number) && *number >= 0) return "";
        return fmt::format("must be a number of at least 0, got {}", text);
      });
}

void Program::add_choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                         const std::string& what) {
  add_text(name, value, "WORD", what, [=](const std::string& text) { return not_one_of(words, text); });
}

void Program::add_choices(const std::string& name, std::vector<std::string>& values,
                          const std::vector<std::string>& words, const std::string& what) {
  parser_->app.add_option(name, values, what)->type_name("WORD")->check([=](const std::string& text) {
    return not_one_of(words, text);
  });
}

void Program::add_text(const std::string& name, std::string& value, const std::string& placeholder,
                       const std::string& what, const Check& check) {
  CLI::Option* option =
      parser_->app.add_option(name, value, what)->type_name(placeholder)->default_str(value);
  if (check) option->check(check);
}

void Program::add_path(const std::string& name, std::filesystem::path& value, const std::string& placeholder,
                       const std::string& what) {
  parser_->app.add_option(name, value, what)->type_name(placeholder)->default_str(value.string());
}

void Program::add_texts(const std::string& name, std::vector<std::string>& values, int count,
                        const std::string& placeholder, const std::string& what) {
  parser_->app.add_option(name, values, what)->type_name(placeholder)->expected(count);
}

void Program::add_flag(const std::string& name, bool& value, const std::string& what) {
  parser_->app.add_flag(name, value, what);
}

void Program::require(const std::string& name) {
  parser_->app.get_option(name)->required();
}

void Program::exclude(const std::string& name, const std::string& other) {
  parser_->app.get_option(name)->excludes(parser_->app.get_option(other));
}

void Program::remove(const std::string& name) {
  parser_->app.remove_option(parser_->app.get_option(name));
}

bool Program::given(const std::string& name) const {
  return parser_->app.count(name) > 0;
}

std::vector<std::pair<std::string, std::string>> Program::values() const {
  const CLI::App& app = parser_->app;
  std::vector<std::pair<std::string, std::string>> all;
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr()) continue;
    std::string value = option->get_default_str();
    if (option->get_expected_max() == 0)
      value = option->count() > 0 ? "yes" : "no";
    else if (option->count() > 0)
      value = fmt::format("{}", fmt::join(option->results(), " "));
    value = without_quotes(value);
    if (!value.empty()) all.emplace_back(option->get_name(), value);
  }
  return all;
}

int Program::run(int argc, char** argv, const std::function<int()>& program) {
  CLI::App& app = parser_->app;
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return fmt::format("{}: {} (--help lists the options)\n", failed->get_name(), explain(*failed, error));
  });
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a file, too, each line is there when it is printed
  // CLI11 would take the next word for the value of "--data=".
  for (const std::string_view word : std::span(argv, static_cast<std::size_t>(argc)))
    if (word.starts_with("--") && word.find('=') == word.size() - 1) {
      std::cerr << fmt::format("{}: {} needs a value (--help lists the options)\n", name_,
                               word.substr(0, word.size() - 1));
      return static_cast<int>(CLI::ExitCodes::ArgumentMismatch);
    }
  CLI11_PARSE(app, argc, argv);
  try {
    return program();
  } catch (const Interrupted& interrupted) {
    fmt::print("{}\n", interrupted.message);
    return 128 + SIGINT;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name_, error.what());
    return 1;
  }
}

}  // namespace cli
