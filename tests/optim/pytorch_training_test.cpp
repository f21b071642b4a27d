#include <gtest/gtest.h>

#include <memory>

#include "oracle.h"

namespace tapegrad::testing {
namespace {

// A small network with batch norm, trained with each optimizer and a schedule, as PyTorch does it
// (fixtures/pytorch_training.py).

struct TrainedNet : Module {
  explicit TrainedNet(MovingVariance moving, Generator& generator)
      : conv1({.in_channels = 1, .filters = 2, .kernel_size = 3, .use_bias = false}, generator),
        conv2({.in_channels = 2,
               .filters = 3,
               .kernel_size = 3,
               .strides = 2,
               .padding = Padding::Explicit(1, 1, 1, 1),
               .use_bias = false},
              generator),
        norm1({.channels = 2, .momentum = 0.9, .epsilon = 1e-5, .moving_variance = moving}),
        norm2({.channels = 3, .momentum = 0.9, .epsilon = 1e-5, .moving_variance = moving}),
        dense({.in_features = 12, .units = 3}, generator) {}

  Tensor forward(const Tensor& x) override {
    const Tensor y = relu(norm2(conv2(relu(norm1(conv1(x))))));
    return dense(reshape(y, {-1, 12}));
  }
  void visit(Visitor& visitor) override {
    visitor("conv1", conv1);
    visitor("conv2", conv2);
    visitor("norm1", norm1);
    visitor("norm2", norm2);
    visitor("dense", dense);
  }

  Conv2D conv1, conv2;
  BatchNorm norm1, norm2;
  Dense dense;
};

template <class Options>
Options adam_options(const OracleCase& c, Options options) {
  options.learning_rate = c.number("lr");
  if (c.has("betas")) {
    const auto& betas = c.attributes.at("betas");
    options.beta1 = std::stod(betas.at(0));
    options.beta2 = std::stod(betas.at(1));
  }
  options.weight_decay = c.number("weight_decay", options.weight_decay);
  options.amsgrad = c.flag("amsgrad");
  return options;
}

std::unique_ptr<Optimizer> make_optimizer(const OracleCase& c, const std::vector<Tensor>& parameters) {
  const double lr = c.number("lr"), momentum = c.number("momentum", 0);
  if (c.op == "SGD")
    return std::make_unique<SGD>(parameters, SGDOptions{.learning_rate = lr,
                                                        .momentum = momentum,
                                                        .nesterov = c.flag("nesterov"),
                                                        .weight_decay = c.number("weight_decay", 0)});
  if (c.op == "Adam") return std::make_unique<Adam>(parameters, adam_options(c, AdamOptions{}));
  if (c.op == "AdamW") return std::make_unique<AdamW>(parameters, adam_options(c, AdamWOptions{}));
  if (c.op == "RMSprop")
    return std::make_unique<RMSprop>(parameters, RMSpropOptions{.learning_rate = lr,
                                                                .rho = c.number("alpha", 0.99),
                                                                .momentum = momentum,
                                                                .centered = c.flag("centered")});
  if (c.op == "Adagrad") return std::make_unique<Adagrad>(parameters, AdagradOptions{.learning_rate = lr});
  throw std::runtime_error(c.name + ": optimizer " + c.op);
}

Schedule make_schedule(const OracleCase& c, index_t steps) {
  const double lr = c.number("lr");
  const std::string kind = c.text("schedule");
  const auto step_schedule = [&] {
    return step_decay(
        {.learning_rate = lr, .every = c.integers("step_size").front(), .factor = c.number("gamma")});
  };
  if (kind == "step") return step_schedule();
  if (kind == "exponential") return exponential_decay({.learning_rate = lr, .factor = c.number("gamma")});
  if (kind == "cosine")
    return cosine_decay({.learning_rate = lr, .steps = steps, .min_learning_rate = c.number("eta_min")});
  if (kind == "warm_up")
    return warm_up({.steps = c.integers("total_iters").front(), .start_factor = c.number("start_factor")},
                   step_schedule());
  if (kind == "one_cycle")
    return one_cycle({.max_learning_rate = c.number("max_lr"),
                      .steps = steps,
                      .warm_up_fraction = c.number("pct_start"),
                      .div_factor = c.number("div_factor"),
                      .final_div_factor = c.number("final_div_factor")});
  throw std::runtime_error(c.name + ": schedule " + kind);
}

class PyTorchTraining : public ::testing::TestWithParam<MovingVariance> {};
INSTANTIATE_TEST_SUITE_P(Conventions, PyTorchTraining,
                         ::testing::Values(MovingVariance::Unbiased, MovingVariance::Biased),
                         [](const auto& moving) {
                           return moving.param == MovingVariance::Biased ? "Biased" : "Unbiased";
                         });

TEST_P(PyTorchTraining, TwentyStepsWithEachOptimizer) {
  constexpr double kTolerance = 1e-12;
  const bool biased = GetParam() == MovingVariance::Biased;
  const std::vector<OracleCase> cases = read_oracle("pytorch_training");
  const OracleCase& start = cases.at(0);
  const Tensor images = start.tensor("images"), labels = start.tensor("labels", DType::Int32);

  ASSERT_EQ(cases.size(), 10u);
  for (const OracleCase& c : std::span(cases).subspan(1)) {
    SCOPED_TRACE(c.name);
    Generator generator(1);
    TrainedNet net(GetParam(), generator);
    net.to(DType::Float64);
    State state = net.state();
    for (auto& [path, tensor] : state.tensors)
      if (path.find("moving") == std::string::npos) tensor = start.tensor(path);
    net.load_state(state);

    const std::vector<Tensor> parameters = net.parameters();
    const auto optimizer = make_optimizer(c, parameters);
    const Tensor losses = c.tensor("losses"), rates = c.tensor("rates");
    Schedule schedule = make_schedule(c, losses.size());
    ASSERT_EQ(losses.size(), 20);
    for (index_t step = 0; step < losses.size(); ++step) {
      EXPECT_NEAR(schedule.learning_rate(), rates.at({step}), 1e-14 * rates.at({step})) << "step " << step;
      optimizer->set_learning_rate(schedule.learning_rate());
      Tape tape;
      const index_t batch = step % images.shape()[0];
      const Tensor loss = cross_entropy(net(row(images, batch)), row(labels, batch));
      EXPECT_NEAR(loss.item(), losses.at({step}), kTolerance * losses.at({step})) << "step " << step;
      optimizer->step(tape.gradient(loss, parameters));
      schedule.step();
    }

    const std::string variance = biased ? ".biased_variance" : ".variance";
    expect_close(net.norm1.moving_mean, c, "norm1.mean", kTolerance);
    expect_close(net.norm2.moving_mean, c, "norm2.mean", kTolerance);
    expect_close(net.norm1.moving_variance, c, "norm1" + variance, kTolerance);
    expect_close(net.norm2.moving_variance, c, "norm2" + variance, kTolerance);
    net.eval();
    expect_close(net(row(images, 0)), c, biased ? "evaluated_biased" : "evaluated", kTolerance);
  }
}

}  // namespace
}  // namespace tapegrad::testing
