#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "tapegrad/base/parallel.h"
#include "tapegrad/base/shape.h"

namespace common {

namespace tg = tapegrad;

/// What the examples that train on digits have in common on their command lines.
struct TrainingOptions {
  std::filesystem::path data = TAPEGRAD_DATA_DIR;
  tg::index_t epochs = 10;
  tg::index_t batch = 128;
  double learning_rate = 1e-3;
  int threads = tg::thread_count();
  std::uint64_t seed = 1;
  tg::index_t max_steps = 0;
  std::filesystem::path out = {};      ///< add_options sets it to out/PROGRAM
  std::filesystem::path load = {};     ///< empty: train
  std::filesystem::path metrics = {};  ///< empty: metrics.jsonl in out
};

/// Adds them to a program's command line, with the values that they have as defaults.
void add_options(CLI::App& app, TrainingOptions& options);

/// Reads the command line, runs the program, and returns the exit code. Whatever is wrong becomes one line on
/// the error output.
int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& program);

}  // namespace common
