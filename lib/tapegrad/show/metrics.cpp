#include "tapegrad/show/metrics.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <system_error>

#include "tapegrad/base/json_internal.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/text_internal.h"
#include "tapegrad/show/system_internal.h"

namespace tapegrad::inline v0 {
namespace {

[[noreturn]] void fail_to_write(const std::filesystem::path& path) {
  const int error = errno;
  detail::fail_file("metrics", path, "cannot be written: {}", std::generic_category().message(error));
}

using Line = std::vector<std::pair<std::string, double>>;

// A line of the file; fits() unless it is an object of numbers.
class LineReader : public detail::JsonEvents {
 public:
  explicit LineReader(Line& line) : line_(line) {}
  bool fits() const { return fits_ && begun_; }

  void begin(char bracket) override { fits_ &= bracket == '{' && !std::exchange(begun_, true); }
  void end(char) override {}
  void key(std::string name) override { line_.emplace_back(std::move(name), kNaN); }
  void string(std::string) override { fits_ = false; }
  void number(std::string_view text) override {
    const auto value = detail::parse_double(text);
    fits_ &= value.has_value() && !line_.empty();
    if (fits_) line_.back().second = *value;
  }
  void literal(std::string_view word) override { fits_ &= word == "null"; }

 private:
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  Line& line_;
  bool fits_ = true, begun_ = false;
};

const double* find(const Line& line, std::string_view name) {
  const auto found = std::ranges::find(line, name, &std::pair<std::string, double>::first);
  return found == line.end() ? nullptr : &found->second;
}

}  // namespace

Metrics::Value::Value(double value)
    : number_(std::isfinite(value) ? value
                                   : std::numeric_limits<double>::quiet_NaN()),  // as load_state() reads null
      text_(std::isfinite(value) ? fmt::format("{}", value) : "null") {}

Metrics::Metrics(std::filesystem::path path, const MetricsOptions& options)
    : path_(std::move(path)),
      file_(detail::system::open_log(detail::require_path("metrics", path_).string().c_str(), options.keep)),
      more_(options.keep) {
  if (!file_) fail_to_write(path_);
  std::setvbuf(file_.get(), nullptr, _IONBF, 0);  // what could not be written must not be written later
}

void Metrics::cut_off() {
  // A pipe or a terminal has nothing to cut off.
  if (!detail::system::cut_off(file_.get(), bytes_) && errno != EINVAL) fail_to_write(path_);
  more_ = false;
}

void Metrics::write(std::span<const Entry> values) {
  if (more_) cut_off();
  detail::JsonWriter json;
  json.begin('{');
  Line line;
  for (const auto& [name, value] : values) {
    if (!detail::is_utf8(name))
      fail("metrics", "a name must be UTF-8, got {}", detail::JsonWriter().value(name).text());
    if (find(line, name) != nullptr)
      fail("metrics", "a line must have different names, got '{}' twice", name);
    json.key(name).literal(value.text_);
    line.emplace_back(name, value.number_);
  }
  const std::string text = json.end().text() + "\n";
  lines_.push_back(std::move(line));
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) {
    const int error = errno;
    lines_.pop_back();
    std::clearerr(file_.get());
    // Cuts the piece of a line off now, or in the next write().
    more_ = !detail::system::cut_off(file_.get(), bytes_);
    errno = error;
    fail_to_write(path_);
  }
  bytes_ += text.size();
}

State Metrics::state() const {
  if (!detail::system::write_to_disk(file_.get()) && errno != EINVAL) fail_to_write(path_);
  return {.integers = {{"lines", lines_.size()}}};
}

void Metrics::load_state(const State& state) {
  constexpr std::string_view kName = "metrics";
  const std::uint64_t count = state.integer(kName, "lines");
  const auto content = detail::read_file(kName, path_, std::numeric_limits<std::uint64_t>::max());
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  decltype(lines_) lines;
  std::size_t at = 0;
  while (lines.size() < count) {
    const std::size_t end = text.find('\n', at);
    if (end == text.npos)
      detail::fail_file(kName, path_, "has {} lines, but {} were written before this state was saved",
                        lines.size(), count);
    LineReader reader(lines.emplace_back());
    if (detail::read_json(text.substr(at, end - at), reader) || !reader.fits())
      detail::fail_file(kName, path_, "has something other than an object of numbers in line {}",
                        lines.size());
    at = end + 1;
  }
  lines_ = std::move(lines);
  bytes_ = at;
  more_ = true;
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

}  // namespace tapegrad::inline v0
