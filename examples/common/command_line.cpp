#include "common/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace common {
namespace {

namespace fs = std::filesystem;

bool has_digits(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "train-images-idx3-ubyte.gz", none) ||
         fs::exists(folder / "train-images-idx3-ubyte", none);
}

template <class T>
std::optional<T> parsed(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// How many letters have to be inserted, left out or replaced to make one word of the other (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// What is wrong with an argument that no option takes.
std::string about_unknown(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining();
  const auto option = std::ranges::find_if(left, [](const std::string& s) { return s.starts_with('-'); });
  if (option == left.end())
    return left.empty() ? "an argument is not known" : fmt::format("'{}' belongs to no option", left.front());
  const std::string name = option->substr(0, option->find('='));
  std::string nearest;
  std::size_t least = 3;
  for (const CLI::Option* known : app.get_options())
    for (const std::string& word : known->get_lnames()) {
      const std::string candidate = "--" + word;
      const bool begun = name.size() > 3 && candidate.starts_with(name);
      if (const std::size_t d = begun ? 1 : distance(name, candidate); d < least) {
        least = d;
        nearest = candidate;
      }
    }
  return fmt::format("there is no option {}{}", name,
                     nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest));
}

std::string explain(const CLI::App& app, const CLI::Error& error) {
  const std::string said = error.what();
  const auto kind = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (kind == CLI::ExitCodes::ExtrasError) return about_unknown(app);
  const std::size_t colon = said.find(": ");
  // What our own checks say goes on after the option's name.
  if (kind == CLI::ExitCodes::ValidationError && colon != std::string::npos && said.find(": must ") == colon)
    return said.substr(0, colon) + said.substr(colon + 1);
  if (kind == CLI::ExitCodes::ArgumentMismatch && said.starts_with("--")) {
    const std::string name = said.substr(0, said.find_first_of(": "));
    const CLI::Option* option = app.get_option_no_throw(name);
    if (option != nullptr && option->results().size() > 1) return name + " is given more than once";
    return name + " needs a value";
  }
  if (kind == CLI::ExitCodes::ExcludesError) {
    const std::size_t excludes = said.find(" excludes ");
    if (excludes != std::string::npos)
      return fmt::format("{} and {} cannot be given together", said.substr(0, excludes),
                         said.substr(excludes + 10));
  }
  return said;
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

CLI::Option* detail::check_whole(CLI::Option* option, std::int64_t least, std::uint64_t most) {
  const bool bounded = most < static_cast<std::uint64_t>((std::numeric_limits<int>::max)());
  const std::string bounds =
      bounded ? fmt::format("from {} to {}", least, most) : fmt::format("of at least {}", least);
  return option->type_name("N")->check([=](const std::string& text) -> std::string {
    const std::optional<std::int64_t> number = parsed<std::int64_t>(text);
    const std::optional<std::uint64_t> large = parsed<std::uint64_t>(text);
    const bool fits = number
                          ? *number >= least && (*number < 0 || static_cast<std::uint64_t>(*number) <= most)
                          : large && *large <= most;
    if (fits) return "";
    const bool too_large = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos &&
                           (!number || *number >= least);
    if (too_large && !bounded) return fmt::format("must be a whole number of at most {}, got {}", most, text);
    return fmt::format("must be a whole number {}, got {}", bounds, text);
  });
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, const std::string& what) {
  return app.add_option(name, value, what)->type_name("X")->check([](const std::string& text) -> std::string {
    const std::optional<double> number = parsed<double>(text);
    if (number && std::isfinite(*number) && *number >= 0) return "";
    return fmt::format("must be a number of at least 0, got {}", text);
  });
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value,
                        const std::vector<std::string>& words, const std::string& what) {
  return app.add_option(name, value, what)->type_name("WORD")->check([=](const std::string& text) {
    if (std::ranges::find(words, text) != words.end()) return std::string();
    return fmt::format("must be {}, got {}", fmt::join(words, " or "), text);
  });
}

void add_options(CLI::App& app, TrainingOptions& options) {
  options.out = fs::path("out") / app.get_name();
  app.option_defaults()->always_capture_default();
  app.add_option("--data", options.data, "folder with MNIST's IDX files, plain or gzipped")
      ->type_name("FOLDER");
  add_whole(app, "--epochs", options.epochs, 1, "passes over the training images",
            (std::numeric_limits<int>::max)());
  add_whole(app, "--batch", options.batch, 1, "images in a step");
  add_number(app, "--learning-rate", options.learning_rate,
             "learning rate of Adam; the highest one if it changes");
  add_whole(app, "--threads", options.threads, 1,
            "threads to compute with; results do not depend on their number", 1024);
  add_whole(app, "--seed", options.seed, 0, "seed of all random numbers");
  add_whole(app, "--max-steps", options.max_steps, 0, "stop after this many steps (0: after the last epoch)");
  app.add_option("--out", options.out, "folder for the results, created if missing")->type_name("FOLDER");
  CLI::Option* resume = app.add_flag(
      "--resume", options.resume,
      "continue the run in --out from its newest checkpoint, as if it had never been interrupted");
  add_whole(app, "--checkpoint-every", options.checkpoint_every, 0,
            "steps from one checkpoint to the next (0: only at the end of each epoch)");
  add_whole(app, "--keep", options.keep, 1, "number of newest checkpoints to keep, besides the best one");
  app.add_option("--load", options.load, "take these weights (a .safetensors file), do not train")
      ->type_name("FILE")
      ->excludes(resume);
  app.add_option("--metrics", options.metrics,
                 "file for the metrics as JSON lines (default: metrics.jsonl in --out)")
      ->type_name("FILE");
}

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& program) {
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return fmt::format("{}: {} (--help lists the options)\n", failed->get_name(), explain(*failed, error));
  });
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a file, too, each line is there when it is printed
  CLI11_PARSE(app, argc, argv);
  try {
    return program();
  } catch (const Interrupted& interrupted) {
    fmt::print("{}\n", interrupted.message);
    return 128 + SIGINT;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), error.what());
    return 1;
  }
}

}  // namespace common
