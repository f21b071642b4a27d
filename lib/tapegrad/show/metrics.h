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
  /// Keep the existing file so that load_state() can continue it; the first write() cuts off what lies beyond.
  bool keep = false;
};

/// What happened during training: a file of JSON lines, one object for each call of write(), that can be read
/// while it grows; and the same numbers in memory, for curves.
class Metrics {
 public:
  /// A whole number stays one: "step":3, not 3.0.
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

  /// Begins a new file. Throws when it cannot be written.
  explicit Metrics(std::filesystem::path path, const MetricsOptions& options = {});

  /// A line with these names and numbers, such as {{"step", 3}, {"loss", 0.25}}; numbers that are not finite
  /// are written as null. Throws, with file and memory as they were before, when the line cannot be written, when a
  /// name comes twice or is not UTF-8.
  void write(std::span<const Entry> values);
  void write(std::initializer_list<Entry> values) { write(std::span(values.begin(), values.size())); }

  /// y over x, of the lines that have both.
  Series series(std::string_view x, std::string_view y, std::string name) const;

  /// How many lines there are, all of which are on the disk now.
  [[nodiscard]] State state() const;
  /// Goes on after so many lines of the file; the first write() cuts off what is behind them. Throws, and
  /// changes nothing, when there are fewer, or one is not an object of numbers.
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
