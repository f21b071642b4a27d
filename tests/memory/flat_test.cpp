// A day of training in miniature: what comes and goes leaves nothing behind.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/temporary.h"
#include "memory/allocations.h"
#include "sanitizers.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

// Does something a tenth of the times, to fill caches, and then all the other times: no block of memory more is live, and the
// process is not larger but for what malloc() does with fragments.
void expect_flat(const char* what, int times, const std::function<void(int)>& something) {
  int i = 0;
  for (; i < times / 10; ++i) something(i);
  release_memory();  // which of the free blocks a thread keeps depends on what it came to do
  const Live before = live();
  const std::int64_t resident = resident_bytes();
  for (; i < times; ++i) something(i);
  const std::int64_t grown = resident_bytes() - resident;
  release_memory();
  const Live after = live();
  EXPECT_LE(after.blocks, before.blocks) << what;
  EXPECT_LE(after.bytes, before.bytes + 8192) << what;  // lists of free blocks may have become longer
  if (!kSanitized) {
    EXPECT_LT(grown, 2 << 20) << what;
  }
  std::printf("  %s, %d times: %+lld blocks, %+lld bytes live; %+lld bytes resident\n", what, times,
              static_cast<long long>(after.blocks - before.blocks),
              static_cast<long long>(after.bytes - before.bytes), static_cast<long long>(grown));
}

constexpr int kOften = kSanitized ? 10 : 1;  // sanitizers are slower by about so much

// How many times f() asks operator new for memory, on all threads.
std::int64_t allocations(const std::function<void()>& f) {
  begin_refusing(std::int64_t{1} << 60, Refuse::One);  // none: only counted
  f();
  return stop_refusing();
}

// What programs that answer in time want: after some passes, tensors come from the threads' own blocks, and nothing else is
// asked for.
TEST(Flat, AForwardPassOfConvolutionsAsksForNoMemory) {
  Generator generator(1);
  const Sequential net{
      Conv2D({.in_channels = 3, .filters = 16, .kernel_size = 3, .activation = relu}, generator),
      Conv2D({.in_channels = 16, .filters = 16, .kernel_size = 3, .groups = 2, .activation = tanh},
             generator),
      DepthwiseConv2D({.in_channels = 16, .kernel_size = 3}, generator),
      BatchNorm({.channels = 16}),
      Conv2DTranspose({.in_channels = 16, .filters = 3, .kernel_size = 4, .strides = 2}, generator),
      Sigmoid()};
  for (const int threads : {1, 2})
    for (const index_t batch : {1, 64}) {
      const ThreadCountScope scope(threads);
      const Tensor x = uniform({batch, 16, 16, 3}, 0, 1, generator);
      Sequential evaluated = clone(net);
      evaluated.eval();
      const auto pass = [&] { (void)evaluated(x); };
      for (int i = 0; i < 5; ++i) pass();
      EXPECT_EQ(allocations(pass), 0) << threads << " threads, batch " << batch;
    }
}

// A training step makes and drops much more, which lives in such blocks, too. The list of the batch is the caller's.
TEST(Flat, ATrainingStepAsksForNoMemory) {
  Generator generator(1);
  const ThreadCountScope one(1);  // which worker does what is chance
  Sequential net{
      Conv2D({.in_channels = 3, .filters = 8, .kernel_size = 3, .strides = 2, .activation = relu}, generator),
      Conv2D({.in_channels = 8, .filters = 8, .kernel_size = 3, .groups = 2}, generator), GELU(),
      Conv2DTranspose({.in_channels = 8, .filters = 3, .kernel_size = 4, .strides = 2}, generator),
      Sigmoid()};
  const std::vector<Tensor> parameters = net.parameters();
  Adam adam(parameters);
  SGD sgd(parameters, {.momentum = 0.9});
  const Tensor x = uniform({64, 16, 16, 3}, 0, 1, generator);
  const Tensor y = uniform(net(x).shape(), 0, 1, generator);
  const auto step = [&](Optimizer& optimizer) {
    Tape tape;
    optimizer.step(tape.gradient(mse_loss(net(x), y), parameters));
  };
  Sequential part{
      // without a layer that counts samples
      Conv2D({.in_channels = 3, .filters = 8, .kernel_size = 3, .activation = relu}, generator),
      Conv2DTranspose({.in_channels = 8, .filters = 3, .kernel_size = 4, .strides = 2}, generator)};
  const std::vector<Tensor> of_chunks = part.parameters(), batch = {x};
  Adam adam_of_chunks(of_chunks);
  const TensorFunction loss = [&](const std::vector<Tensor>& in) { return mean(square(part(in[0]))); };
  const auto step_in_chunks = [&] {
    adam_of_chunks.step(batch_gradient(loss, batch, of_chunks, {.check = false}).gradients);
  };
  for (int i = 0; i < 5; ++i) step(adam), step(sgd), step_in_chunks();
  EXPECT_EQ(allocations([&] { step(adam); }), 0);
  EXPECT_EQ(allocations([&] { step(sgd); }), 0);
  EXPECT_EQ(allocations(step_in_chunks), 0);
}

// Chunks are computed by whichever thread is free, and their gradients are freed by the thread that adds them up: what a thread took
// comes back to it. Once in a while one has more to do at a time than ever before.
TEST(Flat, ATrainingStepInChunksOnSeveralThreadsAsksForNoMemory) {
  Generator generator(1);
  Sequential net{
      Conv2D({.in_channels = 1, .filters = 8, .kernel_size = 3, .strides = 2, .activation = relu}, generator),
      Conv2D({.in_channels = 8, .filters = 16, .kernel_size = 3, .groups = 2, .activation = tanh}, generator),
      Conv2DTranspose({.in_channels = 16, .filters = 1, .kernel_size = 4, .strides = 2}, generator)};
  const std::vector<Tensor> parameters = net.parameters();
  Adam adam(parameters);
  const std::vector<Tensor> batch = {uniform({64, 28, 28, 1}, 0, 1, generator)};
  const TensorFunction loss = [&](const std::vector<Tensor>& in) { return mean(square(net(in[0]))); };
  for (const int threads : {2, 3}) {
    const ThreadCountScope scope(threads);
    const auto steps = [&](int count) {
      for (int i = 0; i < count; ++i)
        adam.step(batch_gradient(loss, batch, parameters, {.chunk = 4, .check = false}).gradients);
    };
    constexpr int kSteps = kSanitized ? 30 : 300;
    steps(kSteps);
    const std::int64_t asked = allocations([&] { steps(kSteps); });
    EXPECT_LE(asked, kSteps / 10) << threads << " threads";
    std::printf("  %d threads: %lld allocations in %d steps\n", threads, static_cast<long long>(asked),
                kSteps);
  }
}

// A tensor that outlives its thread, and several of a size that a thread that takes nothing more is not kept for.
TEST(Flat, WhatAThreadLeavesBehind) {
  expect_flat("tensors of threads that ended", 300, [](int i) {
    std::vector<Tensor> left;
    std::thread([&] {
      for (int k = 0; k < 5; ++k) left.push_back(ones({i % 30 == 0 ? 3 << 20 : 100}));
      std::thread([&] { left.resize(static_cast<std::size_t>(i % 4)); }).join();
    }).join();
  });
}

struct TinyRun {
  Generator generator{1};
  Sequential net{Dense({.in_features = 4, .units = 8, .activation = tanh}, generator),
                 Dropout(0.2, generator), Dense({.in_features = 8, .units = 2}, generator)};
  Adam adam{net.parameters()};
  Tensor x = uniform({6, 4}, -1, 1, generator), y = uniform({6, 2}, -1, 1, generator);

  void step() {
    Tape tape;
    adam.step(tape.gradient(mse_loss(net(x), y), net.parameters()));
  }
};

TEST(Flat, TwoHundredThousandSteps) {
  TinyRun run;
  expect_flat("steps", 200000 / kOften, [&](int) { run.step(); });
}

// Steps of every size, as the last batch of an epoch is, of second order, with hooks, checkpoints, exceptions and files.
TEST(Flat, StepsOfEveryKind) {
  const ThreadCountScope one(1);  // which worker does what is chance
  TinyRun run;
  Generator generator(2);
  const Tensor images = uniform({5, 6, 6, 1}, 0, 1, generator);
  Sequential convolutions{
      Conv2D({.in_channels = 1, .filters = 4, .kernel_size = 3, .activation = relu}, generator),
      BatchNorm({.channels = 4}), Flatten()};
  expect_flat("steps of every kind", 20000 / kOften, [&](int i) {
    const Tensor part = slice(run.x, 0, 1 + i % 6);
    switch (i % 6) {
      case 0: {
        Tape tape;
        const Tensor w = tape.watch(part);
        const Tensor g = tape.gradient(sum(square(run.net(w))), w, {.create_graph = true});
        (void)tape.gradient(sum(square(g)), run.net.parameters(), {.zeros_for_unreached = true});
        break;
      }
      case 1:
        (void)batch_gradient([&](const auto& in) { return mean(square(run.net(in[0]))); }, {run.x},
                             run.net.parameters(), {.chunk = 1 + i % 4});
        break;
      case 2: {
        Tape tape;
        EXPECT_THROW((void)matmul(tape.watch(part), ones({3, 3})), Error);
        break;
      }
      case 3: {
        Tape tape;
        const Tensor w = tape.watch(part);
        const Tensor y = checkpoint([&](const auto& in) { return run.net(in[0]); }, {w});
        tape.on_gradient(y, [](const Tensor&) {});
        (void)tape.gradient(sum(y), run.net.parameters());
        break;
      }
      case 4: {
        Tape tape;
        (void)tape.gradient(mean(square(convolutions(slice(images, 0, 1 + i % 5)))),
                            convolutions.parameters());
        break;
      }
      default:
        run.net.load_state(run.net.state());
        run.step();
    }
  });
}

TEST(Flat, TenThousandModels) {
  expect_flat("models", 10000 / kOften, [](int) {
    TinyRun run;
    run.step();
    Sequential copy = clone(run.net);
    copy.freeze();
    (void)copy(run.x);
  });
}

TEST(Flat, TenThousandLoadersLeftEarly) {
  Generator generator(1);
  const Tensor x = uniform({40, 6}, 0, 1, generator), y = randint({40}, 0, 10, generator);
  expect_flat("loaders", 10000 / kOften, [&](int i) {
    const Loader loader(x, y, {.batch_size = 8, .workers = 1 + i % 2});
    int left = i % 5;
    for (const Batch& batch : loader.epoch(i)) {
      (void)batch;
      if (left-- == 0) break;
    }
  });
}

// Libraries of C keep what nobody gives back, and the system keeps open files: whether a file is whole or ends too early.
TEST(Flat, ThousandsOfFiles) {
  const TemporaryFolder folder;
  const Image image(9, 7, 3);
  const Tensor bytes = ones({3, 5}, DType::UInt8);
  const NamedTensors arrays{{"x", ones({20, 30})}};
  write_png(folder / "x.png", image);
  write_idx(folder / "x.gz", bytes);
  write_npz(folder / "x.npz", arrays, {.compressed = true});
  for (const std::string kind : {".png", ".gz", ".npz"}) {
    const Bytes whole = read_bytes(folder / ("x" + kind));
    write_bytes(folder / ("cut" + kind),
                {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size()) * 2 / 3});
  }
  const std::filesystem::path fixtures = TAPEGRAD_FIXTURES;
  expect_flat("files", 1000 / kOften, [&](int i) {
    (void)read_image(folder / "x.png", 3);
    (void)read_image(fixtures / "gradient.jpg", 3);
    (void)read_idx(folder / "x.gz");
    (void)read_npz(folder / "x.npz");
    if (i % 10 == 0) {  // each waits for the disk
      write_png(folder / "again.png", image);
      write_idx(folder / "again.gz", bytes);
      write_npz(folder / "again.npz", arrays, {.compressed = true});
    }
    EXPECT_THROW((void)read_image(folder / "cut.png", 3), Error);
    EXPECT_THROW((void)read_image(fixtures / "crashes/stb_huffman_ubsan.jpg", 3), Error);
    EXPECT_THROW((void)read_idx(folder / "cut.gz"), Error);
    EXPECT_THROW((void)read_npz(folder / "cut.npz"), Error);
  });
}

// Their caches, their workers, and whatever else is kept for a thread.
TEST(Flat, AThousandThreads) {
  expect_flat("threads", 1000 / kOften, [](int i) {
    std::thread([i] {
      const ThreadCountScope count(1 + i % 3);
      TinyRun run;
      run.step();
      (void)batch_gradient([&](const auto& part) { return mse_loss(run.net(part[0]), part[1]); },
                           {run.x, run.y}, run.net.parameters(), {.chunk = 2});
    }).join();
  });
}

// 25 million parameters and Adam: the parameters, their gradients, and two memories of each. Nothing else of that size.
TEST(Flat, ALargeModelTakesFourTimesItsParameters) {
  std::thread([] {
    Generator generator(1);
    Dense net({.in_features = 5000,
               .units = 5000,
               .use_bias = false,
               .kernel_initializer = constant_initializer(1e-3)},
              generator);
    const double parameters = 4.0 * static_cast<double>(net.parameter_count());
    ASSERT_EQ(net.parameter_count(), 25'000'000);
    const Tensor x = uniform({32, 5000}, 0, 1, generator);  // 2.5% of the parameters, as its result
    for (const bool in_chunks : {false, true}) {
      const ThreadCountScope two(2);
      release_memory();
      Adam adam(net.parameters());
      const std::int64_t others = live().bytes - static_cast<std::int64_t>(3 * parameters);
      begin_peak();
      for (int step = 0; step < 2; ++step) {
        if (in_chunks) {
          adam.step(batch_gradient([&](const auto& part) { return mean(square(net(part[0]))); }, {x},
                                   net.parameters(), {.check = false})
                        .gradients);
        } else {
          Tape tape;
          adam.step(tape.gradient(mean(square(net(x))), net.parameters()));
        }
      }
      const double times = static_cast<double>(live().most_bytes - others) / parameters;
      std::printf("  %s: %.2f times the parameters\n", in_chunks ? "batch_gradient" : "tape", times);
      EXPECT_LT(times, 4.1);
    }
  }).join();
}

}  // namespace
}  // namespace tapegrad::testing
