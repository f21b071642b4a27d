// Two nets against each other, each with an optimizer of its own: points are to be drawn from a circle.
#include <cmath>
#include <iostream>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

tg::Sequential make_net(tg::index_t in, tg::index_t out, tg::Generator& generator) {
  return tg::Sequential{tg::Dense({.in_features = in, .units = 32, .activation = tg::leaky_relu}, generator),
                        tg::Dense({.in_features = 32, .units = 32, .activation = tg::leaky_relu}, generator),
                        tg::Dense({.in_features = 32, .units = out}, generator)};
}

int main() {
  tg::Generator random(1);
  tg::Sequential generator_net = make_net(2, 2, random), discriminator_net = make_net(2, 1, random);
  tg::Adam generator_adam(generator_net.parameters(), {.learning_rate = 1e-3, .beta1 = 0.5}),
      discriminator_adam(discriminator_net.parameters(), {.learning_rate = 1e-3, .beta1 = 0.5});
  const tg::Tensor real_labels = tg::ones({64, 1}), fake_labels = tg::zeros({64, 1});
  const auto noise = [&] { return tg::normal({64, 2}, 0, 1, random); };
  for (int step = 0; step < 600; ++step) {
    const tg::Tensor angle = tg::uniform({64, 1}, 0, 6.283185, random);
    const tg::Tensor real = tg::concat({tg::cos(angle), tg::sin(angle)}, 1);
    {
      const tg::Tensor fake = generator_net(noise());  // no tape is open: a constant for the discriminator
      tg::Tape tape;
      const tg::Tensor loss = tg::binary_cross_entropy_with_logits(discriminator_net(real), real_labels) +
                              tg::binary_cross_entropy_with_logits(discriminator_net(fake), fake_labels);
      discriminator_adam.step(tape.gradient(loss, discriminator_net.parameters()));
    }
    tg::Tape tape;
    const tg::Tensor loss =
        tg::binary_cross_entropy_with_logits(discriminator_net(generator_net(noise())), real_labels);
    generator_adam.step(tape.gradient(loss, generator_net.parameters()));  // the discriminator stays as it is
  }
  // One optimizer does not take the other's gradients.
  {
    tg::Tape tape;
    const tg::Tensor loss = tg::sum(discriminator_net(generator_net(noise())));
    try {
      discriminator_adam.step(tape.gradient(loss, generator_net.parameters()));
      return 1;
    } catch (const tg::Error& error) {
      std::cout << error.what() << "\n";
    }
  }
  const double radius = tg::mean(tg::norm(generator_net(tg::normal({512, 2}, 0, 1, random)), 1)).item();
  std::cout << "mean radius: " << radius << "\n";
  return std::abs(radius - 1) < 0.3 ? 0 : 2;
}
