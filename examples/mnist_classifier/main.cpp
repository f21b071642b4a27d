// Trains a LeNet to tell handwritten digits apart, and shows which ones it gets wrong.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <vector>

#include "common/command_line.h"
#include "common/lenet.h"
#include "common/training_log.h"
#include "pictures.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

double accuracy(const tg::Tensor& logits, const tg::Tensor& labels) {
  return tg::mean(tg::cast(tg::equals(tg::argmax(logits, -1), labels), tg::DType::Float64)).item();
}

void train(tg::Sequential& net, const common::TrainingOptions& options, const tg::Dataset& test) {
  const tg::Loader loader(
      tg::read_mnist(options.data, tg::Split::Train),
      {.batch_size = options.batch, .seed = options.seed, .transform = tg::random_shift(2)});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule =
      tg::one_cycle({.max_learning_rate = options.learning_rate, .steps = options.epochs * loader.batches()});
  common::TrainingLog log(options, loader);
  for (tg::index_t epoch = 0; log.begin_epoch(epoch); ++epoch) {
    for (const tg::Batch& batch : loader.epoch(epoch)) {
      tg::Tape tape;
      const tg::Tensor loss = tg::cross_entropy(net(batch.images), batch.labels);
      adam.set_learning_rate(schedule.learning_rate());
      adam.step(tape.gradient(loss, parameters));
      schedule.step();
      log.step(batch, {{"loss", loss.item()}});
      if (log.finished()) break;
    }
    const tg::Tensor logits = common::logits_of(net, test.images), labels = tg::read_all(test.labels);
    log.end_epoch({{"train_loss", log.mean("loss")},
                   {"test_loss", tg::cross_entropy(logits, labels).item()},
                   {"test_accuracy", accuracy(logits, labels)}});
  }
  log.draw(options.out / "loss.png", {"train_loss", "test_loss"},
           {.title = "Cross-entropy", .x_label = "epoch", .y_label = "", .log_y = true});
}

void run(const common::TrainingOptions& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  tg::Sequential net = common::make_lenet(generator);
  const tg::Dataset test = tg::read_mnist(options.data, tg::Split::Test);
  fs::create_directories(options.out);
  if (options.load.empty()) {
    train(net, options, test);
    tg::write_safetensors(options.out / "weights.safetensors", net.state());
  } else {
    net.load_state(tg::read_safetensors(options.load));
  }

  const tg::Tensor logits = common::logits_of(net, test.images), labels = tg::read_all(test.labels);
  const tg::Tensor predictions = tg::argmax(logits, -1);
  tg::write_png(options.out / "confusion.png", mnist_classifier::confusion_image(labels, predictions));
  tg::write_png(options.out / "mistakes.png",
                mnist_classifier::mistakes_image(test.images, labels, predictions));
  fmt::print("test accuracy {:.2f}%; results are in {}\n", 100 * accuracy(logits, labels),
             options.out.string());
}

}  // namespace

int main(int argc, char** argv) {
  common::TrainingOptions options{.epochs = 20, .batch = 64, .learning_rate = 2e-3};
  CLI::App app("Trains a LeNet to tell handwritten digits apart, and shows which ones it gets wrong.",
               "mnist_classifier");
  common::add_options(app, options);
  return common::run_program(app, argc, argv, [&] { run(options); });
}
