// Trains a convolutional autoencoder on handwritten digits: two Conv2D layers squeeze a 28 x 28 image into 7
// x 7, two Conv2DTranspose layers draw it again. The layers are those of TensorFlow's autoencoder tutorial
// (--net tutorial), or four times as wide (--net wide).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

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

void train(tg::Sequential& net, const Options& options, const tg::Loader& test, tg::Metrics& metrics) {
  const tg::Dataset data = tg::read_mnist(options.data, tg::Split::Train);
  const tg::Loader loader(data.images, {}, {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters, {.learning_rate = options.learning_rate});
  tg::Progress progress(stdout, {.epochs = static_cast<int>(options.epochs), .samples = loader.samples()});

  const auto steps_per_epoch = static_cast<double>(loader.batches());
  tg::index_t step = 0;
  const auto enough = [&] { return options.max_steps > 0 && step >= options.max_steps; };
  for (tg::index_t epoch = 0; epoch < options.epochs && !enough(); ++epoch) {
    double total = 0;
    tg::index_t seen = 0;
    progress.advance(0);  // the epoch begins
    for (const tg::Batch& batch : loader.epoch(epoch)) {
      const auto started = std::chrono::steady_clock::now();
      tg::Tape tape;
      const tg::Tensor loss = tg::mse_loss(net(batch.images), batch.images);
      adam.step(tape.gradient(loss, parameters));

      const double value = loss.item();
      if (!std::isfinite(value))
        throw tg::Error("train", fmt::format("the loss is {} at step {}: try a smaller --learning-rate",
                                             value, step + 1));
      const tg::index_t images = batch.images.shape()[0];
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      ++step;
      seen += images;
      total += value * static_cast<double>(images);
      metrics.write({{"step", step},
                     {"epochs", static_cast<double>(step) / steps_per_epoch},
                     {"loss", value},
                     {"images_per_s", static_cast<double>(images) / took.count()}});
      progress.advance(images, {{"loss", value}});
      if (enough()) break;
    }
    const double train_loss = total / static_cast<double>(seen), test_loss = evaluate(net, test);
    metrics.write({{"epoch", epoch + 1},
                   {"epochs", static_cast<double>(step) / steps_per_epoch},
                   {"train_loss", train_loss},
                   {"test_loss", test_loss}});
    progress.end_epoch({{"loss", train_loss}, {"test", test_loss}});
  }
  if (step == 0) return;
  const std::vector<tg::Series> curves = {metrics.series("epochs", "loss", "train"),
                                          metrics.series("epochs", "test_loss", "test")};
  tg::write_png(
      options.out / "loss.png",
      tg::line_chart(curves,
                     {.title = "Mean squared error", .x_label = "epoch", .y_label = "MSE", .log_y = true}));
}

void run(const Options& options, const CLI::App& app) {
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
    train(net, options, test, metrics.emplace(options.metrics));
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
  app.add_option("--load", options.load,
                 "reconstruct with these weights (a .safetensors file), do not train");
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
    run(options, app);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mnist_autoencoder: {}\n", error.what());
    return 1;
  }
}
