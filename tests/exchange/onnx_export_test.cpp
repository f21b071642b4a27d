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
  if (!is_floating(y.dtype())) return {};
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

class ExportedModules : public ::testing::TestWithParam<ModuleName> {
 protected:
  const ModuleCase& tested = module_case(GetParam());
};

TEST_P(ExportedModules, ComputeAndTrainAsBefore) {
  Module& net = *tested.module;
  const Tensor& example = tested.example;
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
  Module& net = *tested.module;
  const Tensor& x = tested.example;
  const auto turned = [](const Tensor& t) { return t.rank() == 4 ? nhwc_to_nchw(t) : t; };
  OnnxModel loaded = load_onnx(onnx_bytes(net, x, {.dynamic_batch = false, .channels_first = true}));
  EXPECT_LE(largest_difference(loaded(turned(x)), turned(net(x))), 1e-5);
}

TEST_P(ExportedModules, FoldBatchNorms) {
  Module& net = *tested.module;
  const Tensor& x = tested.example;
  OnnxModel loaded = load_onnx(onnx_bytes(net, x, {.fold_batch_norm = true}));
  EXPECT_LE(largest_difference(loaded(x), net(x)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, ExportedModules, ::testing::ValuesIn(module_names()), [](const auto& tested) {
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
    {"binary_cross_entropy", "has the option 'least'"},
    {"kl_divergence", "has the option 'least'"},
    {"kl_to_standard_normal", "the op 'kl_to_standard_normal' has no counterpart"},
    {"prod, of nothing", "makes [0, 3, 2] of [2, 3, 2]"},
    {"batch_norm, training", "normalizes with what it finds in the batch"},
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

// ---- What is refused

Tensor images() {
  Generator generator(2);
  return uniform({3, 4, 4, 2}, -1, 1, generator);
}

OnnxFunction function(std::function<Tensor(const Tensor&)> f) {
  return [f = std::move(f)](const Tensors& in) { return Tensors{f(in[0])}; };
}

TEST(OnnxExport, NamesTheLayerOfAnOpWithoutACounterpartAndWritesNothing) {
  const TemporaryFolder folder;
  Generator generator(1);
  struct Net : Module {
    explicit Net(Generator& g)
        : head(Dense({.in_features = 4, .units = 3}, g),
               Lambda([](const Tensor& x) { return atan2(x, x + 2.0); })) {}
    Tensor forward(const Tensor& x) override { return head(x); }
    void visit(Visitor& visitor) override { visitor("head", head); }
    Sequential head;
  } net(generator);
  write_bytes(folder / "net.onnx", {1, 2, 3});
  EXPECT_TRUE(refuses("save_onnx", {"the op 'atan2' of layer 'head.1' (Lambda) has no counterpart"}, [&] {
    save_onnx(folder / "net.onnx", net, ones({2, 4}));
  }));
  EXPECT_EQ(read_bytes(folder / "net.onnx"), (Bytes{1, 2, 3}));
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_TRUE(refuses("save_onnx", {"missing"}, [&] {
    save_onnx(folder / "missing/net.onnx", net.head[0], ones({2, 4}));
  }));
}

TEST(OnnxExport, RefusesWhatIsTakenOutOfTensors) {
  const auto refused = [](const char* words, std::function<Tensor(const Tensor&)> f) {
    for (const bool dynamic : {false, true})
      EXPECT_TRUE(refuses("save_onnx", {words},
                          [&] { (void)onnx_bytes(function(f), {images()}, {.dynamic_batch = dynamic}); }));
  };
  refused("has the number", [](const Tensor& x) { return x * mean(x).item(); });
  refused("that no op computes", [](const Tensor& x) {
    const double most = (max)(x).item();
    return x + full({2}, most);
  });
  const auto f = function([](const Tensor& x) { return x / (max)(x).item(); });
  EXPECT_TRUE(
      refuses("save_onnx", {"has the number"}, [&] { (void)onnx_bytes(f, {slice(images(), 0, 1)}); }));
  Generator generator(1);
  refused("that no op computes", [&](const Tensor& x) { return x + normal({2}, 0, 1, generator); });
  Dropout dropout(0.5, generator);
  refused("the op 'multiply'", [&](const Tensor& x) { return dropout(x); });
  refused("computes other ops for other inputs", [](const Tensor& x) {
    return x.at({0, 0, 0, 0}) == images().at({0, 0, 0, 0}) ? exp(x) : log(x);
  });
}

TEST(OnnxExport, BatchesOfAnySizeOrThatOfTheExample) {
  const auto f = function([](const Tensor& x) { return sum(x, {0}) / static_cast<double>(x.shape()[0]); });
  EXPECT_TRUE(refuses(
      "save_onnx",
      {"the op 'divide' has the number 3 with one batch, and 5 with another", "dynamic_batch = false"},
      [&] { (void)onnx_bytes(f, {images()}); }));
  OnnxModel fixed = load_onnx(onnx_bytes(f, {images()}, {.dynamic_batch = false}));
  EXPECT_EQ(fixed.inputs()[0].shape, (std::vector<index_t>{3, 4, 4, 2}));
  EXPECT_LE(largest_difference(fixed(images()), f({images()})[0]), 1e-6);
  EXPECT_TRUE(
      refuses("save_onnx",
              {"the op 'concat' has shape [4, 4, 4, 2] with a batch of 3", "multiples of the batch's"}, [&] {
                (void)onnx_bytes(function([](const Tensor& x) {
                                   return concat({x, slice(x, 0, 1)}, 0);
                                 }),
                                 {images()});
              }));
  EXPECT_TRUE(refuses("save_onnx", {"the op 'slice'", "depends on the batch's size"}, [&] {
    (void)onnx_bytes(function([](const Tensor& x) { return slice(x, x.shape()[0] - 1, x.shape()[0]); }),
                     {images()});
  }));
  OnnxModel any = load_onnx(onnx_bytes(function([](const Tensor& x) {
                                         return slice(x, {{}, {0, 2}}) * 2.0;
                                       }),
                                       {images()}));
  EXPECT_EQ(any.inputs()[0].shape, (std::vector<index_t>{-1, 4, 4, 2}));
  EXPECT_EQ(any.outputs()[0].shape, (std::vector<index_t>{-1, 2, 4, 2}));
}

// An op of one's own may be called like another: the file must not compute that.
TEST(OnnxExport, NoticesAnOpThatIsNotWhatItsNameSays) {
  const auto f = function([](const Tensor& x) {
    return record("tanh", 2.0 * x, {{x, [](const Tensor& g) { return 2.0 * g; }}});
  });
  EXPECT_TRUE(refuses("save_onnx", {"does not compute what the function does"},
                      [&] { (void)onnx_bytes(f, {images()}); }));
}

TEST(OnnxExport, RefusesOptionsAndInputsThatCannotBe) {
  const auto f = function([](const Tensor& x) { return exp(x); });
  const Tensor x = ones({2, 3});
  const auto refused = [](std::initializer_list<std::string_view> words, auto call) {
    EXPECT_TRUE(refuses("save_onnx", words, call));
  };
  refused({"opset must be 13 to 17, got 12"}, [&] { (void)onnx_bytes(f, {x}, {.opset = 12}); });
  refused({"opset must be 13 to 17, got 18"}, [&] { (void)onnx_bytes(f, {x}, {.opset = 18}); });
  refused({"at least one example"}, [&] { (void)onnx_bytes(f, {}); });
  refused({"the example of input 0 is not defined"}, [&] { (void)onnx_bytes(f, {Tensor()}); });
  refused({"must have elements, got shape [0, 3]"}, [&] { (void)onnx_bytes(f, {ones({0, 3})}); });
  refused({"this one is empty"}, [&] { (void)onnx_bytes(OnnxFunction(), {x}); });
  refused({"must return at least one tensor"},
          [&] { (void)onnx_bytes([](const Tensors&) { return Tensors{}; }, {x}); });
  refused({"a result of the function is not defined"},
          [&] { (void)onnx_bytes([](const Tensors&) { return Tensors(1); }, {x}); });
  refused({"input_names must have one name for each of the 1 inputs, got 2"}, [&] {
    (void)onnx_bytes(f, {x}, {.input_names = {"a", "b"}});
  });
  refused({"are called 'x'"},
          [&] { (void)onnx_bytes(f, {x}, {.input_names = {"x"}, .output_names = {"x"}}); });
}

TEST(OnnxExport, RefusesWhatIsChangedInPlace) {
  const auto refused = [](std::function<Tensor(const Tensor&)> f) {
    EXPECT_TRUE(
        refuses("save_onnx", {"is changed in place"}, [&] { (void)onnx_bytes(function(f), {images()}); }));
  };
  refused([](const Tensor& x) {
    Tensor y = exp(x);
    y.mutable_values<float>()[0] = 1e-8F;
    return softmax(y);
  });
  refused([](const Tensor& x) {
    Tensor mask = ones({2});
    const Tensor y = x * mask;
    mask.mutable_values<float>()[1] = 0;
    return y * mask * 1e-7;
  });
}

// What is small is compared as closely as what is large.
TEST(OnnxExport, NoticesMistakesInSmallResults) {
  const auto own = [](const Tensor& x) {
    return record("exp", 1e-6 * x, {{x, [](const Tensor& g) { return g; }}});
  };
  EXPECT_TRUE(refuses("save_onnx", {"does not compute what the function does"}, [&] {
    (void)onnx_bytes(function([&](const Tensor& x) { return own(x) * 1e-6; }), {images()});
  }));
  for (const char* op : {"matmul", "conv2d", "max_pool2d", "where"})
    EXPECT_TRUE(refuses("save_onnx", {"one of your own"}, [&] {
      (void)onnx_bytes(function([&](const Tensor& x) {
                         return record(op, copy(x), {{x, [](const Tensor& g) { return g; }}});
                       }),
                       {images()});
    })) << op;
}

TEST(OnnxExport, RefusesNamesThatAreNotTheirs) {
  const auto f = function([](const Tensor& x) { return exp(x); });
  const auto refused = [&](const OnnxExportOptions& options, const char* words) {
    EXPECT_TRUE(refuses("save_onnx", {words}, [&] { (void)onnx_bytes(f, {images()}, options); }));
  };
  refused({.input_names = {""}}, "a name of an input is empty, or not UTF-8");
  refused({.output_names = {"\xff"}}, "a name of a result is empty, or not UTF-8");
  struct Net : Module {
    Tensor forward(const Tensor& x) override { return x + input; }
    void visit(Visitor& visitor) override { visitor("input", input); }
    Tensor input = parameter(ones({2}));
  } net;
  EXPECT_TRUE(
      refuses("save_onnx", {"are called 'input'", "input_names"}, [&] { (void)onnx_bytes(net, images()); }));
  OnnxModel other = load_onnx(onnx_bytes(net, images(), {.input_names = {"x"}, .output_names = {"Add"}}));
  EXPECT_EQ(other.named_parameters()[0].first, "input");
  EXPECT_EQ(other.outputs()[0].name, "Add");
}

TEST(OnnxExport, TellsWhatTheFunctionWasCalledWith) {
  EXPECT_TRUE(refuses("save_onnx", {"input 0: [5, 4, 4, 2]", "[reshape]", "dynamic_batch = false"}, [&] {
    (void)onnx_bytes(function([](const Tensor& x) { return reshape(x, {96}); }), {images()});
  }));
}

// ---- What is kept

TEST(OnnxExport, SeveralInputsAndResultsHaveTheirNames) {
  const OnnxFunction f = [](const Tensors& in) {
    return Tensors{in[0] + in[1], argmax(in[0] * in[1], 1), in[0]};
  };
  const Tensors xs = {images(), images() * 2.0 - 0.5};
  OnnxModel net =
      load_onnx(onnx_bytes(f, xs, {.input_names = {"a", "b"}, .output_names = {"sum", "place", "a again"}}));
  EXPECT_EQ(net.inputs()[1].name, "b");
  EXPECT_EQ(net.outputs()[2].name, "a again");
  EXPECT_EQ(net.outputs()[1].type, "INT32");
  const Tensors found = net.run(xs), expected = f(xs);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LE(largest_difference(found[i], expected[i]), 1e-6) << i;
}

TEST(OnnxExport, OneValueMayBeSeveralResults) {
  const OnnxFunction f = [](const Tensors& in) {
    const Tensor y = exp(in[0]);
    return Tensors{y,     permute(y, {0, 1, 2, 3}),      y,        nchw_to_nhwc(y),
                   in[0], nhwc_to_nchw(nchw_to_nhwc(y)), ones({2})};
  };
  for (const bool nchw : {false, true}) {
    OnnxModel net = load_onnx(onnx_bytes(f, {images()}, {.channels_first = nchw}),
                              {.images = nchw ? ImageOrder::NHWC : ImageOrder::AsInFile});
    const Tensors found = net.run({images()}), expected = f({images()});
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE(largest_difference(found[i], expected[i]), 1e-6) << i;
  }
}

TEST(OnnxExport, ParametersOfFunctionsHaveNamesAndConstantsAreNone) {
  Generator generator(1);
  const Tensor w = parameter(uniform({2, 3}, -1, 1, generator)), b = parameter(ones({3})),
               table = ones({4, 1, 3});
  const auto f = function([&](const Tensor& x) { return tanh(matmul(x, w)) * table + b; });
  OnnxModel named = load_onnx(onnx_bytes(f, {images()}, {.names = {{"w", w}, {"b", b}}}));
  std::vector<std::string> names;
  for (const auto& [name, x] : named.named_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"w", "b"}));
  OnnxModel unnamed = load_onnx(onnx_bytes(f, {images()}));
  names.clear();
  for (const auto& [name, x] : unnamed.named_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"parameter_1", "parameter_2"}));
}

TEST(OnnxExport, LeavesTheModuleAsItWas) {
  Generator generator(1);
  Sequential net(Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 3}, generator),
                 BatchNorm({.channels = 3}), ReLU(), Dropout(0.5, generator));
  net[1].eval();
  const State before = net.state();
  const Tape tape;
  (void)onnx_bytes(net, images());
  EXPECT_TRUE(net.training() && net[0].training() && !net[1].training() && net[3].training());
  const State after = net.state();
  for (const auto& [name, x] : before.tensors) EXPECT_TRUE(equal(*after.find(name), x)) << name;
}

TEST(OnnxExport, RecordsNothingOnAnOpenTape) {
  Generator generator(1);
  Sequential net(Dense({.in_features = 2, .units = 3}, generator));
  Tape tape;
  const Tensor x = tape.watch(ones({1, 2}));
  const std::size_t before = tape.graph().nodes.size();
  (void)onnx_bytes(net, x);
  EXPECT_EQ(tape.graph().nodes.size(), before);
}

TEST(OnnxExport, BuffersKeepTheirNames) {
  struct Net : Module {
    Tensor forward(const Tensor& x) override { return x + table; }
    void visit(Visitor& visitor) override { visitor("table", table); }
    Tensor table = tensor({0.25, 0.75});
  } net;
  const Bytes model = onnx_bytes(net, images());
  EXPECT_NE(std::string(model.begin(), model.end()).find("table"), std::string::npos);
  EXPECT_TRUE(load_onnx(model).named_parameters().empty());
}

// As with BatchNorm: an average that is infinite once would stay so.
TEST(OnnxExport, AVarianceBeyondTheRangeIsForgotten) {
  BatchNorm norm({.channels = 2, .momentum = 0.9, .moving_variance = MovingVariance::Unbiased});
  for (const MovingVariance kept : {MovingVariance::Biased, MovingVariance::Unbiased}) {
    OnnxModel loaded = load_onnx(onnx_bytes(norm, images()), {.moving_variance = kept});
    loaded.train();
    (void)loaded(images() * 1e25);
    for (int step = 0; step < 3; ++step) (void)loaded(images());
    for (const auto& [name, x] : loaded.state().tensors)
      for (const float value : x.values<float>()) EXPECT_TRUE(std::isfinite(value)) << name;
  }
}

// Constants between a convolution and its batch norm: the norm cannot be computed where the convolution is.
TEST(OnnxExport, ConstantsMayStandBeforeABatchNorm) {
  Generator generator(1);
  Conv2D conv({.in_channels = 2, .filters = 3, .kernel_size = 3}, generator);
  BatchNorm norm({.channels = 3});
  randomize(norm, generator);
  norm.eval();
  const OnnxFunction f = [&](const Tensors& in) { return Tensors{relu(norm(conv(in[0])))}; };
  OnnxModel loaded = load_onnx(onnx_bytes(f, {images()}));
  EXPECT_LE(largest_difference(loaded(images()), f({images()})[0]), 1e-5);
}

// A convolution with a batch norm behind it: in training mode the loaded model normalizes with the batch, and keeps averages.
TEST(OnnxExport, BatchNormsTrainOn) {
  Generator generator(1);
  Sequential net(Conv2D({.in_channels = 2, .filters = 3, .kernel_size = 3}, generator),
                 BatchNorm({.channels = 3, .momentum = 0.9}), ReLU(),
                 Conv2DTranspose({.in_channels = 3, .filters = 2, .kernel_size = 2}, generator),
                 BatchNorm({.channels = 2, .momentum = 0.9}));
  randomize(net, generator);
  OnnxModel loaded = load_onnx(onnx_bytes(net, images()));
  net.train();
  loaded.train();
  for (int step = 0; step < 2; ++step) {
    EXPECT_LE(largest_difference(loaded(images()), net(images())), 1e-5);
    const auto own = gradients(net, images()), theirs = gradients(loaded, images());
    for (const auto& [name, gradient] : own)
      EXPECT_LE(largest_difference(theirs.at(name), gradient), 1e-5) << name;
  }
  const State state = loaded.state();
  for (const auto& [name, x] : net.state().tensors) {
    const Tensor found = *state.find(name);
    EXPECT_LE(largest_difference(found, x), 1e-6) << name;
  }
  net.eval();
  loaded.eval();
  EXPECT_LE(largest_difference(loaded(images()), net(images())), 1e-5);
}

}  // namespace
}  // namespace tapegrad::testing
