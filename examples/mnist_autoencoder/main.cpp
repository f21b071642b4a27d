// Trains a convolutional autoencoder on handwritten digits: two Conv2D layers squeeze a 28 x 28 image into 7
// x 7, two Conv2DTranspose layers draw it again. The layers are those of TensorFlow's autoencoder tutorial
// (--net tutorial), or four times as wide (--net wide).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/interrupt.h"
#include "common/options.h"
#include "net.h"
#include "report.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string net = "tutorial";
  fs::path data = TAPEGRAD_DATA_DIR;
  tg::index_t epochs = 10;
  tg::index_t batch = 128;
  double learning_rate = 1e-3;
  int threads = tg::thread_count();
  std::uint64_t seed = 1;
  tg::index_t max_steps = 0;
  fs::path out = "out/mnist_autoencoder";
  bool resume = false;
  tg::index_t checkpoint_every = 0;
  int keep = 2;
  fs::path load;
  fs::path metrics;
  bool report = false;
};

/// The mean squared error over all images, each batch weighted by its size.
double evaluate(tg::Sequential& net, const tg::Loader& loader) {
  double total = 0;
  for (const tg::Batch& batch : loader.epoch(0))
    total +=
        tg::mse_loss(net(batch.images), batch.images).item() * static_cast<double>(batch.images.shape()[0]);
  return total / static_cast<double>(loader.samples());
}

void write_reconstructions(tg::Sequential& net, const tg::Loader& test, const fs::path& path) {
  for (const tg::Batch& batch : test.epoch(0)) {
    const std::vector<tg::Tensor> rows = {batch.images, net(batch.images)};
    const tg::index_t shown = std::min<tg::index_t>(40, batch.images.shape()[0]);
    const std::vector<tg::Tensor> first = {tg::slice(rows[0], {{0, shown}}),
                                           tg::slice(rows[1], {{0, shown}})};
    tg::write_png(path, tg::sheet(first, {.columns = 20, .scale = 2}));
    return;
  }
}

/// Where the run is to go on: from its newest checkpoint, if that is asked for and there is one.
void restore(tg::TrainingState& run, tg::Checkpoints& checkpoints, bool resume) {
  const std::string folder = checkpoints.folder().string();
  if (!resume) {
    if (checkpoints.set_aside())
      fmt::print("the checkpoints of an earlier run, which --resume would have continued, are in {}.old\n",
                 folder);
    return;
  }
  const auto newest = checkpoints.newest();
  if (!newest) {
    fmt::print("there is no checkpoint in {}: a new run begins\n", folder);
    return;
  }
  for (const std::string& what : newest->damaged)
    fmt::print(stderr, "mnist_autoencoder: a newer checkpoint is passed over: {}\n", what);
  run.load_state(newest->checkpoint.state);
  fmt::print("continues after step {}\n", newest->checkpoint.step);
}

/// Whether it came to the end; not if Ctrl-C was pressed.
bool train(tg::Sequential& net, const Options& options, const tg::Loader& test, tg::Metrics& metrics) {
  const tg::Dataset data = tg::read_mnist(options.data, tg::Split::Train);
  const tg::Loader loader(data.images, {}, {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters, {.learning_rate = options.learning_rate});

  // Where the run is: steps done, the batch that comes next; and, of this epoch, images and their losses so
  // far.
  tg::index_t step = 0, epoch = 0, next = 0, seen = 0;
  double total = 0;
  tg::TrainingState run;
  run.add("net", net).add("adam", adam).add("metrics", metrics);
  run.add("step", step).add("epoch", epoch).add("next", next).add("seen", seen).add("total", total);
  run.require("--batch", options.batch).require("--seed", options.seed);
  run.require("--learning-rate", options.learning_rate).require("images", loader.samples());
  tg::Checkpoints checkpoints(options.out / "checkpoints", {.keep = options.keep});
  restore(run, checkpoints, options.resume);
  const auto save = [&](std::optional<double> test_loss) {
    checkpoints.save({.state = run.state(), .step = step, .metric = test_loss});
  };

  tg::Progress progress(stdout, {.epochs = static_cast<int>(options.epochs),
                                 .samples = loader.samples(),
                                 .epochs_done = static_cast<int>(epoch),
                                 .samples_done = seen});
  const common::InterruptScope interrupt;
  const auto steps_per_epoch = static_cast<double>(loader.batches());
  const auto enough = [&] { return options.max_steps > 0 && step >= options.max_steps; };
  while (epoch < options.epochs && (!enough() || next > 0)) {
    progress.advance(0);  // the epoch begins
    for (const tg::Batch& batch : loader.epoch(epoch, next)) {
      if (enough()) break;
      const auto started = std::chrono::steady_clock::now();
      // As a Tape around loss(batch) would, and faster: a few images at a time, on all threads.
      const auto [loss, gradients] = tg::batch_gradient(
          [&](const auto& part) { return tg::mse_loss(net(part[0]), part[0]); }, {batch.images}, parameters);
      adam.step(gradients);
      if (!std::isfinite(loss))
        throw tg::Error(
            "train", fmt::format("the loss is {} at step {}: try a smaller --learning-rate", loss, step + 1));
      const tg::index_t images = batch.images.shape()[0];
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      ++step;
      ++next;
      seen += images;
      total += loss * static_cast<double>(images);
      metrics.write({{"step", step},
                     {"epochs", static_cast<double>(step) / steps_per_epoch},
                     {"loss", loss},
                     {"images_per_s", static_cast<double>(images) / took.count()}});
      progress.advance(images, {{"loss", loss}});

      if (next == loader.batches()) break;  // the epoch's end has a checkpoint of its own
      const bool due = options.checkpoint_every > 0 && step % options.checkpoint_every == 0;
      if (due || enough() || interrupt.requested()) save({});
      if (interrupt.requested()) return false;
    }
    const double train_loss = total / static_cast<double>(seen), test_loss = evaluate(net, test);
    metrics.write({{"epoch", epoch + 1},
                   {"epochs", static_cast<double>(step) / steps_per_epoch},
                   {"train_loss", train_loss},
                   {"test_loss", test_loss}});
    progress.end_epoch({{"loss", train_loss}, {"test", test_loss}});
    if (next < loader.batches()) break;  // a run of more steps would go on with this epoch
    ++epoch;
    next = seen = 0;
    total = 0;
    save(test_loss);
    if (interrupt.requested()) return false;
  }
  if (step == 0) return true;
  const std::vector<tg::Series> curves = {metrics.series("epochs", "loss", "train"),
                                          metrics.series("epochs", "test_loss", "test")};
  tg::write_png(
      options.out / "loss.png",
      tg::line_chart(curves,
                     {.title = "Mean squared error", .x_label = "epoch", .y_label = "MSE", .log_y = true}));
  return true;
}

/// The program's exit code.
int run(const Options& options, const CLI::App& app) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  tg::Sequential net = make_net(options.net, generator);
  if (!options.load.empty()) net.load_state(tg::read_safetensors(options.load));

  const tg::Dataset data = tg::read_mnist(options.data, tg::Split::Test);
  const tg::Loader test(data.images, {}, {.batch_size = 500, .shuffle = false});
  fs::create_directories(options.out);
  std::optional<tg::Metrics> metrics;
  const auto started = std::chrono::steady_clock::now();
  if (options.load.empty()) {
    metrics.emplace(options.metrics, tg::MetricsOptions{.keep = options.resume});
    if (!train(net, options, test, *metrics)) {
      fmt::print("interrupted; all that was done is saved: --resume continues it\n");
      return 128 + SIGINT;
    }
    tg::write_safetensors(options.out / "weights.safetensors", net.state());
    tg::write_png(options.out / "filters.png", tg::filters_image(dynamic_cast<tg::Conv2D&>(net[0]).kernel));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  write_reconstructions(net, test, options.out / "reconstructions.png");
  const double test_loss = evaluate(net, test);
  if (options.report)
    write_report(options.out / "report.html", {.net = net,
                                               .test = data,
                                               .test_loss = test_loss,
                                               .seconds = took.count(),
                                               .options = option_facts(app),
                                               .metrics = metrics ? &*metrics : nullptr});
  fmt::print("test loss {:.5f}; results are in {}\n", test_loss, options.out.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains an autoencoder of Conv2DTranspose layers on handwritten digits, and shows what it "
      "reconstructs.",
      "mnist_autoencoder");
  app.option_defaults()->always_capture_default();
  app.add_option("--net", options.net, "tutorial (16, 8 | 8, 16 | 1 filters) or wide (32, 64 | 64, 32 | 1)")
      ->check(CLI::IsMember({"tutorial", "wide"}));
  app.add_option("--data", options.data, "folder with MNIST's IDX files, plain or gzipped");
  app.add_option("--epochs", options.epochs, "passes over the training images")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", options.batch, "images in a step")->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", options.learning_rate, "of Adam")->check(CLI::NonNegativeNumber);
  app.add_option("--threads", options.threads, "threads to compute with; the result does not depend on it")
      ->check(CLI::Range(1, 1024));
  app.add_option("--seed", options.seed, "of the initial weights and of the order of the images");
  app.add_option("--max-steps", options.max_steps, "stop after so many steps (0: when the epochs are over)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--out", options.out, "folder for the results, created if missing");
  app.add_flag("--resume", options.resume,
               "continue the run in --out from its newest checkpoint, as if it had never been interrupted");
  app.add_option("--checkpoint-every", options.checkpoint_every,
                 "steps from one checkpoint to the next (0: only at the end of each epoch)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--keep", options.keep, "checkpoints to keep: so many of the newest, besides the best")
      ->check(CLI::PositiveNumber);
  app.add_option("--load", options.load, "reconstruct with these weights (a .safetensors file), do not train")
      ->excludes("--resume");
  app.add_option("--metrics", options.metrics,
                 "file for the metrics as JSON lines (default: metrics.jsonl in --out)");
  app.add_flag("--report", options.report,
               "write report.html to --out: one page about the run, to look at or to mail");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("mnist_autoencoder: {} (--help tells the options)\n", error.what());
  });
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.metrics.empty()) options.metrics = options.out / "metrics.jsonl";
    return run(options, app);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mnist_autoencoder: {}\n", error.what());
    return 1;
  }
}
