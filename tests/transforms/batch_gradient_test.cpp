#include "tapegrad/transforms/batch_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

using testing::expect_close;
using testing::refuses;

Sequential make_net(std::uint64_t seed = 1) {
  Generator generator(seed);
  Sequential net;
  net.add(Conv2D({.in_channels = 1,
                  .filters = 4,
                  .kernel_size = 3,
                  .strides = 2,
                  .padding = Padding::Same,
                  .activation = relu},
                 generator));
  net.add(Conv2DTranspose({.in_channels = 4,
                           .filters = 3,
                           .kernel_size = 3,
                           .strides = 2,
                           .padding = Padding::Same,
                           .activation = sigmoid},
                          generator));
  net.add(Flatten());
  net.add(Dense({.in_features = 8 * 8 * 3, .units = 5}, generator));
  return net;
}

struct Problem {
  Sequential net = make_net();
  std::vector<Tensor> parameters;
  Tensor images, labels;

  explicit Problem(index_t samples, DType dtype = DType::Float64) {
    net.to(dtype);
    parameters = net.parameters();
    Generator generator(2);
    images = uniform({samples, 8, 8, 1}, -1, 1, generator, dtype);
    labels = zeros({samples}, DType::Int32);
    for (std::int32_t& label : labels.mutable_values<std::int32_t>())
      label = static_cast<std::int32_t>(generator.bits() % 5);
  }
  Tensor loss(const std::vector<Tensor>& part, Reduction reduction = Reduction::Mean) {
    return cross_entropy(net(part[0]), part[1], {.reduction = reduction});
  }
  BatchGradient whole(Reduction reduction = Reduction::Mean) {
    Tape tape;
    const Tensor value = loss({images, labels}, reduction);
    return {value.item(), tape.gradient(value, parameters)};
  }
  BatchGradient in_chunks(const BatchGradientOptions& options) {
    return batch_gradient(
        [&](const auto& part) { return loss(part, options.mean ? Reduction::Mean : Reduction::Sum); },
        {images, labels}, parameters, options);
  }
};

void expect_same(const BatchGradient& found, const BatchGradient& expected, double tolerance) {
  EXPECT_NEAR(found.loss, expected.loss, tolerance * std::abs(expected.loss));
  ASSERT_EQ(found.gradients.size(), expected.gradients.size());
  for (std::size_t i = 0; i < found.gradients.size(); ++i)
    expect_close(found.gradients[i], expected.gradients[i], tolerance, "gradient " + std::to_string(i));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const auto x = a.values<float>(), y = b.values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

TEST(BatchGradient, IsTheGradientOfTheWholeBatch) {
  Problem problem(13);
  const BatchGradient whole = problem.whole();
  for (const index_t chunk : {1, 2, 5, 12, 13, 100}) {
    SCOPED_TRACE(chunk);
    expect_same(problem.in_chunks({.chunk = chunk}), whole, 1e-13);
  }
  expect_same(problem.in_chunks({.chunk = 4, .mean = false}), problem.whole(Reduction::Sum), 1e-13);
}

TEST(BatchGradient, TakesAnEighthOfTheBatchUnlessTold) {
  const ThreadCountScope one(1);
  for (const auto& [samples, largest] : {std::pair(3, 3), {20, 4}, {64, 8}, {100, 12}, {512, 16}}) {
    const Tensor x = ones({samples, 1}), scale = parameter(ones({1}));
    index_t most = 0, sum_of_all = 0;
    batch_gradient(
        [&](const auto& part) {
          most = std::max(most, part[0].shape()[0]);
          sum_of_all += part[0].shape()[0];
          return mean(part[0] * scale);
        },
        {x}, {scale}, {.check = false});  // which computes the whole batch once more
    EXPECT_EQ(most, largest) << samples;
    EXPECT_EQ(sum_of_all, samples);
  }
}

TEST(BatchGradient, AddsUpMoreChunksThanMayWait) {
  Problem problem(75);
  expect_same(problem.in_chunks({.chunk = 1}), problem.whole(), 1e-13);
  expect_same(problem.in_chunks({.chunk = 2}), problem.whole(), 1e-13);
}

TEST(BatchGradient, IsTheSameBitsForAnyNumberOfThreads) {
  Problem problem(70, DType::Float32);
  BatchGradient first;
  for (const int threads : {1, 2, 3, 8}) {
    const ThreadCountScope scope(threads);
    const BatchGradient found = problem.in_chunks({.chunk = 3});
    if (threads == 1) {
      first = found;
      continue;
    }
    EXPECT_EQ(found.loss, first.loss);
    for (std::size_t i = 0; i < first.gradients.size(); ++i)
      EXPECT_TRUE(same_bits(found.gradients[i], first.gradients[i])) << threads << " threads, gradient " << i;
  }
}

// A single chunk is an ordinary tape: loops of its ops use the threads.
TEST(BatchGradient, OfOneChunkUsesSeveralThreads) {
  const ThreadCountScope four(4);
  const Tensor scale = parameter(ones({1}));
  for (const auto& [samples, options] :
       {std::pair(3, BatchGradientOptions{}), {40, BatchGradientOptions{.chunk = 40}}}) {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    (void)batch_gradient(
        [&](const auto& part) {
          parallel_for(64, 1, [&](index_t, index_t) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            const std::lock_guard lock(mutex);
            threads.insert(std::this_thread::get_id());
          });
          return mean(part[0] * scale);
        },
        {ones({samples, 1})}, {scale}, options);
    EXPECT_GT(threads.size(), 1u) << samples << " samples";
  }
}

// Every chunk costs a pass over all gradients: where the parameters outweigh what the tape keeps, chunks are larger.
TEST(BatchGradient, LargeParametersTakeLargeChunks) {
  const ThreadCountScope one(1);
  Generator generator(1);
  Sequential net{Dense({.in_features = 784, .units = 512, .activation = relu}, generator),
                 Dense({.in_features = 512, .units = 512, .activation = relu}, generator),
                 Dense({.in_features = 512, .units = 10}, generator)};
  const Tensor x = uniform({128, 784}, 0, 1, generator), target = zeros({128, 10});
  std::vector<index_t> sizes;
  const auto loss = [&](const std::vector<Tensor>& part) {
    sizes.push_back(part[0].shape()[0]);
    return mse_loss(net(part[0]), part[1]);
  };
  BatchGradient whole;
  {
    Tape tape;
    const Tensor value = loss({x, target});
    whole = {value.item(), tape.gradient(value, net.parameters())};
  }
  sizes.clear();
  expect_same(batch_gradient(loss, {x, target}, net.parameters(), {.check = false}), whole, 1e-5);
  EXPECT_EQ(sizes, (std::vector<index_t>{16, 16, 96})) << "two chunks, and all other samples on one tape";
}

// The chunks that tell how large others should be are two, so that a second thread has work from the beginning on.
TEST(BatchGradient, TheFirstChunksAreSharedAmongThreads) {
  const ThreadCountScope two(2);
  const Tensor weights = parameter(ones({200, 200}));
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  (void)batch_gradient(
      [&](const auto& part) {
        {
          const std::lock_guard lock(mutex);
          threads.push_back(std::this_thread::get_id());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return mean(square(matmul(part[0], weights)));
      },
      {ones({128, 200})}, {weights}, {.check = false});
  ASSERT_GE(threads.size(), 3u);
  EXPECT_NE(threads[0], threads[1]);
}

// Every sample is computed once: none to find out how large chunks should be.
TEST(BatchGradient, NoSampleIsComputedTwice) {
  Generator generator(1);
  Sequential net{Conv2D({.in_channels = 8, .filters = 64, .kernel_size = 3, .activation = relu}, generator),
                 Conv2D({.in_channels = 64, .filters = 64, .kernel_size = 3}, generator)};
  for (const index_t samples : {2, 5, 17, 40}) {
    const ThreadCountScope one(1);
    const Tensor x = uniform({samples, 7, 7, 8}, 0, 1, generator);
    index_t seen = 0;
    const auto loss = [&](const std::vector<Tensor>& part) {
      seen += part[0].shape()[0];
      return mean(square(net(part[0])));
    };
    const BatchGradient found = batch_gradient(loss, {x}, net.parameters(), {.check = false});
    EXPECT_EQ(seen, samples);
    Tape tape;
    const Tensor value = loss({x});
    expect_same(found, {value.item(), tape.gradient(value, net.parameters())}, 1e-5);
  }
}

// The gradients of two chunks, and little more, where parameters outweigh activations.
TEST(BatchGradient, LargeParametersAreNotKeptManyTimes) {
  const ThreadCountScope one(1);
  Generator generator(1);
  Sequential net{Dense({.in_features = 1000, .units = 1000}, generator),
                 Dense({.in_features = 1000, .units = 1000}, generator)};
  const Tensor x = uniform({32, 1000}, 0, 1, generator);
  release_memory();
  const std::size_t before = cached_memory();
  (void)batch_gradient([&](const auto& part) { return mean(square(net(part[0]))); }, {x}, net.parameters(),
                       {.check = false});
  // What the calling thread has freed is about what it had in use at its peak.
  const double parameters = 4.0 * 2 * (1000 * 1000 + 1000);
  EXPECT_LT(static_cast<double>(cached_memory() - before), 2.8 * parameters);
  release_memory();
}

// The wrong mean, and losses that do not treat each sample for itself.
TEST(BatchGradient, TheCheckFindsLossesThatChunksCannotCompute) {
  Generator generator(6);
  const Tensor x = uniform({64, 3}, 0.5, 2, generator, DType::Float64);
  Tensor mask = zeros({64, 1}, DType::Float64);
  for (index_t i = 0; i < 40; ++i) mask.set({i, 0}, 1);
  const Tensor w = parameter(uniform({3, 1}, 1, 2, generator, DType::Float64));
  const auto y = [&](const std::vector<Tensor>& part) { return square(matmul(part[0], w)); };
  const auto run = [&](const TensorFunction& loss, bool is_mean, bool check = true) {
    return [&, loss, is_mean, check] {
      (void)batch_gradient(loss, {x, mask}, {w}, {.chunk = 8, .mean = is_mean, .check = check});
    };
  };
  const TensorFunction means = [&](const auto& part) { return mean(y(part)); };
  const TensorFunction sums = [&](const auto& part) { return sum(y(part)); };
  const TensorFunction masked = [&](const auto& part) {
    return sum(y(part) * part[1]) / (sum(part[1]) + 1e-9);
  };
  const TensorFunction variance = [&](const auto& part) { return sum(var(y(part), {0})); };
  const TensorFunction decayed = [&](const auto& part) { return sum(y(part)) + 100.0 * sum(square(w)); };
  const TensorFunction constant = [&](const auto& part) { return mean(y(part)) + 3.0; };
  for (const auto& right : {run(means, true), run(sums, false), run(constant, true)})
    EXPECT_NO_THROW(right());
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "8 times", "mean"}, run(means, false)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "0.125 times", ".mean = false"}, run(sums, true)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "masked mean"}, run(masked, true)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "variance"}, run(variance, true)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "weight decay"}, run(decayed, false)));
  EXPECT_NO_THROW(run(masked, true, false)());
}

// How much the check lets pass: a 500th in Float32, which rounding needs, and of a gradient that is much smaller than the others'
// the size of their rounding.
TEST(BatchGradient, TheCheckFindsSmallDifferences) {
  const Tensor x = ones({64, 1}), w = parameter(ones({1})), v = parameter(ones({1}));
  const auto run = [&](const TensorFunction& loss, bool is_mean) {
    return [&, loss, is_mean] {
      (void)batch_gradient(loss, {x}, {w, v}, {.chunk = 8, .mean = is_mean, .check = true});
    };
  };
  // A factor that a chunk has and the whole batch has not.
  const auto off_by = [&](double share) {
    return run(
        [&, share](const auto& part) {
          return mean(part[0] * w * v) * (part[0].shape()[0] == 64 ? 1.0 : 1.0 + share);
        },
        true);
  };
  EXPECT_NO_THROW(off_by(1e-3)());
  // Where the whole batch has no finite gradient, chunks have none either: there is nothing to compare.
  for (const float factor : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_NO_THROW(run([=](const auto& part) { return mean(part[0] * w * v) * factor; }, true)());
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "1.003 times"}, off_by(3e-3)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "1.03 times"}, off_by(0.03)));
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "0.97 times"}, off_by(-0.03)));
  // However small all gradients are.
  const Tensor few = full({64, 1}, 1e-6);
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 0", "1.03 times"}, [&] {
    (void)batch_gradient(
        [&](const auto& part) { return mean(part[0] * w * v) * (part[0].shape()[0] == 64 ? 1.0 : 1.03); },
        {few}, {w, v}, {.chunk = 8, .check = true});
  }));
  // A term that each of 8 chunks adds anew, beside w's gradient of 64: v's is off by 7 times its factor.
  const auto decayed = [&](double factor) {
    return run([&, factor](const auto& part) { return sum(part[0] * w) + factor * sum(v); }, false);
  };
  EXPECT_NO_THROW(decayed(64e-6)());
  EXPECT_TRUE(refuses("batch_gradient", {"parameter 1", "8 times"}, decayed(64e-5)));
  // A loss that is another, with the same gradient: each of 8 chunks adds 3.
  EXPECT_TRUE(refuses("batch_gradient", {"the loss in chunks is 88 but on one tape 67", "1.313 times"},
                      run([&](const auto& part) { return sum(part[0] * w) + 3.0 + 0.0 * sum(v); }, false)));
  // A wrong direction, in numbers: (115.2, 12.8) in place of (70.4, 57.6).
  const Tensor pair = parameter(ones({2})), aside = tensor({6.4f, -6.4f});
  EXPECT_TRUE(refuses("batch_gradient", {"1.069 times", "0.69 of its size"}, [&] {
    (void)batch_gradient([&](const auto& part) { return sum(part[0] * pair) + sum(aside * pair); },
                         {ones({64, 2})}, {pair}, {.chunk = 8, .mean = false, .check = true});
  }));
}

TEST(BatchGradient, TheCheckLeavesLayersAsTheyWere) {
  const auto make = [] {
    Generator generator(3);
    return Dropout(0.4, generator);
  };
  Dropout plain = make(), checked = make();
  const Tensor scale = parameter(full({6}, 1.5, DType::Float64)), x = ones({11, 6}, DType::Float64);
  const auto run = [&](Dropout& dropout, bool check) {
    return batch_gradient([&](const auto& part) { return mean(square(dropout(part[0] * scale))); }, {x},
                          {scale}, {.chunk = 3, .check = check});
  };
  for (int step = 0; step < 2; ++step) expect_same(run(checked, true), run(plain, false), 0);
  expect_close(checked.generator_state, plain.generator_state, 0, "what the layer remembers");
}

// Chunks would draw in no order.
TEST(BatchGradient, DrawsInsideAreRefused) {
  const Tensor x = ones({20, 4}), scale = parameter(ones({4}));
  Generator generator(1);
  const auto run = [&](auto f) {
    return [&, f] {
      (void)batch_gradient([&](const auto& part) { return mean(f(part[0] * scale)); }, {x}, {scale});
    };
  };
  EXPECT_TRUE(refuses("normal", {"batch_gradient", "whole batch"},
                      run([&](const Tensor& y) { return y + normal(y.shape(), 0, 1, generator); })));
  EXPECT_TRUE(refuses("uniform", {"batch_gradient", "whole batch"},
                      run([&](const Tensor& y) { return y + uniform(y.shape(), 0, 1, generator); })));
  EXPECT_TRUE(refuses("randint", {"batch_gradient", "whole batch"}, run([&](const Tensor& y) {
                        return y + cast(randint(y.shape(), 0, 9, generator), y.dtype());
                      })));
  EXPECT_TRUE(refuses("randperm", {"batch_gradient", "whole batch"},
                      run([&](const Tensor& y) { return y + cast(randperm(4, generator), y.dtype()); })));
  EXPECT_TRUE(refuses("dropout", {"batch_gradient", "Dropout"},
                      run([&](const Tensor& y) { return dropout(y, 0.5, generator); })));
  EXPECT_EQ(generator.position().drawn, 0u);
  EXPECT_NO_THROW(run([&](const Tensor& y) { return y; })());
  (void)normal({2}, 0, 1, generator);  // and afterwards all is as before
}

// The generator itself, in whatever way the loss got hold of it.
TEST(BatchGradient, DrawsFromTheGeneratorItselfAreRefused) {
  Generator generator(3);
  const Tensor w = parameter(ones({2}, DType::Float64)), x = ones({8, 2}, DType::Float64);
  const auto run = [&](const std::function<double(const Tensor& rows)>& draw) {
    return [&, draw] {
      return batch_gradient([&](const auto& in) { return mean(in[0] * w) * draw(in[0]); }, {x}, {w});
    };
  };
  const std::function<double(Generator&)> draws[] = {
      [](Generator& r) { return static_cast<double>(r.bits()); },
      [](Generator& r) { return r.uniform(); },
      [](Generator& r) { return r.uniform(1, 2); },
      [](Generator& r) { return r.normal(); },
      [](Generator& r) { return r.normal(1, 2); },
      [](Generator& r) { return static_cast<double>(r.integer(7)); },
      [](Generator& r) {
        std::vector<double> v(3);
        r.shuffle(std::span(v));
        return v[0];
      },
      [](Generator& r) {
        std::vector<std::uint32_t> v(3);
        r.fill_bits(v);
        return static_cast<double>(v[0]);
      },
      [](Generator& r) {
        std::vector<double> v(3);
        r.fill_uniform(v, 0, 1);
        r.fill_normal(v, 0, 1);
        return v[0];
      },
  };
  for (const auto& draw : draws) {
    const auto position = generator.position();
    EXPECT_TRUE(refuses("generator", {"batch_gradient", "whole batch"},
                        run([&](const Tensor&) { return draw(generator); })));
    EXPECT_EQ(generator.position(), position);
    // A copy would give each chunk the same numbers.
    EXPECT_TRUE(refuses("generator", {"batch_gradient"}, run([&](const Tensor&) {
                          Generator copied = generator;
                          return draw(copied);
                        })));
    // Numbers that belong to a sample are made of its number.
    EXPECT_NO_THROW(run([&](const Tensor&) {
      Generator own = generator.child(7);
      return draw(own);
    })());
    EXPECT_NO_THROW(draw(generator)) << "afterwards all is as before";
  }
}

TEST(BatchGradient, FindsAParameterThatIsNotTrainedIfAsked) {
  const Tensor shown = parameter(full({2}, 2)), forgotten = parameter(full({2}, 3));
  const auto ask = [&](const std::vector<Tensor>& parameters, bool all) {
    return batch_gradient([&](const auto& part) { return mean(part[0] * shown * forgotten); }, {ones({8, 2})},
                          parameters, {.all_parameters = all});
  };
  EXPECT_TRUE(equal(ask({shown}, false).gradients[0], full({2}, 1.5)));
  EXPECT_TRUE(refuses("gradient", {"a parameter", "[2]", "visit()"}, [&] { (void)ask({shown}, true); }));
  EXPECT_TRUE(equal(ask({shown, forgotten}, true).gradients[1], full({2}, 1)));
}

TEST(BatchGradient, SharesNoMemory) {
  Problem problem(4);
  const BatchGradient one = problem.in_chunks({.chunk = 2}), two = problem.in_chunks({.chunk = 2});
  for (std::size_t i = 0; i < one.gradients.size(); ++i) {
    EXPECT_NE(TensorAccess::storage(one.gradients[i]), TensorAccess::storage(two.gradients[i]));
    EXPECT_NE(TensorAccess::storage(one.gradients[i]), TensorAccess::storage(problem.parameters[i]));
  }
}

// The same layer is used twice, and after another one: the masks are those of the whole batch all the same.
TEST(BatchGradient, DropoutDoesNotNoticeTheChunks) {
  const auto make = [] {
    Generator generator(3);
    return Dropout(0.4, generator);
  };
  Tensor scale = parameter(full({6}, 1.5, DType::Float64));
  Generator generator(4);
  const Tensor x = uniform({11, 6}, 1, 2, generator, DType::Float64);
  const auto loss_with = [&](Dropout& dropout) {
    return [&](const std::vector<Tensor>& part) {
      const Tensor once = dropout(part[0] * scale);
      const Tensor twice = reshape(dropout(reshape(once, {part[0].shape()[0] * 2, 3})), part[0].shape());
      return mean(square(twice));
    };
  };
  Dropout whole = make(), cut = make();
  for (int step = 0; step < 3; ++step) {
    BatchGradient expected;
    {
      Tape tape;
      const Tensor value = loss_with(whole)({x});
      expected = {value.item(), tape.gradient(value, std::vector<Tensor>{scale})};
    }
    expect_same(batch_gradient(loss_with(cut), {x}, {scale}, {.chunk = 3}), expected, 1e-13);
    expect_close(cut.generator_state, whole.generator_state, 0, "what the layer remembers");
  }
}

TEST(BatchGradient, DropoutInACheckpoint) {
  Generator generator(3);
  Dropout dropout(0.5, generator);
  Generator again(3);
  Dropout plain(0.5, again);
  Tensor scale = parameter(full({6}, 1.5, DType::Float64));
  const Tensor x = uniform({7, 6}, 1, 2, generator, DType::Float64);
  const auto with_checkpoint = batch_gradient(
      [&](const auto& part) {
        return mean(checkpoint([&](const auto& in) { return square(dropout(in[0] * scale)); }, {part[0]}));
      },
      {x}, {scale}, {.chunk = 2});
  const auto without = batch_gradient([&](const auto& part) { return mean(square(plain(part[0] * scale))); },
                                      {x}, {scale}, {.chunk = 2});
  expect_same(with_checkpoint, without, 1e-14);
  expect_close(dropout.generator_state, plain.generator_state, 0, "what the layer remembers");
}

TEST(BatchGradient, SamplesDroppedBeforeDropoutAreRefused) {
  Generator generator(3);
  Dropout dropout(0.5, generator);
  const Tensor scale = parameter(ones({6}));
  const auto loss = [&](const auto& part) { return mean(dropout(slice(part[0], 0, 3) * scale)); };
  EXPECT_TRUE(refuses("batch_gradient", {"multiple of the chunk's 4 samples, got 3"}, [&] {
    batch_gradient(loss, {ones({8, 6})}, {scale}, {.chunk = 4});
  }));
}

TEST(BatchGradient, LayersThatMixSamplesRefuse) {
  BatchNorm norm({.channels = 2});
  const Tensor x = ones({4, 2});
  const auto loss = [&](const auto& part) { return mean(square(norm(part[0]))); };
  EXPECT_TRUE(refuses("BatchNorm", {"mixes the samples", "Tape"},
                      [&] { batch_gradient(loss, {x}, norm.parameters(), {.chunk = 2}); }));
  norm.eval();
  EXPECT_EQ(batch_gradient(loss, {x}, norm.parameters(), {.chunk = 2}).gradients.size(), 2U);
}

TEST(BatchGradient, WrongArguments) {
  Problem problem(6);
  const Tensor images = problem.images;
  const auto sum_of = [](const auto& part) { return sum(part[0]); };
  const auto run = [&](const TensorFunction& f, const std::vector<Tensor>& batch,
                       BatchGradientOptions options = {}) {
    return [=, &problem] { batch_gradient(f, batch, problem.parameters, options); };
  };
  EXPECT_TRUE(refuses("batch_gradient", {"chunks of 0"}, run(sum_of, {images}, {.chunk = 0})));
  EXPECT_TRUE(refuses("batch_gradient", {"no tensors"}, run(sum_of, {})));
  EXPECT_TRUE(refuses("batch_gradient", {"no samples", "[0, 2]"}, run(sum_of, {zeros({0, 2})})));
  EXPECT_TRUE(refuses("batch_gradient", {"[6, 8, 8, 1]", "[5]"}, run(sum_of, {images, zeros({5})})));
  EXPECT_TRUE(refuses("batch_gradient", {"must have one element", "[4, 5]"},
                      run([&](const auto& part) { return problem.net(part[0]); }, {images}, {.chunk = 4})));
  EXPECT_TRUE(refuses("batch_gradient", {"the loss returned a Tensor that was never given a value"},
                      run([](const auto&) { return Tensor(); }, {images})));
  EXPECT_TRUE(refuses("batch_gradient", {"tensor 0", "parameter()"},
                      [&] { batch_gradient(sum_of, {images}, {ones({2})}); }));
  const auto nested = [&](const auto& part) {
    const NoGrad no_grad;
    return full({}, problem.in_chunks({}).loss) * sum(part[0]);
  };
  EXPECT_TRUE(refuses("batch_gradient", {"another batch_gradient"}, run(nested, {images})));
  {
    Tape tape;
    EXPECT_TRUE(refuses("batch_gradient", {"tape records", "NoGrad"}, [&] { problem.in_chunks({}); }));
    const NoGrad no_grad;
    EXPECT_GT(problem.in_chunks({}).loss, 0);
  }
  EXPECT_TRUE(refuses("gradient", {"not computed on this tape"}, run(sum_of, {images})));
}

TEST(BatchGradient, AnExceptionInAChunkReachesTheCaller) {
  Problem problem(40);
  for (const int threads : {1, 4}) {
    const ThreadCountScope scope(threads);
    EXPECT_THROW(batch_gradient(
                     [&](const auto& part) -> Tensor {
                       if (part[1].template data<std::int32_t>() != problem.labels.data<std::int32_t>())
                         throw std::runtime_error("in the loss");
                       return problem.loss(part);
                     },
                     {problem.images, problem.labels}, problem.parameters),
                 std::runtime_error);
    expect_same(problem.in_chunks({}), problem.whole(), 1e-13);  // and the program can go on
  }
}

}  // namespace
}  // namespace tapegrad
