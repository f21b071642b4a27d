#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace cli {

/// Thrown by a program that Ctrl-C has ended after it had saved what it did.
struct Interrupted {
  std::string message;
};

/// How many letters have to be inserted, left out or replaced to make one word of the other (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// A program and its command line:
///
///   index_t steps = 100;
///   cli::Program program("sort", "Learns to sort.");
///   program.add_whole("--steps", steps, 1, "training steps");
///   return program.run(argc, argv, [&] { return train(steps); });
///
/// A name without dashes is that of an argument, which is known by its place. Each variable must outlive run(), and keeps its
/// value when its option is not given.
class Program {
 public:
  Program(const std::string& name, const std::string& description);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  const std::string& name() const { return name_; }

  /// An option whose value is a whole number from least to most. What is said of any other value names the option and
  /// these bounds.
  template <std::integral T>
  void add_whole(const std::string& name, T& value, std::type_identity_t<T> least, const std::string& what,
                 std::type_identity_t<T> most = (std::numeric_limits<T>::max)()) {
    add_whole(name, value < least ? "" : std::to_string(value), static_cast<std::int64_t>(least),
              static_cast<std::uint64_t>(most), what,
              [&value](std::uint64_t given) { value = static_cast<T>(given); });
  }
  /// An option whose value is a finite number of at least 0.
  void add_number(const std::string& name, double& value, const std::string& what);
  /// An option whose value is one of these words.
  void add_choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                  const std::string& what);
  /// An option with any number of these words.
  void add_choices(const std::string& name, std::vector<std::string>& values,
                   const std::vector<std::string>& words, const std::string& what);
  /// What is wrong with a text, as it goes on after the option's name ("must be ..."); nothing is wrong if it is empty.
  using Check = std::function<std::string(const std::string&)>;
  /// An option whose value is a text, or a path. Help shows the placeholder for it: FOLDER, FILE, NAME.
  void add_text(const std::string& name, std::string& value, const std::string& placeholder,
                const std::string& what, const Check& check = {});
  void add_path(const std::string& name, std::filesystem::path& value, const std::string& placeholder,
                const std::string& what);
  /// An option with so many values.
  void add_texts(const std::string& name, std::vector<std::string>& values, int count,
                 const std::string& placeholder, const std::string& what);
  void add_flag(const std::string& name, bool& value, const std::string& what);

  void require(const std::string& name);
  void exclude(const std::string& name, const std::string& other);
  void remove(const std::string& name);

  /// Whether the option is on the command line.
  bool given(const std::string& name) const;
  /// The options and the values that they have in this run, but for empty ones.
  std::vector<std::pair<std::string, std::string>> values() const;

  /// Reads the command line, runs the program, and returns its exit code; 130 if it was Interrupted. Whatever is wrong
  /// becomes one line on the error output, and the exit code is not 0.
  int run(int argc, char** argv, const std::function<int()>& program);

 private:
  // take() gets a number below 0 as its two's complement.
  void add_whole(const std::string& name, const std::string& now, std::int64_t least, std::uint64_t most,
                 const std::string& what, const std::function<void(std::uint64_t)>& take);

  struct Parser;
  std::string name_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace cli
