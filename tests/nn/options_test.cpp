#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

// No option of any room takes a NaN for a number: with it every comparison is false, and every result NaN.

namespace tapegrad::testing {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double kBeyond = std::numeric_limits<double>::infinity();

// The name that the error must have, the option that it must name, and the call with a value of the option.
struct OptionCall {
  std::string op, option;
  std::function<void(double)> call;
};

using OptionCalls = std::vector<OptionCall>;

OptionCalls options_of_layers() {
  const auto x = ones({2, 4});
  const auto labels = full({2}, 0, DType::Int32);
  return {
      {"LeakyReLU", "negative_slope", [](double v) { LeakyReLU layer(v); }},
      {"ELU", "alpha", [](double v) { ELU layer(v); }},
      {"constant_initializer", "value", [](double v) { (void)constant_initializer(v); }},
      {"uniform_initializer", "limit", [](double v) { (void)uniform_initializer(v); }},
      {"normal_initializer", "standard_deviation", [](double v) { (void)normal_initializer(v); }},
      {"Dropout", "rate",
       [](double v) {
         Generator generator(1);
         Dropout layer(v, generator);
       }},
      {"BatchNorm", "momentum", [](double v) { BatchNorm layer({.channels = 4, .momentum = v}); }},
      {"BatchNorm", "epsilon", [](double v) { BatchNorm layer({.channels = 4, .epsilon = v}); }},
      {"LayerNorm", "epsilon", [](double v) { LayerNorm layer({.shape = {4}, .epsilon = v}); }},
      {"GroupNorm", "epsilon", [](double v) { GroupNorm layer({.groups = 2, .channels = 4, .epsilon = v}); }},
      {"smooth_l1_loss", "beta", [x](double v) { (void)smooth_l1_loss(x, x, {.beta = v}); }},
      {"cross_entropy", "label_smoothing",
       [=](double v) { (void)cross_entropy(x, labels, {.label_smoothing = v}); }},
  };
}

OptionCalls options_of_ops() {
  const auto x = ones({2, 4});
  const auto images = ones({2, 4, 4, 4});
  return {
      {"leaky_relu", "negative_slope", [x](double v) { (void)leaky_relu(x, v); }},
      {"elu", "alpha", [x](double v) { (void)elu(x, v); }},
      {"dropout", "rate", [x](double v) { (void)dropout(x, v, Generator(1)); }},
      {"layer_norm", "epsilon", [x](double v) { (void)layer_norm(x, 1, v); }},
      {"batch_norm", "epsilon", [x](double v) { (void)batch_norm(x, ones({4}), ones({4}), v); }},
      {"group_norm", "epsilon", [images](double v) { (void)group_norm(images, 2, ones({4}), ones({4}), v); }},
      {"linspace", "start", [](double v) { (void)linspace(v, 1, 3); }},
      {"linspace", "stop", [](double v) { (void)linspace(0, v, 3); }},
      {"uniform", "low", [](double v) { (void)Generator(1).uniform(v, 1); }},
      {"normal", "standard deviation",
       [](double v) {
         Generator generator(1);
         (void)normal({2}, 0, v, generator);
       }},
      {"full", "Int32", [](double v) { (void)full({2}, v, DType::Int32); }},
  };
}

OptionCalls options_of_optimizers() {
  const auto p = parameter(ones({2}));
  OptionCalls calls{
      {"ExponentialMovingAverage", "decay", [p](double v) { ExponentialMovingAverage({p}, {.decay = v}); }},
      {"SGD", "learning_rate", [p](double v) { SGD({p}, {.learning_rate = v}); }},
      {"SGD", "learning_rate", [p](double v) { SGD({p}).set_learning_rate(v); }},
      {"SGD", "momentum", [p](double v) { SGD({p}, {.momentum = v}); }},
      {"SGD", "weight_decay", [p](double v) { SGD({p}, {.weight_decay = v}); }},
      {"Adam", "beta1", [p](double v) { Adam({p}, {.beta1 = v}); }},
      {"Adam", "beta2", [p](double v) { Adam({p}, {.beta2 = v}); }},
      {"Adam", "epsilon", [p](double v) { Adam({p}, {.epsilon = v}); }},
      {"AdamW", "weight_decay", [p](double v) { AdamW({p}, {.weight_decay = v}); }},
      {"RMSprop", "rho", [p](double v) { RMSprop({p}, {.rho = v}); }},
      {"RMSprop", "momentum", [p](double v) { RMSprop({p}, {.momentum = v}); }},
      {"Adagrad", "initial_accumulator", [p](double v) { Adagrad({p}, {.initial_accumulator = v}); }},
      {"GradientAccumulator", "weight",
       [p](double v) { GradientAccumulator().add(Gradients({p}, {ones({2})}), v); }},
      {"ReduceOnPlateau", "factor", [](double v) { ReduceOnPlateau({.factor = v}); }},
      {"ReduceOnPlateau", "min_learning_rate", [](double v) { ReduceOnPlateau({.min_learning_rate = v}); }},
      {"EarlyStopping", "min_delta", [](double v) { EarlyStopping({.improvement = {.min_delta = v}}); }},
      {"step_decay", "factor", [](double v) { (void)step_decay({.factor = v}); }},
      {"exponential_decay", "learning_rate", [](double v) { (void)exponential_decay({.learning_rate = v}); }},
      {"cosine_decay", "min_learning_rate",
       [](double v) { (void)cosine_decay({.steps = 4, .min_learning_rate = v}); }},
      {"warm_up", "start_factor",
       [](double v) { (void)warm_up({.steps = 4, .start_factor = v}, exponential_decay({})); }},
      {"one_cycle", "warm_up_fraction",
       [](double v) { (void)one_cycle({.steps = 9, .warm_up_fraction = v}); }},
      {"one_cycle", "div_factor", [](double v) { (void)one_cycle({.steps = 9, .div_factor = v}); }},
      {"one_cycle", "final_div_factor",
       [](double v) { (void)one_cycle({.steps = 9, .final_div_factor = v}); }},
  };
  return calls;
}

OptionCalls options_of_data_and_pictures() {
  const auto line = [](double width, double opacity) {
    Image image(9, 9, 3);
    const std::vector<Point> points{{1, 1}, {5, 5}};
    draw_polyline(image, points, kBlack, width, opacity);
  };
  const auto text = [](double scale) {
    Image image(9, 9, 3);
    draw_text(image, 1, 1, "a", kBlack, scale);
  };
  return {
      {"gaussian_noise", "standard_deviation", [](double v) { (void)gaussian_noise(v); }},
      {"random_flip", "probability", [](double v) { (void)random_flip(v); }},
      {"random_shift", "fill_value", [](double v) { (void)random_shift(1, v); }},
      {"random_crop", "fill_value", [](double v) { (void)random_crop(2, 2, 0, v); }},
      {"normalize", "means", [](double v) { (void)normalize({v}, {1.0}); }},
      {"normalize", "standard deviations", [](double v) { (void)normalize({0.0}, {v}); }},
      {"draw_polyline", "width", [line](double v) { line(v, 1); }},
      {"draw_polyline", "opacity", [line](double v) { line(1, v); }},
      {"draw_rectangle", "opacity",
       [](double v) {
         Image image(9, 9, 3);
         draw_rectangle(image, {1, 1}, {5, 5}, kBlack, v);
       }},
      {"draw_text", "scale", text},
      {"draw_text_upwards", "scale",
       [](double v) {
         Image image(9, 9, 3);
         draw_text_upwards(image, 1, 1, "a", kBlack, v);
       }},
  };
}

// Options that may be infinite without harm: none of these.
TEST(Options, AreFiniteNumbers) {
  for (const OptionCalls& calls :
       {options_of_layers(), options_of_ops(), options_of_optimizers(), options_of_data_and_pictures()})
    for (const OptionCall& each : calls)
      for (const double value : {kNotANumber, kBeyond}) {
        SCOPED_TRACE(each.op + "'s " + each.option + " = " + std::to_string(value));
        try {
          each.call(value);
          ADD_FAILURE() << "was taken";
        } catch (const Error& error) {
          EXPECT_EQ(error.op(), each.op);
          EXPECT_NE(error.message().find(each.option), std::string::npos) << error.what();
        }
      }
}

// These may be infinite, which means no limit, but not NaN.
TEST(Options, ThatMayBeInfiniteAreNotNaN) {
  const auto x = ones({2});
  std::vector<Tensor> gradients{ones({2})};
  EXPECT_THROW((void)huber_loss(x, x, {.delta = kNotANumber}), Error);
  EXPECT_EQ(huber_loss(3.0 * x, x, {.delta = kBeyond}).item(), 2);
  EXPECT_THROW((void)clamp(x, kNotANumber, 1), Error);
  EXPECT_THROW((void)clamp(x, 0, kNotANumber), Error);
  EXPECT_THROW((void)isclose(x, x, {.rtol = kNotANumber}), Error);
  EXPECT_THROW((void)isclose(x, x, {.atol = kNotANumber}), Error);
  EXPECT_THROW((void)var(x, {0}, {.correction = kNotANumber}), Error);
  EXPECT_THROW((void)stddev(x, {0}, {.correction = kNotANumber}), Error);
  EXPECT_THROW(clip_by_norm(gradients, kNotANumber), Error);
  EXPECT_THROW(clip_by_value(gradients, kNotANumber), Error);
}

// What is finite as a double may be infinite as a float: 0 times that is NaN.
TEST(Options, AreFiniteInTheDTypeThatTheyAreUsedIn) {
  EXPECT_THROW((void)leaky_relu(ones({2}), 1e300), Error);
  EXPECT_THROW((void)elu(ones({2}), 1e300), Error);
  EXPECT_EQ(leaky_relu(ones({2}, DType::Float64), 1e300).values<double>()[0], 1);
}

}  // namespace
}  // namespace tapegrad::testing
