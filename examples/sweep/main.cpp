// Trains many small autoencoders of handwritten digits, each with other options, and tells which options are best. The runs
// are handed out to the processes of mpirun, if the examples are built with TAPEGRAD_MPI, whichever is free.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/options.h"
#include "common/processes.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

struct Options {
  fs::path data = common::default_data(), out = "out/sweep";
  std::string learning_rates = "3e-4,1e-3,3e-3,1e-2", filters = "4,8,16", batches = "64,128";
  tg::index_t random = 0, steps = 100;
  std::uint64_t seed = 1;
  int threads = 1;
  bool resume = false;
};

/// What one model is trained with.
struct Choice {
  double learning_rate = 0;
  tg::index_t filters = 0, batch = 0;
};

struct Outcome {
  double test_loss = std::numeric_limits<double>::quiet_NaN();
  double seconds = 0;
  std::string failure;  // empty: it has a test loss
};

std::vector<double> numbers(const std::string& option, const std::string& text) {
  std::vector<double> found;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    char* end = nullptr;
    found.push_back(std::strtod(part.c_str(), &end));
    if (part.empty() || *end != '\0' || !(found.back() > 0) || !std::isfinite(found.back()))
      throw std::invalid_argument(
          fmt::format("{} must be numbers above 0 with commas between them, got '{}'", option, text));
  }
  if (found.empty()) throw std::invalid_argument(fmt::format("{} must have at least one number", option));
  return found;
}

// All combinations; or as many random ones between the least and the largest numbers, by their logarithms.
std::vector<Choice> choices(const Options& options) {
  const std::vector<double> rates = numbers("--learning-rates", options.learning_rates),
                            filters = numbers("--filters", options.filters),
                            batches = numbers("--batches", options.batches);
  std::vector<Choice> all;
  if (options.random == 0) {
    for (const double rate : rates)
      for (const double width : filters)
        for (const double batch : batches)
          all.push_back({rate, static_cast<tg::index_t>(width), static_cast<tg::index_t>(batch)});
    return all;
  }
  tg::Generator generator(options.seed);
  const auto draw = [&](const std::vector<double>& between) {
    const auto [least, most] = std::ranges::minmax(between);
    return least * std::pow(most / least, generator.uniform());
  };
  for (tg::index_t i = 0; i < options.random; ++i) {
    const double rate = draw(rates), width = draw(filters), batch = draw(batches);
    all.push_back(
        {rate, static_cast<tg::index_t>(std::round(width)), static_cast<tg::index_t>(std::round(batch))});
  }
  return all;
}

tg::Sequential make_net(tg::index_t filters, tg::Generator& generator) {
  tg::Sequential net;
  net.add(tg::Conv2D({.in_channels = 1,
                      .filters = filters,
                      .kernel_size = 3,
                      .strides = 2,
                      .padding = tg::Padding::Same,
                      .activation = tg::relu},
                     generator));
  net.add(tg::Conv2DTranspose({.in_channels = filters,
                               .filters = 1,
                               .kernel_size = 3,
                               .strides = 2,
                               .padding = tg::Padding::Same,
                               .activation = tg::sigmoid},
                              generator));
  return net;
}

double train(const Choice& choice, const Options& options, const tg::Samples& images,
             const tg::Tensor& test) {
  tg::Generator generator(options.seed);
  tg::Sequential net = make_net(choice.filters, generator);
  tg::Adam adam(net.parameters(), {.learning_rate = choice.learning_rate});
  const tg::Loader loader(images, {}, {.batch_size = choice.batch, .seed = options.seed});
  tg::index_t step = 0;
  for (tg::index_t epoch = 0; step < options.steps; ++epoch)
    for (const tg::Batch& batch : loader.epoch(epoch)) {
      const auto [loss, gradients] =
          tg::batch_gradient([&](const auto& part) { return tg::mse_loss(net(part[0]), part[0]); },
                             {batch.inputs}, net.parameters());
      if (!std::isfinite(loss))
        throw std::runtime_error(fmt::format("the loss is {} at step {}", loss, step));
      adam.step(gradients);
      if (++step == options.steps) break;
    }
  const double test_loss = tg::mse_loss(net(test), test).item();
  if (!std::isfinite(test_loss)) throw std::runtime_error("the test loss is not finite");
  return test_loss;
}

// What process 0 knows of the runs.
class Results {
 public:
  Results(const Options& options, const std::vector<Choice>& all)
      : options_(options),
        choices_(all),
        outcomes_(all.size()),
        lines_(options.out / "runs.jsonl", {.keep = options.resume}) {
    if (!options.resume) return;
    std::ifstream file(options.out / "runs.jsonl");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    tg::State state = lines_.state();
    // A last line that was not finished is written again.
    for (auto& [name, lines] : state.integers)
      lines = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
    lines_.load_state(state);
    const tg::Series losses = lines_.series("run", "test_loss", ""),
                     seconds = lines_.series("run", "seconds", ""),
                     rates = lines_.series("run", "learning_rate", "");
    for (std::size_t i = 0; i < losses.x.size(); ++i) {
      const auto run = static_cast<std::size_t>(losses.x[i]);
      if (run >= all.size() || std::abs(rates.y[i] / all[run].learning_rate - 1) > 1e-9)
        throw std::invalid_argument("--resume must have the options of the sweep in --out, which had others");
      outcomes_[run] = {losses.y[i], seconds.y[i], std::isfinite(losses.y[i]) ? "" : "failed earlier"};
      done_.push_back(run);
    }
  }

  std::vector<tg::index_t> left() const {
    std::vector<tg::index_t> runs;
    for (std::size_t run = 0; run < choices_.size(); ++run)
      if (std::ranges::count(done_, run) == 0) runs.push_back(static_cast<tg::index_t>(run));
    return runs;
  }

  void add(std::size_t run, const Outcome& outcome) {
    const Choice& choice = choices_.at(run);
    outcomes_[run] = outcome;
    done_.push_back(run);
    lines_.write({{"run", run},
                  {"learning_rate", choice.learning_rate},
                  {"filters", choice.filters},
                  {"batch", choice.batch},
                  {"test_loss", outcome.test_loss},
                  {"seconds", outcome.seconds},
                  {"failed", outcome.failure.empty() ? 0 : 1}});
    (void)lines_.state();  // the line is on the disk
    fmt::print(
        "{} of {}: learning rate {:.3g}, {} filters, batch {}: {}\n", done_.size(), choices_.size(),
        choice.learning_rate, choice.filters, choice.batch,
        outcome.failure.empty() ? fmt::format("test loss {:.5f}", outcome.test_loss) : outcome.failure);
    std::fflush(stdout);
  }

  // The runs, the best first, as a table; and the test loss over the learning rate, a line for each number of filters.
  void show() const {
    std::vector<std::size_t> order = done_;
    std::ranges::stable_sort(order, {}, [&](std::size_t run) {
      const double loss = outcomes_[run].test_loss;
      return std::pair(std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity(), run);
    });
    std::string table = fmt::format("{:>9} {:>13} {:>8} {:>6} {:>8}\n", "test loss", "learning rate",
                                    "filters", "batch", "seconds");
    for (const std::size_t run : order)
      table += fmt::format(
          "{:>9} {:>13.3g} {:>8} {:>6} {:>8.2f}\n",
          outcomes_[run].failure.empty() ? fmt::format("{:.5f}", outcomes_[run].test_loss) : "failed",
          choices_[run].learning_rate, choices_[run].filters, choices_[run].batch, outcomes_[run].seconds);
    fmt::print("\n{}", table);
    std::ofstream(options_.out / "table.txt") << table;

    std::vector<tg::Series> lines;
    std::ranges::sort(order, {}, [&](std::size_t run) {
      return std::pair(choices_[run].filters, choices_[run].learning_rate);
    });
    for (const std::size_t run : order) {
      const std::string name = options_.random > 0 ? "" : fmt::format("{} filters", choices_[run].filters);
      if (lines.empty() || options_.random > 0 || lines.back().name != name) lines.push_back({name, {}, {}});
      if (!outcomes_[run].failure.empty()) continue;
      lines.back().x.push_back(std::log10(choices_[run].learning_rate));
      lines.back().y.push_back(outcomes_[run].test_loss);
    }
    std::erase_if(lines, [](const tg::Series& line) { return line.x.empty(); });
    if (!lines.empty())
      tg::write_png(options_.out / "sweep.png",
                    tg::line_chart(lines, {.title = "Mean squared error on test digits",
                                           .x_label = "logarithm of the learning rate",
                                           .y_label = "MSE",
                                           .log_y = true}));
    fmt::print("\nresults are in {}\n", options_.out.string());
  }

 private:
  const Options& options_;
  const std::vector<Choice>& choices_;
  std::vector<Outcome> outcomes_;
  std::vector<std::size_t> done_;
  tg::Metrics lines_;
};

// An outcome on its way between processes.
std::string packed(const Outcome& outcome) {
  return fmt::format("{} {} {}", outcome.test_loss, outcome.seconds, outcome.failure);
}

Outcome unpacked(const std::string& text) {
  Outcome outcome;
  char* at = nullptr;
  outcome.test_loss = std::strtod(text.c_str(), &at);
  outcome.seconds = std::strtod(at, &at);
  outcome.failure = *at == '\0' ? "" : std::string(at + 1);
  return outcome;
}

int run(const Options& options) {
  common::Processes processes;
  const tg::ThreadCountScope threads(options.threads);
  const std::vector<Choice> all = choices(options);
  const tg::Samples images = common::read_digits(options.data, tg::Split::Train).inputs;
  const tg::Tensor test =
      tg::read_all(common::read_digits(options.data, tg::Split::Test).inputs, tg::DType::Float32);

  std::optional<Results> results;
  std::vector<double> is_left(all.size());
  processes.on_first([&] {
    common::make_folder(options.out);
    results.emplace(options, all);
    for (const tg::index_t run : results->left()) is_left[static_cast<std::size_t>(run)] = 1;
  });
  // Which runs are left, as process 0 knows.
  std::vector<tg::index_t> left;
  for (std::size_t run = 0; run < all.size(); ++run)
    if (processes.gather(is_left[run])[0] != 0) left.push_back(static_cast<tg::index_t>(run));
  const auto number = [&](tg::index_t i) {
    return static_cast<std::size_t>(left[static_cast<std::size_t>(i)]);
  };
  processes.hand_out(
      std::ssize(left),
      [&](tg::index_t i) {
        Outcome outcome;
        const auto begin = std::chrono::steady_clock::now();
        try {
          outcome.test_loss = train(all[number(i)], options, images, test);
        } catch (const std::exception& error) {  // the other runs go on
          outcome.failure = error.what();
        }
        outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        return packed(outcome);
      },
      [&](tg::index_t i, const std::string& text) { results->add(number(i), unpacked(text)); });
  processes.on_first([&] { results->show(); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program(
      "sweep",
      "Trains many small autoencoders of handwritten digits, each with other options, and tells which are best.");
  program.add_path("--data", options.data, "FOLDER", "folder with MNIST's IDX files, plain or gzipped");
  program.add_path("--out", options.out, "FOLDER", "folder for the results, created if missing");
  program.add_text("--learning-rates", options.learning_rates, "NUMBERS",
                   "learning rates of Adam, with commas");
  program.add_text("--filters", options.filters, "NUMBERS", "filters of the convolution, with commas");
  program.add_text("--batches", options.batches, "NUMBERS", "images in a step, with commas");
  program.add_whole(
      "--random", options.random, 0,
      "draw so many combinations between the least and largest of these numbers (0: all combinations)");
  program.add_whole("--steps", options.steps, 1, "training steps of each model");
  program.add_whole("--seed", options.seed, 0, "seed of all random numbers");
  program.add_whole("--threads", options.threads, 1, "threads of each process", 1024);
  program.add_flag("--resume", options.resume, "train only those models that --out has no line for");
  return program.run(argc, argv, [&] { return run(options); });
}
