// Gradients that pass relu's mask in the kernel that makes them: the same bits as with a pass of its own, and nobody else sees it.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

class Gates : public ::testing::TestWithParam<DType> {
 protected:
  Tensor numbers(const Shape& shape) { return normal(shape, 0, 1, generator_, GetParam()); }

  Generator generator_{5};
  Tensor x_ = numbers({3, 7, 7, 4});
  std::vector<Tensor> parameters_ = {parameter(numbers({3, 3, 4, 6})),  parameter(numbers({6})),
                                     parameter(numbers({3, 3, 20, 6})), parameter(numbers({20})),
                                     parameter(numbers({3, 3, 1, 20})), parameter(numbers({3, 3, 20, 5})),
                                     parameter(numbers({1, 1, 6, 20}))};

  struct Results {
    Tensor loss;
    std::vector<Tensor> hidden;  // results of relu
  };
  // Each hidden result is read by a convolution; `twice`, by another op as well, which comes before that convolution and so brings its
  // part of the gradient after it.
  Results run(bool twice) const {
    const Conv2DOptions same = {.padding = Padding::Same};
    const auto bent = [](const std::vector<Tensor>& x) { return mean(sigmoid(x[0])); };
    const Tensor a = fused_conv2d(x_, parameters_[0], parameters_[1], {.relu = true}, same);
    const Tensor from_a = mean(square(conv2d(a, parameters_[6])));
    const Tensor b = fused_conv2d_transpose(a, parameters_[2], parameters_[3], {.relu = true},
                                            {.strides = 2, .padding = Padding::Same});
    const Tensor from_b = checkpoint(bent, {b});
    const Tensor c =
        relu(fused_conv2d(b, parameters_[4], Tensor(), {}, {.padding = Padding::Same, .groups = 20}));
    const Tensor from_c = mean(tanh(slice(c, 0, 2)));  // adds its part in place
    const Tensor d = fused_conv2d(c, parameters_[5], Tensor(), {.relu = true}, {.strides = 2});
    const Tensor loss = mean(square(d));
    return {twice ? loss + from_a + from_b + from_c : loss, {a, b, c, d}};
  }

  void expect_equal(const Gradients& found, const Gradients& right) const {
    ASSERT_EQ(found.size(), right.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(equal(found[i], right[i])) << i;
  }
};

TEST_P(Gates, GiveTheBitsOfAPassOfItsOwn) {
  for (const bool twice : {false, true}) {
    Tape watched;
    const Results gated = run(twice);
    const std::vector<Tensor> used(parameters_.begin(), parameters_.end() - (twice ? 0 : 1));
    const Gradients found = watched.gradient(gated.loss, used);
    Tape other;
    const Results right = run(twice);
    other.on_gradient(right.hidden[3],
                      [](const Tensor&) {});  // where somebody looks at gradients, none is gated
    expect_equal(found, other.gradient(right.loss, used));
  }
}

TEST_P(Gates, AreNotSeenBySourcesHooksAndHigherOrders) {
  for (const bool twice : {false, true}) {
    const auto gradients = [&](const TapeOptions& options, const GradientOptions& asked) {
      Tape tape(options);
      const Results results = run(twice);
      return tape.gradient(results.loss, results.hidden, asked);
    };
    const Gradients found = gradients({}, {});
    expect_equal(found, gradients({}, {.create_graph = true}));
    expect_equal(found, gradients({.check_finite = true}, {}));
    Tape tape;
    const Results results = run(twice);
    std::vector<Tensor> heard(results.hidden.size());
    for (std::size_t i = 0; i < heard.size(); ++i)
      tape.on_gradient(results.hidden[i], [&heard, i](const Tensor& g) { heard[i] = g; });
    (void)tape.gradient(results.loss, parameters_, {.zeros_for_unreached = true});
    for (std::size_t i = 0; i < heard.size(); ++i) {
      EXPECT_TRUE(equal(heard[i], found[i])) << i;
      // What relu has cut off has a gradient, too.
      const Tensor cut = where(greater(results.hidden[i], 0), zeros_like(found[i]), found[i]);
      if (i < 3) {
        EXPECT_GT(sum(abs(cut)).item(), 0.0) << i;
      }
    }
  }
}

// Only the gradient of the first input is made by a kernel that can pass a mask: one that relu made may be any of them, or several.
TEST_P(Gates, AreOfAnyInputThatReluMade) {
  for (const bool transposed : {false, true})
    for (const bool relu_after : {false, true})
      for (int made_by_relu = 1; made_by_relu < 8; ++made_by_relu) {
        const Tensor x = parameter(x_),
                     w = parameter(numbers(transposed ? Shape{3, 3, 6, 4} : Shape{3, 3, 4, 6}));
        const std::vector<Tensor> all = {x, w, parameter(numbers({6}))};
        const auto gradients = [&](bool listens) {
          Tape tape;
          std::vector<Tensor> inputs = all;
          for (std::size_t i = 0; i < inputs.size(); ++i)
            if ((made_by_relu >> i & 1) != 0) inputs[i] = relu(inputs[i]);
          const FusedOptions options = {.relu = relu_after};
          const Tensor y = transposed ? fused_conv2d_transpose(inputs[0], inputs[1], inputs[2], options)
                                      : fused_conv2d(inputs[0], inputs[1], inputs[2], options);
          const Tensor loss = mean(square(y));
          if (listens) tape.on_gradient(y, [](const Tensor&) {});
          return tape.gradient(loss, all);
        };
        SCOPED_TRACE(made_by_relu);
        expect_equal(gradients(false), gradients(true));
      }
}

// One tensor as image and filter: one part of its gradient is gated, the other is not.
TEST_P(Gates, AreOfOneInputOfTwoThatAreTheSame) {
  const Tensor p = parameter(numbers({4, 4, 4, 4}));
  const auto gradient = [&](bool listens) {
    Tape tape;
    const Tensor x = relu(p);
    const Tensor y = fused_conv2d(x, x, Tensor(), {}, {.padding = Padding::Same});
    if (listens) tape.on_gradient(y, [](const Tensor&) {});
    return tape.gradient(mean(square(y)), p);
  };
  EXPECT_TRUE(equal(gradient(false), gradient(true)));
}

INSTANTIATE_TEST_SUITE_P(All, Gates, ::testing::Values(DType::Float32, DType::Float64), [](const auto& each) {
  return std::string(each.param == DType::Float32 ? "Float32" : "Float64");
});

}  // namespace
}  // namespace tapegrad::testing
