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

constinit std::atomic<std::int64_t> locks{0}, threads{0}, products_of_openblas{0};

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
// OpenBLAS has locks of its own.
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda,
                 const float* b, int ldb, float beta, float* c, int ldc) {
  static auto* const own = next<decltype(cblas_sgemm)>("cblas_sgemm");
  products_of_openblas.fetch_add(1);
  own(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_sgemv(int order, int ta, int m, int n, float alpha, const float* a, int lda, const float* x,
                 int step_x, float beta, float* y, int step_y) {
  static auto* const own = next<decltype(cblas_sgemv)>("cblas_sgemv");
  products_of_openblas.fetch_add(1);
  own(order, ta, m, n, alpha, a, lda, x, step_x, beta, y, step_y);
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
      layer<Dense>("Dense", Shape{20}, DenseOptions{.in_features = 20, .units = 7}),
      layer<Dense>("Dense, wide", Shape{800},
                   DenseOptions{.in_features = 800, .units = 120, .activation = relu}),
      layer<Dense>("Dense of rows", Shape{9, 20}, DenseOptions{.in_features = 20, .units = 7}),
      layer<GroupNorm>("GroupNorm", image, GroupNormOptions{.groups = 2, .channels = 4}),
      layer<MaxPooling2D>("MaxPooling2D", image),
      layer<AveragePooling2D>("AveragePooling2D", image),
      layer<GlobalMaxPooling2D>("GlobalMaxPooling2D", image),
      layer<GlobalAveragePooling2D>("GlobalAveragePooling2D", image),
      layer<UpSampling2D>("UpSampling2D", image),
      layer<UpSampling2D>("UpSampling2D bilinear", image,
                          UpSampling2DOptions{.interpolation = Interpolation::Bilinear}),
      layer<ReLU>("ReLU", image),
      layer<GELU>("GELU", image),
      layer<Sigmoid>("Sigmoid", image)};
}

// Passes of f in a scope: none of them after some asks for anything.
void expect_nothing_asked(const std::string& name, const std::function<void()>& f, bool products = false) {
  const auto pass = [&] {
    const RealTimeScope scope;
    f();
  };
  for (int i = 0; i < 4; ++i) pass();
  const std::int64_t locked = locks.load(), started = threads.load(),
                     multiplied = products_of_openblas.load();
  begin_refusing(std::int64_t{1} << 60, Refuse::One);  // none: only counted
  begin_refusing_in_c(std::int64_t{1} << 60);
  pass();
  const std::int64_t asked = stop_refusing() + stop_refusing_in_c();
  const std::int64_t locks_taken = locks.load() - locked, threads_started = threads.load() - started;
  EXPECT_EQ(asked, 0) << name;
  EXPECT_EQ(locks_taken, 0) << name;
  EXPECT_EQ(threads_started, 0) << name;
  if (!products) {
    EXPECT_EQ(products_of_openblas.load() - multiplied, 0) << name;
  }
}

TEST(RealTime, APassAsksForNoMemoryStartsNoThreadAndTakesNoLock) {
  if (kSanitized) GTEST_SKIP() << "sanitizers count by themselves";
  Generator generator(1);
  for (const Named& each : layers()) {
    const std::unique_ptr<Module> net = each.make(generator);
    net->eval();
    for (const index_t batch : {1, 3}) {
      if (batch > 1 && each.name == "Dense, wide") continue;  // OpenBLAS makes room for such products
      std::vector<index_t> sizes(each.sample.begin(), each.sample.end());
      sizes.insert(sizes.begin(), batch);
      const Tensor x = uniform(Shape(sizes), 0, 1, generator);
      const RealTimeScope around(batch == 1 ? std::vector<Tensor>() : net->parameters());
      expect_nothing_asked(
          each.name + ", batch " + std::to_string(batch), [&] { (void)(*net)(x); },
          each.name.starts_with("Dense") && (batch > 1 || each.sample.rank() > 1));
    }
  }
}

// Lists in braces are no memory either.
TEST(RealTime, AFunctionAsksForNoMemoryAndTakesNoLock) {
  if (kSanitized) GTEST_SKIP() << "sanitizers count by themselves";
  Generator generator(1);
  const Tensor x = uniform({2, 6, 6, 4}, -1, 1, generator), m = uniform({6, 5}, -1, 1, generator);
  const Tensor row = uniform({6}, -1, 1, generator), more = uniform({2, 6, 6, 3}, -1, 1, generator);
  const std::vector<Tensor> pair = {x, more}, same = {x, x};
  const std::vector<int> order = {0, 3, 1, 2};
  const Tensor at = randint({7}, 0, 6, generator), wide = uniform({3, 6, 5}, -1, 1, generator);
  const Tensor row5 = uniform({5}, -1, 1, generator), columns = uniform({5, 9}, -1, 1, generator);
  const std::vector<std::pair<std::string, std::function<void()>>> all = {
      {"concat",
       [&] {
         (void)concat({x, more}, 3);
       }},
      {"concat of a list", [&] { (void)concat(pair, 3); }},
      {"stack",
       [&] {
         (void)stack({x, x}, 1);
       }},
      {"stack of a list", [&] { (void)stack(same, 1); }},
      {"slice",
       [&] {
         (void)slice(x, {{0, 2}, {1, 5}, {0, 6, 2}});
       }},
      {"slice of rows", [&] { (void)slice(x, 1, 2); }},
      {"row", [&] { (void)tapegrad::row(x, 1); }},
      {"permute",
       [&] {
         (void)permute(x, {0, 3, 1, 2});
       }},
      {"permute by a list", [&] { (void)permute(x, order); }},
      {"transpose", [&] { (void)transpose(m); }},
      {"pad",
       [&] {
         (void)pad(x, {{0, 0}, {1, 1}, {1, 1}, {0, 0}});
       }},
      {"zero_insert",
       [&] {
         (void)zero_insert(x, {0, 1, 1, 0});
       }},
      {"reshape",
       [&] {
         (void)reshape(x, {2, -1});
       }},
      {"squeeze", [&] { (void)squeeze(slice(x, 0, 1), 0); }},
      {"expand_dims", [&] { (void)expand_dims(x, 1); }},
      {"flip", [&] { (void)flip(x, 1); }},
      {"roll", [&] { (void)roll(x, 2, 1); }},
      {"repeat", [&] { (void)repeat(x, 2, 1); }},
      {"tile",
       [&] {
         (void)tile(x, {1, 2, 2, 1});
       }},
      {"broadcast_to",
       [&] {
         (void)broadcast_to(row, {3, 6});
       }},
      {"cast", [&] { (void)cast(x, DType::Float64); }},
      {"where", [&] { (void)where(greater(x, 0), x, 0.0); }},
      {"gather", [&] { (void)gather(x, at, 1); }},
      {"embedding", [&] { (void)embedding(m, at); }},
      {"argmax", [&] { (void)argmax(x, -1); }},
      {"max",
       [&] {
         (void)max(x, {1, 2});
       }},
      {"mean",
       [&] {
         (void)mean(x, {1, 2}, {.keepdims = true});
       }},
      {"var", [&] { (void)var(x, 3); }},
      {"logsumexp", [&] { (void)logsumexp(x, 3); }},
      {"cumsum", [&] { (void)cumsum(x, 1); }},
      {"clamp", [&] { (void)clamp(x, -0.5, 0.5); }},
      {"layer_norm", [&] { (void)layer_norm(x, 1); }},
      {"matmul of a row", [&] { (void)matmul(row, m); }},
      {"matmul of a column", [&] { (void)matmul(m, row5); }},
      {"matmul", [&] { (void)matmul(wide, columns); }},
      {"matmul of many", [&] { (void)matmul(wide, wide, {.transpose_b = true}); }},
  };
  for (const auto& [name, f] : all)
    expect_nothing_asked(name, f, name.starts_with("matmul") && name != "matmul of a row");
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
