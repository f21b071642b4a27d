#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"
#include "tapegrad/data/files.h"

namespace common {

namespace tg = tapegrad;

/// The folder of the digits that the project draws: data/ in the tree that the program was built in, wherever
/// that tree is now, or else in the current folder.
std::filesystem::path default_data();

/// The digits in a folder. Throws an error that names --data when the folder holds none, or labels other than 0 to 9.
tg::Dataset read_digits(const std::filesystem::path& folder, tg::Split split);

/// Makes the folder for results, if it is missing. Throws an error that names the option when that cannot be done, and when
/// results cannot be written there: before anything is computed for them.
void make_folder(const std::filesystem::path& folder, const std::string& option = "--out");

/// Throws an error that names the option unless the file can be written. Neither makes nor changes the file.
void check_output(const std::filesystem::path& file, const std::string& option);

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
void add_options(cli::Program& program, TrainingOptions& options);

/// Adds those alone that a run without a data set has: all but --data, --epochs, --batch, --learning-rate and --load.
void add_run_options(cli::Program& program, TrainingOptions& options);

/// Makes the folder for the results of a run: make_folder(options.out). With --resume the folder must hold a run; throws,
/// and makes nothing, if it does not. The error names folders nearby that do.
void prepare_out(const TrainingOptions& options);

/// The options of a program and the values they have in this run, for its report. Of paths outside the working directory,
/// absolute or with "..", the last name is shown, of others the way to them.
std::vector<std::pair<std::string, std::string>> option_facts(const cli::Program& program);

}  // namespace common
