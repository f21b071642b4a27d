#include <gtest/gtest.h>

#include "oracle.h"

namespace tapegrad::testing {
namespace {

Reduction reduction(const OracleCase& c) {
  const std::string name = c.text("reduction");
  if (name == "none") return Reduction::PerElement;
  if (name == "sum") return Reduction::Sum;
  if (name == "mean") return Reduction::Mean;
  throw std::runtime_error(c.name + ": reduction " + name);
}

// The loss of a case; x is its prediction, t its target.
Tensor loss(const OracleCase& c, const Tensor& x, const Tensor& t) {
  if (c.op == "mse_loss") return mse_loss(x, t, {.reduction = reduction(c)});
  if (c.op == "sigmoid_cross_entropy")
    return binary_cross_entropy_with_logits(x, t, {.reduction = reduction(c)});
  return cross_entropy(x, t, {.reduction = reduction(c)});
}

class LossesOracle : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, LossesOracle, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(LossesOracle, ForwardAndGradients) {
  const DType dtype = GetParam();
  int run = 0;
  for (const OracleCase& c : read_oracle("op_cases")) {
    const bool sparse = c.op == "sparse_softmax_cross_entropy";
    if (c.op != "mse_loss" && c.op != "sigmoid_cross_entropy" && c.op != "softmax_cross_entropy" && !sparse)
      continue;
    SCOPED_TRACE(c.name);
    ++run;
    const bool large = c.has("remark") && c.text("remark").starts_with("large");
    const double tolerance = dtype == DType::Float64 ? 1e-12 : large ? 1e-4 : 1e-5;
    const std::string prediction = c.op == "mse_loss" ? "x" : "logits";
    std::string target = "labels";
    if (c.op == "mse_loss") target = "target";
    if (c.op == "sigmoid_cross_entropy") target = "targets";

    Tape tape({.persistent = true});
    const Tensor x = tape.watch(c.tensor(prediction, dtype));
    const Tensor given = c.tensor(target, sparse ? DType::Int32 : dtype);
    const Tensor t = sparse ? given : tape.watch(given);
    const Tensor y = loss(c, x, t);
    expect_close(y, c, "y", tolerance);
    const GradientOptions options = {.output_gradient = c.tensor("dy", dtype)};
    expect_close(tape.gradient(y, x, options), c, "d" + prediction, tolerance);
    if (c.has("d" + target)) expect_close(tape.gradient(y, t, options), c, "d" + target, tolerance);
  }
  EXPECT_EQ(run, 2 + 4 + 1 + 5);
}

}  // namespace
}  // namespace tapegrad::testing
