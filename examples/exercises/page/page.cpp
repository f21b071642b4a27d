// One page of HTML from the results that exercise_NN --json wrote:  exercise_page OUTPUT RESULT...
// The order of the results is that of the page; "NN TITLE" in place of a file is an exercise without a result.

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace {

namespace tg = tapegrad;
using Json = nlohmann::ordered_json;

Json read(const std::string& argument) {
  std::ifstream file(argument);
  if (file) return Json::parse(file);
  const std::string reason = std::generic_category().message(errno);
  const std::size_t blank = argument.find(' ');
  if (blank == std::string::npos) throw std::runtime_error(argument + " cannot be read: " + reason);
  return {{"exercise", std::stoi(argument.substr(0, blank))},
          {"title", argument.substr(blank + 1)},
          {"passed", false},
          {"parts", Json::array()}};
}

std::string status_of(const Json& result) {
  if (result["passed"]) return "solved";
  if (result["parts"].empty()) return "";
  std::size_t passed = 0;
  for (const Json& part : result["parts"]) passed += part["status"] == "passed" ? 1 : 0;
  return fmt::format("{} of {} parts", passed, result["parts"].size());
}

/// Red: must be larger, blue: must be smaller.
void add_map(tg::Report& report, const Json& map) {
  const std::vector<tg::index_t> shape = map["shape"];
  std::vector<double> values;
  for (const Json& value : map["error"]) values.push_back(value.is_null() ? 0 : value.get<double>());
  if (values.empty() || values.size() > 20000 || (shape.size() > 2 && shape.size() != 4)) return;
  tg::Tensor error = tg::tensor(values, tg::Shape(shape));
  const std::string axes = map["axes"];
  if (shape.size() == 4 && !axes.starts_with("k")) error = tg::permute(error, {1, 2, 0, 3});
  if (shape.size() < 2) error = tg::reshape(error, {1, error.size(), 1, 1});
  if (shape.size() == 2) error = tg::reshape(error, {shape[0], shape[1], 1, 1});
  const std::string caption =
      fmt::format("The error of {} [{}] ({}): red must be larger, blue must be smaller, white is right",
                  map["tensor"].get<std::string>(), fmt::join(shape, ", "), axes);
  const bool small = error.shape()[0] * error.shape()[1] <= 100;  // large enough to see each entry
  report.image(tg::filters_image(error, small ? 24 : 8), caption);
}

void add_exercise(tg::Report& report, const Json& result) {
  report.section(fmt::format("{}. {}", result["exercise"].get<int>(), result["title"].get<std::string>()));
  for (const Json& part : result["parts"]) {
    report.preformatted(part["text"].get<std::string>());
    for (const Json& map : part["maps"]) add_map(report, map);
  }
}

void write(const std::string& path, const std::vector<Json>& results) {
  std::size_t solved = 0;
  std::vector<tg::Report::Row> rows;
  for (const Json& result : results) {
    solved += result["passed"] ? 1 : 0;
    rows.push_back({fmt::format("{}", result["exercise"].get<int>()), status_of(result), result["title"]});
  }
  tg::Report report("Exercises", fmt::format("{} of {} are solved", solved, results.size()));
  report.section("The ladder").table({"exercise", "status", "what it is about"}, rows);
  for (const Json& result : results)
    if (!result["parts"].empty()) add_exercise(report, result);
  report.write(path);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 3) throw std::runtime_error("usage: exercise_page OUTPUT RESULT...");
    std::vector<Json> results;
    for (int k = 2; k < argc; ++k) results.push_back(read(argv[k]));
    write(argv[1], results);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "exercise_page: {}\n", error.what());
    return 1;
  }
}
