#include "tapegrad/exchange/onnx.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "exchange/onnx_bytes.h"
#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

std::string onnx_fixture(const std::string& name) {
  return std::string(TAPEGRAD_FIXTURES "/onnx/") + name;
}

// The largest |a - b| / max(1, |b|).
double off(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  const Tensor x = cast(a, DType::Float64), y = cast(b, DType::Float64);
  return (max)(abs(x - y) / maximum(abs(y), 1)).item();
}

Tensor found(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, x] : tensors)
    if (key == name) return x;
  ADD_FAILURE() << "no array " << name;
  return zeros(1);
}

const std::vector<std::string> kNets = {"mlp",    "lenet", "autoencoder", "vae_decoder", "unet",
                                        "resnet", "norms", "separable",   "generator",   "upsampling"};

Tensor loss_of(const Tensor& y) {
  return mean(square(y));
}

TEST(OnnxPyTorch, NetsComputeWhatPyTorchDoes) {
  for (const std::string& name : kNets) {
    OnnxModel net = load_onnx(onnx_fixture(name + ".onnx"));
    const NamedTensors arrays = read_npz(onnx_fixture(name + ".npz"));
    EXPECT_FALSE(net.training());
    for (const char* batch : {"1", "2", "5"})
      EXPECT_LT(off(net(found(arrays, std::string("x") + batch)), found(arrays, std::string("y") + batch)),
                1e-5)
          << name << " with a batch of " << batch;
  }
}

TEST(OnnxPyTorch, GradientsAreThoseOfPyTorch) {
  for (const std::string& name : kNets) {
    OnnxModel net = load_onnx(onnx_fixture(name + ".onnx"));
    const NamedTensors arrays = read_npz(onnx_fixture(name + ".npz"));
    Tape tape;
    const auto gradients = tape.gradient(loss_of(net(found(arrays, "x5"))), net.parameters());
    const NamedTensors parameters = net.named_parameters();
    const State in_file = net.state_as_in_file();
    std::size_t compared = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string& key = parameters[i].first;
      Tensor g = gradients[i];
      // HWIO and HWOI become OIHW and IOHW, [in, out] becomes [out, in].
      if (g.rank() == 4) g = permute(g, {3, 2, 0, 1});
      if (g.rank() == 2 && g.shape() != in_file.find(key)->shape()) g = transpose(g);
      EXPECT_LT(off(g, found(arrays, "grad." + key)), 1e-5) << name << ": " << key;
      ++compared;
    }
    std::size_t expected = 0;
    for (const auto& [key, x] : arrays) expected += key.starts_with("grad.");
    EXPECT_EQ(compared, expected) << name;
  }
}

TEST(OnnxPyTorch, NetsTrain) {
  for (const std::string& name : kNets) {
    OnnxModel net = load_onnx(onnx_fixture(name + ".onnx"));
    const Tensor x = found(read_npz(onnx_fixture(name + ".npz")), "x5");
    net.train();
    Adam adam(net.parameters(), {.learning_rate = 0.01});
    OnnxModel other = clone(net);  // with weights that the net can reach
    Generator generator(1);
    for (Tensor& weight : other.parameters()) {
      const Tensor moved = weight + normal(weight.shape(), 0, 0.1, generator);
      std::ranges::copy(moved.values<float>(), weight.mutable_values<float>().begin());
    }
    const Tensor target = other(x);
    double first = 0, last = 0;
    for (int step = 0; step < 15; ++step) {
      Tape tape;
      const Tensor loss = mse_loss(net(x), target);
      last = loss.item();
      if (step == 0) first = last;
      adam.step(tape.gradient(loss, net.parameters()));
    }
    EXPECT_LT(last, 0.7 * first) << name;
  }
}

TEST(OnnxPyTorch, BatchNormalizationTrainsAsOurs) {
  for (const char* name : {"resnet", "generator"}) {
    OnnxModel net = load_onnx(onnx_fixture(std::string(name) + ".onnx"));
    const NamedTensors arrays = read_npz(onnx_fixture(std::string(name) + ".npz"));
    const State before = net.state();
    net.train();
    EXPECT_LT(off(net(found(arrays, "x5")), found(arrays, "t5")), 1e-5) << name;
    const State after = net.state();
    for (std::size_t i = 0; i < after.tensors.size(); ++i) {
      const bool running = after.tensors[i].first.find("running") != std::string::npos;
      EXPECT_EQ(equal(after.tensors[i].second, before.tensors[i].second), !running) << after.tensors[i].first;
    }
    // What the exporter makes of it by default: the convolution with the statistics in its weights.
    OnnxModel fused = load_onnx(onnx_fixture(std::string(name) + "_fused.onnx"));
    EXPECT_LT(off(fused(found(arrays, "x2")), found(arrays, "y2")), 1e-5) << name;
  }
}

TEST(OnnxModel, TakesAndReturnsImagesAsNhwcIfAsked) {
  for (const char* name : {"unet", "autoencoder", "upsampling", "resnet"}) {
    const std::string path = onnx_fixture(std::string(name) + ".onnx");
    OnnxModel net = load_onnx(path), nhwc = load_onnx(path, {.images = ImageOrder::NHWC});
    const Tensor x = found(read_npz(onnx_fixture(std::string(name) + ".npz")), "x2"), y = net(x);
    EXPECT_TRUE(equal(nhwc(nchw_to_nhwc(x)), y.rank() == 4 ? nchw_to_nhwc(y) : y)) << name;
  }
}

TEST(OnnxModel, IsAModuleLikeOthers) {
  OnnxModel net = load_onnx(onnx_fixture("resnet.onnx"));
  const Tensor x = found(read_npz(onnx_fixture("resnet.npz")), "x2");
  const NamedTensors parameters = net.named_parameters();
  EXPECT_EQ(parameters.front().first, "conv1.weight");
  EXPECT_EQ(parameters.front().second.shape(), (Shape{3, 3, 3, 4}));
  EXPECT_EQ(net.state_as_in_file().find("conv1.weight")->shape(), (Shape{4, 3, 3, 3}));
  EXPECT_EQ(net.state().find("fc.weight")->shape(), (Shape{4, 3}));
  EXPECT_FALSE(net.state().find("bn1.running_mean")->is_parameter());
  EXPECT_NE(net.summary({1, 3, 7, 6}).find("OnnxModel"), std::string::npos);
  EXPECT_EQ(net.inputs().front().shape, (std::vector<index_t>{-1, 3, 7, 6}));

  OnnxModel copy = clone(net);
  const Tensor before = copy(x);
  EXPECT_TRUE(equal(net(x), before));
  net.train();
  (void)net(x);  // moves the statistics of net alone
  net.eval();
  EXPECT_TRUE(equal(copy(x), before));
  EXPECT_FALSE(equal(net(x), before));
  net.load_state(copy.state());
  EXPECT_TRUE(equal(net(x), before));

  net.to(DType::Float64);
  EXPECT_EQ(net(cast(x, DType::Float64)).dtype(), DType::Float64);
  EXPECT_LT(off(net(cast(x, DType::Float64)), before), 1e-5);
}

TEST(OnnxModel, GradientsInFloat64AreRight) {
  for (const char* name : {"norms"}) {
    OnnxModel net = load_onnx(onnx_fixture(std::string(name) + ".onnx"));
    net.to(DType::Float64);
    const Tensor x = cast(found(read_npz(onnx_fixture(std::string(name) + ".npz")), "x1"), DType::Float64);
    const GradcheckReport report = gradcheck_parameters([&] { return loss_of(net(x)); }, net.state_view());
    EXPECT_TRUE(report.passed) << report.str();
  }
}

TEST(OnnxModel, LetsTheCallerChooseParameters) {
  const OnnxOptions options{.is_parameter = [](std::string_view name, const Shape& shape) {
    EXPECT_TRUE(name != "conv1.weight" || shape == Shape({4, 3, 3, 3}));
    return name.starts_with("fc.");
  }};
  OnnxModel net = load_onnx(onnx_fixture("resnet.onnx"), options);
  EXPECT_EQ(net.named_parameters().size(), 2u);
}

// ---- Refusals

using Words = std::initializer_list<std::string_view>;

bool refuses_model(OnnxBytes model, Words words, std::int64_t opset = 13) {
  const auto bytes = model.bytes(opset);
  const auto result = refuses("load_onnx", words, [&] { (void)load_onnx(bytes); });
  EXPECT_TRUE(result);
  return result;
}

OnnxBytes of(const std::string& op, const std::vector<OnnxBytes::Attribute>& attributes = {}) {
  return OnnxBytes().input("x", {-1, 2, 5, 5}).node(op, {"x"}, {"y"}, attributes);
}

TEST(OnnxRefuses, OpsAndAttributesThatAreNotKnown) {
  refuses_model(of("Frobnicate"), {"node 'y' (Frobnicate of opset 13)", "is not known"});
  refuses_model(of("If"), {"has graphs inside"});
  refuses_model(OnnxBytes().input("x", {1}).node("Relu", {"x"}, {"y"}, {}, "com.microsoft"),
                {"com.microsoft"});
  refuses_model(of("Relu", {{"slope", 0.5f}}), {"attribute 'slope', which is not known"});
  refuses_model(of("Elu", {{"alpha", std::int64_t{1}}}), {"attribute 'alpha' of another type"});
  for (const auto& [to, type] : {std::pair{0, "0"},
                                 {8, "STRING"},
                                 {14, "COMPLEX64"},
                                 {15, "COMPLEX128"},
                                 {17, "type 17"},
                                 {99, "type 99"},
                                 {1000, "1000"}})
    refuses_model(of("Cast", {{"to", std::int64_t{to}}}), {"converts to ", type});
  refuses_model(of("Relu"), {"opset 22", "1 to 21"}, 22);
  refuses_model(of("Add"), {"lacks its input 1"});
  refuses_model(of("MaxPool"), {"kernel_shape"});
  refuses_model(of("MaxPool", {{"kernel_shape", OnnxBytes::Sizes{3, 3, 3}}}), {"one or two spatial axes"});
  refuses_model(of("MaxPool", {{"kernel_shape", OnnxBytes::Sizes{3, -3}}}), {"-3 among its kernel_shape"});
}

TEST(OnnxRefuses, GraphsThatCannotRun) {
  refuses_model(
      OnnxBytes().input("x", {1}).node("Add", {"x", "b"}, {"a"}).node("Relu", {"a"}, {"b"}).output("b"),
      {"takes 'b', which no node before it returns", "cycle"});
  refuses_model(OnnxBytes().input("x", {1}).node("Relu", {"x"}, {"y"}).node("Relu", {"x"}, {"y"}),
                {"two values called 'y'"});
  refuses_model(OnnxBytes().input("x", {1}).input("x", {1}).node("Relu", {"x"}, {"y"}),
                {"two inputs called 'x'"});
  refuses_model(OnnxBytes().input("x", {1}).node("Relu", {"x"}, {"z"}),
                {"returns 'y', which no node computes"});
  const std::vector<float> one = {1};
  refuses_model(OnnxBytes().initializer("w", {1}, one).initializer("w", {1}, one).node("Relu", {"w"}, {"y"}),
                {"two initializers called 'w'"});
  refuses_model(OnnxBytes().input("x", {1}, 8).node("Identity", {"x"}, {"y"}), {"type STRING"});
}

TEST(OnnxRefuses, TensorsThatAreDamaged) {
  const auto with = [](const OnnxBytes::Sizes& dims, const std::string& raw, std::int32_t type = 1) {
    return OnnxBytes().input("x", {-1}).tensor("w", dims, type, raw).node("Add", {"x", "w"}, {"y"});
  };
  refuses_model(with({2}, "1234"), {"4 bytes", "'w'", "takes 8"});
  refuses_model(with({-1}, ""), {"'w' of an impossible shape"});
  refuses_model(with({std::int64_t{1} << 62, 4}, ""), {"'w' of an impossible shape"});
  refuses_model(with({std::int64_t{1} << 40}, ""), {"0 bytes"});
  refuses_model(with({1}, "12345678", 14), {"COMPLEX64"});
  refuses_model(with({1}, "1234", 99), {"type 99"});
}

TEST(OnnxRefuses, BytesThatAreNoModel) {
  const auto refuses_bytes = [](const std::string& bytes, Words words) {
    const std::vector<std::uint8_t> data(bytes.begin(), bytes.end());
    EXPECT_TRUE(refuses("load_onnx", words, [&] { (void)load_onnx(data); }));
  };
  refuses_bytes("", {"has no graph"});
  refuses_bytes("GIF89a", {"not an ONNX model"});
  refuses_bytes("\x3A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", {"ends too early"});  // a graph of 2^63 - 1 bytes
  refuses_bytes("\x38\x01", {"field 7 of a ModelProto has the wire type 0, not 2"});
  const auto whole = of("Relu").bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::span<const std::uint8_t> part(whole.data(), size);
    try {
      (void)load_onnx(part);
      ADD_FAILURE() << "the first " << size << " bytes are taken for a model";
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "load_onnx");
    }
  }
}

TEST(OnnxRefuses, ExternalDataOutsideOfTheFolder) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("tapegrad_onnx_" + std::to_string(::getpid()));
  const fs::path inside = folder / "models";
  fs::create_directories(inside);
  const std::string numbers("\0\0\x80\x3F\0\0\0\x40", 8);  // 1 and 2
  for (const fs::path& path : {folder / "secret", inside / "data"})
    std::ofstream(path, std::ios::binary) << "1234" << numbers;
  fs::create_symlink(folder / "secret", inside / "link");
  const auto load = [&](const std::vector<std::pair<std::string, std::string>>& entries) {
    const auto bytes =
        OnnxBytes().input("x", {2}).tensor("w", {2}, 1, "", entries).node("Add", {"x", "w"}, {"y"}).bytes();
    std::ofstream(inside / "m.onnx", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return load_onnx(inside / "m.onnx");
  };
  EXPECT_TRUE(
      equal(load({{"location", "data"}, {"offset", "4"}, {"length", "8"}})(tensor({1, 1})), tensor({2, 3})));
  const auto refused = [&](const std::vector<std::pair<std::string, std::string>>& entries, Words words) {
    EXPECT_TRUE(refuses("load_onnx", words, [&] { (void)load(entries); }));
  };
  const std::vector<std::string> outside = {"../secret", "link", (folder / "secret").string(),
                                            "models/../../secret"};
  for (const std::string& location : outside)
    refused({{"location", location}, {"offset", "4"}}, {"must lie in the model's folder"});
  refused({{"location", "."}}, {"not a regular file"});
  refused({{"location", "none"}}, {"none"});
  refused({{"location", "data"}, {"offset", "5"}}, {"8 bytes for 'w' from byte 5 on in a file of 12"});
  refused({{"location", "data"}, {"offset", "18446744073709551615"}}, {"from byte 18446744073709551615"});
  refused({{"location", "data"}, {"offset", "-4"}}, {"'-4' as the offset"});
  refused({{"location", "data"}, {"length", "4"}}, {"4 bytes of external data for 'w', which takes 8"});
  refused({{"offset", "4"}}, {"does not say in which file"});
  fs::remove_all(folder);
}

TEST(OnnxRefuses, InputsThatDoNotFit) {
  OnnxModel net = load_onnx(onnx_fixture("lenet.onnx"));
  EXPECT_TRUE(refuses("OnnxModel", {"input 'x'", "[any, 1, 20, 20], got [2, 1, 20, 21]"}, [&] {
    (void)net(zeros({2, 1, 20, 21}));
  }));
  EXPECT_TRUE(refuses("OnnxModel", {"input 'x'", "type FLOAT, got Int32"}, [&] {
    (void)net(zeros({1, 1, 20, 20}, DType::Int32));
  }));
  EXPECT_TRUE(refuses("OnnxModel", {"1 inputs, got 2"}, [&] { (void)net.run({zeros(1), zeros(1)}); }));
  OnnxModel add =
      load_onnx(OnnxBytes().input("a", {-1}).input("b", {-1}).node("Add", {"a", "b"}, {"y"}).bytes());
  EXPECT_TRUE(refuses("OnnxModel", {"node 'y' (Add of opset 13)", "[2]", "[3]"}, [&] {
    (void)add.run({zeros(2), zeros(3)});
  }));
}

// Whole numbers are stored in doubles, and wrap around as those of their type do.
TEST(OnnxModel, WholeNumbersWrapAround) {
  constexpr int kUInt8 = 2, kInt8 = 3, kUInt16 = 4, kInt16 = 5, kInt32 = 6, kInt64 = 7;
  const auto added = [](int type, std::vector<double> a, std::vector<double> b) {
    const auto size = static_cast<std::int64_t>(a.size());
    OnnxModel net = load_onnx(OnnxBytes()
                                  .input("a", {size}, type)
                                  .input("b", {size}, type)
                                  .node("Add", {"a", "b"}, {"y"})
                                  .bytes(14));
    const auto of = [](const std::vector<double>& v) {
      return cast(tensor(v, {static_cast<index_t>(v.size())}), DType::Int32);
    };
    return cast(net.run({of(a), of(b)})[0], DType::Float64);
  };
  EXPECT_TRUE(equal(added(kUInt8, {200, 255, 1}, {100, 1, 2}), tensor({44, 0, 3}, DType::Float64)));
  EXPECT_TRUE(equal(added(kInt8, {100, 127, -128}, {100, 1, -1}), tensor({-56, -128, 127}, DType::Float64)));
  EXPECT_TRUE(equal(added(kUInt16, {65535, 5}, {2, 6}), tensor({1, 11}, DType::Float64)));
  EXPECT_TRUE(equal(added(kInt16, {32767, -32768}, {1, -1}), tensor({-32768, 32767}, DType::Float64)));
  EXPECT_TRUE(equal(added(kInt32, {2147483647, -5}, {1, 7}), tensor({-2147483648.0, 2}, DType::Float64)));
  EXPECT_TRUE(equal(added(kInt64, {2147483640, -5}, {7, 7}), tensor({2147483647.0, 2}, DType::Float64)));
}

TEST(OnnxModel, AxesThatAreNoneAreRefused) {
  for (const std::int64_t axis : {-5, 4}) {
    OnnxModel net = load_onnx(of("Softmax", {{"axis", axis}}).bytes());
    EXPECT_TRUE(refuses("OnnxModel", {"axis " + std::to_string(axis), "[1, 2, 5, 5]"}, [&] {
      (void)net(zeros({1, 2, 5, 5}));
    }));
  }
  for (const std::int64_t axis : {-4, 3})
    EXPECT_NO_THROW((void)load_onnx(of("Softmax", {{"axis", axis}}).bytes())(zeros({1, 2, 5, 5})));
}

TEST(OnnxModel, FoldsNothingThatIsLarge) {
  const std::vector<std::int64_t> huge = {std::int64_t{1} << 40};
  const auto bytes = OnnxBytes().initializer("n", {1}, huge).node("ConstantOfShape", {"n"}, {"y"}).bytes();
  OnnxModel net = load_onnx(bytes);  // the shape is that of a result, which nobody has asked for
  EXPECT_TRUE(net.inputs().empty());
}

}  // namespace
}  // namespace tapegrad::testing
