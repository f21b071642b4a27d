#include "common/options.h"

#include <fmt/format.h>

#include <limits>
#include <stdexcept>
#include <system_error>

#include "tapegrad/ops/reduce.h"

namespace common {
namespace {

namespace fs = std::filesystem;

bool has_digits(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "train-images-idx3-ubyte.gz", none) ||
         fs::exists(folder / "train-images-idx3-ubyte", none);
}

// A path of this machine means nothing to the readers of a page: of a place outside the working directory only the
// last name is shown.
std::string for_others(const std::string& value) {
  const fs::path path(value);
  if (!path.is_absolute()) return value;
  std::error_code error;
  const fs::path here = path.lexically_relative(fs::current_path(error));
  if (!here.empty() && *here.begin() != "..") return here.string();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

fs::path default_data() {
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  for (fs::path folder = program; folder.has_relative_path(); folder = folder.parent_path())
    if (has_digits(folder / "data")) return fs::proximate(folder / "data", none);
  return "data";
}

tg::Dataset read_digits(const fs::path& folder, tg::Split split) {
  if (!has_digits(folder))
    throw std::invalid_argument(
        fmt::format("--data must be a folder with MNIST's files, and {} holds none (data/README.md tells "
                    "where to get them)",
                    folder.string()));
  tg::Dataset data = tg::read_mnist(folder, split);
  const tg::Tensor labels = tg::read_all(data.targets);
  if (labels.size() > 0 && tg::max(labels).item() > 9)
    throw std::invalid_argument(
        fmt::format("--data must be a folder with digits, whose labels are 0 to 9, and {} holds the label {}",
                    folder.string(), tg::max(labels).item()));
  return data;
}

void make_folder(const fs::path& folder, const std::string& option) {
  std::error_code error;
  fs::create_directories(folder, error);
  std::error_code none;
  if (fs::is_directory(folder, none)) return;
  if (!error) error = std::make_error_code(std::errc::not_a_directory);
  throw std::invalid_argument(
      fmt::format("{} must be a folder that is there or can be made, and '{}' cannot: {}", option,
                  folder.string(), error.message()));
}

void add_options(cli::Program& program, TrainingOptions& options) {
  options.out = fs::path("out") / program.name();
  program.add_path("--data", options.data, "FOLDER", "folder with MNIST's IDX files, plain or gzipped");
  program.add_whole("--epochs", options.epochs, 1, "passes over the training images",
                    (std::numeric_limits<int>::max)());
  program.add_whole("--batch", options.batch, 1, "images in a step");
  program.add_number("--learning-rate", options.learning_rate,
                     "learning rate of Adam; the highest one if it changes");
  program.add_whole("--threads", options.threads, 1,
                    "threads to compute with; results do not depend on their number", 1024);
  program.add_whole("--seed", options.seed, 0, "seed of all random numbers");
  program.add_whole("--max-steps", options.max_steps, 0,
                    "stop after this many steps (0: after the last epoch)");
  program.add_path("--out", options.out, "FOLDER", "folder for the results, created if missing");
  program.add_flag(
      "--resume", options.resume,
      "continue the run in --out from its newest checkpoint, as if it had never been interrupted");
  program.add_whole("--checkpoint-every", options.checkpoint_every, 0,
                    "steps from one checkpoint to the next (0: only at the end of each epoch)");
  program.add_whole("--keep", options.keep, 1, "number of newest checkpoints to keep, besides the best one");
  program.add_path("--load", options.load, "FILE", "take these weights (a .safetensors file), do not train");
  program.exclude("--load", "--resume");
  program.add_path("--metrics", options.metrics, "FILE",
                   "file for the metrics as JSON lines (default: metrics.jsonl in --out)");
}

std::vector<std::pair<std::string, std::string>> option_facts(const cli::Program& program) {
  std::vector<std::pair<std::string, std::string>> facts = program.values();
  for (auto& [name, value] : facts) value = for_others(value);
  return facts;
}

}  // namespace common
