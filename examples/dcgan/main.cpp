// A deep convolutional generative adversarial network (Radford, Metz and Chintala, "Unsupervised
// representation learning with deep convolutional generative adversarial networks", 2016) of handwritten
// digits: the generator draws digits from random codes, the discriminator tells them from real ones, and each
// learns from the other.

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "common/judge.h"
#include "common/options.h"
#include "common/pictures.h"
#include "common/training_run.h"
#include "dcgan/networks.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

using common::TrainingRun;
using dcgan::kCode;
using dcgan::make_discriminator;
using dcgan::make_generator;

struct Options : common::TrainingOptions {
  fs::path classifier = {};
};

tg::Tensor random_codes(tg::index_t count, tg::Generator& generator) {
  return tg::normal({count, kCode}, 0, 1, generator);
}

/// How far the discriminator, with these logits, is from calling all images real (1) or drawn (0).
tg::Tensor loss_of(const tg::Tensor& logits, double target) {
  return tg::binary_cross_entropy_with_logits(logits, tg::full(logits.shape(), target));
}

void train(tg::Sequential& generator, const Options& options, tg::Generator& random) {
  const tg::Loader loader(common::read_digits(options.data, tg::Split::Train),
                          {.batch_size = options.batch,
                           .seed = options.seed,
                           .drop_last = true,
                           .transform = tg::normalize({0.5}, {0.5})});
  tg::Sequential discriminator = make_discriminator(random);
  const std::vector<tg::Tensor> generator_parameters = generator.parameters(),
                                discriminator_parameters = discriminator.parameters();
  const tg::AdamOptions adam_options{.learning_rate = options.learning_rate, .beta1 = 0.5};
  tg::Adam generator_adam(generator_parameters, adam_options),
      discriminator_adam(discriminator_parameters, adam_options);
  TrainingRun run(options, loader);
  run.add("generator", generator).add("discriminator", discriminator);
  run.add("draws", generator_adam).add("tells", discriminator_adam).add("random", random);
  const auto step = [&](const tg::Batch& batch) {
    double discriminator_loss = 0, generator_loss = 0;
    {
      const tg::Tensor drawn = generator(random_codes(options.batch, random));
      tg::Tape tape;
      // Not quite 1, lest it becomes too sure to teach anything (Salimans et al. 2016).
      const tg::Tensor of_real = loss_of(discriminator(batch.inputs), 0.9);
      const tg::Tensor of_drawn =
          loss_of(discriminator(drawn), 0);  // after it: compilers choose an order in a + b
      const tg::Tensor loss = of_real + of_drawn;
      discriminator_adam.step(tape.gradient(loss, discriminator_parameters));
      discriminator_loss = loss.item();
    }
    {
      tg::Tape tape;
      const tg::Tensor loss = loss_of(discriminator(generator(random_codes(options.batch, random))), 1);
      generator_adam.step(tape.gradient(loss, generator_parameters));
      generator_loss = loss.item();
    }
    return TrainingRun::Values{{"discriminator", discriminator_loss}, {"generator", generator_loss}};
  };
  const auto end_epoch = [&] {
    return TrainingRun::Values{{"discriminator_loss", run.mean("discriminator")},
                               {"generator_loss", run.mean("generator")}};
  };
  run.train(step, end_epoch);
  run.draw(options.out / "loss.png",
           {{"discriminator_loss", "discriminator"}, {"generator_loss", "generator"}},
           {.title = "Binary cross-entropy", .x_label = "epoch", .y_label = ""});
}

int run(const Options& options) {
  const tg::ThreadCountScope threads(options.threads);
  tg::Generator random(options.seed);
  tg::Sequential generator = make_generator(random);
  common::prepare_out(options);
  std::optional<tg::Sequential> judge = common::read_judge(options.classifier);
  if (options.load.empty()) {
    train(generator, options, random);
    tg::write_safetensors(options.out / "weights.safetensors", generator.state_view());
  } else {
    generator.load_state(tg::read_safetensors(options.load));
  }

  generator.eval();
  tg::Generator sampler(options.seed, 1);
  const tg::Tensor samples = (generator(random_codes(1000, sampler)) + 1.0) / 2.0;
  tg::write_png(options.out / "samples.png",
                common::with_caption(tg::grid(tg::slice(samples, {{0, 100}}), {.columns = 20, .scale = 2}),
                                     "digits that the generator drew from random codes"));
  if (!judge) judge = common::train_judge(options);
  common::print_digits(*judge, samples);
  fmt::print("samples.png: digits that the generator drew from random codes\n");
  fmt::print("the results are in {}\n", options.out.string());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options{{.epochs = 20, .batch = 64, .learning_rate = 5e-4}};
  cli::Program program("dcgan", "Trains a generator of handwritten digits against a discriminator.");
  common::add_options(program, options);
  program.add_path("--classifier", options.classifier, "FILE",
                   "weights of mnist_classifier, to count the digits among the samples (default: train one)");
  return program.run(argc, argv, [&] { return run(options); });
}
