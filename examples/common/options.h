#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

inline std::string without_quotes(const std::string& text) {
  return text.size() >= 2 && text.front() == '"' && text.back() == '"' ? text.substr(1, text.size() - 2)
                                                                       : text;
}

/// A path of this machine means nothing to the readers of a page: of a place outside the working directory only the
/// last name is shown.
inline std::string for_others(const std::string& value) {
  const std::filesystem::path path(value);
  if (!path.is_absolute()) return value;
  std::error_code error;
  const std::filesystem::path here = path.lexically_relative(std::filesystem::current_path(error));
  if (!here.empty() && *here.begin() != "..") return here.string();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// The options of a program and the values they have in this run, for its report.
inline std::vector<std::pair<std::string, std::string>> option_facts(const CLI::App& app) {
  std::vector<std::pair<std::string, std::string>> facts;
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr()) continue;
    std::string value = option->get_default_str();
    if (option->get_expected_max() == 0)
      value = option->count() > 0 ? "yes" : "no";
    else if (option->count() > 0)
      value = CLI::detail::join(option->results(), " ");
    value = without_quotes(value);
    if (!value.empty()) facts.emplace_back(option->get_name(), for_others(value));
  }
  return facts;
}
