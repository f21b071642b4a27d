// Trains a LeNet to tell handwritten digits apart, and shows which ones it gets wrong.

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "common/lenet.h"
#include "common/options.h"
#include "common/training_run.h"
#include "pictures.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

using common::TrainingRun;

void train(tg::Sequential& net, const common::TrainingOptions& options, const tg::Dataset& test,
           common::Processes& processes) {
  const tg::Loader loader(common::read_digits(options.data, tg::Split::Train),
                          {.batch_size = options.batch,
                           .seed = options.seed,
                           .transform = tg::random_shift(2),
                           .part = processes.part()});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule = tg::one_cycle(
      {.max_learning_rate = options.learning_rate, .steps = TrainingRun::planned_steps(options, loader)});
  TrainingRun run(options, loader, {.metric = "test_loss", .processes = &processes});
  run.add("net", net).add("adam", adam).add("schedule", schedule).require("--epochs", options.epochs);
  const auto step = [&](const tg::Batch& batch) {
    const auto [loss, gradients] =
        processes.gradient([&](const auto& part) { return tg::cross_entropy(net(part[0]), part[1]); },
                           {batch.inputs, batch.targets}, batch.part, parameters);
    adam.set_learning_rate(schedule.learning_rate());
    adam.step(gradients);
    schedule.step();
    return TrainingRun::Values{{"loss", loss}};
  };
  const auto end_epoch = [&] {
    const tg::Tensor logits = common::logits_of(net, test.inputs), labels = tg::read_all(test.targets);
    return TrainingRun::Values{{"train_loss", run.mean("loss")},
                               {"test_loss", tg::cross_entropy(logits, labels).item()},
                               {"test_accuracy", tg::accuracy(logits, labels)}};
  };
  run.train(step, end_epoch);
  run.show_processes();
  run.draw(options.out / "loss.png", {{"train_loss", "training"}, {"test_loss", "test"}},
           {.title = "Cross-entropy", .x_label = "epoch", .y_label = "", .log_y = true});
  run.draw(options.out / "accuracy.png", {{"test_accuracy", "test"}},
           {.title = "Accuracy", .x_label = "epoch", .y_label = ""});
}

// What the run leaves, written by process 0.
void write_results(tg::Sequential& net, const common::TrainingOptions& options, const tg::Dataset& test) {
  if (options.load.empty()) tg::write_safetensors(options.out / "weights.safetensors", net.state_view());
  const tg::Tensor logits = common::logits_of(net, test.inputs), labels = tg::read_all(test.targets);
  const tg::Tensor predictions = tg::argmax(logits, -1);
  tg::write_png(options.out / "confusion.png", mnist_classifier::confusion_image(labels, predictions));
  tg::write_png(options.out / "mistakes.png",
                mnist_classifier::mistakes_image(test.inputs, labels, predictions));
  fmt::print("test accuracy {:.2f}%; results are in {}\n", 100 * tg::accuracy(logits, labels),
             options.out.string());
}

int run(const common::TrainingOptions& options, const cli::Program& program) {
  common::Processes processes;
  const tg::ThreadCountScope threads(processes.threads(options.threads, program.given("--threads")));
  tg::Generator generator(options.seed);
  tg::Sequential net = common::make_lenet(generator);
  const tg::Dataset test = common::read_digits(options.data, tg::Split::Test);
  processes.on_first([&] { common::prepare_out(options); });
  if (options.load.empty())
    train(net, options, test, processes);
  else
    net.load_state(tg::read_safetensors(options.load));
  processes.on_first([&] { write_results(net, options, test); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  common::TrainingOptions options{.epochs = 20, .batch = 64, .learning_rate = 2e-3};
  cli::Program program(
      "mnist_classifier",
      "Trains a LeNet to tell handwritten digits apart, and shows which ones it gets wrong.");
  common::add_options(program, options);
  return program.run(argc, argv, [&] { return run(options, program); });
}
