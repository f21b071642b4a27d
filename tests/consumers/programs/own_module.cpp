// A Module of one's own: layers in a vector, a parameter, saved and loaded, cloned, inside of a Sequential.
#include <cmath>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

struct Residual : tg::Module {
  Residual(tg::index_t features, int count, tg::Generator& generator)
      : gain(tg::parameter(tg::full(features, 0.5))) {
    for (int i = 0; i < count; ++i)
      layers.emplace_back(
          tg::DenseOptions{.in_features = features, .units = features, .activation = tg::tanh}, generator);
  }
  Residual(const Residual& other, tg::Cloning cloning) : layers(cloning(other.layers)), gain(other.gain) {}

  tg::Tensor forward(const tg::Tensor& x) override {
    tg::Tensor y = x;
    for (tg::Dense& layer : layers) y = y + gain * layer(y);
    return y;
  }
  void visit(tg::Visitor& visitor) override {
    for (std::size_t i = 0; i < layers.size(); ++i) visitor("layer" + std::to_string(i), layers[i]);
    visitor("gain", gain);
  }

  std::vector<tg::Dense> layers;
  tg::Tensor gain;
};

int main() {
  tg::Generator generator(1);
  tg::Sequential net{Residual(4, 2, generator), tg::Dense({.in_features = 4, .units = 1}, generator)};
  std::cout << net.summary({8, 4});
  tg::Adam adam(net.named_parameters(), {.learning_rate = 2e-2});
  const tg::Tensor x = tg::uniform({64, 4}, -1, 1, generator), y = tg::sum(x * x, 1, {.keepdims = true});
  const auto loss_of = [&](tg::Module& model) { return tg::mse_loss(model(x), y); };
  const double before = loss_of(net).item();
  tg::State best = net.state();
  for (int step = 0; step < 300; ++step) {
    tg::Tape tape;
    adam.step(tape.gradient(loss_of(net), net.parameters(), {.all_parameters = true}));
    if (step == 99) best = net.state();
  }
  const double after = loss_of(net).item();
  std::cout << "loss " << before << " -> " << after << "\n";
  if (!(after < 0.1 * before)) return 1;

  tg::Sequential copy = tg::clone(net);
  net.load_state(best);
  if (loss_of(copy).item() != after || loss_of(net).item() == after) return 2;

  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "tapegrad_own_module.safetensors";
  tg::write_safetensors(file, copy.state_view());
  net.load_state(tg::read_safetensors(file));
  std::filesystem::remove(file);
  return loss_of(net).item() == after ? 0 : 3;
}
