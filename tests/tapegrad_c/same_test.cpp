// A net that is made by the C API, and the same net in C++: the same weights, losses and results, bit for bit.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/temporary.h"
#include "listed_threads.h"
#include "tapegrad/tapegrad.h"
#include "tapegrad_c/nets.h"

namespace tapegrad::testing {
namespace {

constexpr std::uint64_t kSeed = 7;

// Every layer: images [n, 9, 8, 2] to [n, 3].
void add_all_layers(tapegrad_net* net) {
  tapegrad_conv2d_options conv = tapegrad_conv2d_default();
  conv.in_channels = 2;
  conv.filters = 4;
  conv.kernel_size[0] = 3;
  conv.kernel_size[1] = 2;
  conv.strides[0] = 2;
  conv.groups = 2;
  conv.padding = TAPEGRAD_SAME;
  conv.activation = TAPEGRAD_RELU;
  ASSERT_OK(net, tapegrad_add_conv2d(net, &conv));  // [n, 5, 8, 4]
  tapegrad_batch_norm_options norm = tapegrad_batch_norm_default();
  norm.channels = 4;
  norm.momentum = 0.9;
  norm.epsilon = 1e-5;
  ASSERT_OK(net, tapegrad_add_batch_norm(net, &norm));
  tapegrad_max_pool2d_options pool = tapegrad_max_pool2d_default();
  pool.pool_size[0] = 3;
  pool.strides[0] = 2;
  pool.strides[1] = 1;
  ASSERT_OK(net, tapegrad_add_max_pool2d(net, &pool));  // [n, 2, 7, 4]
  ASSERT_OK(net, tapegrad_add_dropout(net, 0.25));
  conv = tapegrad_conv2d_default();
  conv.in_channels = 4;
  conv.filters = 3;
  conv.kernel_size[0] = 2;
  conv.kernel_size[1] = 3;
  conv.dilations[1] = 2;
  conv.use_bias = 0;
  ASSERT_OK(net, tapegrad_add_conv2d_transpose(net, &conv));  // [n, 3, 11, 3]
  ASSERT_OK(net, tapegrad_add_activation(net, TAPEGRAD_LEAKY_RELU));
  ASSERT_OK(net, tapegrad_add_flatten(net));
  tapegrad_dense_options dense = tapegrad_dense_default();
  dense.in_features = 99;
  dense.units = 6;
  dense.activation = TAPEGRAD_TANH;
  ASSERT_OK(net, tapegrad_add_dense(net, &dense));
  const tapegrad_shape sample = {2, {3, -1}};
  ASSERT_OK(net, tapegrad_add_reshape(net, &sample));  // [n, 3, 2]
  dense.in_features = 2;
  dense.units = 1;
  dense.activation = TAPEGRAD_NO_ACTIVATION;
  dense.use_bias = 0;
  ASSERT_OK(net, tapegrad_add_dense(net, &dense));
  ASSERT_OK(net, tapegrad_add_flatten(net));
}

Sequential all_layers() {
  Generator generator(kSeed);
  Sequential net;
  net.add(Conv2D({.in_channels = 2,
                  .filters = 4,
                  .kernel_size = {3, 2},
                  .strides = {2, 1},
                  .padding = Padding::Same,
                  .groups = 2,
                  .activation = relu},
                 generator));
  net.add(BatchNorm({.channels = 4, .momentum = 0.9, .epsilon = 1e-5}));
  net.add(MaxPooling2D({.pool_size = {3, 2}, .strides = Size2D(2, 1)}));
  net.add(Dropout(0.25, generator));
  net.add(Conv2DTranspose(
      {.in_channels = 4, .filters = 3, .kernel_size = {2, 3}, .dilations = {1, 2}, .use_bias = false},
      generator));
  net.add(LeakyReLU());
  net.add(Flatten());
  net.add(Dense({.in_features = 99, .units = 6, .activation = tanh}, generator));
  net.add(Reshape({3, -1}));
  net.add(Dense({.in_features = 2, .units = 1, .use_bias = false}, generator));
  net.add(Flatten());
  return net;
}

// Their files are the same, and so are their results.
void expect_same(tapegrad_net* net, Sequential& expected, const Tensor& x) {
  const TemporaryFolder folder;
  const std::string path = (folder / "c").string();
  ASSERT_OK(net, tapegrad_save_weights(net, path.c_str()));
  write_safetensors(folder / "cpp", expected.state_view());
  EXPECT_EQ(read_bytes(folder / "c"), read_bytes(folder / "cpp"));
  expected.eval();
  EXPECT_TRUE(equal(run(net, x), expected(x)));
  expected.train();
}

TEST(SameAsCpp, EveryLayerTrainedByAdam) {
  const Net net(kSeed);
  ASSERT_NO_FATAL_FAILURE(add_all_layers(net.get()));
  Sequential expected = all_layers();
  Generator generator(1);
  const Tensor x = uniform({5, 9, 8, 2}, -1, 1, generator), y = uniform({5, 3}, -1, 1, generator);
  expect_same(net.get(), expected, x);

  tapegrad_adam_options options = tapegrad_adam_default();
  options.learning_rate = 0.02;
  options.beta1 = 0.8;
  options.beta2 = 0.99;
  options.epsilon = 1e-6;
  options.weight_decay = 0.01;
  ASSERT_OK(net.get(), tapegrad_use_adam(net.get(), &options));
  Adam adam(expected.parameters(),
            {.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.01});
  for (int step = 0; step < 10; ++step) {
    if (step == 7) {
      ASSERT_OK(net.get(), tapegrad_set_learning_rate(net.get(), 0.01));
      adam.set_learning_rate(0.01);
    }
    Tape tape;
    const Tensor loss = mse_loss(expected(x), y);
    adam.step(tape.gradient(loss, expected.parameters()));
    EXPECT_EQ(train_mse(net.get(), x, y), loss.item()) << "step " << step;
    if (step % 3 == 0) expect_same(net.get(), expected, x);
  }
  expect_same(net.get(), expected, x);
}

TEST(SameAsCpp, CrossEntropyTrainedBySGD) {
  const Net net(kSeed);
  ASSERT_NO_FATAL_FAILURE(add_all_layers(net.get()));
  Sequential expected = all_layers();
  Generator generator(2);
  const Tensor x = uniform({6, 9, 8, 2}, -1, 1, generator), labels = randint({6}, 0, 3, generator);

  tapegrad_sgd_options options = tapegrad_sgd_default();
  options.learning_rate = 0.1;
  options.momentum = 0.9;
  options.weight_decay = 0.01;
  options.nesterov = 1;
  ASSERT_OK(net.get(), tapegrad_use_sgd(net.get(), &options));
  SGD sgd(expected.parameters(),
          {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01});
  for (int step = 0; step < 10; ++step) {
    Tape tape;
    const Tensor loss = cross_entropy(expected(x), labels);
    sgd.step(tape.gradient(loss, expected.parameters()));
    EXPECT_EQ(train_cross_entropy(net.get(), x, labels), loss.item()) << "step " << step;
  }
  expect_same(net.get(), expected, x);
}

TEST(SameAsCpp, EveryActivation) {
  const std::vector<Activation> expected = {relu, leaky_relu, elu,      selu, gelu,
                                            silu, sigmoid,    softplus, tanh, softmax};
  Generator generator(3);
  const Tensor x = uniform({4, 5}, -3, 3, generator);
  for (std::int32_t activation = TAPEGRAD_RELU; activation <= TAPEGRAD_SOFTMAX; ++activation) {
    const Net net(0);
    ASSERT_OK(net.get(), tapegrad_add_activation(net.get(), activation));
    EXPECT_TRUE(equal(run(net.get(), x), expected[static_cast<std::size_t>(activation - 1)](x)))
        << activation;
  }
}

TEST(SameAsCpp, EveryDefault) {
  const tapegrad_dense_options dense = tapegrad_dense_default();
  EXPECT_EQ(dense.in_features, 0);
  EXPECT_EQ(dense.units, 0);
  EXPECT_EQ(dense.activation, TAPEGRAD_NO_ACTIVATION);
  EXPECT_EQ(dense.use_bias, DenseOptions().use_bias);

  const tapegrad_conv2d_options conv = tapegrad_conv2d_default();
  EXPECT_EQ(conv.in_channels, 0);
  EXPECT_EQ(conv.filters, 0);
  EXPECT_EQ(Size2D(conv.kernel_size[0], conv.kernel_size[1]), Conv2DLayerOptions().kernel_size);
  EXPECT_EQ(Size2D(conv.strides[0], conv.strides[1]), Conv2DLayerOptions().strides);
  EXPECT_EQ(Size2D(conv.dilations[0], conv.dilations[1]), Conv2DLayerOptions().dilations);
  EXPECT_EQ(conv.groups, Conv2DLayerOptions().groups);
  EXPECT_EQ(conv.padding, TAPEGRAD_VALID);
  EXPECT_EQ(conv.activation, TAPEGRAD_NO_ACTIVATION);
  EXPECT_EQ(conv.use_bias, Conv2DLayerOptions().use_bias);

  const tapegrad_max_pool2d_options pool = tapegrad_max_pool2d_default();
  EXPECT_EQ(Size2D(pool.pool_size[0], pool.pool_size[1]), Pool2DOptions().pool_size);
  EXPECT_EQ(Size2D(pool.strides[0], pool.strides[1]), Size2D(0));
  EXPECT_EQ(pool.padding, TAPEGRAD_VALID);

  const tapegrad_batch_norm_options norm = tapegrad_batch_norm_default();
  EXPECT_EQ(norm.channels, 0);
  EXPECT_EQ(norm.momentum, BatchNormOptions().momentum);
  EXPECT_EQ(norm.epsilon, BatchNormOptions().epsilon);

  const tapegrad_adam_options adam = tapegrad_adam_default();
  EXPECT_EQ(adam.learning_rate, AdamOptions().learning_rate);
  EXPECT_EQ(adam.beta1, AdamOptions().beta1);
  EXPECT_EQ(adam.beta2, AdamOptions().beta2);
  EXPECT_EQ(adam.epsilon, AdamOptions().epsilon);
  EXPECT_EQ(adam.weight_decay, AdamOptions().weight_decay);

  const tapegrad_sgd_options sgd = tapegrad_sgd_default();
  EXPECT_EQ(sgd.learning_rate, SGDOptions().learning_rate);
  EXPECT_EQ(sgd.momentum, SGDOptions().momentum);
  EXPECT_EQ(sgd.weight_decay, SGDOptions().weight_decay);
  EXPECT_EQ(sgd.nesterov, SGDOptions().nesterov);

  EXPECT_EQ(tapegrad_version(), TAPEGRAD_VERSION);
}

TEST(SameAsCpp, WeightsFromCppAndFromPyTorch) {
  const TemporaryFolder folder;
  Sequential cpp = all_layers();
  Generator generator(4);
  const Tensor x = uniform({2, 9, 8, 2}, -1, 1, generator);
  for (Tensor weight : cpp.parameters()) weight.mutable_values<float>()[0] = 0.5F;
  write_safetensors(folder / "cpp", cpp.state_view());
  const Net net(99);
  ASSERT_NO_FATAL_FAILURE(add_all_layers(net.get()));
  ASSERT_OK(net.get(), tapegrad_load_weights(net.get(), (folder / "cpp").string().c_str()));
  cpp.eval();
  EXPECT_TRUE(equal(run(net.get(), x), cpp(x)));

  const Tensor weight = uniform({3, 2}, -1, 1, generator), bias = uniform({3}, -1, 1, generator);
  write_safetensors(folder / "torch", {.tensors = {{"0.weight", weight}, {"0.bias", bias}}});
  const Net line(0);
  add_dense(line.get(), 2, 3);
  ASSERT_OK(line.get(), tapegrad_load_pytorch_weights(line.get(), (folder / "torch").string().c_str()));
  const Tensor points = uniform({4, 2}, -1, 1, generator);
  EXPECT_TRUE(equal(run(line.get(), points), matmul(points, transpose(weight)) + bias));
}

// What was saved in the middle goes on as if it had not been interrupted: weights, running averages, steps, learning rate, and
// which elements are dropped.
TEST(CTraining, GoesOnWhereItWasSaved) {
  const TemporaryFolder folder;
  const std::string path = (folder / "training").string();
  Generator generator(6);
  const Tensor x = uniform({5, 9, 8, 2}, -1, 1, generator), y = uniform({5, 3}, -1, 1, generator);
  const Net net(kSeed), later(kSeed + 1);
  for (tapegrad_net* one : {net.get(), later.get()}) {
    ASSERT_NO_FATAL_FAILURE(add_all_layers(one));
    const tapegrad_adam_options options = tapegrad_adam_default();
    ASSERT_OK(one, tapegrad_use_adam(one, &options));
  }
  for (int step = 0; step < 3; ++step) train_mse(net.get(), x, y);
  ASSERT_OK(net.get(), tapegrad_set_learning_rate(net.get(), 0.02));
  ASSERT_OK(net.get(), tapegrad_save_training(net.get(), path.c_str()));
  EXPECT_FALSE(equal(run(later.get(), x), run(net.get(), x)));
  ASSERT_OK(later.get(), tapegrad_load_training(later.get(), path.c_str()));
  for (int step = 0; step < 3; ++step) EXPECT_EQ(train_mse(later.get(), x, y), train_mse(net.get(), x, y));
  EXPECT_TRUE(equal(run(later.get(), x), run(net.get(), x)));
}

TEST(CTensors, AreCountedReadAndReplacedByName) {
  const Net net(1);
  add_dense(net.get(), 2, 3);
  const tapegrad_batch_norm_options norm = {3, 0.9, 1e-3};
  ASSERT_OK(net.get(), tapegrad_add_batch_norm(net.get(), &norm));
  std::int64_t count = 0;
  ASSERT_OK(net.get(), tapegrad_parameter_count(net.get(), &count));
  EXPECT_EQ(count, 2 * 3 + 3 + 3 + 3) << "without the batch norm's moving averages";

  const float kernel[] = {1, 2, 3, 4, 5, 6}, mean[] = {1, 1, 1}, x[] = {1, -1};
  const tapegrad_shape matrix = {2, {2, 3}}, vector = {1, {3}}, one = {2, {1, 2}};
  ASSERT_OK(net.get(), tapegrad_set_tensor(net.get(), "0.kernel", kernel, &matrix));
  ASSERT_OK(net.get(), tapegrad_set_tensor(net.get(), "1.moving_mean", mean, &vector));
  float output[6] = {};
  ASSERT_OK(net.get(), tapegrad_run(net.get(), x, &one, output, 3, nullptr));
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(output[i], (-3 - 1) / std::sqrt(1 + 1e-3), 1e-6);

  tapegrad_shape shape = {};
  EXPECT_EQ(tapegrad_get_tensor(net.get(), "0.kernel", output, 5, &shape), TAPEGRAD_TOO_SMALL);
  EXPECT_EQ(shape.rank, 2);
  EXPECT_EQ(shape.sizes[1], 3);
  ASSERT_OK(net.get(), tapegrad_get_tensor(net.get(), "0.kernel", output, 6, nullptr));
  EXPECT_TRUE(std::equal(std::begin(kernel), std::end(kernel), output));
}

// Results are the same bits for any number of threads, and for nets on threads of the caller's.
TEST(SameAsCpp, OnAnyThreads) {
  Generator generator(5);
  const Tensor x = uniform({64, 9, 8, 2}, -1, 1, generator), y = uniform({64, 3}, -1, 1, generator);
  const auto losses_on = [&](std::int32_t threads) {
    const Net net(kSeed);
    add_all_layers(net.get());
    EXPECT_OK(net.get(), tapegrad_set_threads(net.get(), threads));
    const tapegrad_adam_options adam = tapegrad_adam_default();
    EXPECT_OK(net.get(), tapegrad_use_adam(net.get(), &adam));
    std::vector<double> losses;
    for (int step = 0; step < 5; ++step) losses.push_back(train_mse(net.get(), x, y));
    tapegrad_release_memory();
    return losses;
  };
  const std::vector<double> expected = losses_on(1);
  EXPECT_EQ(losses_on(0), expected);
  EXPECT_EQ(losses_on(3), expected);
  std::vector<double> at_once[3];
  std::vector<std::thread> threads;
  for (std::vector<double>& losses : at_once) threads.emplace_back([&] { losses = losses_on(2); });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<double>& losses : at_once) EXPECT_EQ(losses, expected);
}

// The calling thread and its workers compute, as many as the net was told.
TEST(SameAsCpp, AsManyThreadsAsSet) {
  const Tensor x = ones({1024, 1024});
  std::thread([&] {
    const ThreadCountScope one(1);  // for what the test computes itself
    const auto before = listed_threads();
    const Net net(kSeed);
    ASSERT_OK(net.get(), tapegrad_add_activation(net.get(), TAPEGRAD_TANH));
    for (const std::int32_t threads : {1, 3, 5}) {
      ASSERT_OK(net.get(), tapegrad_set_threads(net.get(), threads));
      run(net.get(), x);
      EXPECT_EQ(started_since(before), threads - 1);
    }
  }).join();
}

// A C++ program that has a tape open meanwhile finds nothing of the calls on it.
TEST(SameAsCpp, AndNoTapeAroundItKnows) {
  Generator generator(6);
  const Tensor x = uniform({5, 2}, -1, 1, generator), y = uniform({5, 3}, -1, 1, generator);
  const Net net(kSeed), alone(kSeed);
  for (tapegrad_net* one : {net.get(), alone.get()}) {
    add_dense(one, 2, 3);
    use_adam(one);
  }
  const double expected = train_mse(alone.get(), x, y);
  Tape tape;
  EXPECT_EQ(train_mse(net.get(), x, y), expected);
  EXPECT_TRUE(equal(run(net.get(), x), run(alone.get(), x)));
  EXPECT_EQ(tape.size(), 0);
}

}  // namespace
}  // namespace tapegrad::testing
