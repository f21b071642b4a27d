#include "common/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <tuple>

#include "common/system.h"
#include "tapegrad/ops/reduce.h"

namespace common {
namespace {

namespace fs = std::filesystem;

bool has_digits(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "train-images-idx3-ubyte.gz", none) ||
         fs::exists(folder / "train-images-idx3-ubyte", none);
}

// A path of this machine means nothing to the readers of a page, however it was given: of a place outside the working
// directory only the last name is shown, of one inside the way to it.
std::string for_others(const std::string& value) {
  if (value.find('/') == std::string::npos && value != "..") return value;
  std::error_code error;
  const fs::path here = fs::current_path(error), path = (here / value).lexically_normal();
  const fs::path inside = path.lexically_relative(here);
  if (!inside.empty() && *inside.begin() != "..") return inside.string();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// Why this file cannot be written; nothing if it can. It is left as it is, and if it is missing it stays so.
std::error_code refusal_to_write(const fs::path& file) {
  std::error_code none;
  const fs::file_status status = fs::status(file, none);
  // A pipe that is opened and closed again would have an end for its reader.
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status))
    return system::refusal_to_access(file);
  const bool missing = !fs::exists(fs::symlink_status(file, none));
  if (const std::error_code refusal = system::refusal_to_open(file)) return refusal;
  if (missing) fs::remove(file, none);
  return {};
}

// Whether a folder of results has checkpoints of a run.
bool holds_run(const fs::path& out) {
  std::error_code none;
  for (fs::directory_iterator at(out / "checkpoints", none), end; !none && at != end; at.increment(none)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".safetensors")) return true;
  }
  return false;
}

// The folders beside this one, above it and in it that hold a run, those first whose names are most like its own.
std::vector<std::string> runs_near(const fs::path& out) {
  const fs::path self = out.has_filename() ? out : out.parent_path();  // "out/run/" is "out/run"
  const fs::path parent = self.has_parent_path() ? self.parent_path() : ".";
  std::vector<std::tuple<std::size_t, std::string>> found;
  const auto look_at = [&](const fs::path& folder) {
    if (holds_run(folder))
      found.emplace_back(cli::edit_distance(folder.filename().string(), self.filename().string()),
                         folder.lexically_normal().string());
  };
  look_at(parent);
  for (const fs::path& folder : {parent, self}) {
    std::error_code none;
    for (fs::directory_iterator at(folder, none), end; !none && at != end; at.increment(none))
      look_at(at->path());
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> names;
  for (const auto& [distance, name] : found) names.push_back(name);
  return names;
}

}  // namespace

fs::path default_data() {
  std::error_code none;
  for (fs::path folder = system::program(); folder.has_relative_path(); folder = folder.parent_path())
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
  if (!fs::is_directory(folder, none)) {
    if (!error) error = std::make_error_code(std::errc::not_a_directory);
    throw std::invalid_argument(
        fmt::format("{} must be a folder that is there or can be made, and '{}' cannot: {}", option,
                    folder.string(), error.message()));
  }
  if (const std::error_code refusal =
          refusal_to_write(folder / fmt::format(".{}.tmp", system::process_number())))
    throw std::invalid_argument(
        fmt::format("{} must be a folder to which files can be written, and to '{}' they cannot: {}", option,
                    folder.string(), refusal.message()));
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    const fs::path kind = entry.path().extension();
    if ((kind == ".png" || kind == ".safetensors" || kind == ".html") && entry.is_directory(none))
      throw std::invalid_argument(
          fmt::format("{} must be a folder in which no folder has the name of a file of results, got '{}'",
                      option, entry.path().string()));
  }
}

void check_output(const fs::path& file, const std::string& option) {
  if (const std::error_code refusal = refusal_to_write(file))
    throw std::invalid_argument(fmt::format("{} must be a file that can be written, and '{}' cannot: {}",
                                            option, file.string(), refusal.message()));
}

void prepare_out(const TrainingOptions& options) {
  if (options.resume && !holds_run(options.out)) {
    constexpr std::size_t kMostNamed = 3;
    std::vector<std::string> near = runs_near(options.out);
    near.resize(std::min(near.size(), kMostNamed));
    throw std::invalid_argument(fmt::format(
        "--out must be the folder of an earlier run for --resume to continue, and '{}' holds none{}: give the "
        "folder of that run, or begin a new run without --resume",
        options.out.string(),
        near.empty() ? "" : fmt::format(" (did you mean {}?)", fmt::join(near, " or "))));
  }
  make_folder(options.out);
}

void add_options(cli::Program& program, TrainingOptions& options) {
  program.add_path("--data", options.data, "FOLDER", "folder with MNIST's IDX files, plain or gzipped");
  program.add_whole("--epochs", options.epochs, 1, "passes over the training images",
                    (std::numeric_limits<int>::max)());
  program.add_whole("--batch", options.batch, 1, "images in a step");
  program.add_number("--learning-rate", options.learning_rate,
                     "learning rate of Adam; the highest one if it changes");
  add_run_options(program, options);
  program.add_path("--load", options.load, "FILE", "take these weights (a .safetensors file), do not train");
  program.exclude("--load", "--resume");
}

void add_run_options(cli::Program& program, TrainingOptions& options) {
  options.out = fs::path("out") / program.name();
  program.add_whole("--threads", options.threads, 1,
                    "threads to compute with; results do not depend on their number", 1024);
  program.add_whole("--seed", options.seed, 0, "seed of all random numbers");
  program.add_whole("--max-steps", options.max_steps, 0,
                    "stop after this many steps (0: after the last one)");
  program.add_path("--out", options.out, "FOLDER", "folder for the results, created if missing");
  program.add_flag(
      "--resume", options.resume,
      "continue the run in --out from its newest checkpoint, as if it had never been interrupted");
  program.add_whole("--checkpoint-every", options.checkpoint_every, 0,
                    "steps from one checkpoint to the next (0: only at the end of each epoch)");
  program.add_whole("--keep", options.keep, 1, "number of newest checkpoints to keep, besides the best one");
  program.add_path("--metrics", options.metrics, "FILE",
                   "file for the metrics as JSON lines (default: metrics.jsonl in --out)");
}

std::vector<std::pair<std::string, std::string>> option_facts(const cli::Program& program) {
  std::vector<std::pair<std::string, std::string>> facts = program.values();
  for (auto& [name, value] : facts) value = for_others(value);
  return facts;
}

}  // namespace common
