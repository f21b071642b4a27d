#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "digits/digits.h"
#include "json.h"
#include "mnist_autoencoder/net.h"
#include "playground.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
using tg::index_t;

namespace playground {
namespace {

constexpr index_t kTrainDigits = 8000, kTestDigits = 1000;

// A digit is drawn when it is asked for the first time.
tg::Samples kept(const tg::Samples& samples) {
  auto memory = std::make_shared<std::vector<tg::Tensor>>(static_cast<std::size_t>(samples.size()));
  return tg::Samples(samples.shape(), samples.dtype(), [samples, memory](index_t i) {
    tg::Tensor& digit = (*memory)[static_cast<std::size_t>(i)];
    if (!digit.defined()) digit = samples[i];
    return digit;
  });
}

// The digits of data/, as tools/digits/main.cpp draws them.
struct Digits {
  tg::Samples train = kept(digits::drawn_digits(kTrainDigits, tg::Generator(28).child(0)).inputs);
  tg::Samples test = kept(digits::drawn_digits(kTestDigits, tg::Generator(28).child(1)).inputs);
};

class Training {
 public:
  Training(const tg::Samples& digits, std::uint64_t seed, index_t batch, double learning_rate)
      : generator_(seed),
        net_(make_net("tutorial", generator_)),
        parameters_(net_.parameters()),
        adam_(parameters_, {.learning_rate = learning_rate}),
        loader_(digits, {.batch_size = batch, .seed = seed}) {}

  double step() {
    if (!pass_) pass_.emplace(loader_.epoch(epoch_));
    auto at = pass_->begin();
    const tg::Tensor images = at->inputs;
    // As examples/mnist_autoencoder does, for the same numbers.
    const index_t chunk = std::clamp<index_t>(images.shape()[0] / 8, 4, 16);
    const auto [loss, gradients] =
        tg::batch_gradient([&](const auto& part) { return tg::mse_loss(net_(part[0]), part[0]); }, {images},
                           parameters_, {.chunk = chunk});
    adam_.step(gradients);
    if (++at == pass_->end()) {
      pass_.reset();
      ++epoch_;
    }
    return loss;
  }
  tg::Tensor reconstruct(const tg::Tensor& images) { return net_(images); }
  void set_learning_rate(double rate) { adam_.set_learning_rate(rate); }
  std::string summary() { return net_.summary({1, 28, 28, 1}); }

 private:
  tg::Generator generator_;
  tg::Sequential net_;
  std::vector<tg::Tensor> parameters_;
  tg::Adam adam_;
  tg::Loader loader_;
  std::optional<tg::Loader::Epoch> pass_;
  index_t epoch_ = 0;
};

// What a page has one of.
std::unique_ptr<Digits> drawn;
std::unique_ptr<Training> training;
std::vector<float> pictures;
std::string error, answer;

Training& current() {
  if (!training) throw tg::Error("playground", "playground_train() must be called first");
  return *training;
}

// The first digits of the test set: [count, 28, 28, 1], from 0 to 1.
tg::Tensor test_digits(int count) {
  if (!drawn) throw tg::Error("playground", "playground_train() must be called first");
  std::vector<tg::Tensor> some;
  for (index_t i = 0; i < count; ++i) some.push_back(tg::cast(drawn->test[i], tg::DType::Float32) / 255.0);
  return tg::stack(some);
}

template <class Function>
bool succeeds(Function function) {
  error.clear();
  try {
    function();
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  return error.empty();
}

}  // namespace
}  // namespace playground

using namespace playground;

const char* playground_error(void) {
  return error.c_str();
}

const char* playground_train(int seed, int batch, double learning_rate) {
  Json json;
  const bool began = succeeds([&] {
    if (!drawn) drawn = std::make_unique<Digits>();
    training.reset();
    training =
        std::make_unique<Training>(drawn->train, static_cast<std::uint64_t>(seed), batch, learning_rate);
    json.open("").add("summary", std::string_view(training->summary())).close();
  });
  if (!began) json = Json().open("").add("error", std::string_view(error)).close();
  answer = json.text();
  return answer.c_str();
}

double playground_step(void) {
  double loss = std::numeric_limits<double>::quiet_NaN();
  succeeds([&] { loss = current().step(); });
  return loss;
}

void playground_set_learning_rate(double learning_rate) {
  succeeds([&] { current().set_learning_rate(learning_rate); });
}

const float* playground_pictures(int count) {
  succeeds([&] {
    const tg::Tensor images = test_digits(count), again = current().reconstruct(images);
    pictures.assign(images.values<float>().begin(), images.values<float>().end());
    pictures.insert(pictures.end(), again.values<float>().begin(), again.values<float>().end());
  });
  return error.empty() ? pictures.data() : nullptr;
}

double playground_test_loss(int count) {
  double loss = std::numeric_limits<double>::quiet_NaN();
  succeeds([&] {
    const tg::Tensor images = test_digits(count);
    loss = tg::mse_loss(current().reconstruct(images), images).item();
  });
  return loss;
}
