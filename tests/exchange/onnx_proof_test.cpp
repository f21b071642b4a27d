#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "exchange/export_cases.h"
#include "io/temporary.h"
#include "ops/op_table.h"

// ONNX Runtime itself (tools/fetch_onnxruntime.sh brings it), and ONNX's checker (Debian's python3-onnx), take what is
// exported here.

namespace tapegrad::testing {
namespace {

using Tensors = std::vector<Tensor>;

const char* type_name(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return "float64";
    case DType::Int32:
      return "int32";
    case DType::UInt8:
      return "uint8";
    case DType::Float32:
      break;
  }
  return "float32";
}

// A folder of models, inputs and what comes out.
class ProofFolder {
 public:
  /// Adds a model with the results of f for some inputs.
  void add(const std::string& name, const Bytes& model, const OnnxFunction& f,
           const std::vector<Tensors>& runs) {
    const std::string file = "model_" + std::to_string(count_++) + ".onnx";
    write_bytes(folder_ / file, model);
    std::string text = fmt::format("{}{{\"name\": \"{}\", \"model\": \"{}\", \"runs\": [",
                                   json_.empty() ? "" : ",\n", name, file);
    for (std::size_t i = 0; i < runs.size(); ++i)
      text += fmt::format("{}{{\"inputs\": [{}], \"outputs\": [{}]}}", i == 0 ? "" : ", ",
                          list("input", runs[i]), list("output", f(runs[i])));
    json_ += text + "]}";
  }
  /// The exit code of a program that is given the folder.
  int run(const std::string& program, const std::string& more = "") {
    std::ofstream(folder_ / "cases.json") << "[" << json_ << "]\n";
    const int status = std::system((program + " " + folder_.path().string() + " " + more).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::size_t count() const { return count_; }

 private:
  std::string list(const std::string& kind, const Tensors& xs) {
    std::string text;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const std::string file = "tensor_" + std::to_string(tensors_++) + ".bin";
      const auto bytes = static_cast<std::size_t>(xs[i].size()) * size_of(xs[i].dtype());
      const auto* from = reinterpret_cast<const std::uint8_t*>(TensorAccess::elements(xs[i]));
      write_bytes(folder_ / file, Bytes(from, from + bytes));
      text += fmt::format("{}{{\"name\": \"{}\", \"type\": \"{}\", \"shape\": {}, \"file\": \"{}\"}}",
                          i == 0 ? "" : ", ", xs.size() == 1 ? kind : fmt::format("{}_{}", kind, i),
                          type_name(xs[i].dtype()), xs[i].shape().str(), file);
    }
    return text;
  }
  TemporaryFolder folder_;
  std::string json_;
  std::size_t count_ = 0, tensors_ = 0;
};

void add_modules(ProofFolder& to) {
  for (const ModuleName& named : module_names()) {
    const ModuleCase& c = module_case(named);
    const OnnxFunction f = [&](const Tensors& in) { return Tensors{(*c.module)(in[0])}; };
    std::vector<Tensors> runs;
    for (const index_t rows : {1, 3, 8}) runs.push_back({batch_like(c.example, rows)});
    to.add(c.name, onnx_bytes(*c.module, c.example), f, runs);
    to.add(c.name + ", opset 13, batch norms folded",
           onnx_bytes(*c.module, c.example, {.opset = 13, .fold_batch_norm = true}), f, runs);
    // Of images in NCHW; what comes out is turned as well.
    const auto turned = [](const Tensor& x) { return x.rank() == 4 ? nhwc_to_nchw(x) : x; };
    const OnnxFunction of_nchw = [&](const Tensors& in) {
      return Tensors{turned((*c.module)(in[0].rank() == 4 ? nchw_to_nhwc(in[0]) : in[0]))};
    };
    for (Tensors& run : runs) run[0] = turned(run[0]);
    to.add(c.name + ", NCHW", onnx_bytes(*c.module, c.example, {.channels_first = true}), of_nchw, runs);
  }
}

// Every op of the table that can be exported: with fixed sizes, and with any batch, if it takes any.
void add_ops(ProofFolder& to) {
  int fixed = 0, any = 0;
  for (const OpRow& row : op_table()) {
    Tensors xs;
    for (const Tensor& x : row.draw()) xs.push_back(cast(x, DType::Float32));
    const OnnxFunction f = [&](const Tensors& in) { return Tensors{row.f(in)}; };
    for (const int opset : {13, 17}) try {
        to.add(row.name() + ", opset " + std::to_string(opset),
               onnx_bytes(f, xs, {.opset = opset, .dynamic_batch = false}), f, {xs});
        ++fixed;
      } catch (const Error& error) {
        EXPECT_EQ(error.op(), "save_onnx") << error.what();
      }
    try {
      const Bytes model = onnx_bytes(f, xs);
      std::vector<Tensors> runs;
      for (const index_t rows : {2, 3, 6}) {
        Tensors batch;
        for (const Tensor& x : xs)
          batch.push_back(x.rank() > 0 && x.shape()[0] == xs[0].shape()[0] ? batch_like(x, rows) : x);
        (void)f(batch);  // some take a few batches only
        runs.push_back(batch);
      }
      to.add(row.name() + ", any batch", model, f, runs);
      ++any;
    } catch (const Error&) {  // whose first axis is no batch
    }
  }
  EXPECT_GT(fixed, 580);
  EXPECT_GT(any, 180);
}

TEST(OnnxProof, OnnxRuntimeComputesTheSameAndTheCheckerAgrees) {
  ProofFolder folder;
  add_modules(folder);
  add_ops(folder);
  const int checked = folder.run("/usr/bin/python3 -B " TAPEGRAD_SOURCE "/tests/exchange/onnx_checker.py");
  EXPECT_TRUE(checked == 77 || checked == 0);
  const int run = folder.run("node " TAPEGRAD_SOURCE "/tests/exchange/onnx_proof.js",
                             TAPEGRAD_SOURCE "/build/onnxruntime");
  EXPECT_TRUE(run == 77 || run == 127 || run == 0);
  if (checked == 77 || run == 77 || run == 127)
    GTEST_SKIP() << "Debian's python3-onnx or onnxruntime-node (tools/fetch_onnxruntime.sh) is not installed";
}

}  // namespace
}  // namespace tapegrad::testing
