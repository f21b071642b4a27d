// Tells stripes across from stripes along, out of arrays in .npy files, with the library that knows no files but those and
// safetensors; saves the weights, and loads them again.
#include <filesystem>
#include <iostream>
#include <vector>

#include "tapegrad/tapegrad.h"

#if __has_include("tapegrad/io/csv.h") || __has_include("tapegrad/io/image.h") || \
                                                        __has_include("tapegrad/show/plot.h")
#error "a minimal library must not bring headers of what it leaves out"
#endif

namespace tg = tapegrad;

namespace {

constexpr int kImages = 128, kSide = 8;

tg::Sequential make_net(tg::Generator& generator) {
  return tg::Sequential{
      tg::Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .activation = tg::relu}, generator),
      tg::BatchNorm({.channels = 8}), tg::MaxPooling2D({.pool_size = 2}), tg::Flatten(),
      tg::Dense({.in_features = 72, .units = 2}, generator)};
}

void write_data(tg::Generator& generator) {
  std::vector<float> stripes;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < kImages; ++i) {
    labels.push_back(i % 2);
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x) stripes.push_back(static_cast<float>((i % 2 == 0 ? x : y) / 2 % 2));
  }
  const tg::Tensor noise = tg::normal({kImages, kSide, kSide, 1}, 0, 0.5, generator);
  tg::write_npy("images.npy", tg::tensor(stripes, noise.shape()) + noise);
  tg::write_npy("labels.npy", tg::tensor(labels, {kImages}));
}

}  // namespace

int main() {
  tg::Generator generator(1);
  write_data(generator);
  tg::Sequential net = make_net(generator);
  tg::Adam adam(net.parameters(), {.learning_rate = 1e-2});
  const tg::Loader loader(tg::open_npy("images.npy"), tg::read_npy("labels.npy"), {.batch_size = 32});
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 20; ++epoch)
    for (const tg::Batch& batch : loader.epoch(epoch)) {
      tg::Tape tape;
      const tg::Tensor loss = tg::cross_entropy(net(batch.inputs), batch.targets);
      adam.step(tape.gradient(loss, net.parameters()));
      last = loss.item();
      if (first == 0) first = last;
    }
  std::cout << "loss " << first << " -> " << last << "\n";

  tg::write_safetensors("weights.safetensors", net.state_view());
  tg::Sequential loaded = make_net(generator);
  loaded.load_state(tg::read_safetensors("weights.safetensors"));
  const tg::Tensor images = tg::read_npy("images.npy");
  net.eval();
  loaded.eval();
  const bool same = tg::max(tg::abs(net(images) - loaded(images))).item() == 0;
  for (const char* file : {"images.npy", "labels.npy", "weights.safetensors"}) std::filesystem::remove(file);
  return last < 0.1 * first && same ? 0 : 1;
}
