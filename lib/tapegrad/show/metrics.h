#pragma once

// Metrics: the numbers of a training run, in a file of JSON lines and in memory.

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/base/shape.h"
#include "tapegrad/show/plot.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct MetricsOptions {
  /// Keep an existing file, so that load_state() can continue it; the first write() truncates whatever lies beyond.
  bool keep = false;
};

/// A log of a training run: a file of JSON lines, one object for each call of write(), that can be read while it grows,
/// and the same numbers in memory, for curves.
class Metrics {
 public:
  /// A number. An integer is written without a decimal point: "step":3, not 3.0.
  class Value {
   public:
    template <std::integral T>
    Value(T value) : number_(static_cast<double>(value)), text_(std::to_string(value)) {}
    Value(double value);

   private:
    friend Metrics;
    double number_;
    std::string text_;
  };
  using Entry = std::pair<std::string_view, Value>;

  /// Begins a new file, unless options.keep is set. Throws when the file cannot be written.
  explicit Metrics(std::filesystem::path path, const MetricsOptions& options = {});

  /// Writes a line with these names and numbers, such as {{"step", 3}, {"loss", 0.25}}; numbers that are not finite
  /// become null. Throws, with file and memory as they were before, when the line cannot be written, and when a name
  /// occurs twice or is not UTF-8.
  void write(std::span<const Entry> values);
  void write(std::initializer_list<Entry> values) { write(std::span(values.begin(), values.size())); }

  /// The values called y over those called x, of all lines that have both; for line_chart().
  [[nodiscard]] Series series(std::string_view x, std::string_view y, std::string name) const;

  /// The number of lines. All of them are on the disk when state() returns.
  [[nodiscard]] State state() const;
  /// Continues the file after the number of lines in the state; the first write() truncates the lines beyond. Throws,
  /// and changes nothing, when the file has fewer lines, or one of them is not an object of numbers.
  void load_state(const State& state);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  void cut_off();

  std::vector<std::vector<std::pair<std::string, double>>> lines_;
  std::uint64_t bytes_ = 0;  // of the lines
  bool more_ = false;        // there may be something behind them
};

}  // namespace v0
}  // namespace tapegrad
