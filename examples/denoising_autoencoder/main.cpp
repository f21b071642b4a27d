// Trains an autoencoder to take the noise from handwritten digits: it sees a noisy image, and is told how far
// what it draws is from the clean one (Vincent et al., "Extracting and composing robust features with
// denoising autoencoders", 2008).

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "common/options.h"
#include "common/training_run.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

using common::TrainingRun;

struct Options : common::TrainingOptions {
  double noise = 0.5;
};

tg::Sequential make_net(tg::Generator& generator) {
  const auto conv = [&](tg::index_t in, tg::index_t filters, tg::index_t strides, tg::Activation activation) {
    return tg::Conv2D({.in_channels = in,
                       .filters = filters,
                       .kernel_size = 3,
                       .strides = strides,
                       .padding = tg::Padding::Same,
                       .activation = activation},
                      generator);
  };
  const auto transpose = [&](tg::index_t in, tg::index_t filters) {
    return tg::Conv2DTranspose({.in_channels = in,
                                .filters = filters,
                                .kernel_size = 3,
                                .strides = 2,
                                .padding = tg::Padding::Same,
                                .activation = tg::relu},
                               generator);
  };
  return tg::Sequential{conv(1, 16, 1, tg::relu),   // 28 x 28
                        conv(16, 32, 2, tg::relu),  // 14 x 14
                        conv(32, 32, 2, tg::relu),  // 7 x 7
                        transpose(32, 32),         transpose(32, 16), conv(16, 1, 1, nullptr)};
}

/// The images with noise of a normal distribution, cut off at black and white.
tg::Tensor with_noise(const tg::Tensor& images, double standard_deviation, tg::Generator generator) {
  return tg::clamp(images + tg::normal(images.shape(), 0, standard_deviation, generator), 0, 1);
}

/// What the net makes of test digits. Their noise is always the same, and never that of the training.
struct Denoised {
  tg::Tensor clean, noisy, denoised;
  double error_of(const tg::Tensor& images) const { return tg::mse_loss(images, clean).item(); }
};

Denoised denoise(tg::Sequential& net, const tg::Samples& images, double noise) {
  std::vector<tg::Tensor> clean, noisy, denoised;
  for (const tg::Batch& batch : tg::Loader(images, {}, {.batch_size = 500, .shuffle = false}).epoch(0)) {
    clean.push_back(batch.inputs);
    noisy.push_back(
        with_noise(batch.inputs, noise, tg::Generator(0, static_cast<std::uint64_t>(batch.first))));
    denoised.push_back(net(noisy.back()));
  }
  return {tg::concat(clean), tg::concat(noisy), tg::concat(denoised)};
}

void train(tg::Sequential& net, const Options& options, const tg::Samples& test) {
  const tg::Loader loader(common::read_digits(options.data, tg::Split::Train).inputs, {},
                          {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = net.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule = tg::one_cycle(
      {.max_learning_rate = options.learning_rate, .steps = TrainingRun::planned_steps(options, loader)});
  const tg::Generator noise(options.seed, 1);
  TrainingRun run(options, loader, {.metric = "test_loss"});
  run.add("net", net).add("adam", adam).add("schedule", schedule);
  run.require("--epochs", options.epochs).require("--noise", options.noise);
  const auto step = [&](const tg::Batch& batch) {
    const tg::Generator own = noise.child(static_cast<std::uint64_t>(run.steps()));
    const tg::Tensor noisy = with_noise(batch.inputs, options.noise, own);
    tg::Tape tape;
    const tg::Tensor loss = tg::mse_loss(net(noisy), batch.inputs);
    adam.set_learning_rate(schedule.learning_rate());
    adam.step(tape.gradient(loss, parameters));
    schedule.step();
    return TrainingRun::Values{{"loss", loss.item()}};
  };
  const auto end_epoch = [&] {
    const Denoised result = denoise(net, test, options.noise);
    return TrainingRun::Values{{"train_loss", run.mean("loss")},
                               {"test_loss", result.error_of(result.denoised)}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "loss.png", {{"train_loss", "training"}, {"test_loss", "test"}},
           {.title = "Mean squared error", .x_label = "epoch", .y_label = "MSE", .log_y = true});
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  tg::Sequential net = make_net(generator);
  const tg::Samples test = common::read_digits(options.data, tg::Split::Test).inputs;
  common::prepare_out(options);
  if (options.load.empty()) {
    train(net, options, test);
    tg::write_safetensors(options.out / "weights.safetensors", net.state_view());
  } else {
    net.load_state(tg::read_safetensors(options.load));
  }

  const Denoised result = denoise(net, test, options.noise);
  std::vector<tg::Tensor> rows;
  for (const tg::Tensor& images : {result.clean, result.noisy, result.denoised})
    rows.push_back(tg::slice(images, {{0, 16}}));
  tg::write_png(options.out / "denoised.png",
                tg::sheet(rows, {.columns = 16, .scale = 2, .labels = {"clean", "noisy", "denoised"}}));
  fmt::print("MSE of noisy digits {:.5f}, denoised {:.5f}; results are in {}\n",
             result.error_of(result.noisy), result.error_of(result.denoised), options.out.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.epochs = 5;
  options.batch = 64;
  options.learning_rate = 4e-3;
  cli::Program program("denoising_autoencoder",
                       "Trains an autoencoder to take the noise from handwritten digits.");
  common::add_options(program, options);
  program.add_number("--noise", options.noise, "standard deviation of the noise; white is 1");
  return program.run(argc, argv, [&] { return run(options); });
}
