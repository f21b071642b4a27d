// What processes do together. Run as mpirun -n N test_mpi, for several N: every process runs every test.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "mpi/world.h"
#include "tapegrad/mpi/mpi.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

using testing::world;

Sequential make_net(std::uint64_t seed = 1, bool with_dropout = false) {
  Generator generator(seed);
  Sequential net{Conv2D({.in_channels = 1,
                         .filters = 4,
                         .kernel_size = 3,
                         .strides = 2,
                         .padding = Padding::Same,
                         .activation = relu},
                        generator)};
  if (with_dropout) net.add(Dropout(0.3, generator));
  net.add(Conv2DTranspose({.in_channels = 4,
                           .filters = 1,
                           .kernel_size = 3,
                           .strides = 2,
                           .padding = Padding::Same,
                           .activation = sigmoid},
                          generator));
  return net;
}

Tensor images_of(index_t samples, DType dtype = DType::Float32) {
  Generator generator(2);
  return uniform({samples, 8, 8, 1}, 0, 1, generator, dtype);
}

void expect_same_bits(const BatchGradient& found, const BatchGradient& expected) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(found.loss), std::bit_cast<std::uint64_t>(expected.loss));
  ASSERT_EQ(found.gradients.size(), expected.gradients.size());
  for (std::size_t i = 0; i < found.gradients.size(); ++i)
    EXPECT_TRUE(equal(found.gradients[i], expected.gradients[i])) << "gradient " << i;
}

// The message of the Error that f() must throw.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string here(int process) {
  return "process " + std::to_string(process) + " of " + std::to_string(world().processes());
}

TEST(DistributedBatchGradient, HasTheBitsOfBatchGradient) {
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const index_t samples : {1, 2, 3, 5, 8, 13, 40, 64, 100, 129})
      for (const std::optional<index_t> chunk :
           {std::optional<index_t>(), std::optional<index_t>(1), std::optional<index_t>(7)}) {
        SCOPED_TRACE(::testing::Message() << samples << " samples, chunk " << chunk.value_or(0));
        Sequential net = make_net();
        net.to(dtype);
        const Tensor images = images_of(samples, dtype);
        const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
        const BatchGradient expected = batch_gradient(loss, {images}, net.parameters(), {.chunk = chunk});
        for (const int threads : {1, 2}) {
          const ThreadCountScope scope(threads);
          expect_same_bits(
              distributed_batch_gradient(world(), loss, {images}, net.parameters(), {.chunk = chunk}),
              expected);
        }
      }
}

TEST(DistributedBatchGradient, HasThemForSumsAndForLayersThatCount) {
  for (const index_t samples : {80, 96, 160}) {
    Sequential one = make_net(3, true), many = make_net(3, true);
    const Tensor images = images_of(samples);
    for (int step = 0; step < 3; ++step) {
      const auto loss_of = [&](Sequential& net) {
        return [&net](const std::vector<Tensor>& part) { return sum(square(net(part[0]) - part[0])); };
      };
      const BatchGradient expected =
          batch_gradient(loss_of(one), {images}, one.parameters(), {.mean = false});
      expect_same_bits(
          distributed_batch_gradient(world(), loss_of(many), {images}, many.parameters(), {.mean = false}),
          expected);
    }
  }
}

TEST(DistributedBatchGradient, SaysWhereCountingLayersHaveNoSamples) {
  if (world().processes() == 1) return;
  Sequential net = make_net(3, true);
  const Tensor images = images_of(4);  // one chunk
  const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
  EXPECT_NE(error_of([&] {
              distributed_batch_gradient(world(), loss, {images}, net.parameters());
            }).find("layers that number their samples"),
            std::string::npos);
}

TEST(DistributedBatchGradient, HasThemForTheWideNetWhoseParametersAreLarge) {
  Generator generator(1);
  const auto conv = [&](index_t in, index_t filters) {
    return Conv2D({.in_channels = in,
                   .filters = filters,
                   .kernel_size = 3,
                   .padding = Padding::Same,
                   .activation = relu},
                  generator);
  };
  Sequential net{conv(1, 32), conv(32, 64), conv(64, 64)};
  const Tensor images = images_of(70);
  const TensorFunction loss = [&](const auto& part) { return mean(square(net(part[0]))); };
  const BatchGradient expected = batch_gradient(loss, {images}, net.parameters());
  expect_same_bits(distributed_batch_gradient(world(), loss, {images}, net.parameters()), expected);
}

TEST(DistributedBatchGradient, SaysWhereBatchGradientWouldCutOtherwise) {
  Generator generator(1);
  Dense dense({.in_features = 64, .units = 1024}, generator);
  const Tensor x = reshape(images_of(64), {64, 64});
  const TensorFunction loss = [&](const auto& part) { return mean(square(dense(part[0]))); };
  const auto run = [&](std::optional<index_t> chunk) {
    return distributed_batch_gradient(world(), loss, {x}, dense.parameters(), {.chunk = chunk});
  };
  EXPECT_NE(error_of([&] { run({}); }).find("set the option chunk"), std::string::npos);
  expect_same_bits(run(8), batch_gradient(loss, {x}, dense.parameters(), {.chunk = 8}));
}

TEST(DistributedBatchGradient, AllreduceIsTheSameToRounding) {
  Sequential net = make_net();
  net.to(DType::Float64);
  for (const index_t samples : {5, 64, 129})
    for (const bool one_tape : {false, true}) {
      if (one_tape && share_of(world(), samples).count == 0) continue;
      if (one_tape && (samples + 3) / 4 < world().processes()) continue;
      const Tensor images = images_of(samples, DType::Float64);
      const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
      const BatchGradient expected = batch_gradient(loss, {images}, net.parameters());
      const BatchGradient found = distributed_batch_gradient(
          world(), loss, {images}, net.parameters(), {.adding = Adding::ByAllreduce, .one_tape = one_tape});
      EXPECT_NEAR(found.loss, expected.loss, 1e-14);
      for (std::size_t i = 0; i < expected.gradients.size(); ++i)
        EXPECT_LT(max(abs(found.gradients[i] - expected.gradients[i])).item(), 1e-14) << samples;
    }
}

TEST(DistributedBatchGradient, AnExceptionOfOneIsAnErrorOnAll) {
  Sequential net = make_net();
  const Tensor images = images_of(128);
  for (int thrower = 0; thrower < world().processes(); ++thrower) {
    const TensorFunction loss = [&](const std::vector<Tensor>& part) -> Tensor {
      if (world().process() == thrower) throw std::runtime_error("no more paper");
      return mse_loss(net(part[0]), part[0]);
    };
    const std::string what =
        error_of([&] { distributed_batch_gradient(world(), loss, {images}, net.parameters()); });
    EXPECT_EQ(what, "[distributed_batch_gradient] " + here(thrower) + " failed: no more paper");
  }
  try {
    distributed_batch_gradient(
        world(), [&](const auto&) -> Tensor { throw std::out_of_range("here"); }, {images}, net.parameters());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THROW(std::rethrow_if_nested(error), std::out_of_range);
  }
  world().barrier();  // they are together again
}

TEST(DistributedBatchGradient, ADifferentBatchModelOrOptionIsAnErrorOnAll) {
  if (world().processes() == 1) return;
  const int last = world().processes() - 1;
  const bool other = world().process() == last;
  const std::string name = here(world().processes() == 2 ? 1 : last);
  Sequential net = make_net();
  const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
  const auto run = [&](const Tensor& images, const DistributedOptions& options = {}) {
    return error_of([&] { distributed_batch_gradient(world(), loss, {images}, net.parameters(), options); });
  };
  const Tensor images = images_of(128);
  EXPECT_EQ(
      run(images_of(other ? 64 : 128)),
      "[distributed_batch_gradient] the number of samples in the batch must be the same on all processes, but " +
          name + " has 64, and the others 128");
  Tensor changed = images + 0;
  if (other) changed.set({127, 7, 7, 0}, 5);
  EXPECT_EQ(run(changed), "[distributed_batch_gradient] the batch must be the same on all processes, but " +
                              name + " has another one than the others");
  EXPECT_NE(run(images, {.chunk = other ? 8 : 4}).find("the option chunk must be the same"),
            std::string::npos);
  EXPECT_NE(run(images, {.mean = other}).find("the set of options must be the same"), std::string::npos);

  // A process that drifted.
  std::vector<Tensor> parameters = net.parameters();
  if (other) parameters[2].set({0, 0, 0, 0}, 0.5);
  EXPECT_EQ(run(images, {.check_every = 1}),
            "[distributed_batch_gradient] " + name + " has another parameter 2 (shape " +
                ::testing::PrintToString(parameters[2].shape()) +
                ") than the others: it has drifted, or did not begin with the same values");
  broadcast(world(), parameters);
  EXPECT_EQ(run(images, {.check_every = 1}), "nothing was thrown");
  Sequential deeper{make_net(), make_net()};
  Sequential& model = other ? deeper : net;
  const TensorFunction of_model = [&](const auto& part) { return mse_loss(model(part[0]), part[0]); };
  EXPECT_EQ(
      error_of([&] { distributed_batch_gradient(world(), of_model, {images}, model.parameters()); }),
      "[distributed_batch_gradient] the list of the parameters' shapes and dtypes must be the same on all processes, but " +
          name + " has another one than the others");
}

TEST(DistributedBatchGradient, ADifferentCallIsAnErrorOnAll) {
  if (world().processes() == 1) return;
  const bool other = world().process() == world().processes() - 1;
  const std::string what = error_of([&] {
    if (other)
      world().barrier();
    else
      (void)world().gather(1);
  });
  EXPECT_NE(what.find("calls barrier while the others call gather"), std::string::npos) << what;
  world().barrier();
}

TEST(DistributedBatchGradient, TheWrongShareIsAnErrorOnAll) {
  Sequential net = make_net();
  const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
  BatchPart part = share_of(world(), 128);
  part.first += 1;
  EXPECT_NE(error_of([&] {
              distributed_batch_gradient(world(), loss, {images_of(part.count)}, net.parameters(),
                                         {.part = part});
            }).find("give the Loader batch_part(world)"),
            std::string::npos);
}

TEST(Communicator, BroadcastsAndComparesStates) {
  State state;
  const bool first = world().is_first();
  state.tensors = {{"a", first ? tensor({{1, 2}, {3, 4}}) : zeros({7})}};
  if (first) state.tensors.emplace_back("b", tensor({1, 2, 3}, DType::UInt8));
  state.numbers = {{first ? "x" : "y", 0.1}};
  state.integers = {{"big", first ? ~std::uint64_t{0} : 3}};
  broadcast(world(), state);
  ASSERT_EQ(state.tensors.size(), 2u);
  EXPECT_TRUE(equal(state.tensors[0].second, tensor({{1, 2}, {3, 4}})));
  EXPECT_TRUE(equal(state.tensors[1].second, tensor({1, 2, 3}, DType::UInt8)));
  EXPECT_EQ(state.numbers.at("x"), 0.1);
  EXPECT_EQ(state.numbers.size(), 1u);
  EXPECT_EQ(state.integers.at("big"), ~std::uint64_t{0});

  std::string text = first ? "hello" : "";
  broadcast(world(), text);
  EXPECT_EQ(text, "hello");

  require_same(world(), state.tensors);
  if (world().processes() == 1) return;
  if (world().process() == 1) state.tensors[1].second.set({2}, 9);
  EXPECT_NE(
      error_of([&] { require_same(world(), state.tensors); }).find(here(1) + " has another b (shape [3])"),
      std::string::npos);
}

TEST(Communicator, GathersAndRunsOnTheFirst) {
  const std::vector<double> all = world().gather(world().process() + 0.5);
  ASSERT_EQ(std::ssize(all), world().processes());
  for (int i = 0; i < world().processes(); ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i + 0.5);
  EXPECT_TRUE(world().any(world().process() == world().processes() - 1));
  EXPECT_FALSE(world().any(false));
  bool ran = false;
  world().on_first([&] { ran = true; });
  EXPECT_EQ(ran, world().is_first());
  EXPECT_EQ(error_of([&] { world().on_first([] { throw std::runtime_error("the disk is full"); }); }),
            "[on_first] " + here(0) + " failed: the disk is full");
}

TEST(Communicator, HandsOutWork) {
  std::set<index_t> mine;
  std::vector<std::string> results(30);
  world().hand_out(
      30,
      [&](index_t i) {
        mine.insert(i);
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 3));
        return std::to_string(i * i);
      },
      [&](index_t i, const std::string& result) { results.at(static_cast<std::size_t>(i)) = result; });
  const std::vector<double> counts = world().gather(static_cast<double>(mine.size()));
  double total = 0;
  for (const double count : counts) total += count;
  EXPECT_EQ(total, 30);
  if (world().processes() > 2) {
    EXPECT_GT(*std::ranges::min_element(counts.begin() + 1, counts.end()), 0);
  }
  for (std::size_t i = 0; world().is_first() && i < results.size(); ++i)
    EXPECT_EQ(results[i], std::to_string(i * i));
  const std::string what = error_of([&] {
    world().hand_out(
        8,
        [](index_t i) -> std::string {
          if (i == 3) throw std::runtime_error("not this one");
          return "";
        },
        [](index_t, const std::string&) {});
  });
  EXPECT_NE(what.find("failed: not this one"), std::string::npos) << what;
  world().barrier();
}

TEST(Loader, HandsOutSharesThatAreTheBatch) {
  const Tensor rows = images_of(101);
  int read = 0;
  std::mutex mutex;
  const Samples counted(rows.shape(), rows.dtype(), [&](index_t i) {
    const std::scoped_lock lock(mutex);
    ++read;
    return reshape(slice(rows, {{i, i + 1}}), {8, 8, 1});
  });
  const auto options = [](std::function<BatchPart(index_t)> part) {
    return LoaderOptions{.batch_size = 32, .seed = 5, .transform = random_shift(1), .part = std::move(part)};
  };
  const Loader whole(rows, options({})), shares(counted, options(batch_part(world())));
  Sequential one = make_net(), many = make_net();
  Adam adam_one(one.parameters()), adam_many(many.parameters());
  index_t expected = 0;
  for (index_t epoch = 0; epoch < 2; ++epoch) {
    auto pass = shares.epoch(epoch);
    auto at = pass.begin();
    for (const Batch& batch : whole.epoch(epoch)) {
      ASSERT_FALSE(at == pass.end());
      const BatchPart part = at->part;
      expected += part.count;
      EXPECT_EQ(part.samples, batch.inputs.shape()[0]);
      EXPECT_EQ(part.first, share_of(world(), part.samples).first);
      if (part.count > 0) {
        EXPECT_TRUE(equal(at->inputs, slice(batch.inputs, {{part.first, part.first + part.count}})));
      }
      const TensorFunction loss_one = [&](const auto& x) { return mse_loss(one(x[0]), x[0]); };
      const TensorFunction loss_many = [&](const auto& x) { return mse_loss(many(x[0]), x[0]); };
      const BatchGradient right = batch_gradient(loss_one, {batch.inputs}, one.parameters());
      const BatchGradient found =
          distributed_batch_gradient(world(), loss_many, {at->inputs}, many.parameters(), {.part = part});
      expect_same_bits(found, right);
      adam_one.step(right.gradients);
      adam_many.step(found.gradients);
      ++at;
    }
    EXPECT_TRUE(at == pass.end());
  }
  for (std::size_t i = 0; i < one.parameters().size(); ++i)
    EXPECT_TRUE(equal(one.parameters()[i], many.parameters()[i]));
  EXPECT_EQ(read, expected);  // nothing but the share
}

TEST(Loader, TheSharesOfDifferentBatchesAreToldApart) {
  if (world().processes() == 1) return;
  const Tensor rows = images_of(128);
  const bool other = world().process() == 1;
  const Loader loader(rows,
                      LoaderOptions{.batch_size = 64, .seed = other ? 2u : 1u, .part = batch_part(world())});
  Sequential net = make_net();
  const TensorFunction loss = [&](const auto& part) { return mse_loss(net(part[0]), part[0]); };
  for (const Batch& batch : loader.epoch(0)) {
    EXPECT_NE(error_of([&] {
                distributed_batch_gradient(world(), loss, {batch.inputs}, net.parameters(),
                                           {.part = batch.part});
              }).find("the batch must be the same on all processes, but " + here(1)),
              std::string::npos);
    break;
  }
}

TEST(Checkpoints, AreWrittenByOneAndReadByAll) {
  std::string name = ::testing::TempDir() + "tapegrad_mpi_" + std::to_string(getpid());
  broadcast(world(), name);
  {
    Checkpoints checkpoints(name);
    EXPECT_FALSE(newest(world(), checkpoints).has_value());
    Sequential net = make_net(7);
    save(world(), checkpoints, {.state = net.state(), .step = 12, .metric = 0.25});
    Sequential other = make_net(8);
    const auto found = newest(world(), checkpoints);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->checkpoint.step, 12);
    EXPECT_EQ(found->checkpoint.metric, 0.25);
    other.load_state(found->checkpoint.state);
    for (std::size_t i = 0; i < net.parameters().size(); ++i)
      EXPECT_TRUE(equal(net.parameters()[i], other.parameters()[i]));
  }
  world().on_first([&] { std::filesystem::remove_all(name); });
  Checkpoints impossible("/proc/none/checkpoints");
  EXPECT_NE(error_of([&] { save(world(), impossible, {}); }).find(here(0) + " failed: "), std::string::npos);
}

// Of two functions of the whole batch, one with BatchNorm on one process, the other with SyncBatchNorm on all.
TEST(SyncBatchNorm, IsBatchNormOfOneProcess) {
  constexpr index_t kSamples = 48;
  BatchNorm right({.channels = 3, .momentum = 0.9, .moving_variance = MovingVariance::Unbiased});
  SyncBatchNorm found(world(), {.channels = 3, .momentum = 0.9, .moving_variance = MovingVariance::Unbiased});
  right.to(DType::Float64);
  found.to(DType::Float64);
  Generator generator(4);
  const Tensor x = normal({kSamples, 2, 2, 3}, 1, 2, generator, DType::Float64);
  const Tensor weights = normal(x.shape(), 0, 1, generator, DType::Float64);
  const Tensor gamma = normal({3}, 1, 0.5, generator, DType::Float64);
  right.gamma = parameter(gamma);
  found.gamma = parameter(gamma);
  const BatchPart part = share_of(world(), kSamples, 6);
  if (world().gather(static_cast<double>(part.count)).back() == 0) return;
  const auto own = [&](const Tensor& t) { return slice(t, {{part.first, part.first + part.count}}); };

  // First and second order: the gradient of |gradient by x|^2 + gradient by gamma, by x and by gamma.
  const auto derivatives = [](Module& layer, const Tensor& parameter_, const Tensor& input, const Tensor& w) {
    Tape tape;
    const Tensor v = tape.watch(input);
    const Tensor loss = sum(w * tanh(layer(v)));
    const Gradients first = tape.gradient(loss, {v, parameter_}, {.create_graph = true});
    const Tensor second = sum(square(first[0]) * w) + sum(first[1]);
    const Gradients of_second = tape.gradient(second, {v, parameter_});
    return std::vector<Tensor>{stop_gradient(first[0]), stop_gradient(first[1]), of_second[0], of_second[1]};
  };
  const std::vector<Tensor> expected = derivatives(right, right.gamma, x, weights);
  const std::vector<Tensor> got = derivatives(found, found.gamma, own(x), own(weights));
  const auto largest = [](const Tensor& t) { return max(abs(t)).item(); };
  for (const std::size_t by_x : {0u, 2u})
    EXPECT_LT(largest(got[by_x] - own(expected[by_x])), 1e-11 * largest(expected[by_x])) << by_x;
  for (const std::size_t by_gamma : {1u, 3u})
    EXPECT_LT(largest(sum_over(world(), got[by_gamma]) - expected[by_gamma]),
              1e-11 * largest(expected[by_gamma]))
        << by_gamma;
  EXPECT_LT(largest(found.moving_mean - right.moving_mean), 1e-13);
  EXPECT_LT(largest(found.moving_variance - right.moving_variance), 1e-13);
  right.eval();
  found.eval();
  EXPECT_LT(largest(right(x) - found(x)), 1e-13);
}

TEST(SyncBatchNorm, TrainsAsOneProcess) {
  Generator g1(1), g2(1);
  const Tensor images = images_of(64, DType::Float64);
  Sequential one{Conv2D({.in_channels = 1, .filters = 3, .kernel_size = 3}, g1), BatchNorm({.channels = 3})};
  Sequential many{Conv2D({.in_channels = 1, .filters = 3, .kernel_size = 3}, g2),
                  SyncBatchNorm(world(), {.channels = 3})};
  one.to(DType::Float64);
  many.to(DType::Float64);
  const auto loss_of = [](Sequential& net) {
    return [&net](const std::vector<Tensor>& part) { return mean(square(tanh(net(part[0])) - 0.3)); };
  };
  Tape tape;
  const Tensor value = loss_of(one)({images});
  const double loss = value.item();
  const Gradients expected = tape.gradient(value, one.parameters());
  const BatchGradient found = distributed_batch_gradient(world(), loss_of(many), {images}, many.parameters(),
                                                         {.adding = Adding::ByAllreduce, .one_tape = true});
  EXPECT_NEAR(found.loss, loss, 1e-13);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(max(abs(found.gradients[i] - expected[i])).item(), 1e-13) << i;
  // In chunks both are refused.
  for (Sequential* net : {&one, &many})
    EXPECT_NE(error_of([&] {
                distributed_batch_gradient(world(), loss_of(*net), {images}, net->parameters());
              }).find("mixes the samples of a batch"),
              std::string::npos);
}

TEST(Communicator, RefusesWhatCannotBe) {
  EXPECT_NE(error_of([] { Communicator none({.time_limit = 0}); }).find("time_limit must be"),
            std::string::npos);
  EXPECT_NE(error_of([] { (void)share_of(world(), 0); }).find("samples must be at least 1"),
            std::string::npos);
  EXPECT_NE(error_of([] { (void)batch_part(world(), 0); }).find("chunk must be at least 1"),
            std::string::npos);
  EXPECT_NE(error_of([] { (void)sum_over(world(), Tensor()); }).find("x must be"), std::string::npos);
  EXPECT_NE(error_of([] { (void)sum_over(world(), ones({2}, DType::Int32)); }).find("x must be"),
            std::string::npos);
  EXPECT_NE(error_of([] { broadcast(world(), std::vector<Tensor>{Tensor()}); }).find("never given a value"),
            std::string::npos);
  EXPECT_NE(error_of([] { world().hand_out(-1, {}, {}); }).find("count must be"), std::string::npos);
  const Sequential none;
  const Tensor p = parameter(ones({2})), x = ones({8, 2});
  const TensorFunction loss = [&](const auto& part) { return sum(part[0] * p); };
  for (const DistributedOptions& wrong :
       {DistributedOptions{.chunk = 0}, DistributedOptions{.one_tape = true},
        DistributedOptions{.check_every = -1}})
    EXPECT_NE(error_of([&] {
                distributed_batch_gradient(world(), loss, {x}, {p}, wrong);
              }).find(" failed: [distributed"),
              std::string::npos);
  for (const std::vector<Tensor>& batch : {std::vector<Tensor>{}, {Tensor()}, {tensor(1)}, {zeros({0, 2})}})
    EXPECT_NE(error_of([&] { distributed_batch_gradient(world(), loss, batch, {p}); }).find(" failed: "),
              std::string::npos);
  EXPECT_NE(error_of([&] { distributed_batch_gradient(world(), loss, {x}, {Tensor()}); }).find(" failed: "),
            std::string::npos);
}

}  // namespace
}  // namespace tapegrad
