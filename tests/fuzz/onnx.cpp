// ONNX models: load_onnx(). What it accepts is not run: a model may ask for as much memory and time as it likes.

#include "tapegrad/exchange/onnx.h"

#include "exchange/onnx_bytes.h"
#include "fuzz.h"

using namespace tapegrad;

namespace {

using testing::OnnxBytes;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::accepts("load_onnx", [&] {
    OnnxModel net = load_onnx(std::span(data, size));
    OnnxModel copy = clone(net);
    if (copy.parameter_count() != net.parameter_count()) fuzz::found("a copy has other parameters");
  });
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  using Sizes = OnnxBytes::Sizes;
  const std::vector<float> w = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto image = [] { return OnnxBytes().input("x", {-1, 2, 3, 3}); };
  made.emplace_back("conv", image()
                                .initializer("w", {1, 2, 2, 2}, w)
                                .node("Conv", {"x", "w"}, {"c"}, {{"pads", Sizes{1, 0, 0, 1}}})
                                .node("Relu", {"c"}, {"y"})
                                .bytes());
  made.emplace_back("transpose", image()
                                     .initializer("w", {2, 1, 2, 2}, w)
                                     .node("ConvTranspose", {"x", "w"}, {"c"},
                                           {{"strides", Sizes{2, 2}}, {"output_padding", Sizes{1, 0}}})
                                     .node("Transpose", {"c"}, {"y"}, {{"perm", Sizes{0, 2, 3, 1}}})
                                     .bytes());
  made.emplace_back("pool",
                    image()
                        .node("AveragePool", {"x"}, {"a"},
                              {{"kernel_shape", Sizes{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}})
                        .node("GlobalMaxPool", {"a"}, {"g"})
                        .node("Flatten", {"g"}, {"y"})
                        .bytes());
  const std::vector<std::int64_t> shape = {0, -1}, starts = {-1, 0}, ends = {-5, 9}, axes = {0, 1},
                                  steps = {-1, 2};
  made.emplace_back("shapes", image()
                                  .initializer("s", {2}, shape)
                                  .initializer("b", {2}, starts)
                                  .initializer("e", {2}, ends)
                                  .initializer("a", {2}, axes)
                                  .initializer("d", {2}, steps)
                                  .node("Reshape", {"x", "s"}, {"r"})
                                  .node("Slice", {"r", "b", "e", "a", "d"}, {"c"})
                                  .node("ReduceSum", {"c"}, {"y"}, {{"keepdims", std::int64_t{0}}})
                                  .bytes());
  const std::vector<float> scales = {1, 1, 1.5f, 2};
  made.emplace_back("resize", image()
                                  .initializer("s", {4}, scales)
                                  .node("Resize", {"x", "", "s"}, {"r"}, {{"mode", std::string("linear")}})
                                  .node("Softmax", {"r"}, {"y"}, {{"axis", std::int64_t{1}}})
                                  .bytes());
  made.emplace_back("external", OnnxBytes()
                                    .input("x", {2})
                                    .tensor("w", {2}, 1, "", {{"location", "../w"}, {"offset", "4"}})
                                    .node("Add", {"x", "w"}, {"y"})
                                    .bytes());
  return made;
}
