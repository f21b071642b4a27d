// Training goes the same way on every platform: fifty steps of the tutorial's autoencoder, of weights and images that are the same
// everywhere, against the losses that x86-64 had (fixtures/fifty_steps.txt). To write these anew:
//   TAPEGRAD_WRITE_LOSSES=tests/fixtures/fifty_steps.txt test_nn --gtest_filter='*FiftySteps*'
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "oracle.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

constexpr int kSteps = 50;
constexpr double kTolerance = 1e-5;

std::vector<double> losses(DType dtype) {
  Generator generator(1);
  const auto conv = [&](index_t in, index_t filters, index_t strides, Activation activation) {
    return Conv2D({.in_channels = in,
                   .filters = filters,
                   .kernel_size = 3,
                   .strides = strides,
                   .padding = Padding::Same,
                   .activation = activation},
                  generator);
  };
  const auto transpose = [&](index_t in, index_t filters) {
    return Conv2DTranspose({.in_channels = in,
                            .filters = filters,
                            .kernel_size = 3,
                            .strides = 2,
                            .padding = Padding::Same,
                            .activation = relu},
                           generator);
  };
  Sequential net{conv(1, 16, 2, relu), conv(16, 8, 2, relu), transpose(8, 8), transpose(8, 16),
                 conv(16, 1, 1, sigmoid)};
  net.to(dtype);
  const Tensor images = uniform({16, 28, 28, 1}, 0, 1, generator, dtype);
  const std::vector<Tensor> parameters = net.parameters();
  Adam adam(parameters, {.learning_rate = 1e-3});
  std::vector<double> found;
  for (int step = 0; step < kSteps; ++step) {
    Tape tape;
    const Tensor loss = mse_loss(net(images), images);
    found.push_back(loss.item());
    adam.step(tape.gradient(loss, parameters));
  }
  return found;
}

// Of each line: the type's name, and the losses.
std::map<std::string, std::vector<double>> of_x86() {
  std::ifstream file(testing::fixture("fifty_steps.txt"));
  std::map<std::string, std::vector<double>> found;
  for (std::string line, name; std::getline(file, line);) {
    std::istringstream words(line);
    words >> name;
    for (std::string word; words >> word;) found[name].push_back(std::stod(word));
  }
  return found;
}

class FiftySteps : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, FiftySteps, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return std::string(to_string(dtype.param)); });

TEST_P(FiftySteps, GoAsOnX86) {
  const std::string name(to_string(GetParam()));
  const std::vector<double> found = losses(GetParam());
  if (const char* const path = std::getenv("TAPEGRAD_WRITE_LOSSES"); path != nullptr) {
    std::string line = name;
    for (const double loss : found) line += fmt::format(" {:.17g}", loss);
    std::ofstream(path, std::ios::app) << line << '\n';
    return;
  }
  const std::vector<double> right = of_x86()[name];
  ASSERT_EQ(right.size(), found.size());
  double worst = 0;
  for (std::size_t step = 0; step < found.size(); ++step) {
    ASSERT_TRUE(std::isfinite(found[step]) && std::isfinite(right[step])) << step;
    worst = std::max(worst, std::abs(found[step] - right[step]) / right[step]);
  }
  EXPECT_LE(worst, kTolerance) << "of " << name;
  EXPECT_LT(found.back(), 0.99 * found.front()) << "nothing was learnt";
  fmt::print("{}: the losses of {} steps are x86-64's within {:.1e}\n", name, kSteps, worst);
}

}  // namespace
}  // namespace tapegrad
