#include <gtest/gtest.h>

#include <limits>

#include "oracle.h"

namespace tapegrad::testing {
namespace {

// The autoencoder of the reference: two strided convolutions, two transposed ones, one convolution.
Sequential autoencoder(index_t wide, index_t narrow, Generator& generator, Activation hidden = relu) {
  const auto conv = [&](index_t in, index_t out, index_t stride, Activation activation) {
    return Conv2D({.in_channels = in,
                   .filters = out,
                   .kernel_size = 3,
                   .strides = stride,
                   .padding = Padding::Same,
                   .activation = activation},
                  generator);
  };
  const auto transposed = [&](index_t in, index_t out) {
    return Conv2DTranspose({.in_channels = in,
                            .filters = out,
                            .kernel_size = 3,
                            .strides = 2,
                            .padding = Padding::Same,
                            .activation = hidden},
                           generator);
  };
  Sequential model;
  model.add(conv(1, wide, 2, hidden)).add(conv(wide, narrow, 2, hidden));
  model.add(transposed(narrow, narrow)).add(transposed(narrow, wide));
  model.add(conv(wide, 1, 1, sigmoid));
  return model;
}

// The reference calls the parameters of layer i, counted from 1, w<i> and b<i>.
std::string reference_name(const std::string& path) {
  return (path.ends_with("kernel") ? "w" : "b") + std::to_string(std::stoi(path) + 1);
}

class TrainingTrace : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, TrainingTrace, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(TrainingTrace, TwentyFiveStepsOfAdam) {
  const DType dtype = GetParam();
  const bool wide = dtype == DType::Float64;
  const double gradient_tolerance = wide ? 1e-12 : 1e-5, loss_tolerance = wide ? 1e-11 : 1e-5,
               weight_tolerance = wide ? 1e-10 : 1e-3;
  const OracleCase c = read_oracle("training_trace").at(0);
  Generator generator(1);
  Sequential model = autoencoder(16, 8, generator);
  model.to(dtype);
  State start;
  for (const auto& [path, tensor] : model.state_view().tensors)
    start.tensors.emplace_back(path, c.tensor("start_" + reference_name(path)));
  ASSERT_EQ(start.tensors.size(), 10u);
  model.load_state(start);

  const std::vector<Tensor> parameters = model.parameters();
  const Tensor input = c.tensor("input", dtype), target = c.tensor("target", dtype);
  Adam adam(parameters, {.learning_rate = c.number("lr"),
                         .beta1 = c.number("beta1"),
                         .beta2 = c.number("beta2"),
                         .epsilon = c.number("epsilon")});
  const index_t steps = c.integers("steps").front();
  std::vector<double> losses;
  for (index_t step = 0; step < steps; ++step) {
    Tape tape;
    const Tensor y = model(input);
    const Tensor loss = mse_loss(y, target);
    losses.push_back(loss.item());
    const auto gradients = tape.gradient(loss, parameters);
    if (step == 0) {
      expect_close(y, c, "first_y", gradient_tolerance);
      const State state = model.state_view();
      for (std::size_t i = 0; i < gradients.size(); ++i)
        expect_close(gradients[i], c, "first_grad_" + reference_name(state.tensors[i].first),
                     gradient_tolerance);
    }
    adam.step(gradients);
  }
  losses.push_back(mse_loss(model(input), target).item());
  EXPECT_EQ(steps, 25);
  expect_close(tensor(losses, {steps + 1}), c, "losses", loss_tolerance);
  for (const auto& [path, tensor] : model.state_view().tensors)
    expect_close(tensor, c, "final_" + reference_name(path), weight_tolerance);
}

// The narrow net of the same layers, in float64 and with biases that are not 0.
Sequential small_autoencoder(std::uint64_t seed) {
  Generator generator(seed);
  Sequential model = autoencoder(3, 2, generator);
  model.to(DType::Float64);
  for (Tensor& parameter : model.parameters())
    if (parameter.rank() == 1)
      for (double& b : parameter.mutable_values<double>()) b = generator.uniform(-0.3, 0.3);
  return model;
}

// The smallest |x| that a relu of the model is given: without its activation a layer shows its sums.
double distance_from_kinks(Sequential& model, const Tensor& image) {
  Generator generator(1);
  Sequential bare = autoencoder(3, 2, generator, nullptr);
  bare.to(DType::Float64);
  bare.load_state(model.state_view());
  double nearest = std::numeric_limits<double>::infinity();
  Tensor x = image;
  for (std::size_t i = 0; i < 4; ++i) {
    x = bare[i](x);
    for (const double sum : x.values<double>()) nearest = std::min(nearest, std::abs(sum));
    x = relu(x);
  }
  EXPECT_TRUE(equal(bare[4](x), model(image)));
  return nearest;
}

TEST(AutoencoderGradient, AgreesWithCentralDifferences) {
  Sequential model = small_autoencoder(3);
  Generator generator(17);
  Tensor image = uniform({2, 8, 8, 1}, 0, 1, generator, DType::Float64);
  const Tensor target = uniform({2, 8, 8, 1}, 0, 1, generator, DType::Float64);
  // The differences move a sum by some 1e-5 at most.
  ASSERT_GT(distance_from_kinks(model, image), 1e-3) << "choose another seed";

  std::vector<Tensor> variables = model.parameters(), analytic;
  {
    Tape tape;
    const Tensor watched = tape.watch(image);
    std::vector<Tensor> sources = variables;
    sources.push_back(watched);
    analytic = tape.gradient(mse_loss(model(watched), target), sources);
  }
  variables.push_back(image);
  for (std::size_t k = 0; k < variables.size(); ++k) {
    Tensor& x = variables[k];
    double largest = 0, worst = 0;
    for (index_t i = 0; i < x.size(); ++i) {
      constexpr double h = 6e-6;
      const double at = x.data<double>()[i], g = analytic[k].data<double>()[i];
      double loss[2];
      for (const int side : {0, 1}) {
        x.mutable_data<double>()[i] = side == 0 ? at + h : at - h;
        loss[side] = mse_loss(model(image), target).item();
      }
      x.mutable_data<double>()[i] = at;
      largest = std::max(largest, std::abs(g));
      const double error = std::abs((loss[0] - loss[1]) / (2 * h) - g);
      ASSERT_TRUE(std::isfinite(error)) << "element " << i << " of tensor " << k;  // max() drops a NaN
      worst = std::max(worst, error);
    }
    EXPECT_GT(largest, 1e-6) << "nothing to compare in tensor " << k;
    EXPECT_LE(worst, 1e-7 * largest) << "tensor " << k << " of shape " << x.shape().str();
  }
}

TEST(AutoencoderGradient, PassesGradcheckOfBothOrders) {
  Sequential model = small_autoencoder(3);
  Generator generator(17);
  std::vector<Tensor> inputs = {uniform({1, 8, 8, 1}, 0, 1, generator, DType::Float64)};
  for (const Tensor& parameter : model.parameters()) inputs.push_back(parameter);
  const Tensor target = uniform({1, 8, 8, 1}, 0, 1, generator, DType::Float64);
  ASSERT_GT(distance_from_kinks(model, inputs[0]), 1e-3) << "choose another seed";
  const auto loss = [&](const std::vector<Tensor>& xs) { return mse_loss(model(xs[0]), target); };
  const GradcheckReport first = gradcheck(loss, inputs);
  EXPECT_TRUE(first.passed) << first.str();
  const GradcheckReport second = gradcheck_second_order(loss, inputs);
  EXPECT_TRUE(second.passed) << second.str();
}

}  // namespace
}  // namespace tapegrad::testing
