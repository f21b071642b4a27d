#pragma once

#include <CLI/CLI.hpp>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/data/dataset.h"

namespace common {

namespace tg = tapegrad;

/// The folder of the digits that the project draws: data/ in the tree that the program was built in, wherever
/// that tree is now, or else in the current folder.
std::filesystem::path default_data();

/// The digits in a folder. Throws an error that names --data when the folder holds none, or labels other than 0 to 9.
tg::Dataset read_digits(const std::filesystem::path& folder, tg::Split split);

/// Makes the folder for results, if it is missing. Throws an error that names the option when that cannot be done.
void make_folder(const std::filesystem::path& folder, const std::string& option = "--out");

/// What the examples that train have in common on their command lines.
struct TrainingOptions {
  std::filesystem::path data = default_data();
  tg::index_t epochs = 10;
  tg::index_t batch = 128;
  double learning_rate = 1e-3;
  int threads = tg::thread_count();
  std::uint64_t seed = 1;
  tg::index_t max_steps = 0;
  std::filesystem::path out = {};  ///< add_options sets it to out/PROGRAM
  bool resume = false;
  tg::index_t checkpoint_every = 0;
  int keep = 2;
  std::filesystem::path load = {};     ///< empty: train
  std::filesystem::path metrics = {};  ///< empty: metrics.jsonl in out
};

/// Adds them to a program's command line, with the values that they have as defaults.
void add_options(CLI::App& app, TrainingOptions& options);

namespace detail {
CLI::Option* check_whole(CLI::Option* option, std::int64_t least, std::uint64_t most);
}  // namespace detail

/// An option whose value is a whole number from least to most. What is said of any other value names the
/// option and these bounds.
template <std::integral T>
CLI::Option* add_whole(CLI::App& app, const std::string& name, T& value, std::type_identity_t<T> least,
                       const std::string& what,
                       std::type_identity_t<T> most = (std::numeric_limits<T>::max)()) {
  return detail::check_whole(app.add_option(name, value, what), static_cast<std::int64_t>(least),
                             static_cast<std::uint64_t>(most));
}
/// An option whose value is a finite number of at least 0.
CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, const std::string& what);
/// An option whose value is one of these words.
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value,
                        const std::vector<std::string>& words, const std::string& what);

/// Thrown by a program that Ctrl-C has ended after it had saved what it did.
struct Interrupted {
  std::string message;
};

/// Reads the command line, runs the program, and returns its exit code; 130 if it was Interrupted. Whatever
/// is wrong becomes one line on the error output, and the exit code is not 0.
int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& program);

}  // namespace common
