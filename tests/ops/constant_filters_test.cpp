// Packed forms of filters that are kept for a while, and what must not be taken for the same filter.

#include "tapegrad/autograd/constant_filters_internal.h"

#include <gtest/gtest.h>

#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

using detail::ConstantFilters;

Tensor numbers(Generator& generator, const Shape& shape) {
  return normal(shape, 0, 1, generator);
}

class ConstantFilter : public ::testing::Test {
 protected:
  Generator generator_{3};
  Tensor x_ = numbers(generator_, {2, 6, 6, 5});
  Tensor w_ = parameter(numbers(generator_, {3, 3, 5, 16}));

  // conv2d, its transpose and the fused ops, with the filters as they are now.
  std::vector<Tensor> results(const Tensor& w) const {
    const Conv2DOptions same = {.padding = Padding::Same};
    const Tensor y = conv2d(x_, w, same);
    return {y, conv2d_transpose(y, w, {.padding = Padding::Same}),
            conv2d_backprop_input(x_.shape(), w, y, same),
            fused_conv2d(x_, w, Tensor(), {.relu = true}, same),
            fused_conv2d_transpose(y, w, Tensor(), {.relu = true}, {.padding = Padding::Same})};
  }
  void expect_same(const std::vector<Tensor>& found, const std::vector<Tensor>& right) const {
    ASSERT_EQ(found.size(), right.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(equal(found[i], right[i])) << i;
  }
};

TEST_F(ConstantFilter, GivesTheSameBits) {
  const auto right = results(w_);
  const std::vector<Tensor> constants = {w_, x_};
  const ConstantFilters filters(constants);
  for (int again = 0; again < 3; ++again) expect_same(results(w_), right);
}

TEST_F(ConstantFilter, IsPackedAnewWhenItWasWrittenToMeanwhile) {
  const ConstantFilters filters(std::vector{w_});
  const auto before = results(w_);
  w_.mutable_data<float>()[7] += 1;
  const auto found = results(w_);
  EXPECT_FALSE(equal(found[0], before[0]));
  expect_same(found, results(copy(w_)));
}

TEST_F(ConstantFilter, IsPackedAnewByTheNextOne) {
  float* elements = w_.mutable_data<float>();
  for (int again = 0; again < 3; ++again) {
    const ConstantFilters filters(std::vector{w_});
    expect_same(results(w_), results(copy(w_)));
    elements[again] += 1;  // unseen by the version, between two of them
  }
}

TEST_F(ConstantFilter, IsNeitherItsViewNorAnother) {
  const Tensor two = parameter(numbers(generator_, {2, 3, 3, 5, 16}));
  const Tensor first = reshape(slice(two, 0, 1), {3, 3, 5, 16});
  const Tensor second = reshape(slice(two, 1, 2), {3, 3, 5, 16});
  const std::vector<Tensor> constants = {first, w_};
  const ConstantFilters filters(constants);
  for (const Tensor& w : {first, second, w_, numbers(generator_, {3, 3, 5, 16})})
    expect_same(results(w), results(copy(w)));
}

TEST_F(ConstantFilter, IsNotPackedForNoImages) {
  const auto right = results(w_);
  const ConstantFilters filters(std::vector{w_});
  const Tensor none = zeros({0, 6, 6, 5});
  for (const auto padding : {Padding::Same, Padding::Valid}) {
    const Tensor y = conv2d(none, w_, {.padding = padding});
    EXPECT_EQ(y.size(), 0);
    EXPECT_EQ(conv2d_transpose(y, w_, {.padding = padding}).size(), 0);
  }
  expect_same(results(w_), right);
}

TEST_F(ConstantFilter, MayBeOneInAnother) {
  const ConstantFilters outer(std::vector{w_});
  const auto right = results(copy(w_));
  {
    const Tensor other = numbers(generator_, {3, 3, 5, 16});
    const ConstantFilters inner(std::vector{other});
    expect_same(results(other), results(copy(other)));
    expect_same(results(w_), right);
  }
  expect_same(results(w_), right);
}

}  // namespace
}  // namespace tapegrad::testing
