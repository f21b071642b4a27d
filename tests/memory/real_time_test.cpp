// What RealTimeScope promises: passes that ask the system for no memory, start no thread and take no lock.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memory/allocations.h"
#include "sanitizers.h"
#include "tapegrad/tapegrad.h"

namespace {

constinit std::atomic<std::int64_t> locks{0}, threads{0};

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// Found in the program before those of the C library: all that the library and what it is made of calls, is counted.
#if !TAPEGRAD_ADDRESS_SANITIZER && !TAPEGRAD_THREAD_SANITIZER
extern "C" {
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static auto* const own = next<int(pthread_mutex_t*)>("pthread_mutex_lock");
  locks.fetch_add(1);
  return own(mutex);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) noexcept {
  static auto* const own =
      next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  threads.fetch_add(1);
  return own(thread, attributes, run, argument);
}
}
#endif

namespace tapegrad::testing {
namespace {

struct Named {
  std::string name;
  std::function<std::unique_ptr<Module>(Generator&)> make;
  Shape sample;
};

template <class M, class... Arguments>
Named layer(std::string name, Shape sample, Arguments... arguments) {
  return {std::move(name),
          [arguments...](Generator& generator) -> std::unique_ptr<Module> {
            if constexpr (std::is_constructible_v<M, const Arguments&..., Generator&>)
              return std::make_unique<M>(arguments..., generator);
            else
              return std::make_unique<M>(arguments...);
          },
          sample};
}

std::vector<Named> layers() {
  const Shape image{8, 8, 4};
  return {
      layer<Conv2D>("Conv2D", image, Conv2DLayerOptions{.in_channels = 4, .filters = 20, .kernel_size = 3}),
      layer<Conv2D>("Conv2D tanh", image,
                    Conv2DLayerOptions{.in_channels = 4, .filters = 8, .kernel_size = 3, .activation = tanh}),
      layer<Conv2DTranspose>(
          "Conv2DTranspose", image,
          Conv2DTransposeLayerOptions{
              .in_channels = 4, .filters = 3, .kernel_size = 4, .strides = 2, .activation = relu}),
      layer<DepthwiseConv2D>("DepthwiseConv2D", image,
                             DepthwiseConv2DOptions{.in_channels = 4, .kernel_size = 3}),
      layer<BatchNorm>("BatchNorm", image, BatchNormOptions{.channels = 4}),
      layer<LayerNorm>("LayerNorm", image, LayerNormOptions{.shape = {4}}),
      layer<Softmax>("Softmax", image),
      layer<Flatten>("Flatten", image),
      layer<ReLU>("ReLU", image),
      layer<GELU>("GELU", image),
      layer<Sigmoid>("Sigmoid", image)};
}

TEST(RealTime, APassAsksForNoMemoryStartsNoThreadAndTakesNoLock) {
  if (kSanitized) GTEST_SKIP() << "sanitizers count by themselves";
  Generator generator(1);
  for (const Named& each : layers()) {
    const std::unique_ptr<Module> net = each.make(generator);
    net->eval();
    for (const index_t batch : {1, 3}) {
      std::vector<index_t> sizes(each.sample.begin(), each.sample.end());
      sizes.insert(sizes.begin(), batch);
      const Tensor x = uniform(Shape(sizes), 0, 1, generator);
      const auto pass = [&] {
        const RealTimeScope scope;
        (void)(*net)(x);
      };
      const RealTimeScope around(batch == 1 ? std::vector<Tensor>() : net->parameters());
      for (int i = 0; i < 4; ++i) pass();
      const std::int64_t locked = locks.load(), started = threads.load();
      begin_refusing(std::int64_t{1} << 60, Refuse::One);  // none: only counted
      begin_refusing_in_c(std::int64_t{1} << 60);
      pass();
      const std::int64_t asked = stop_refusing() + stop_refusing_in_c();
      const std::int64_t locks_taken = locks.load() - locked, threads_started = threads.load() - started;
      EXPECT_EQ(asked, 0) << each.name << ", batch " << batch;
      EXPECT_EQ(locks_taken, 0) << each.name << ", batch " << batch;
      EXPECT_EQ(threads_started, 0) << each.name << ", batch " << batch;
    }
  }
}

// The counters count: without the scope, a large pass starts a thread, and hands it work under a lock.
TEST(RealTime, WithoutItALargePassSharesItsWork) {
  if (kSanitized) GTEST_SKIP() << "sanitizers count by themselves";
  const ThreadCountScope two(2);
  Generator generator(1);
  Conv2D net({.in_channels = 8, .filters = 32, .kernel_size = 3}, generator);
  const Tensor x = uniform({16, 32, 32, 8}, 0, 1, generator);
  const std::int64_t locked = locks.load();
  (void)net(x);
  EXPECT_GT(locks.load(), locked);
  const RealTimeScope scope;
  EXPECT_EQ(thread_count(), 1);
  Tape outside_of_it;  // records: it was opened inside of the pause
  EXPECT_TRUE(is_recording());
}

}  // namespace
}  // namespace tapegrad::testing
