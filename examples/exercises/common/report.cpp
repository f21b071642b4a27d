// What a learner reads after a check, and the same for programs.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "common/exercise.h"

namespace exercises {
namespace {

constexpr std::string_view kRed = "\033[31m", kGreen = "\033[32m", kYellow = "\033[33m", kBold = "\033[1m";
constexpr std::size_t kWidth = 96;

class Painter {
 public:
  explicit Painter(bool colour) : colour_(colour) {}
  std::string operator()(std::string_view code, std::string_view text) const {
    return colour_ ? fmt::format("{}{}\033[0m", code, text) : std::string(text);
  }

 private:
  bool colour_;
};

/// Wrapped; the lines after the first are set in as well.
std::string wrapped(std::string_view first, std::string_view text, std::string_view indent) {
  std::istringstream in{std::string(text)};
  std::string all, line(first), word;
  bool empty = true;
  while (in >> word) {
    if (!empty && line.size() + 1 + word.size() > kWidth) {
      all += line + "\n";
      line = indent;
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  return all + line + "\n";
}

/// Each line by itself: set in, and wrapped where it is long.
std::string indented(std::string_view lines, std::string_view by) {
  std::istringstream in{std::string(lines)};
  std::string all;
  for (std::string line; std::getline(in, line);) {
    const std::string blanks = std::string(by) + line.substr(0, line.find_first_not_of(' '));
    all += line.empty()                       ? "\n"
           : by.size() + line.size() > kWidth ? wrapped(blanks, line, blanks + "  ")
                                              : fmt::format("{}{}\n", by, line);
  }
  return all;
}

/// The two axes of a tensor that are drawn as rows and columns: those of an image or a filter.
struct Plane {
  int row = -1, column = -1;
};
Plane plane_of(const ErrorMap& map) {
  const int rank = map.error.rank();
  if (rank == 1) return {-1, 0};
  if (rank == 2) return {0, 1};
  if (rank != 4) return {};
  const bool filter = map.axes.starts_with("k") || map.axes.starts_with("i j");
  return filter ? Plane{0, 1} : Plane{1, 2};
}

/// A drawing of the plane with the first wrong entry: where it is wrong, and to which side.
std::string drawing_of(const ErrorMap& map) {
  const Plane plane = plane_of(map);
  if (plane.column < 0) return "";
  const Shape& shape = map.error.shape();
  const auto errors = map.error.values<double>();
  const auto is_wrong = [](double e) { return std::isnan(e) || std::abs(e) > 1e-9; };
  std::size_t first = 0, count = 0;
  for (std::size_t k = errors.size(); k-- > 0;)
    if (is_wrong(errors[k])) first = k, ++count;
  const index_t rows = plane.row < 0 ? 1 : shape[plane.row], columns = shape[plane.column];
  if (count == 0 || count == errors.size() || rows > 24 || columns > 40) return "";
  std::vector<index_t> at = shape.position(static_cast<index_t>(first));
  std::string name = map.tensor + "[";
  for (int d = 0; d < shape.rank(); ++d)
    name += (d == 0 ? "" : ", ") +
            (d == plane.row || d == plane.column ? ":" : std::to_string(at[static_cast<std::size_t>(d)]));
  const bool some = std::ranges::any_of(errors, [](double e) { return std::isnan(e); });
  std::string text = fmt::format("{}]   . right   + must be larger   - must be smaller{}\n", name,
                                 some ? "   ? not compared" : "");
  for (index_t r = 0; r < rows; ++r) {
    text += "   ";
    for (index_t c = 0; c < columns; ++c) {
      if (plane.row >= 0) at[static_cast<std::size_t>(plane.row)] = r;
      at[static_cast<std::size_t>(plane.column)] = c;
      index_t flat = 0;
      for (int d = 0; d < shape.rank(); ++d) flat = flat * shape[d] + at[static_cast<std::size_t>(d)];
      const double e = errors[static_cast<std::size_t>(flat)];
      text += std::isnan(e) ? " ?" : !is_wrong(e) ? " ." : e > 0 ? " +" : " -";
    }
    text += "\n";
  }
  return text;
}

/// Whether a line "n 0: numeric 0, analytic 0" lists an entry of which nothing is wrong.
bool is_right(const std::string& line, std::size_t numeric) {
  const std::size_t begin = numeric + std::string_view(": numeric ").size(),
                    end = line.find(", analytic ", begin);
  return end != std::string::npos &&
         line.substr(begin, end - begin) == line.substr(end + std::string_view(", analytic ").size());
}

/// gradcheck's report, its hints wrapped. How a numeric gradient came about is shown for one entry of a tensor.
std::string text_of(const tg::GradcheckReport& report, bool colour) {
  constexpr std::string_view as_ever =
      "; the error is the same at every step: wrong";  // that is what wrong means
  std::istringstream in(report.str({.colour = colour}));
  std::string all;
  bool shown = false, skipping = false;
  for (std::string line; std::getline(in, line);) {
    if (line.find(": the worst entries") != std::string::npos) shown = skipping = false;
    if (const std::size_t at = line.find(": numeric "); at != std::string::npos)
      skipping = is_right(line, at);
    if (skipping && line.starts_with("    ")) continue;
    // A line of the table that is too long says only how many are wrong.
    if (const std::size_t at = line.find("WRONG in "); at != std::string::npos && line.size() + 2 > kWidth)
      line.resize(std::min(line.find(';', at), line.size()));
    if (line.find("  f(x + h) = ") != std::string::npos) {
      if (std::exchange(shown, true)) continue;
      if (line.ends_with(as_ever)) line.resize(line.size() - as_ever.size());
    }
    const bool hint = line.size() > kWidth && line.find("  hint: ") < 8;
    all += hint ? wrapped("    ", line, "      ") : line.empty() ? "\n" : "  " + line + "\n";
  }
  return all;
}

std::string plural(index_t n, std::string_view word) {
  return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
}

/// The whole report of a part. `first` is the first one that is not passed: where a learner goes on.
std::string text_of(const Part& part, const Exercise& exercise, const Part* first, bool colour) {
  const Painter paint(colour);
  if (part.status == Part::Status::Passed)
    return fmt::format("{} {}: {}\n", paint(kGreen, "passed"), part.function, plural(part.checks, "check"));
  if (part.status == Part::Status::NotWritten) {
    std::string text = fmt::format("{} {}\n", paint(kYellow, "not written yet"), part.function);
    if (&part != first) return text;
    text += wrapped(
        "  ",
        fmt::format("open {}, read its text, and write the body in place of not_written()", exercise.file),
        "    ");
    return text + wrapped("  to begin: ", part.look_next, "    ");
  }
  std::string text = fmt::format("{} {}", paint(kRed, "FAILED"), part.function);
  if (first != nullptr && &part != first && first->status == Part::Status::Failed)
    return text + fmt::format(": mend {} first\n", first->function);
  text += part.checks == 0 ? "\n" : fmt::format(" (after {} passed)\n", plural(part.checks, "check"));
  if (!part.context.empty()) text += wrapped("  with ", part.context, "    ");
  const Finding& f = part.finding;
  if (!f.text.empty()) text += indented(f.text, "  ");
  if (f.report)
    text += text_of(*f.report, colour);
  else
    for (const std::string& hint : f.hints) text += wrapped(paint(kYellow, "  hint:") + " ", hint, "    ");
  for (const ErrorMap& map : f.maps) text += indented(drawing_of(map), "  ");
  return text + wrapped(paint(kBold, "  look next at:") + " ", part.look_next, "    ");
}

using Json = nlohmann::ordered_json;

std::string_view word(Part::Status status) {
  return status == Part::Status::Passed   ? "passed"
         : status == Part::Status::Failed ? "failed"
                                          : "not written";
}

Json json_of(const Part& part, const Exercise& exercise) {
  Json maps = Json::array();
  for (const ErrorMap& map : part.finding.maps) {
    Json values = Json::array();
    for (const double e : map.error.values<double>())
      values.push_back(std::isfinite(e) ? Json(e) : Json());  // null where nothing was compared
    maps.push_back({{"tensor", map.tensor},
                    {"axes", map.axes},
                    {"shape", std::vector<index_t>(map.error.shape().begin(), map.error.shape().end())},
                    {"error", values}});
  }
  Json json = {{"function", part.function},
               {"status", word(part.status)},
               {"checks", part.checks},
               {"context", part.context},
               {"tensors", part.finding.tensors},
               {"hints", part.finding.hints},
               {"text", text_of(part, exercise, &part, false)},
               {"maps", maps}};
  if (part.finding.report) json["gradcheck"] = Json::parse(part.finding.report->json());
  return json;
}

}  // namespace

std::string text_of(const Exercise& exercise, const Check& check, bool colour) {
  const Painter paint(colour);
  std::string text = paint(kBold, fmt::format("Exercise {}: {}", exercise.number, exercise.title)) + "\n\n";
  const Part* first = nullptr;
  for (const Part& part : check.parts())
    if (first == nullptr && part.status != Part::Status::Passed) first = &part;
  for (const Part& part : check.parts()) text += text_of(part, exercise, first, colour);
  if (check.passed())
    text += "\n" + paint(kGreen, fmt::format("Exercise {} is solved.", exercise.number)) + "\n";
  return text;
}

std::string json_of(const Exercise& exercise, const Check& check) {
  Json parts = Json::array();
  for (const Part& part : check.parts()) parts.push_back(json_of(part, exercise));
  const Json json = {{"exercise", exercise.number},
                     {"name", exercise.name},
                     {"title", exercise.title},
                     {"passed", check.passed()},
                     {"parts", parts}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace exercises
