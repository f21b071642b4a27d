// Trains a convolutional autoencoder on handwritten digits: two Conv2D layers squeeze a 28 x 28 image into 7
// x 7, two Conv2DTranspose layers draw it again. The layers are those of TensorFlow's autoencoder tutorial
// (--net tutorial), or four times as wide (--net wide).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "net.h"
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

/// What happened during training, as JSON lines and for the chart.
class Metrics {
 public:
  explicit Metrics(const fs::path& path) : path_(path), file_(path) {
    if (!file_) throw tg::Error("metrics", fmt::format("cannot write '{}'", path.string()));
  }
  void step(double epochs, tg::index_t step, double loss, double images_per_s) {
    write({{"step", step}, {"loss", loss}, {"images_per_s", images_per_s}});
    train_.x.push_back(epochs);
    train_.y.push_back(loss);
  }
  void epoch(double epochs, tg::index_t epoch, double train_loss, double test_loss) {
    write({{"epoch", epoch}, {"train_loss", train_loss}, {"test_loss", test_loss}});
    test_.x.push_back(epochs);
    test_.y.push_back(test_loss);
  }
  void draw(const fs::path& path) const {
    const std::vector<tg::Series> series = {train_, test_};
    tg::write_png(
        path,
        tg::line_chart(series,
                       {.title = "Mean squared error", .x_label = "epoch", .y_label = "MSE", .log_y = true}));
  }

 private:
  void write(const nlohmann::ordered_json& line) {
    file_ << line.dump() << std::endl;
    if (!file_) throw tg::Error("metrics", fmt::format("cannot write '{}'", path_.string()));
  }

  fs::path path_;
  std::ofstream file_;
  tg::Series train_{.name = "train", .x = {}, .y = {}}, test_{.name = "test", .x = {}, .y = {}};
};

void train(tg::Sequential& net, const Options& options, const tg::Loader& test) {
  const tg::Dataset data = tg::read_mnist(options.data, tg::Split::Train);
  const tg::Loader loader(data.images, {}, {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters, {.learning_rate = options.learning_rate});
  Metrics metrics(options.metrics);
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
      metrics.step(static_cast<double>(step) / steps_per_epoch, step, value,
                   static_cast<double>(images) / took.count());
      progress.advance(images, {{"loss", value}});
      if (enough()) break;
    }
    const double train_loss = total / static_cast<double>(seen), test_loss = evaluate(net, test);
    metrics.epoch(static_cast<double>(step) / steps_per_epoch, epoch + 1, train_loss, test_loss);
    progress.end_epoch({{"loss", train_loss}, {"test", test_loss}});
  }
  if (step > 0) metrics.draw(options.out / "loss.png");
}

void run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  tg::Sequential net = make_net(options.net, generator);
  if (!options.load.empty()) net.load_state(tg::read_safetensors(options.load));

  const tg::Dataset data = tg::read_mnist(options.data, tg::Split::Test);
  const tg::Loader test(data.images, {}, {.batch_size = 500, .shuffle = false});
  fs::create_directories(options.out);
  if (options.load.empty()) {
    train(net, options, test);
    tg::write_safetensors(options.out / "weights.safetensors", net.state());
    tg::write_png(options.out / "filters.png", tg::filters_image(dynamic_cast<tg::Conv2D&>(net[0]).kernel));
  }
  write_reconstructions(net, test, options.out / "reconstructions.png");
  fmt::print("test loss {:.5f}; results are in {}\n", evaluate(net, test), options.out.string());
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
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("mnist_autoencoder: {} (--help tells the options)\n", error.what());
  });
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.metrics.empty()) options.metrics = options.out / "metrics.jsonl";
    run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mnist_autoencoder: {}\n", error.what());
    return 1;
  }
}
