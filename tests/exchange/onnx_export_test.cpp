#include "tapegrad/exchange/onnx_export.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "exchange/export_cases.h"
#include "io/temporary.h"
#include "ops/op_table.h"
#include "refuses.h"

namespace tapegrad::testing {
namespace {

using Tensors = std::vector<Tensor>;

// Gradients of a sum of the results, each times other numbers, by parameters and by the input.
std::map<std::string, Tensor> gradients(Module& module, const Tensor& x) {
  Tape tape;
  const bool has_slope = is_floating(x.dtype());
  const Tensor watched = has_slope ? tape.watch(x) : x;
  const Tensor y = module(watched);
  Tensor weights = zeros(y.shape(), y.dtype());
  for (index_t i = 0; i < y.size(); ++i)
    dispatch_floating(y.dtype(), [&]<class T>(std::type_identity<T>) {
      weights.mutable_data<T>()[i] = static_cast<T>(std::sin(static_cast<double>(i)));
    });
  NamedTensors sources = module.named_parameters();
  Tensors xs;
  for (const auto& [name, parameter] : sources) xs.push_back(parameter);
  if (has_slope) xs.push_back(watched);
  if (xs.empty()) return {};
  const Tensors found = tape.gradient(y, xs, {.zeros_for_unreached = true, .output_gradient = weights});
  std::map<std::string, Tensor> made;
  for (std::size_t i = 0; i < sources.size(); ++i) made[sources[i].first] = found[i];
  if (has_slope) made["the input"] = found.back();
  return made;
}

class ExportedModules : public ::testing::TestWithParam<ModuleCase> {};

TEST_P(ExportedModules, ComputeAndTrainAsBefore) {
  Module& net = *GetParam().module;
  const Tensor& example = GetParam().example;
  for (const int opset : {13, 17}) {
    OnnxModel loaded = load_onnx(onnx_bytes(net, example, {.opset = opset}));
    for (const index_t rows : {1, 3, 8}) {
      const Tensor x = batch_like(example, rows);
      EXPECT_LE(largest_difference(loaded(x), net(x)), 1e-5) << "opset " << opset << ", " << rows << " rows";
    }
    const std::map<std::string, Tensor> own = gradients(net, example), theirs = gradients(loaded, example);
    ASSERT_EQ(own.size(), theirs.size());
    for (const auto& [name, gradient] : own) {
      ASSERT_TRUE(theirs.contains(name)) << name;
      EXPECT_LE(largest_difference(theirs.at(name), gradient), 2e-5) << name;
    }
  }
}

TEST_P(ExportedModules, TakeImagesInTheOrderThatIsAskedFor) {
  Module& net = *GetParam().module;
  const Tensor& x = GetParam().example;
  const auto turned = [](const Tensor& t) { return t.rank() == 4 ? nhwc_to_nchw(t) : t; };
  OnnxModel loaded = load_onnx(onnx_bytes(net, x, {.dynamic_batch = false, .channels_first = true}));
  EXPECT_LE(largest_difference(loaded(turned(x)), turned(net(x))), 1e-5);
}

TEST_P(ExportedModules, FoldBatchNorms) {
  Module& net = *GetParam().module;
  const Tensor& x = GetParam().example;
  OnnxModel loaded = load_onnx(onnx_bytes(net, x, {.fold_batch_norm = true}));
  EXPECT_LE(largest_difference(loaded(x), net(x)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, ExportedModules, ::testing::ValuesIn(module_cases()), [](const auto& tested) {
  std::string name = tested.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name + "_" + std::to_string(tested.index);
});

// Ops that ONNX has no counterpart of, or whose counterpart is not written, with a part of the error.
const std::map<std::string, std::string> kLeftOut = {
    {"atan2", "the op 'atan2' has no counterpart"},
    {"unfold", "the op 'unfold' has no counterpart"},
    {"fold", "the op 'fold' has no counterpart"},
    {"conv2d_backprop_filter", "the op 'conv2d_backprop_filter' has no counterpart"},
    {"zero_insert", "puts elements between others"},
    {"mse_loss", "the op 'mse_loss' has no counterpart"},
    {"cross_entropy", "the op 'cross_entropy' has no counterpart"},
    {"binary_cross_entropy", "has the option 'least'"},
    {"binary_cross_entropy_with_logits", "the op 'binary_cross_entropy_with_logits' has no counterpart"},
    {"kl_divergence", "has the option 'least'"},
    {"kl_to_standard_normal", "the op 'kl_to_standard_normal' has no counterpart"},
    {"prod, of nothing", "takes a part of shape [0, 3, 2]"},
    {"cross_entropy, distributions", ""},
};

TEST(OnnxExport, OpsOfTheTableComputeAndHaveTheirGradients) {
  std::map<std::string, int> left_out;
  int done = 0;
  for (const OpRow& row : op_table()) {
    SCOPED_TRACE(row.name());
    const Tensors xs = row.draw();
    const OnnxFunction f = [&](const Tensors& in) { return Tensors{row.f(in)}; };
    const auto reason = kLeftOut.contains(row.name()) ? kLeftOut.find(row.name()) : kLeftOut.find(row.op);
    if (reason != kLeftOut.end() && !reason->second.empty()) {
      EXPECT_TRUE(
          refuses("save_onnx", {reason->second}, [&] { (void)onnx_bytes(f, xs, {.dynamic_batch = false}); }));
      ++left_out[row.op];
      continue;
    }
    OnnxModel loaded = load_onnx(onnx_bytes(f, xs, {.dynamic_batch = false}));
    Tensors of_own, of_theirs;
    for (const bool ours : {true, false}) {
      Tape tape;
      Tensors watched;
      for (const Tensor& x : xs) watched.push_back(tape.watch(x));
      const Tensor y = ours ? row.f(watched) : loaded.run(watched)[0];
      Tensors& found = ours ? of_own : of_theirs;
      found = tape.gradient(
          y, watched, {.zeros_for_unreached = true, .output_gradient = full(y.shape(), 0.75, y.dtype())});
      found.push_back(y);
    }
    for (std::size_t i = 0; i < of_own.size(); ++i)
      EXPECT_LE(largest_difference(of_theirs[i], of_own[i]), 1e-6) << i;
    ++done;
  }
  std::printf("%d rows exported; left out:", done);
  for (const auto& [op, count] : left_out) std::printf(" %s %d", op.c_str(), count);
  std::printf("\n");
  EXPECT_GT(done, 250);
}

}  // namespace
}  // namespace tapegrad::testing
