#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

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
    if (!value.empty() && value != "\"\"") facts.emplace_back(option->get_name(), value);
  }
  return facts;
}
