#include "tapegrad/io/metrics.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tapegrad/io/file_internal.h"

namespace tapegrad {
namespace {

[[noreturn]] void fail_to_write(const std::filesystem::path& path) {
  const int error = errno;
  detail::fail_file("metrics", path, "cannot be written: {}", std::generic_category().message(error));
}

const double* find(const std::vector<std::pair<std::string, double>>& line, std::string_view name) {
  const auto found = std::ranges::find(line, name, &std::pair<std::string, double>::first);
  return found == line.end() ? nullptr : &found->second;
}

}  // namespace

Metrics::Value::Value(double value)
    : number_(value), text_(std::isfinite(value) ? fmt::format("{}", value) : "null") {}

Metrics::Metrics(std::filesystem::path path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "we")) {
  if (!file_) fail_to_write(path_);
}

void Metrics::write(Line values) {
  std::string text;
  auto& line = lines_.emplace_back();
  for (const auto& [name, value] : values) {
    text += fmt::format("{}{}:{}", text.empty() ? "{" : ",", nlohmann::json(name).dump(), value.text_);
    line.emplace_back(name, value.number_);
  }
  text += text.empty() ? "{}\n" : "}\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    fail_to_write(path_);
}

Series Metrics::series(std::string_view x, std::string_view y, std::string name) const {
  Series made{.name = std::move(name), .x = {}, .y = {}};
  for (const auto& line : lines_) {
    const double *at = find(line, x), *value = find(line, y);
    if (at == nullptr || value == nullptr) continue;
    made.x.push_back(*at);
    made.y.push_back(*value);
  }
  return made;
}

}  // namespace tapegrad
