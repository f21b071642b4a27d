// Trains a convolutional autoencoder on handwritten digits: two Conv2D layers squeeze a 28 x 28 image into 7
// x 7, two Conv2DTranspose layers draw it again. The layers are those of TensorFlow's autoencoder tutorial
// (--net tutorial), or four times as wide (--net wide).

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/options.h"
#include "common/training_run.h"
#include "net.h"
#include "report.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

using common::TrainingRun;

struct Options : common::TrainingOptions {
  std::string net = "tutorial";
  bool report = false;
};

/// The mean squared error over all images, each batch weighted by its size.
double evaluate(tg::Sequential& net, const tg::Loader& loader) {
  double total = 0;
  for (const tg::Batch& batch : loader.epoch(0))
    total +=
        tg::mse_loss(net(batch.inputs), batch.inputs).item() * static_cast<double>(batch.inputs.shape()[0]);
  return total / static_cast<double>(loader.samples());
}

void write_reconstructions(tg::Sequential& net, const tg::Loader& test, const fs::path& path) {
  for (const tg::Batch& batch : test.epoch(0)) {
    const std::vector<tg::Tensor> rows = {batch.inputs, net(batch.inputs)};
    const tg::index_t shown = std::min<tg::index_t>(40, batch.inputs.shape()[0]);
    const std::vector<tg::Tensor> first = {tg::slice(rows[0], {{0, shown}}),
                                           tg::slice(rows[1], {{0, shown}})};
    tg::write_png(path, tg::sheet(first, {.columns = 20, .scale = 2, .labels = {"original", "drawn again"}}));
    return;
  }
}

void train(tg::Sequential& net, const Options& options, const tg::Loader& test, common::Processes& processes,
           TrainingRun& run) {
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters, {.learning_rate = options.learning_rate});
  run.add("net", net).add("adam", adam);
  const auto step = [&](const tg::Batch& batch) {
    // As a Tape around loss(batch) would, and faster: a few images at a time, on all threads of all processes.
    const auto [loss, gradients] =
        processes.gradient([&](const auto& part) { return tg::mse_loss(net(part[0]), part[0]); },
                           {batch.inputs}, batch.part, parameters);
    adam.step(gradients);
    return TrainingRun::Values{{"loss", loss}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"train_loss", run.mean("loss")}, {"test_loss", evaluate(net, test)}};
  };
  run.train(step, end_epoch);
  run.show_processes();
  run.draw(options.out / "loss.png", {{"loss", "training, each step"}, {"test_loss", "test, each epoch"}},
           {.title = "Mean squared error", .x_label = "epoch", .y_label = "MSE", .log_y = true});
}

// What the run leaves, written by process 0.
void write_results(tg::Sequential& net, const Options& options, const tg::Dataset& data,
                   const tg::Loader& test, const TrainingRun* training,
                   const std::vector<TrainingRun::ProcessSpeed>& processes, const cli::Program& program) {
  if (training != nullptr) {
    tg::write_safetensors(options.out / "weights.safetensors", net.state_view());
    tg::write_png(options.out / "filters.png", tg::filters_image(dynamic_cast<tg::Conv2D&>(net[0]).kernel));
  }
  write_reconstructions(net, test, options.out / "reconstructions.png");
  const double test_loss = evaluate(net, test);
  if (options.report)
    write_report(options.out / "report.html",
                 {.net = net,
                  .test = data,
                  .test_loss = test_loss,
                  .options = common::option_facts(program),
                  .metrics = training != nullptr ? &training->metrics() : nullptr,
                  .processes = processes});
  fmt::print("test loss {:.5f}; results are in {}\n", test_loss, options.out.string());
}

int run(const Options& options, const cli::Program& program) {
  common::Processes processes;
  const tg::ThreadCountScope threads(processes.threads(options.threads, program.given("--threads")));
  tg::Generator generator(options.seed);
  tg::Sequential net = make_net(options.net, generator);
  if (!options.load.empty()) net.load_state(tg::read_safetensors(options.load));

  const tg::Dataset data = common::read_digits(options.data, tg::Split::Test);
  const tg::Loader test(data.inputs, {}, {.batch_size = 500, .shuffle = false});
  processes.on_first([&] { common::prepare_out(options); });
  std::optional<tg::Loader> loader;
  std::optional<TrainingRun> training;
  std::vector<TrainingRun::ProcessSpeed> speeds;
  if (options.load.empty()) {
    loader.emplace(
        common::read_digits(options.data, tg::Split::Train).inputs, tg::Samples{},
        tg::LoaderOptions{.batch_size = options.batch, .seed = options.seed, .part = processes.part()});
    training.emplace(options, *loader, common::RunOptions{.metric = "test_loss", .processes = &processes});
    train(net, options, test, processes, *training);
    if (processes.are_started()) speeds = training->process_speeds();
  }
  processes.on_first(
      [&] { write_results(net, options, data, test, training ? &*training : nullptr, speeds, program); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program(
      "mnist_autoencoder",
      "Trains an autoencoder of Conv2DTranspose layers on handwritten digits, and shows what it reconstructs.");
  common::add_options(program, options);
  program.add_choice("--net", options.net, {"tutorial", "wide"},
                     "tutorial (16, 8 | 8, 16 | 1 filters) or wide (32, 64 | 64, 32 | 1)");
  program.add_flag("--report", options.report,
                   "write report.html to --out: one page about the run, to look at or to mail");
  return program.run(argc, argv, [&] { return run(options, program); });
}
