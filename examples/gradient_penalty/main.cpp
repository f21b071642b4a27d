// A critic that tells drawn digits from blurred noise, kept 1-Lipschitz by a gradient penalty (Gulrajani et
// al., "Improved training of Wasserstein GANs", 2017): its gradient with respect to its input should have
// length 1 on the way from one kind of image to the other. The penalty holds a gradient, and training takes
// the gradient of that.

#include <fmt/format.h>

#include <filesystem>

#include "common/options.h"
#include "common/training_run.h"
#include "digits/digits.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

using common::TrainingRun;

// Of the penalty in the loss. The two kinds of images are about 12 apart: with the customary 10 it would pay
// to be steeper than 1 by 12 / 20.
constexpr double kWeight = 100;

struct Options : common::TrainingOptions {
  tg::index_t steps = 150;
};

tg::Sequential make_critic(tg::Generator& generator) {
  const auto conv = [&](tg::index_t in, tg::index_t out) {
    return tg::Conv2D({.in_channels = in,
                       .filters = out,
                       .kernel_size = 3,
                       .strides = 2,
                       .padding = tg::Padding::Same,
                       .activation = tg::tanh},
                      generator);
  };
  return tg::Sequential{conv(1, 8), conv(8, 16), tg::Flatten(),
                        tg::Dense({.in_features = 7 * 7 * 16, .units = 1}, generator)};
}

tg::Tensor drawn_digits(tg::index_t count, tg::Generator& generator) {
  tg::Tensor images = tg::zeros({count, 28, 28, 1}, tg::DType::UInt8);
  std::uint8_t* pixels = images.mutable_data<std::uint8_t>();
  for (tg::index_t i = 0; i < count; ++i)
    digits::draw_digit(static_cast<int>(generator.integer(10)), generator,
                       std::span<std::uint8_t, digits::kDigitPixels>(pixels + i * 784, digits::kDigitPixels));
  return tg::cast(images, tg::DType::Float32) / 255.0;
}

tg::Tensor blurred_noise(tg::index_t count, tg::Generator& generator) {
  const tg::Tensor noise = tg::uniform({count, 28, 28, 1}, 0, 1, generator);
  return tg::conv2d(noise, tg::full({5, 5, 1, 1}, 1.0 / 25), {.padding = tg::Padding::Same});
}

// The mean of (|gradient of the critic at x| - 1)^2 at random points between the two kinds of images.
tg::Tensor penalty(tg::Module& critic, const tg::Tensor& real, const tg::Tensor& fake,
                   tg::Generator& generator) {
  const tg::Tensor mix = tg::uniform({real.shape()[0], 1, 1, 1}, 0, 1, generator);
  tg::Tape tape;  // inside the training step's tape: its gradient is recorded there
  const tg::Tensor between = tape.watch(mix * real + (1.0 - mix) * fake);
  const tg::Tensor slope = tape.gradient(tg::sum(critic(between)), between);
  const tg::Tensor length = tg::sqrt(tg::sum(tg::square(slope), {1, 2, 3}) + 1e-12);
  return tg::mean(tg::square(length - 1.0));
}

// Whether the penalty fell.
bool train(tg::Sequential& critic, const Options& options, tg::Generator& generator) {
  const std::vector<tg::Tensor> parameters = critic.parameters();
  tg::Adam adam(parameters, {.learning_rate = 1e-3, .beta1 = 0.5, .beta2 = 0.9});
  TrainingRun run(options, {.total = options.steps, .per_epoch = 25});
  run.add("critic", critic).add("adam", adam).add("generator", generator).require("--batch", options.batch);
  const auto step = [&] {
    const tg::Tensor real = drawn_digits(options.batch, generator),
                     fake = blurred_noise(options.batch, generator);
    tg::Tape tape;
    const tg::Tensor distance = tg::mean(critic(real)) - tg::mean(critic(fake));
    const tg::Tensor term = penalty(critic, real, fake, generator);
    adam.step(tape.gradient(kWeight * term - distance, parameters));
    return TrainingRun::Values{{"penalty", term.item()}, {"distance", distance.item()}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"mean_penalty", run.mean("penalty")},
                               {"mean_distance", run.mean("distance")}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "training.png",
           {{"penalty", "gradient penalty"}, {"distance", "distance of the two kinds of images"}},
           {.title = "A critic with a gradient penalty",
            .x_label = "step",
            .y_label = "logarithmic",
            .log_y = true});

  const std::vector<double> penalties = run.metrics().series("step", "penalty", "").y,
                            distances = run.metrics().series("step", "distance", "").y;
  const bool fallen = penalties.back() < 0.2 * penalties.front() && distances.back() > 0;
  fmt::print("the penalty {} from {:.4f} to {:.4f}; results are in {}\n",
             fallen ? "fell" : "did not fall to a fifth: it went", penalties.front(), penalties.back(),
             options.out.string());
  return fallen;
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  common::prepare_out(options);
  tg::Generator generator(options.seed);
  tg::Sequential critic = make_critic(generator);
  const bool fallen = train(critic, options, generator);
  tg::write_safetensors(options.out / "weights.safetensors", critic.state_view());
  return fallen ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options{{.batch = 32}};
  cli::Program program("gradient_penalty",
                       "Trains a critic with a gradient penalty; exits with 0 if the penalty falls.");
  program.add_whole("--steps", options.steps, 1, "training steps; an epoch has 25 of them", 100'000'000);
  program.add_whole("--batch", options.batch, 1, "images of each kind in a step");
  common::add_run_options(program, options);
  return program.run(argc, argv, [&] { return run(options); });
}
