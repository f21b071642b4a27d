// A program without RTTI: a Module of its own, of layers and activations, that it trains, saves, loads, clones and shows.
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include "tapegrad/tapegrad.h"

#ifdef __GXX_RTTI
#error "compile with -fno-rtti"
#endif

namespace tg = tapegrad;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "without_rtti: " << what << "\n";
  ++failures;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const tg::Error& error) {
    return error.what();
  }
  return "no error";
}

struct Classifier : tg::Module {
  explicit Classifier(tg::Generator& generator)
      : body(
            tg::Conv2D({.in_channels = 1, .filters = 4, .kernel_size = 3, .activation = tg::relu}, generator),
            tg::BatchNorm({.channels = 4}), tg::LeakyReLU(0.1), tg::MaxPooling2D({.pool_size = 2}),
            tg::Flatten(), tg::Dense({.in_features = 36, .units = 8, .activation = tg::Tanh()}, generator)),
        head({.in_features = 8, .units = 1}, generator),
        gain(tg::parameter(tg::ones({1}))) {}
  Classifier(const Classifier& other, tg::Cloning cloning)
      : body(other.body, cloning), head(other.head, cloning), gain(other.gain) {}

  tg::Tensor forward(const tg::Tensor& x) override { return gain * head(body(x)); }
  void visit(tg::Visitor& visitor) override {
    visitor("body", body);
    visitor("head", head);
    visitor("gain", gain);
  }

  tg::Sequential body;
  tg::Dense head;
  tg::Tensor gain;
};

struct Derived : Classifier {
  explicit Derived(tg::Generator& generator) : Classifier(generator) {}
};

struct Filter : tg::Module {
  Filter() : filter(tg::parameter(tg::zeros({1, 2, 3, 4}))) {}
  tg::Tensor forward(const tg::Tensor& x) override { return tg::conv2d(x, filter); }
  void visit(tg::Visitor& visitor) override { visitor("filter", filter); }
  tg::Tensor filter;
};

}  // namespace

int main(int count, char** arguments) {
  const std::string path = count > 1 ? arguments[1] : "without_rtti.safetensors";
  tg::Generator generator(1);
  Classifier net(generator);
  const tg::Tensor x = tg::uniform({32, 8, 8, 1}, -1, 1, generator);
  const tg::Tensor y = tg::reshape(tg::mean(x, {1, 2, 3}), {32, 1});
  tg::AdamW adam(net.named_parameters(), {.learning_rate = 1e-2});
  double first = 0, last = 0;
  for (int step = 0; step < 100; ++step) {
    tg::Tape tape;
    const tg::Tensor loss = tg::mse_loss(net(x), y);
    adam.step(tape.gradient(loss, net.parameters(), {.all_parameters = true}));
    (step == 0 ? first : last) = loss.item();
  }
  std::cout << "loss " << first << " -> " << last << "\n";
  expect(last < 0.05 * first, "the loss must fall");

  net.eval();
  const double expected = tg::sum(net(x)).item();
  tg::write_safetensors(path, net.state_view());
  Classifier loaded(generator), copy = tg::clone(net);
  loaded.load_state(tg::read_safetensors(path));
  std::filesystem::remove(path);
  loaded.eval();
  expect(tg::sum(loaded(x)).item() == expected, "what was saved must be loaded");
  expect(tg::sum(copy(x)).item() == expected, "the copy must compute the same");

  // The library's layers have their names, the program's classes have none.
  const std::string summary = net.summary({1, 8, 8, 1});
  for (const char* name : {"Module", "Conv2D", "BatchNorm", "LeakyReLU", "Flatten", "Dense"})
    expect(summary.find(name) != std::string::npos, name);
  expect(error_of([&] { (void)net(tg::Tensor()); }) == "[Module] the input was never given a value",
         "an error must name the base class");
  const Derived derived(generator);
  const Classifier& as_base = derived;
  expect(error_of([&] { (void)tg::clone(as_base); }).starts_with("[clone] a Module was given as a Module"),
         "the copy of a derived class must be refused");

  // Which of PyTorch's tensors are filters is seen by the layers' classes; of the program's own, by their shapes.
  tg::Sequential of_library{tg::Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 2}, generator),
                            Filter()};
  const tg::State of_pytorch{
      {{"0.weight", tg::ones({3, 2, 2, 2})}, {"0.bias", tg::ones({3})}, {"1.filter", tg::ones({4, 3, 1, 2})}},
      {}};
  of_library.load_state(of_pytorch, {.layout = tg::Layout::OIHW});
  expect(tg::sum(static_cast<Filter&>(of_library[1]).filter).item() == 24, "PyTorch's filter must be loaded");

  try {
    (void)(x + tg::ones({5, 3}));
    expect(false, "shapes that do not fit must be refused");
  } catch (const tg::Error& error) {
    expect(error.op() == "add", "the error must name the function");
  }
  return failures == 0 ? 0 : 1;
}
