// Trains five small networks for some steps, and prints a hash of each one's whole state: weights, what the optimizers keep,
// generators. The same lines must come for any number of threads and loader workers, at any address, from any compiler, and from
// a run that was cut anywhere and continued in another process. tools/check_determinism.sh calls it in all these ways.
//
//   train_hash --threads 2 --workers 3
//   tutorial 50 1f0c5a...

#include <fmt/format.h>

#include <hwy/targets.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "mnist_autoencoder/net.h"
#include "tapegrad/tapegrad.h"
#include "unet_segmentation/unet.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::vector<std::string> nets = {"tutorial", "wide", "classifier", "gan", "unet"};
  tg::index_t steps = 50;
  int threads = tg::thread_count(), workers = 1;
  bool collected = false;
  std::uint64_t clutter = 0;
  std::string target;
  fs::path save, resume, weights, compare;
};

/// What is trained: its parts are added to the state, its step takes one batch.
struct Training {
  virtual ~Training() = default;
  virtual void add_to(tg::TrainingState& state) = 0;
  virtual void step(const tg::Batch& batch) = 0;
  virtual tg::Loader loader(int workers) const = 0;
};

/// Images in [0, 1] that are the same everywhere.
tg::Tensor images(const tg::Shape& shape) {
  tg::Generator generator(3);
  return tg::uniform(shape, 0, 1, generator);
}

struct Autoencoder : Training {
  Autoencoder(const std::string& name, bool chunks)
      : random(1),
        net(make_net(name, random)),
        adam(net.parameters(), {.learning_rate = 1e-3}),
        in_chunks(chunks) {}
  void add_to(tg::TrainingState& state) override { state.add("net", net).add("adam", adam); }
  void step(const tg::Batch& batch) override {
    const auto parameters = net.parameters();
    const auto loss = [&](const tg::Tensor& x) { return tg::mse_loss(net(x), x); };
    if (in_chunks) {
      adam.step(
          tg::batch_gradient([&](const auto& part) { return loss(part[0]); }, {batch.inputs}, parameters)
              .gradients);
    } else {
      tg::Tape tape;
      adam.step(tape.gradient(loss(batch.inputs), parameters));
    }
  }
  tg::Loader loader(int workers) const override {
    return tg::Loader(images({200, 28, 28, 1}),
                      {.batch_size = 24, .seed = 5, .transform = tg::random_shift(2), .workers = workers});
  }

  tg::Generator random;
  tg::Sequential net;
  tg::Adam adam;
  bool in_chunks;
};

/// BatchNorm and Dropout; SGD with momentum.
struct Classifier : Training {
  Classifier()
      : random(2),
        net{tg::Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .padding = tg::Padding::Same},
                       random),
            tg::BatchNorm({.channels = 8}),
            tg::ReLU(),
            tg::MaxPooling2D(),
            tg::Dropout(0.3, random),
            tg::Flatten(),
            tg::Dense({.in_features = 14 * 14 * 8, .units = 32, .activation = tg::gelu}, random),
            tg::Dropout(0.5, random),
            tg::Dense({.in_features = 32, .units = 10}, random)},
        sgd(net.parameters(), {.learning_rate = 0.05, .momentum = 0.9}) {}
  void add_to(tg::TrainingState& state) override {
    state.add("net", net).add("sgd", sgd).add("random", random);
  }
  void step(const tg::Batch& batch) override {
    tg::Tape tape;
    sgd.step(tape.gradient(tg::cross_entropy(net(batch.inputs), batch.targets), net.parameters()));
  }
  tg::Loader loader(int workers) const override {
    tg::Tensor labels = tg::zeros({200}, tg::DType::Int32);
    for (tg::index_t i = 0; i < 200; ++i) labels.set({i}, static_cast<double>(i * 7 % 10));
    return tg::Loader(images({200, 28, 28, 1}), labels,
                      {.batch_size = 24,
                       .seed = 6,
                       .transform = tg::compose({tg::random_flip(), tg::gaussian_noise(0.1)}),
                       .workers = workers});
  }

  tg::Generator random;
  tg::Sequential net;
  tg::SGD sgd;
};

struct Gan : Training {
  static constexpr tg::index_t kCode = 16, kBatch = 24;
  Gan()
      : random(4),
        draws_net{tg::Dense({.in_features = kCode, .units = 7 * 7 * 16, .use_bias = false}, random),
                  tg::BatchNorm({.channels = 7 * 7 * 16}),
                  tg::ReLU(),
                  tg::Reshape({7, 7, 16}),
                  tg::Conv2DTranspose({.in_channels = 16,
                                       .filters = 8,
                                       .kernel_size = 4,
                                       .strides = 2,
                                       .padding = tg::Padding::Same},
                                      random),
                  tg::BatchNorm({.channels = 8}),
                  tg::ReLU(),
                  tg::Conv2DTranspose({.in_channels = 8,
                                       .filters = 1,
                                       .kernel_size = 4,
                                       .strides = 2,
                                       .padding = tg::Padding::Same,
                                       .activation = tg::tanh},
                                      random)},
        tells_net{tg::Conv2D({.in_channels = 1,
                              .filters = 8,
                              .kernel_size = 4,
                              .strides = 2,
                              .padding = tg::Padding::Same},
                             random),
                  tg::LeakyReLU(0.2),
                  tg::Conv2D({.in_channels = 8,
                              .filters = 16,
                              .kernel_size = 4,
                              .strides = 2,
                              .padding = tg::Padding::Same},
                             random),
                  tg::BatchNorm({.channels = 16}),
                  tg::LeakyReLU(0.2),
                  tg::Flatten(),
                  tg::Dense({.in_features = 7 * 7 * 16, .units = 1}, random)},
        draws(draws_net.parameters(), {.learning_rate = 5e-4, .beta1 = 0.5}),
        tells(tells_net.parameters(), {.learning_rate = 5e-4, .beta1 = 0.5}) {}
  void add_to(tg::TrainingState& state) override {
    state.add("draws_net", draws_net).add("tells_net", tells_net);
    state.add("draws", draws).add("tells", tells).add("random", random);
  }
  static tg::Tensor loss_of(const tg::Tensor& logits, double target) {
    return tg::binary_cross_entropy_with_logits(logits, tg::full(logits.shape(), target));
  }
  void step(const tg::Batch& batch) override {
    const auto codes = [&] { return tg::normal({kBatch, kCode}, 0, 1, random); };
    {
      const tg::Tensor drawn = draws_net(codes());
      tg::Tape tape;
      // One after the other: which operand of + comes first is the compiler's choice.
      const tg::Tensor of_real = loss_of(tells_net(batch.inputs), 0.9),
                       of_drawn = loss_of(tells_net(drawn), 0);
      const tg::Tensor loss = of_real + of_drawn;
      tells.step(tape.gradient(loss, tells_net.parameters()));
    }
    tg::Tape tape;
    const tg::Tensor loss = loss_of(tells_net(draws_net(codes())), 1);
    draws.step(tape.gradient(loss, draws_net.parameters()));
  }
  tg::Loader loader(int workers) const override {
    return tg::Loader(images({200, 28, 28, 1}), {.batch_size = kBatch,
                                                 .seed = 7,
                                                 .drop_last = true,
                                                 .transform = tg::normalize({0.5}, {0.5}),
                                                 .workers = workers});
  }

  tg::Generator random;
  tg::Sequential draws_net, tells_net;
  tg::Adam draws, tells;
};

struct Segmentation : Training {
  Segmentation()
      : random(8),
        net({.classes = 3, .filters = 8, .levels = 2}, random),
        adam(net.parameters(), {.learning_rate = 2e-3}) {}
  void add_to(tg::TrainingState& state) override { state.add("net", net).add("adam", adam); }
  void step(const tg::Batch& batch) override {
    tg::Tape tape;
    adam.step(tape.gradient(tg::cross_entropy(net(batch.inputs), batch.targets), net.parameters()));
  }
  tg::Loader loader(int workers) const override {
    const tg::Tensor x = images({60, 16, 16, 3});
    tg::Tensor labels = tg::zeros({60, 16, 16}, tg::DType::Int32);
    for (tg::index_t i = 0; i < labels.size(); ++i)
      labels.mutable_values<std::int32_t>()[static_cast<std::size_t>(i)] =
          static_cast<std::int32_t>(x.values<float>()[static_cast<std::size_t>(3 * i)] * 3);
    return tg::Loader(x, labels, {.batch_size = 8, .seed = 9, .workers = workers});
  }

  tg::Generator random;
  unet_segmentation::UNet net;
  tg::Adam adam;
};

std::unique_ptr<Training> make(const std::string& name) {
  if (name == "classifier") return std::make_unique<Classifier>();
  if (name == "gan") return std::make_unique<Gan>();
  if (name == "unet") return std::make_unique<Segmentation>();
  return std::make_unique<Autoencoder>(name, name == "tutorial");
}

/// FNV-1a of all bytes, tensor by tensor.
std::uint64_t hash_of(const tg::State& state) {
  std::uint64_t hash = 14695981039346656037U;
  const auto add = [&](const void* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i)
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211U;
  };
  for (const auto& [name, tensor] : state.tensors) {
    add(name.data(), name.size());
    tg::dispatch(tensor.dtype(), [&, t = tensor]<class T>(std::type_identity<T>) {
      add(t.template data<T>(), static_cast<std::size_t>(t.size()) * sizeof(T));
    });
  }
  for (const auto& [name, number] : state.numbers) add(&number, sizeof number);
  for (const auto& [name, number] : state.integers) add(&number, sizeof number);
  return hash;
}

/// Memory of odd sizes, some of which is held: what comes after lies elsewhere.
std::vector<std::unique_ptr<char[]>> clutter(std::uint64_t seed) {
  std::vector<std::unique_ptr<char[]>> held;
  if (seed == 0) return held;
  tg::Generator random(seed);
  std::vector<tg::Tensor> dropped;
  for (int i = 0; i < 200; ++i) {
    held.push_back(std::make_unique<char[]>(1 + random.integer(5000)));
    dropped.push_back(tg::zeros({1 + static_cast<tg::index_t>(random.integer(3000))}));
  }
  return held;
}

void train(const std::string& name, const Options& options) {
  const auto training = make(name);
  tg::TrainingState state;
  training->add_to(state);
  tg::index_t done = 0;
  state.add("done", done);
  if (!options.resume.empty()) state.load_state(tg::read_checkpoint(options.resume / name).state);
  const tg::Loader loader = training->loader(options.workers);
  const auto step = [&](const tg::Batch& batch) {
    training->step(batch);
    ++done;
    if (options.save.empty()) return;
    const fs::path folder = options.save / std::to_string(done);
    fs::create_directories(folder);
    tg::write_checkpoint(folder / name, {.state = state.state_view(), .step = done});
  };
  while (done < options.steps) {
    auto epoch = loader.epoch(done / loader.batches(), done % loader.batches());
    if (options.collected) {  // before any step: no thread prepares a batch while another one trains
      std::vector<tg::Batch> batches;
      for (const tg::Batch& batch : epoch) batches.push_back(batch);
      for (std::size_t i = 0; i < batches.size() && done < options.steps; ++i) step(batches[i]);
    } else {
      for (const tg::Batch& batch : epoch) {
        step(batch);
        if (done == options.steps) break;
      }
    }
  }
  fmt::print("{} {} {:016x}", name, done, hash_of(state.state_view()));
  const fs::path file = name + ".safetensors";
  if (!options.weights.empty()) {
    fs::create_directories(options.weights);
    tg::write_safetensors(options.weights / file, state.state_view());
  }
  if (!options.compare.empty()) {
    double largest = 0;
    const tg::State other = tg::read_safetensors(options.compare / file), own = state.state_view();
    for (const auto& [key, tensor] : own.tensors)
      if (tg::is_floating(tensor.dtype()))
        largest = std::max(largest, tg::max(tg::abs(tensor - *other.find(key))).item());
    fmt::print(" differs by at most {:.3g}", largest);
  }
  fmt::print("\n");
}

void choose(const std::string& target) {
  if (target == "SSE4") hwy::SetSupportedTargetsForTest(HWY_SSE4);
  if (target == "AVX2") hwy::SetSupportedTargetsForTest(HWY_AVX2);
  if (target == "AVX3") hwy::SetSupportedTargetsForTest(HWY_AVX3);
  if (!target.empty()) hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Program program("train_hash", "Trains five small networks and prints hashes of their states.");
  program.add_choices("--net", options.nets, {"tutorial", "wide", "classifier", "gan", "unet"},
                      "which of them");
  program.add_whole("--steps", options.steps, 1, "steps of training");
  program.add_whole("--threads", options.threads, 1, "threads to compute with", 1024);
  program.add_whole("--workers", options.workers, 1, "threads that prepare batches", 1024);
  program.add_flag("--collected", options.collected, "prepare the batches of an epoch before its first step");
  program.add_whole("--clutter", options.clutter, 0,
                    "seed of memory that is held beside, so that all lies elsewhere");
  program.add_choice("--target", options.target, {"SSE4", "AVX2", "AVX3"},
                     "instruction set of the library's kernels");
  program.add_path("--save", options.save, "FOLDER", "where a checkpoint goes after each step");
  program.add_path("--resume", options.resume, "FOLDER", "one such checkpoint, to continue from");
  program.add_path("--weights", options.weights, "FOLDER", "where the states go");
  program.add_path("--compare", options.compare, "FOLDER",
                   "such states: prints the largest difference from them");
  return program.run(argc, argv, [&] {
    choose(options.target);
    const auto held = clutter(options.clutter);
    const tg::ThreadCountScope threads(options.threads);
    for (const std::string& name : options.nets) train(name, options);
    return 0;
  });
}
