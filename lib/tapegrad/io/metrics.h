#pragma once

#include <concepts>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/base/shape.h"
#include "tapegrad/io/plot.h"

namespace tapegrad {

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
  using Line = std::initializer_list<std::pair<std::string_view, Value>>;

  /// Begins a new file. Throws when it cannot be written.
  explicit Metrics(std::filesystem::path path);

  /// A line with these names and numbers, such as {{"step", 3}, {"loss", 0.25}}; numbers that are not finite
  /// are written as null. Throws when it cannot be written.
  void write(Line values);

  /// y over x, of the lines that have both.
  Series series(std::string_view x, std::string_view y, std::string name) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<std::vector<std::pair<std::string, double>>> lines_;
};

}  // namespace tapegrad
