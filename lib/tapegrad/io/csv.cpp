#include "tapegrad/io/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/from_chars_internal.h"
#include "tapegrad/io/text_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kOp = "read_csv";
constexpr std::size_t kMostColumns = 100'000, kLongestField = 10'000;  // more is a file of another kind

// The rows of a file, one after the other.
class RowReader {
 public:
  RowReader(const std::filesystem::path& path, char separator) : file_(kOp, path), separator_(separator) {
    for (const char byte : {'\xEF', '\xBB', '\xBF'})  // a mark that some programs begin UTF-8 with
      if (peek() == byte) take();
    if (peek() == '\xFF' || peek() == '\xFE') file_.fail("is UTF-16 (\"Unicode text\"): save it as UTF-8");
  }

  const detail::InputFile& file() const { return file_; }
  /// In the file, from 1: where the row began that was read last.
  index_t line() const { return row_line_; }

  /// Reads the next row that is not empty; false at the end.
  bool next(std::vector<std::string>& fields) {
    while (peek()) {
      row_line_ = line_;
      std::size_t count = 0;
      do {
        if (count == kMostColumns) file_.fail("has more than {} columns in line {}", kMostColumns, row_line_);
        if (count == fields.size()) fields.emplace_back();
        read_field(fields[count++]);
      } while (take_if(separator_));
      const bool ended = take_if('\r');
      if (!take_if('\n') && !ended && peek())
        file_.fail("has something behind a closing quote in line {}, column {}", line_, count);
      fields.resize(count);
      if (count > 1 || !fields.front().empty()) return true;
    }
    return false;
  }

 private:
  std::optional<char> peek() {
    if (at_ == buffer_.size()) {
      buffer_.resize(std::size_t{1} << 16);
      buffer_.resize(file_.read_some(buffer_));
      at_ = 0;
    }
    return buffer_.empty() ? std::nullopt : std::optional(static_cast<char>(buffer_[at_]));
  }
  char take() {
    const auto taken = static_cast<char>(buffer_[at_++]);
    if (taken == '\n' || (taken == '\r' && peek() != '\n')) ++line_;
    return taken;
  }
  bool take_if(char wanted) {
    if (peek() != wanted) return false;
    take();
    return true;
  }
  bool take_space() { return separator_ != '\t' ? take_if(' ') || take_if('\t') : take_if(' '); }

  void append(std::string& field) {
    if (field.size() == kLongestField)
      file_.fail("has a field of more than {} bytes in line {}: is a quote not closed?", kLongestField,
                 row_line_);
    if (peek() == '\0')
      file_.fail("has a NUL byte in line {}: it is not text, or UTF-16, which must be saved as UTF-8", line_);
    field += take();
  }

  void read_field(std::string& field) {
    field.clear();
    while (take_space()) {
    }
    if (take_if('"')) {
      for (;;) {
        if (!peek()) file_.fail("ends inside a quoted field that began in line {}", row_line_);
        if (peek() == '"') {
          take();
          if (peek() != '"') break;  // two quotes stand for one
        }
        append(field);
      }
      while (take_space()) {
      }
      return;
    }
    for (auto next = peek(); next && next != separator_ && next != '\n' && next != '\r'; next = peek())
      append(field);
    field.resize(field.find_last_not_of(" \t") + 1);
  }

  detail::InputFile file_;
  char separator_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0;
  index_t line_ = 1, row_line_ = 0;
};

std::string_view without_plus(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  return text;
}

std::optional<double> number(std::string_view text) {
  return detail::parse_double(without_plus(text));
}

// Whether a text is that of a number, be it too large.
bool is_numeric(std::string_view text) {
  text = without_plus(text);
  double value = 0;
  const auto [end, error] = detail::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

// The labels of a table while its rows are read: numbers, or texts that are counted as they come.
class Labels {
 public:
  bool are_names() const { return !names_.empty(); }
  void add(double value) { numbers_.push_back(value); }
  void add(const std::string& name) {
    const auto [at, is_new] = names_.try_emplace(name, static_cast<std::int32_t>(names_.size()));
    codes_.push_back(at->second);
  }

  void finish(Table& table, DType dtype, const detail::InputFile& file) const {
    if (are_names()) {
      std::vector<std::int32_t> places(names_.size());  // in byte order, by the order in which they came
      for (const auto& [name, code] : names_) {
        places[static_cast<std::size_t>(code)] = static_cast<std::int32_t>(table.label_names.size());
        table.label_names.push_back(name);
      }
      fill(table, DType::Int32, codes_,
           [&](std::int32_t code) { return places[static_cast<std::size_t>(code)]; });
      return;
    }
    using Limits = std::numeric_limits<std::int32_t>;
    const bool whole = std::ranges::all_of(
        numbers_, [](double value) { return std::isfinite(value) && value == std::trunc(value); });
    const bool small = std::ranges::all_of(
        numbers_, [](double value) { return value >= Limits::min() && value <= Limits::max(); });
    if (whole && !small && dtype == DType::Float32) {
      // Two numbers of a list would become one.
      const auto rounded = std::ranges::find_if(
          numbers_, [](double value) { return static_cast<double>(static_cast<float>(value)) != value; });
      if (rounded != numbers_.end())
        file.fail(
            "has the label {:.0f} in row {}, a whole number that neither Int32 nor Float32 holds exactly: read "
            "the file with .dtype = DType::Float64",
            *rounded, rounded - numbers_.begin() + 1);
    }
    fill(table, whole && small ? DType::Int32 : dtype, numbers_, [](double value) { return value; });
  }

 private:
  template <class T, class F>
  static void fill(Table& table, DType dtype, const std::vector<T>& from, F&& value) {
    table.labels = TensorAccess::empty({static_cast<index_t>(from.size())}, dtype);
    dispatch(dtype, [&](auto type) {
      using To = typename decltype(type)::type;
      std::ranges::transform(from, table.labels.mutable_values<To>().begin(),
                             [&](const T& x) { return static_cast<To>(value(x)); });
    });
  }

  std::vector<double> numbers_;
  std::vector<std::int32_t> codes_;
  std::map<std::string, std::int32_t> names_;
};

// The names of the columns, and which one holds the labels.
std::pair<std::vector<std::string>, std::optional<std::size_t>> read_columns(RowReader& reader,
                                                                             const CsvOptions& options) {
  std::vector<std::string> columns;
  if (!reader.next(columns)) reader.file().fail("is empty: its first line must name the columns");
  if (std::ranges::all_of(columns, [](const std::string& name) { return number(name).has_value(); }))
    reader.file().fail("begins with numbers; its first line must name the columns");
  std::set<std::string_view> names;
  for (const std::string& name : columns)
    if (!names.insert(name).second) reader.file().fail("has two columns called '{}'", name);
  if (options.label.empty()) return {columns, std::nullopt};
  const auto label = std::ranges::find(columns, options.label);
  if (label == columns.end())
    reader.file().fail("has no column called '{}', but these: {}", options.label, join(columns, ", "));
  return {columns, static_cast<std::size_t>(label - columns.begin())};
}

// Reads the whole file once: how many rows there are, all of them as long as the first.
index_t count_rows(const std::filesystem::path& path, char separator) {
  RowReader reader(path, separator);
  std::vector<std::string> fields;
  if (!reader.next(fields)) return 0;
  const std::size_t columns = fields.size();
  index_t rows = 0;
  for (; reader.next(fields); ++rows)
    if (fields.size() != columns)
      reader.file().fail("has {} fields in line {}, but its first line names {} columns", fields.size(),
                         reader.line(), columns);
  return rows;
}

template <class T>
void read_rows(RowReader& reader, const std::vector<std::string>& columns, std::optional<std::size_t> label,
               Table& table, Labels& labels) {
  std::span<T> left = table.values.mutable_values<T>();
  std::vector<std::string> fields;
  for (index_t row = 0; row < table.values.shape()[0]; ++row) {
    const auto fail_at = [&](std::size_t column, std::string_view what) {
      reader.file().fail("has {} in line {}, column {} ('{}')", what, reader.line(), column + 1,
                         columns[column]);
    };
    if (!reader.next(fields) || fields.size() != columns.size())
      reader.file().fail("was changed while it was read");
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (fields[column].find_first_not_of(" \t") == std::string::npos) fail_at(column, "nothing");
      const std::optional<double> value = number(fields[column]);
      if (column == label && (row == 0 ? !value && !is_numeric(fields[column]) : labels.are_names())) {
        labels.add(fields[column]);
        continue;
      }
      if (!value) fail_at(column, fmt::format("'{}', which is not a number that fits,", fields[column]));
      const T converted = static_cast<T>(*value);
      if (std::isinf(converted) && std::isfinite(*value))
        fail_at(column, fmt::format("{}, which {} does not hold,", fields[column], dtype_of<T>));
      if (column == label) {
        labels.add(*value);
        continue;
      }
      left.front() = converted;
      left = left.subspan(1);
    }
  }
}

}  // namespace

Table read_csv(const std::filesystem::path& path, const CsvOptions& options) {
  if (!is_floating(options.dtype)) fail(kOp, "dtype must be Float32 or Float64, got {}", options.dtype);
  if (std::string_view("\"\r\n .+-").find(options.separator) != std::string_view::npos)
    fail(kOp, "separator must not be a quote, a line end, a space, or one of . + -, got '{}'",
         options.separator);
  RowReader reader(path, options.separator);
  const auto [columns, label] = read_columns(reader, options);
  Table table{.columns = columns};
  if (label) table.columns.erase(table.columns.begin() + static_cast<std::ptrdiff_t>(*label));
  table.values = TensorAccess::empty(
      {count_rows(path, options.separator), static_cast<index_t>(table.columns.size())}, options.dtype);
  Labels labels;
  if (options.dtype == DType::Float32) {
    read_rows<float>(reader, columns, label, table, labels);
  } else {
    read_rows<double>(reader, columns, label, table, labels);
  }
  if (label) labels.finish(table, options.dtype, reader.file());
  return table;
}

}  // namespace tapegrad::inline v0
