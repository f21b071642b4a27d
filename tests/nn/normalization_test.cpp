#include "tapegrad/nn/normalization.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "oracle.h"
#include "refuses.h"
#include "tapegrad/ops/normalize.h"

namespace tapegrad::testing {
namespace {

class NormalizationOracle : public ::testing::TestWithParam<DType> {
 protected:
  double tolerance() const { return GetParam() == DType::Float64 ? 1e-12 : 1e-5; }
  // Runs the layer with a case's gamma and beta, and compares result and gradients.
  void check(Module& layer, const OracleCase& c, Tensor& gamma, Tensor& beta) {
    SCOPED_TRACE(c.name);
    Tape tape;
    const Tensor x = tape.watch(c.tensor("x", GetParam()));
    const Tensor y = layer(x);
    expect_close(y, c, "y", tolerance());
    std::vector<Tensor> sources = {x};
    std::vector<std::string> names = {"dx"};
    if (c.has("dgamma")) {
      sources.insert(sources.end(), {gamma, beta});
      names.insert(names.end(), {"dgamma", "dbeta"});
    }
    const auto gradients = tape.gradient(y, sources, {.output_gradient = c.tensor("dy", GetParam())});
    for (std::size_t i = 0; i < names.size(); ++i) expect_close(gradients[i], c, names[i], tolerance());
  }
};
INSTANTIATE_TEST_SUITE_P(DTypes, NormalizationOracle, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(NormalizationOracle, BatchNorm) {
  int run = 0;
  for (const OracleCase& c : read_oracle("op_cases")) {
    if (c.op != "batch_norm") continue;
    for (const auto convention : {MovingVariance::Biased, MovingVariance::Unbiased}) {
      ++run;
      BatchNorm layer({.channels = c.tensor("gamma").shape()[0],
                       .momentum = c.number("momentum"),
                       .epsilon = c.number("epsilon"),
                       .moving_variance = convention});
      layer.to(GetParam());
      layer.train(c.flag("training"));
      State state;
      state.tensors = {{"gamma", c.tensor("gamma")},
                       {"beta", c.tensor("beta")},
                       {"moving_mean", c.tensor("running_mean")},
                       {"moving_variance", c.tensor("running_var")}};
      layer.load_state(state);
      check(layer, c, layer.gamma, layer.beta);
      const bool biased = convention == MovingVariance::Biased;
      const std::string variance = biased ? "new_running_var_biased" : "new_running_var_unbiased";
      if (layer.training()) {
        expect_close(layer.moving_mean, c, "new_running_mean", tolerance());
        expect_close(layer.moving_variance, c, variance, tolerance());
      } else {
        expect_close(layer.moving_mean, c, "running_mean", tolerance());
        expect_close(layer.moving_variance, c, "running_var", tolerance());
      }
    }
  }
  EXPECT_EQ(run, 8);
}

TEST_P(NormalizationOracle, LayerNorm) {
  int run = 0;
  for (const OracleCase& c : read_oracle("op_cases")) {
    if (c.op != "layer_norm") continue;
    ++run;
    const Shape x = c.tensor("x").shape();
    const auto axes = c.integers<int>("ndim").front();
    const bool affine = c.has("gamma");
    LayerNorm layer({.shape = Shape(std::span(x.end() - axes, x.end())),
                     .epsilon = c.number("epsilon"),
                     .center = affine,
                     .scale = affine});
    layer.to(GetParam());
    State state;
    if (affine) state.tensors = {{"gamma", c.tensor("gamma")}, {"beta", c.tensor("beta")}};
    layer.load_state(state);
    check(layer, c, layer.gamma, layer.beta);
  }
  EXPECT_EQ(run, 3);
}

class Normalization : public ::testing::Test {
 protected:
  Tensor draw(const Shape& shape) { return normal(shape, 3, 2, generator, DType::Float64); }
  void expect_standard(const Tensor& x, const std::vector<int>& axes) {
    const Tensor average = mean(x, axes), spread = var(x, axes);
    expect_close(average, zeros_like(average), 1e-12, "mean");
    expect_close(spread, ones_like(spread), 1e-12, "variance");
  }
  Generator generator{5};
};

TEST_F(Normalization, StandardizesTheAxesItSays) {
  const Tensor x = draw({4, 5, 3, 6});
  BatchNorm batch({.channels = 6, .epsilon = 0});
  LayerNorm layer({.shape = {3, 6}, .epsilon = 0});
  GroupNorm group({.groups = 2, .channels = 6, .epsilon = 0});
  for (Module* module :
       {static_cast<Module*>(&batch), static_cast<Module*>(&layer), static_cast<Module*>(&group)})
    module->to(DType::Float64);
  expect_standard(batch(x), {0, 1, 2});
  expect_standard(layer(x), {2, 3});
  expect_standard(reshape(group(x), {4, 15, 2, 3}), {1, 3});
}

TEST_F(Normalization, GammaAndBeta) {
  const Tensor x = draw({4, 6});
  BatchNorm batch({.channels = 6});
  LayerNorm layer({.shape = {6}});
  GroupNorm group({.groups = 3, .channels = 6});
  const auto scaled = [&](auto& module) {
    module.to(DType::Float64);
    const Tensor plain = module(x);
    module.gamma.set({2}, 3);
    module.beta.set({2}, 0.5);
    const Tensor y = module(x);
    expect_close(slice(y, {{}, {2, 3}}), 3.0 * slice(plain, {{}, {2, 3}}) + 0.5, 1e-12, "channel 2");
    expect_close(slice(y, {{}, {3, 6}}), slice(plain, {{}, {3, 6}}), 1e-12, "the others");
  };
  scaled(batch);
  scaled(layer);
  scaled(group);
}

TEST_F(Normalization, WithoutScaleAndCenterThereAreNone) {
  BatchNorm batch({.channels = 6, .center = false, .scale = false}), scaled({.channels = 6, .center = false});
  LayerNorm layer({.shape = {6}, .center = false, .scale = false});
  GroupNorm group({.groups = 3, .channels = 6, .center = false, .scale = false});
  EXPECT_TRUE(batch.parameters().empty());
  EXPECT_EQ(batch.state().tensors.size(), 2u);
  EXPECT_EQ(scaled.parameters().size(), 1u);
  EXPECT_TRUE(layer.state().tensors.empty());
  EXPECT_TRUE(group.state().tensors.empty());
  BatchNorm full_batch({.channels = 6});
  full_batch.to(DType::Float64);
  batch.to(DType::Float64);
  const Tensor x = draw({4, 6});
  EXPECT_TRUE(equal(batch(x), full_batch(x)));
  EXPECT_TRUE(equal(layer(x), layer_norm(x, 1)));
  EXPECT_EQ(group(x).shape().str(), "[4, 6]");
}

TEST_F(Normalization, AveragesConvergeToTheData) {
  BatchNorm layer({.channels = 1, .momentum = 0.9});
  layer.to(DType::Float64);
  const Tensor x = draw({50, 1});
  for (int step = 0; step < 300; ++step) layer(x);
  const Tensor trained = layer(x);
  layer.eval();
  expect_close(layer(x), trained, 1e-12, "evaluated");
  const Tensor before = copy(layer.moving_mean);
  layer(x + 5.0);
  EXPECT_TRUE(equal(layer.moving_mean, before)) << "in eval mode nothing moves";
}

TEST_F(Normalization, ExponentialMovingAveragesAreUpdatedInPlaceAndNotRecorded) {
  BatchNorm layer({.channels = 2});
  const Tensor handle = layer.moving_mean;
  Tape tape;
  const Tensor y = layer(ones({3, 2}));
  EXPECT_NE(handle.at({0}), 0);
  EXPECT_NO_THROW((void)tape.gradient(sum(square(y)), layer.parameters()));
}

TEST_F(Normalization, Gradients) {
  BatchNorm batch({.channels = 4});
  LayerNorm layer({.shape = {4}});
  GroupNorm group({.groups = 2, .channels = 4});
  for (Module* module :
       {static_cast<Module*>(&batch), static_cast<Module*>(&layer), static_cast<Module*>(&group)}) {
    module->to(DType::Float64);
    std::vector<Tensor> inputs = module->parameters();
    inputs.push_back(draw({3, 2, 4}));
    const auto f = [module](const std::vector<Tensor>& in) { return square((*module)(in.back())); };
    const GradcheckReport report = gradcheck(f, inputs);
    EXPECT_TRUE(report.passed) << report.str();
  }
  batch.eval();
  const GradcheckReport report =
      gradcheck([&](const auto& in) { return batch(in[2]); }, {batch.gamma, batch.beta, draw({3, 4})});
  EXPECT_TRUE(report.passed) << report.str();
}

// One batch whose squares overflow does not end the averages for ever.
TEST_F(Normalization, AVarianceBeyondTheRangeIsForgotten) {
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    const double most = dtype == DType::Float32 ? static_cast<double>(std::numeric_limits<float>::max())
                                                : std::numeric_limits<double>::max();
    const double big = dtype == DType::Float32 ? 1e20 : 1e160;
    BatchNorm layer({.channels = 1, .momentum = 0.5});
    layer.to(dtype);
    layer(tensor({{big}, {-big}}, dtype));
    EXPECT_NEAR(layer.moving_variance.item() / most, 0.5, 1e-6);
    for (int i = 0; i < 2200; ++i) layer(tensor({{2}, {-2}}, dtype));
    EXPECT_NEAR(layer.moving_variance.item(), 4, 1e-5);
    layer(tensor({{std::nan("")}, {-2}}, dtype));
    EXPECT_TRUE(std::isnan(layer.moving_variance.item())) << "what is not a number is to be noticed";
  }
}

// The fewest that such a variance can be told from.
TEST_F(Normalization, TwoElementsHaveAnUnbiasedVariance) {
  BatchNorm layer({.channels = 1, .momentum = 0.5, .moving_variance = MovingVariance::Unbiased});
  layer(tensor({{1}, {3}}));
  EXPECT_EQ(layer.moving_mean.item(), 1);
  EXPECT_EQ(layer.moving_variance.item(), 0.5 * 1 + 0.5 * 2);
}

TEST_F(Normalization, TheEndsOfMomentum) {
  BatchNorm last({.channels = 1, .momentum = 0}), first({.channels = 1, .momentum = 1});
  for (BatchNorm* layer : {&last, &first}) (*layer)(tensor({{1}, {5}}));
  EXPECT_EQ(last.moving_mean.item(), 3);
  EXPECT_EQ(last.moving_variance.item(), 4);
  EXPECT_EQ(first.moving_mean.item(), 0);
  EXPECT_EQ(first.moving_variance.item(), 1);
}

TEST_F(Normalization, WrongArguments) {
  EXPECT_TRUE(refuses("BatchNorm", {"channels", "got 0"}, [] { BatchNorm({}); }));
  EXPECT_TRUE(refuses("BatchNorm", {"momentum", "1.5"}, [] { BatchNorm({.channels = 1, .momentum = 1.5}); }));
  EXPECT_TRUE(refuses("BatchNorm", {"epsilon", "-1"}, [] { BatchNorm({.channels = 1, .epsilon = -1}); }));
  EXPECT_TRUE(refuses("LayerNorm", {"at least one axis", "[]"}, [] { LayerNorm({}); }));
  EXPECT_TRUE(refuses("LayerNorm", {"size", "0"}, [] { LayerNorm({.shape = {2, 0}}); }));
  EXPECT_TRUE(refuses("LayerNorm", {"epsilon"}, [] { LayerNorm({.shape = {2}, .epsilon = -1}); }));
  EXPECT_TRUE(refuses("GroupNorm", {"channels", "groups (2)", "got 3"},
                      [] { GroupNorm({.groups = 2, .channels = 3}); }));
  EXPECT_TRUE(refuses("GroupNorm", {"groups", "got 0"}, [] { GroupNorm({.groups = 0, .channels = 3}); }));
  EXPECT_TRUE(refuses("GroupNorm", {"channels", "got 0"}, [] { GroupNorm({}); }));
  BatchNorm layer({.channels = 2, .moving_variance = MovingVariance::Unbiased});
  EXPECT_TRUE(refuses("BatchNorm", {"[1, 2]", "unbiased"}, [&] { layer(ones({1, 2})); }));
  EXPECT_TRUE(refuses("BatchNorm", {"Float64", "Float32"}, [&] { layer(ones({3, 2}, DType::Float64)); }));
  BatchNorm bare({.channels = 2, .center = false, .scale = false});
  EXPECT_TRUE(refuses("BatchNorm", {"Float64", "Float32"}, [&] { bare(ones({3, 2}, DType::Float64)); }));
  EXPECT_TRUE(refuses("BatchNorm", {"[3, 4]"}, [&] { layer(ones({3, 4})); }));
  EXPECT_TRUE(equal(layer.moving_mean, zeros({2})));
  EXPECT_TRUE(equal(layer.moving_variance, ones({2})));
}

TEST_F(Normalization, ErrorsOfAnNchwImageNameTheWayOut) {
  const Tensor nchw = ones({2, 6, 4, 5});
  BatchNorm batch({.channels = 6});
  LayerNorm layer({.shape = {6}});
  GroupNorm group({.groups = 2, .channels = 6});
  const auto refused = [&](const char* name, Module& module) {
    EXPECT_TRUE(
        refuses(name, {"[2, 6, 4, 5]", "channels are last", "nchw_to_nhwc(x)"}, [&] { module(nchw); }));
  };
  refused("BatchNorm", batch);
  refused("LayerNorm", layer);
  refused("GroupNorm", group);
  batch.eval();
  EXPECT_TRUE(refuses("BatchNorm", {"nchw_to_nhwc(x)"}, [&] { batch(nchw); }));
  EXPECT_NO_THROW(batch(nchw_to_nhwc(nchw)));
}

}  // namespace
}  // namespace tapegrad::testing
