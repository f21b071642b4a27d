// A variational autoencoder (Kingma and Welling, "Auto-encoding variational Bayes", 2014) of handwritten
// digits: the encoder gives each image a normal distribution of codes, close to the standard one; the decoder
// draws the image from a code. What it draws from any random code is then a digit that nobody wrote.

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/judge.h"
#include "common/options.h"
#include "common/pictures.h"
#include "common/training_run.h"
#include "mnist_vae/vae.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

using common::TrainingRun;
using mnist_vae::Vae;

struct Options : common::TrainingOptions {
  tg::index_t code = 10;
  fs::path classifier = {};
};

/// The two parts of the negative evidence lower bound, both for an image.
struct Loss {
  tg::Tensor reconstruction, divergence;
};

Loss loss_of(Vae& vae, const tg::Tensor& images, tg::Generator& generator) {
  const auto [mean, log_variance] = vae.encode(images);
  const tg::Tensor noise = tg::normal(mean.shape(), 0, 1, generator);
  const tg::Tensor codes = mean + tg::exp(0.5 * log_variance) * noise;
  const tg::Tensor cross_entropy =
      tg::binary_cross_entropy_with_logits(vae.decoder(codes), images, {.reduction = tg::Reduction::Sum});
  return {.reconstruction = cross_entropy / static_cast<double>(images.shape()[0]),
          .divergence = tg::kl_to_standard_normal(mean, log_variance)};
}

/// The mean over all images.
double evaluate(Vae& vae, const tg::Loader& loader) {
  tg::Generator generator(0);  // the same noise every time
  double total = 0;
  for (const tg::Batch& batch : loader.epoch(0)) {
    const auto [reconstruction, divergence] = loss_of(vae, batch.inputs, generator);
    total += (reconstruction + divergence).item() * static_cast<double>(batch.inputs.shape()[0]);
  }
  return total / static_cast<double>(loader.samples());
}

void train(Vae& vae, const Options& options, const tg::Loader& test, tg::Generator& generator) {
  const tg::Loader loader(common::read_digits(options.data, tg::Split::Train),
                          {.batch_size = options.batch, .seed = options.seed});
  const std::vector<tg::Tensor> parameters = vae.parameters();
  tg::Adam adam(parameters);
  tg::Schedule schedule = tg::cosine_decay(
      {.learning_rate = options.learning_rate, .steps = TrainingRun::planned_steps(options, loader)});
  TrainingRun run(options, loader, {.metric = "test_loss"});
  run.add("vae", vae).add("adam", adam).add("schedule", schedule).add("generator", generator);
  run.require("--epochs", options.epochs);
  const auto step = [&](const tg::Batch& batch) {
    tg::Tape tape;
    const auto [reconstruction, divergence] = loss_of(vae, batch.inputs, generator);
    const tg::Tensor loss = reconstruction + divergence;
    adam.set_learning_rate(schedule.learning_rate());
    adam.step(tape.gradient(loss, parameters));
    schedule.step();
    return TrainingRun::Values{{"loss", loss.item()}, {"divergence", divergence.item()}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"train_loss", run.mean("loss")}, {"test_loss", evaluate(vae, test)}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "loss.png", {{"train_loss", "training"}, {"test_loss", "test"}},
           {.title = "Negative evidence lower bound", .x_label = "epoch", .y_label = "nats per image"});
}

/// A line of images for each two neighbours among the digits, such as 0 and 1: from the code of the one in a straight line
/// to that of the other. Digits that the data lack are left out.
tg::Image latent_walk(Vae& vae, const tg::Dataset& data) {
  std::vector<tg::Tensor> digits(10);  // the first image of each
  for (tg::index_t i = data.inputs.size() - 1; i >= 0; --i)
    digits.at(static_cast<std::size_t>(data.targets[i].item())) = data.inputs[i];
  std::vector<tg::Tensor> images;
  std::vector<int> names;
  for (int digit = 0; digit < 10; ++digit)
    if (const tg::Tensor& image = digits[static_cast<std::size_t>(digit)]; image.defined()) {
      images.push_back(image);
      names.push_back(digit);
    }
  const tg::Tensor codes = vae.encode(tg::cast(tg::stack(images), tg::DType::Float32) / 255.0).mean;

  constexpr int kStages = 12;
  std::vector<tg::Tensor> lines;
  std::vector<std::string> labels;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    const auto from = static_cast<tg::index_t>(i);
    std::vector<tg::Tensor> walk;
    for (int stage = 0; stage < kStages; ++stage) {
      const double way = static_cast<double>(stage) / (kStages - 1);
      walk.push_back((1.0 - way) * tg::row(codes, from) + way * tg::row(codes, from + 1));
    }
    lines.push_back(vae.draw(tg::stack(walk)));
    labels.push_back(fmt::format("{} to {}", names[i], names[i + 1]));
  }
  return tg::sheet(lines, {.columns = kStages, .scale = 2, .labels = labels});
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator generator(options.seed);
  Vae vae(options.code, generator);
  const tg::Dataset data = common::read_digits(options.data, tg::Split::Test);
  const tg::Loader test(data, {.batch_size = 500, .shuffle = false});
  common::prepare_out(options);
  std::optional<tg::Sequential> judge = common::read_judge(options.classifier);
  if (options.load.empty()) {
    train(vae, options, test, generator);
    tg::write_safetensors(options.out / "weights.safetensors", vae.state_view());
  } else {
    vae.load_state(tg::read_safetensors(options.load));
  }

  tg::Generator sampler(options.seed, 1);
  const tg::Tensor samples = vae.draw(tg::normal({1000, options.code}, 0, 1, sampler));
  tg::write_png(options.out / "samples.png",
                common::with_caption(tg::grid(tg::slice(samples, {{0, 100}}), {.columns = 20, .scale = 2}),
                                     "digits that the decoder drew from random codes"));
  tg::write_png(options.out / "walk.png", latent_walk(vae, data));
  if (!judge) judge = common::train_judge(options);
  common::print_digits(*judge, samples);
  fmt::print(
      "samples.png: digits drawn from random codes; walk.png: each line leads from one digit's code to the "
      "next one's\n");
  fmt::print("test loss {:.2f}; results are in {}\n", evaluate(vae, test), options.out.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options{{.epochs = 20, .batch = 64, .learning_rate = 2e-3}};
  cli::Program program("mnist_vae",
                       "Trains a variational autoencoder on handwritten digits, and draws digits with it.");
  common::add_options(program, options);
  program.add_whole("--code", options.code, 1, "size of the code, the numbers that describe a digit",
                    1'000'000);
  program.add_path("--classifier", options.classifier, "FILE",
                   "weights of mnist_classifier, to count the digits among the samples (default: train one)");
  return program.run(argc, argv, [&] { return run(options); });
}
