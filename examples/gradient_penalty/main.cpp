// A critic that tells drawn digits from blurred noise, kept 1-Lipschitz by a gradient penalty (Gulrajani et
// al., "Improved training of Wasserstein GANs", 2017): its gradient with respect to its input should have
// length 1 on the way from one kind of image to the other. The penalty holds a gradient, and training takes
// the gradient of that.

#include <fmt/format.h>

#include <filesystem>

#include "common/interrupt.h"
#include "common/options.h"
#include "digits/digits.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

// Of the penalty in the loss. The two kinds of images are about 12 apart: with the customary 10 it would pay
// to be steeper than 1 by 12 / 20.
constexpr double kWeight = 100;

struct Options {
  tg::index_t steps = 150;
  tg::index_t batch = 32;
  std::uint64_t seed = 1;
  std::filesystem::path out = "out/gradient_penalty";
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

int run(const Options& options) {
  common::make_folder(options.out);
  tg::Generator generator(options.seed);
  tg::Sequential critic = make_critic(generator);
  const auto parameters = critic.parameters();
  tg::Adam adam(parameters, {.learning_rate = 1e-3, .beta1 = 0.5, .beta2 = 0.9});
  tg::Series penalties{.name = "gradient penalty", .x = {}, .y = {}},
      distances{.name = "distance", .x = {}, .y = {}};
  const common::InterruptScope interrupt;  // Ctrl-C: the picture of what was done so far
  for (tg::index_t step = 1; step <= options.steps && !interrupt.requested(); ++step) {
    const tg::Tensor real = drawn_digits(options.batch, generator),
                     fake = blurred_noise(options.batch, generator);
    tg::Tape tape;
    const tg::Tensor distance = tg::mean(critic(real)) - tg::mean(critic(fake));
    const tg::Tensor term = penalty(critic, real, fake, generator);
    adam.step(tape.gradient(kWeight * term - distance, parameters));
    penalties.x.push_back(static_cast<double>(step));
    penalties.y.push_back(term.item());
    distances.x.push_back(static_cast<double>(step));
    distances.y.push_back(distance.item());
    if (step == 1 || step % 25 == 0)
      fmt::print("step {:>4}  penalty {:.4f}  distance of the kinds {:.3f}\n", step, term.item(),
                 distance.item());
  }
  if (penalties.y.empty()) throw cli::Interrupted{"interrupted before the first step"};
  const std::vector<tg::Series> series = {penalties, distances};
  tg::write_png(options.out / "training.png",
                tg::line_chart(series, {.title = "A critic with a gradient penalty",
                                        .x_label = "step",
                                        .y_label = "logarithmic",
                                        .log_y = true}));
  if (interrupt.requested())
    throw cli::Interrupted{fmt::format("interrupted; the picture of {} steps is in {}", penalties.y.size(),
                                       options.out.string())};
  const bool fallen = penalties.y.back() < 0.2 * penalties.y.front() && distances.y.back() > 0;
  fmt::print("the penalty {} from {:.4f} to {:.4f}; the picture is in {}\n",
             fallen ? "fell" : "did not fall to a fifth: it went", penalties.y.front(), penalties.y.back(),
             options.out.string());
  return fallen ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program("gradient_penalty",
                       "Trains a critic with a gradient penalty; exits with 0 if the penalty falls.");
  program.add_whole("--steps", options.steps, 1, "training steps");
  program.add_whole("--batch", options.batch, 1, "images of each kind in a step");
  program.add_whole("--seed", options.seed, 0, "seed of the weights and images");
  program.add_path("--out", options.out, "FOLDER", "folder for the picture, created if missing");
  return program.run(argc, argv, [&] { return run(options); });
}
