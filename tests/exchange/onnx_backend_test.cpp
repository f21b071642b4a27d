// ONNX's own tests of single nodes (Debian's libonnx-testdata): all whose ops are imported run, or are listed with the
// reason why not.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tapegrad/exchange/onnx.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kData = "/usr/share/libonnx-testdata/data";

// What is left out: cases whose name matches, what is said of them, and why that is so.
struct LeftOut {
  std::string_view name, error, why;
};
constexpr LeftOut kLeftOut[] = {
    {"*", "STRING", "strings"},
    {"*", "that is not a tensor", "sequences and optional types"},
    {"*", "does not say which opset of ONNX", "ops of another domain, for training"},
    {"*", "images have one or two spatial axes", "images with three spatial axes"},
    {"*", "an image must have three or four axes", "images with three spatial axes"},
    {"test_maxpool_with_argmax_2d_*", "the indices of the maxima", "indices of maxima"},
    {"test_einsum_batch_diagonal", "has '...' in its equation", "einsum with '...'"},
    {"test_castlike_*BFLOAT16*", "the file says [3, 4], got [1]",
     "data of another shape than the model says"},
    {"test_training_dropout*", "DIFFERENT", "masks of NumPy's generator"},
    // Their reference divides by 4 * 0.6 - 1, where PyTorch and ONNX Runtime divide by the size of the result - 1.
    {"test_resize_downsample_scales_*_align_corners", "DIFFERENT", "a size of the result that is not whole"},
};

// The tensors of a data set. Those of type BFLOAT16 lie in the files as UINT16: their bits.
std::vector<Tensor> tensors(const fs::path& set, const std::string& kind,
                            const std::vector<OnnxValueInfo>& infos) {
  std::vector<Tensor> made;
  for (std::size_t i = 0;; ++i) {
    const fs::path path = set / (kind + "_" + std::to_string(i) + ".pb");
    if (!fs::exists(path)) return made;
    Tensor x = read_onnx_tensor(path);
    if (i < infos.size() && infos[i].type == "BFLOAT16") {
      Tensor numbers = zeros(x.shape());
      for (std::size_t k = 0; k < x.values<std::int32_t>().size(); ++k)
        numbers.mutable_values<float>()[k] =
            std::bit_cast<float>(static_cast<std::uint32_t>(x.values<std::int32_t>()[k]) << 16);
      x = numbers;
    }
    made.push_back(x);
  }
}

// The largest difference in units of what is allowed: at most 1 where all is well.
double difference(const Tensor& got, const Tensor& expected, double relative) {
  if (got.shape() != expected.shape() || got.dtype() != expected.dtype()) return HUGE_VAL;
  const Tensor a = cast(got, DType::Float64), b = cast(expected, DType::Float64);
  double worst = 0;
  for (std::size_t i = 0; i < a.values<double>().size(); ++i) {
    const double x = a.values<double>()[i], y = b.values<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double now = std::abs(x - y) / (1e-7 + relative * std::abs(y));
    worst = std::max(worst, std::isnan(now) ? HUGE_VAL : now);
  }
  return worst;
}

// What float32 allows, and what types do that are rounded more coarsely than they are here. The windows' reference numbers
// are made with 3.1415 for pi: what ONNX's own runner allows.
double tolerance(const std::string& name, const std::string& type) {
  if (type == "BFLOAT16") return 0x1p-7;
  return type == "FLOAT16" || name.find("window") != std::string::npos ? 1e-3 : 1e-5;
}

// Why a case did not pass; "" if it did.
std::string mistake_in(const fs::path& folder) {
  try {
    OnnxModel net = load_onnx(folder / "model.onnx");
    int sets = 0;
    for (const auto& set : fs::directory_iterator(folder)) {
      if (!set.is_directory()) continue;
      ++sets;
      const std::vector<Tensor> results = net.run(tensors(set.path(), "input", net.inputs()));
      const std::vector<Tensor> expected = tensors(set.path(), "output", net.outputs());
      if (results.size() != expected.size()) return "another number of results";
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double off =
            difference(results[i], expected[i], tolerance(folder.filename().string(), net.outputs()[i].type));
        if (!(off <= 1))
          return "DIFFERENT: result " + std::to_string(i) + " is " + to_string(results[i].dtype()) + " " +
                 results[i].shape().str() + ", expected " + to_string(expected[i].dtype()) + " " +
                 expected[i].shape().str() + ", " + std::to_string(off) + " times what is allowed";
      }
    }
    return sets > 0 ? "" : "no data";
  } catch (const Error& error) {
    return error.what();
  }
}

// Whether a name is of a pattern, in which '*' stands for anything.
bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] != '*')
    return !name.empty() && name[0] == pattern[0] && matches(pattern.substr(1), name.substr(1));
  return matches(pattern.substr(1), name) || (!name.empty() && matches(pattern, name.substr(1)));
}

const LeftOut* left_out(const std::string& name, const std::string& error) {
  for (const LeftOut& one : kLeftOut)
    if (matches(one.name, name) && error.find(one.error) != std::string::npos) return &one;
  return nullptr;
}

struct Table {
  int run = 0, passed = 0;
  std::map<std::string, int> other_ops;
  std::map<std::string_view, std::vector<std::string>> reasons;

  void print(const char* kind) const {
    std::printf("%s: %d cases of imported ops, %d passed\n", kind, run, passed);
    for (const auto& [why, names] : reasons) {
      std::printf("  left out, %.*s: %zu\n   ", static_cast<int>(why.size()), why.data(), names.size());
      for (const std::string& name : names) std::printf(" %s", name.c_str());
      std::printf("\n");
    }
    int others = 0;
    for (const auto& [op, count] : other_ops) others += count;
    std::printf("  of ops that are not imported: %d\n   ", others);
    for (const auto& [op, count] : other_ops) std::printf(" %s %d", op.c_str(), count);
    std::printf("\n");
  }
};

// The op that an error says is not known.
std::string unknown_op(const std::string& error) {
  for (const char* words : {"is not known: onnx_ops()", "has graphs inside", "of which no op is known"}) {
    if (error.find(words) == std::string::npos) continue;
    const std::size_t from = error.find("' (") + 3;
    return error.substr(from, error.find(" of opset", from) - from);
  }
  return "";
}

void run_all(const char* kind) {
  if (!fs::exists(kData / kind)) GTEST_SKIP() << "libonnx-testdata is not installed";
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kData / kind)) folders.push_back(entry.path());
  std::ranges::sort(folders);
  Table table;
  for (const fs::path& folder : folders) {
    const std::string name = folder.filename().string(), mistake = mistake_in(folder),
                      op = unknown_op(mistake);
    if (!op.empty()) {
      ++table.other_ops[op];
      continue;
    }
    ++table.run;
    const LeftOut* reason = left_out(name, mistake);
    if (mistake.empty())
      ++table.passed;
    else if (reason != nullptr)
      table.reasons[reason->why].push_back(name);
    else
      ADD_FAILURE() << name << ": " << mistake;
  }
  table.print(kind);
}

TEST(OnnxBackend, NodeTestsPass) {
  run_all("node");
}

TEST(OnnxBackend, SimpleTestsPass) {
  run_all("simple");
}

TEST(OnnxBackend, PyTorchOperatorTestsPass) {
  run_all("pytorch-operator");
}

TEST(OnnxBackend, PyTorchConvertedTestsPass) {
  run_all("pytorch-converted");
}

}  // namespace
}  // namespace tapegrad::testing
