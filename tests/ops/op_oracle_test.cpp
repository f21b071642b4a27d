#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "oracle.h"
#include "tapegrad/ops/activation.h"
#include "tapegrad/ops/compare.h"
#include "tapegrad/ops/dropout.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/pooling.h"
#include "tapegrad/ops/resize.h"

namespace tapegrad::testing {
namespace {

using Inputs = std::map<std::string, Tensor>;
using Function = std::function<Tensor(const OracleCase&, const Inputs&)>;

Function unary(Tensor (*f)(const Tensor&)) {
  return [f](const OracleCase&, const Inputs& in) { return f(in.at("x")); };
}

Function binary(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [f](const OracleCase&, const Inputs& in) { return f(in.at("a"), in.at("b")); };
}

Function reduction(Tensor (*all)(const Tensor&),
                   Tensor (*some)(const Tensor&, const Axes&, const ReduceOptions&)) {
  return [=](const OracleCase& c, const Inputs& in) {
    if (c.text("axes") == "none") return all(in.at("x"));
    return some(in.at("x"), c.integers<int>("axes"), {.keepdims = c.flag("keepdims")});
  };
}

std::vector<Tensor> all_of(const Inputs& in) {
  std::vector<Tensor> all;
  for (const auto& [name, x] : in) all.push_back(x);
  return all;
}

Pool2DOptions pool_options(const OracleCase& c) {
  return {.pool_size = size_attribute(c, "pool"),
          .strides = size_attribute(c, "strides"),
          .padding = c.text("padding") == "SAME" ? Padding::Same : Padding::Valid};
}

// What a layer makes of the statistics of a step.
void check_running_averages(const OracleCase& c, const BatchNormResult& found) {
  const DType dtype = found.y.dtype();
  const double keep = c.number("momentum"), tolerance = dtype == DType::Float64 ? 1e-12 : 1e-5;
  const auto count = static_cast<double>(found.count);
  const Tensor mean = c.tensor("running_mean", dtype), variance = c.tensor("running_var", dtype);
  expect_close(keep * mean + (1 - keep) * found.mean, c, "new_running_mean", tolerance);
  expect_close(keep * variance + (1 - keep) * found.variance, c, "new_running_var_biased", tolerance);
  expect_close(keep * variance + (1 - keep) * count / (count - 1) * found.variance, c,
               "new_running_var_unbiased", tolerance);
}

// Our name for what the references call so.
const std::map<std::string, Function>& functions() {
  static const std::map<std::string, Function> table = {
      {"add", binary(add)},
      {"sub", binary(subtract)},
      {"mul", binary(multiply)},
      {"div", binary(divide)},
      {"neg", unary(negate)},
      {"exp", unary(exp)},
      {"log", unary(log)},
      {"sqrt", unary(sqrt)},
      {"square", unary(square)},
      {"abs", unary(abs)},
      {"tanh", unary(tanh)},
      {"sigmoid", unary(sigmoid)},
      {"relu", unary(relu)},
      {"softplus", unary(softplus)},
      {"rsqrt", unary(rsqrt)},
      {"reciprocal", unary(reciprocal)},
      {"maximum", binary(maximum)},
      {"minimum", binary(minimum)},
      {"pow", binary(pow)},
      {"pow_scalar",
       [](const OracleCase& c, const Inputs& in) { return pow(in.at("x"), c.number("exponent")); }},
      {"leaky_relu",
       [](const OracleCase& c, const Inputs& in) { return leaky_relu(in.at("x"), c.number("alpha")); }},
      {"elu", [](const OracleCase& c, const Inputs& in) { return elu(in.at("x"), c.number("alpha")); }},
      {"gelu",
       [](const OracleCase& c, const Inputs& in) {
         return c.flag("approximate") ? gelu_tanh(in.at("x")) : gelu(in.at("x"));
       }},
      {"softmax", [](const OracleCase& c,
                     const Inputs& in) { return softmax(in.at("x"), c.integers<int>("axis").front()); }},
      {"log_softmax",
       [](const OracleCase& c, const Inputs& in) {
         return log_softmax(in.at("x"), c.integers<int>("axis").front());
       }},
      {"clamp", [](const OracleCase& c,
                   const Inputs& in) { return clamp(in.at("x"), c.number("min"), c.number("max")); }},
      {"sum", reduction(sum, sum)},
      {"mean", reduction(mean, mean)},
      {"max", reduction(max, max)},
      {"min", reduction(min, min)},
      {"matmul",
       [](const OracleCase& c, const Inputs& in) {
         return matmul(in.at("a"), in.at("b"),
                       {.transpose_a = c.flag("transpose_a"), .transpose_b = c.flag("transpose_b")});
       }},
      {"dense",
       [](const OracleCase&, const Inputs& in) { return matmul(in.at("x"), in.at("w")) + in.at("b"); }},
      {"bias_add", [](const OracleCase&, const Inputs& in) { return in.at("x") + in.at("b"); }},
      {"mse_loss", [](const OracleCase&, const Inputs& in) { return mse_loss(in.at("x"), in.at("target")); }},
      {"reshape",
       [](const OracleCase& c, const Inputs& in) { return reshape(in.at("x"), c.integers("shape")); }},
      {"transpose",
       [](const OracleCase& c, const Inputs& in) { return permute(in.at("x"), c.integers<int>("perm")); }},
      {"broadcast_to", [](const OracleCase& c,
                          const Inputs& in) { return broadcast_to(in.at("x"), Shape(c.integers("shape"))); }},
      {"slice",
       [](const OracleCase& c, const Inputs& in) {
         const auto begin = c.integers("begin"), end = c.integers("end");
         const auto steps = c.has("strides") ? c.integers("strides") : std::vector<index_t>(begin.size(), 1);
         std::vector<Range> ranges;
         for (std::size_t i = 0; i < begin.size(); ++i) ranges.push_back({begin[i], end.at(i), steps.at(i)});
         return slice(in.at("x"), ranges);
       }},
      {"pad",
       [](const OracleCase& c, const Inputs& in) {
         const auto sides = c.integers("paddings");
         std::vector<Margin> margins;
         for (std::size_t i = 0; i < sides.size(); i += 2) margins.push_back({sides[i], sides.at(i + 1)});
         return pad(in.at("x"), margins, c.number("value"));
       }},
      {"concat", [](const OracleCase& c,
                    const Inputs& in) { return concat(all_of(in), c.integers<int>("axis").front()); }},
      {"stack", [](const OracleCase& c,
                   const Inputs& in) { return stack(all_of(in), c.integers<int>("axis").front()); }},
      {"gather",
       [](const OracleCase& c, const Inputs& in) {
         return gather(in.at("x"), c.tensor("indices", DType::Int32), c.integers<int>("axis").front());
       }},
      {"embedding",
       [](const OracleCase& c, const Inputs& in) {
         return embedding(in.at("table"), c.tensor("indices", DType::Int32));
       }},
      {"max_pool2d",
       [](const OracleCase& c, const Inputs& in) { return max_pool2d(in.at("x"), pool_options(c)); }},
      {"avg_pool2d",
       [](const OracleCase& c, const Inputs& in) { return avg_pool2d(in.at("x"), pool_options(c)); }},
      {"global_avg_pool2d", unary([](const Tensor& x) { return global_avg_pool2d(x); })},
      {"upsample_nearest",
       [](const OracleCase& c, const Inputs& in) {
         return upsample_nearest(in.at("x"), size_attribute(c, "size"));
       }},
      {"upsample_bilinear",
       [](const OracleCase& c, const Inputs& in) {
         return upsample_bilinear(in.at("x"), size_attribute(c, "size"));
       }},
      {"batch_norm",
       [](const OracleCase& c, const Inputs& in) {
         const Tensor x = in.at("x");
         if (!c.flag("training"))
           return batch_norm(x, in.at("gamma"), in.at("beta"), c.tensor("running_mean", x.dtype()),
                             c.tensor("running_var", x.dtype()), c.number("epsilon"));
         const BatchNormResult found = batch_norm(x, in.at("gamma"), in.at("beta"), c.number("epsilon"));
         if (c.has("new_running_mean")) check_running_averages(c, found);
         return found.y;
       }},
      {"layer_norm",
       [](const OracleCase& c, const Inputs& in) {
         if (!in.contains("gamma"))
           return layer_norm(in.at("x"), c.integers<int>("ndim").front(), c.number("epsilon"));
         return layer_norm(in.at("x"), in.at("gamma"), in.at("beta"), c.number("epsilon"));
       }},
      {"conv2d",
       [](const OracleCase& c, const Inputs& in) { return conv2d(in.at("x"), in.at("w"), conv_options(c)); }},
      {"conv2d_transpose",
       [](const OracleCase& c, const Inputs& in) {
         Conv2DTransposeOptions options = transpose_options(c);
         if (c.has("output_shape")) options.output_shape = c.integers("output_shape");
         return conv2d_transpose(in.at("x"), in.at("w"), options);
       }},
      {"autoencoder",
       [](const OracleCase&, const Inputs& in) {
         const Tensor x = in.at("x");
         const Tensor h =
             tanh(conv2d(x, in.at("w1"), {.strides = 2, .padding = Padding::Same}) + in.at("b1"));
         return mse_loss(conv2d_transpose(h, in.at("w2"), {.strides = 2, .padding = Padding::Same}), x);
       }},
      {"critic",
       [](const OracleCase&, const Inputs& in) {
         const Tensor h = softplus(conv2d(in.at("x"), in.at("w1"), {.strides = 2, .padding = Padding::Same}));
         return matmul(reshape(h, {h.shape()[0], -1}), in.at("w2"));
       }},
  };
  return table;
}

// Variants of these ops that do not exist here.
bool has_function(const OracleCase& c) {
  if (!functions().contains(c.op)) return false;
  if (c.op == "mse_loss") return c.text("reduction") == "mean";
  return true;
}

// Runs check on the cases of a set whose ops exist (losses have tests of their own in nn/). The number is
// written down, so that none is lost unseen.
void for_cases(const std::string& set, int expected, const std::function<void(const OracleCase&)>& check) {
  int run = 0;
  std::map<std::string, int> skipped;
  for (const OracleCase& c : read_oracle(set)) {
    if (!has_function(c)) {
      ++skipped[c.op];
      continue;
    }
    SCOPED_TRACE(c.name);
    ASSERT_NO_THROW(check(c));
    ++run;
  }
  EXPECT_EQ(run, expected) << "cases of " << set;
  std::cout << "not run, for want of the op or of a variant of it:";
  for (const auto& [op, count] : skipped) std::cout << " " << op << " (" << count << ")";
  std::cout << "\n";
}

class OpOracle : public ::testing::TestWithParam<DType> {
 protected:
  bool wide() const { return GetParam() == DType::Float64; }
};
INSTANTIATE_TEST_SUITE_P(DTypes, OpOracle, ::testing::Values(DType::Float32, DType::Float64),
                         [](const auto& dtype) { return type_name(dtype.param); });

TEST_P(OpOracle, ForwardAndGradients) {
  for_cases("op_cases", 110, [&](const OracleCase& c) {
    const bool large = c.has("remark") && c.text("remark").starts_with("large");
    const double tolerance = wide() ? 1e-12 : large ? 1e-4 : 1e-5;
    Tape tape;
    Inputs inputs;
    std::vector<std::string> names;
    std::vector<Tensor> sources;
    for (const auto& [name, place] : c.places) {
      if (name == "y" || !c.has("d" + name)) continue;
      names.push_back(name);
      sources.push_back(inputs[name] = tape.watch(c.tensor(name, GetParam())));
    }
    const Tensor y = functions().at(c.op)(c, inputs);
    expect_close(y, c, "y", tolerance);
    const auto gradients = tape.gradient(y, sources, {.output_gradient = c.tensor("dy", GetParam())});
    for (std::size_t i = 0; i < names.size(); ++i) expect_close(gradients[i], c, "d" + names[i], tolerance);
  });
}

TEST_P(OpOracle, SecondOrder) {
  const double tolerance = wide() ? 1e-10 : 1e-4;
  for_cases("second_order", 32, [&](const OracleCase& c) {
    Tape tape({.persistent = true});
    Inputs inputs;
    std::vector<Tensor> sources;
    const auto& wrt = c.attributes.at("wrt");
    for (const auto& [name, place] : c.places)
      if (c.has("g_" + name) || name == "x") inputs[name] = c.tensor(name, GetParam());
    for (const std::string& name : wrt) sources.push_back(inputs[name] = tape.watch(inputs.at(name)));

    const Tensor y = functions().at(c.op)(c, inputs), dy = c.tensor("dy", GetParam());
    expect_close(y, c, "y", tolerance);
    const std::string kind = c.text("loss");
    const Tensor loss = kind == "y" ? y : kind == "sum(dy*y)" ? sum(dy * y) : 0.5 * sum(dy * square(y));
    expect_close(loss, c, "L", tolerance);
    const auto g = tape.gradient(loss, sources, {.create_graph = true});
    Tensor penalty = zeros({}, GetParam()), along = penalty;
    for (std::size_t i = 0; i < g.size(); ++i) {
      expect_close(g[i], c, "g_" + wrt[i], tolerance);
      penalty = penalty + 0.5 * sum(square(g[i]));
      along = along + sum(g[i] * c.tensor("v_" + wrt[i], GetParam()));
    }
    expect_close(penalty, c, "P", tolerance);
    // A shift that is added at the end is in no gradient.
    const GradientOptions zeros = {.zeros_for_unreached = true};
    const auto p = tape.gradient(penalty, sources, zeros), hv = tape.gradient(along, sources, zeros);
    for (std::size_t i = 0; i < g.size(); ++i) {
      expect_close(p[i], c, "p_" + wrt[i], tolerance);
      expect_close(hv[i], c, "hv_" + wrt[i], tolerance);
    }
  });
}

}  // namespace
}  // namespace tapegrad::testing
