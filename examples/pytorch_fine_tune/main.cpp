// Takes a model that PyTorch trained, trains it on, and gives it back: README.md, beside this file, and train.py.
//   pytorch_fine_tune WEIGHTS.pt DATA.npz TUNED.pt [STEPS]
//   pytorch_fine_tune MODEL.onnx DATA.npz TUNED.onnx [STEPS]

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "tapegrad/exchange/exchange.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

namespace {

// The layers of the model in train.py, under names of their own.
struct Classifier : tg::Module {
  explicit Classifier(tg::Generator& generator)
      : conv({.in_channels = 1, .filters = 6, .kernel_size = 3, .activation = tg::relu}, generator),
        norm({.channels = 6,
              .momentum = 0.9,
              .epsilon = 1e-5,
              .moving_variance = tg::MovingVariance::Unbiased}),
        hidden({.in_features = 54, .units = 16, .activation = tg::tanh}, generator),
        last({.in_features = 16, .units = 3}, generator) {}
  tg::Tensor forward(const tg::Tensor& x) override {
    return last(hidden(flatten(tg::max_pool2d(norm(conv(x))))));
  }
  void visit(tg::Visitor& visitor) override {
    visitor("conv", conv);
    visitor("norm", norm);
    visitor("flatten", flatten);
    visitor("hidden", hidden);
    visitor("last", last);
  }
  tg::Conv2D conv;
  tg::BatchNorm norm;
  tg::Flatten flatten;
  tg::Dense hidden, last;
};

/// Trains, and prints the loss before each step.
void train(tg::Module& net, const tg::Tensor& images, const tg::Tensor& labels, int steps) {
  tg::SGD sgd(net.parameters(), {.learning_rate = 0.05, .momentum = 0.9});
  for (int step = 0; step < steps; ++step) {
    tg::Tape tape;
    const tg::Tensor loss = tg::cross_entropy(net(images), labels);
    std::printf("%.9g\n", static_cast<double>(loss.item()));
    sgd.step(tape.gradient(loss, net.parameters()));
  }
}

/// A model of one's own with PyTorch's weights.
void fine_tune_weights(const std::string& weights, const tg::State& data, const std::string& tuned,
                       int steps) {
  tg::Generator generator(1);
  Classifier net(generator);
  // The images are [6, 3, 3] (channels, height, width) where PyTorch flattens them.
  const tg::WeightMatch match =
      tg::load_weights(net, tg::read_pytorch(weights, {.under = "model"}),
                       {.layout = tg::Layout::OIHW, .by_order = true, .flattened = {{"hidden", {6, 3, 3}}}});
  std::cerr << match.table();
  train(net, tg::nchw_to_nhwc(*data.find("images")), *data.find("labels"), steps);
  tg::write_pytorch(tuned, tg::pytorch_state(net, {.flattened = {{"hidden", {6, 3, 3}}}}));
}

/// The model and its weights out of one file: nothing of it has to be written again.
void fine_tune_model(const std::string& model, const tg::State& data, const std::string& tuned, int steps) {
  tg::OnnxModel net = tg::load_onnx(model);  // takes images as PyTorch does: [n, channels, height, width]
  net.train();
  const tg::Tensor& images = *data.find("images");
  train(net, images, *data.find("labels"), steps);
  tg::save_onnx(tuned, net, images, {.input_names = {"images"}, .output_names = {"logits"}});
}

void fine_tune(const std::string& from, const std::string& data_file, const std::string& tuned, int steps) {
  const tg::State data{.tensors = tg::read_npz(data_file)};
  from.ends_with(".onnx") ? fine_tune_model(from, data, tuned, steps)
                          : fine_tune_weights(from, data, tuned, steps);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::cerr
        << "usage: pytorch_fine_tune WEIGHTS.pt or MODEL.onnx, DATA.npz, TUNED.pt or TUNED.onnx [STEPS]\n";
    return 2;
  }
  try {
    fine_tune(argv[1], argv[2], argv[3], argc == 5 ? std::atoi(argv[4]) : 10);
  } catch (const tg::Error& error) {
    std::cerr << "pytorch_fine_tune: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
