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
  tg::Sequential generator = make_net(2, 2, random), discriminator = make_net(2, 1, random);
  tg::Adam of_generator(generator.parameters(), {.learning_rate = 1e-3, .beta1 = 0.5}),
      of_discriminator(discriminator.parameters(), {.learning_rate = 1e-3, .beta1 = 0.5});
  const tg::Tensor yes = tg::ones({64, 1}), no = tg::zeros({64, 1});
  const auto noise = [&] { return tg::normal({64, 2}, 0, 1, random); };
  for (int step = 0; step < 600; ++step) {
    const tg::Tensor angle = tg::uniform({64, 1}, 0, 6.283185, random);
    const tg::Tensor real = tg::concat({tg::cos(angle), tg::sin(angle)}, 1);
    {
      const tg::Tensor fake = generator(noise());  // no tape is open: a constant for the discriminator
      tg::Tape tape;
      const tg::Tensor loss = tg::binary_cross_entropy_with_logits(discriminator(real), yes) +
                              tg::binary_cross_entropy_with_logits(discriminator(fake), no);
      of_discriminator.step(tape.gradient(loss, discriminator.parameters()));
    }
    tg::Tape tape;
    const tg::Tensor loss = tg::binary_cross_entropy_with_logits(discriminator(generator(noise())), yes);
    of_generator.step(tape.gradient(loss, generator.parameters()));  // the discriminator stays as it is
  }
  // One optimizer does not take the other's gradients.
  {
    tg::Tape tape;
    const tg::Tensor loss = tg::sum(discriminator(generator(noise())));
    try {
      of_discriminator.step(tape.gradient(loss, generator.parameters()));
      return 1;
    } catch (const tg::Error& error) {
      std::cout << error.what() << "\n";
    }
  }
  const double radius = tg::mean(tg::norm(generator(tg::normal({512, 2}, 0, 1, random)), 1)).item();
  std::cout << "mean radius: " << radius << "\n";
  return std::abs(radius - 1) < 0.3 ? 0 : 2;
}
