#include "common/command_line.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>

namespace common {

void add_options(CLI::App& app, TrainingOptions& options) {
  options.out = std::filesystem::path("out") / app.get_name();
  app.option_defaults()->always_capture_default();
  app.add_option("--data", options.data, "folder with MNIST's IDX files, plain or gzipped");
  app.add_option("--epochs", options.epochs, "passes over the training images")->check(CLI::PositiveNumber);
  app.add_option("--batch", options.batch, "images in a step")->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", options.learning_rate, "of Adam, the highest if it changes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", options.threads, "threads to compute with; the result does not depend on it")
      ->check(CLI::Range(1, 1024));
  app.add_option("--seed", options.seed, "of all that is random");
  app.add_option("--max-steps", options.max_steps, "stop after so many steps (0: when the epochs are over)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--out", options.out, "folder for the results, created if missing");
  app.add_option("--load", options.load, "take these weights (a .safetensors file), do not train");
  app.add_option("--metrics", options.metrics,
                 "file for the metrics as JSON lines (default: metrics.jsonl in --out)");
}

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& program) {
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return fmt::format("{}: {} (--help tells the options)\n", failed->get_name(), error.what());
  });
  CLI11_PARSE(app, argc, argv);
  try {
    program();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), error.what());
    return 1;
  }
}

}  // namespace common
