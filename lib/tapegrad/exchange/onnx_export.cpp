#include "tapegrad/exchange/onnx_export.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/exchange/onnx.h"
#include "tapegrad/exchange/onnx_call_internal.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0 {
namespace {

using onnx::Key;
using onnx::Twin;

constexpr int kOldest = 13, kNewest = 17;

// The modules in eval mode, until the end of the scope.
class InEvalMode {
 public:
  explicit InEvalMode(Module& module) {
    modes_.emplace_back(&module, module.training());
    Visitor visitor(
        [](const std::string&, Tensor&) {},
        [&](const std::string&, Module& inner) { modes_.emplace_back(&inner, inner.training()); });
    module.visit(visitor);
    module.eval();
  }
  ~InEvalMode() {
    for (const auto& [module, training] : modes_) module->train(training);  // outer ones first
  }
  InEvalMode(const InEvalMode&) = delete;
  InEvalMode& operator=(const InEvalMode&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> modes_;
};

void require_inputs(const std::vector<Tensor>& examples, const OnnxExportOptions& options) {
  if (options.opset < kOldest || options.opset > kNewest)
    fail("save_onnx", "opset must be {} to {}, got {}", kOldest, kNewest, options.opset);
  if (examples.empty()) fail("save_onnx", "there must be at least one example of an input, got none");
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (!examples[i].defined()) fail("save_onnx", "the example of input {} is not defined", i);
    if (examples[i].size() == 0)
      fail("save_onnx", "the example of input {} must have elements, got shape {}", i, examples[i].shape());
  }
}

// The largest difference; infinite where one number is not finite and the other is.
struct Difference {
  double off = 0, largest = 0;
};
Difference difference(const Tensor& got, const Tensor& expected) {
  const Tensor wide = cast(got, DType::Float64), right = cast(expected, DType::Float64);
  Difference found;
  for (index_t i = 0; i < right.size(); ++i) {
    const double a = wide.data<double>()[i], b = right.data<double>()[i];
    if (std::isfinite(b)) found.largest = std::max(found.largest, std::abs(b));
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    found.off = std::isfinite(a - b) ? std::max(found.off, std::abs(a - b)) : HUGE_VAL;
  }
  return found;
}

// What a model computes is compared with the function: a mistake of the exporter's, or an op that hides what it does, must
// not go unnoticed.
void check(OnnxModel& model, const std::vector<Tensor>& inputs, const std::vector<Tensor>& expected) {
  const std::vector<Tensor> results = model.run(inputs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const bool is_double = expected[i].dtype() == DType::Float64;
    const double part = is_double ? 1e-6 : 1e-3, noise = is_double ? 1e-14 : 1e-7;
    if (results[i].dtype() != expected[i].dtype() || results[i].shape() != expected[i].shape())
      fail("save_onnx", "result {} of the model that was made is {} {}, but that of the function {} {}", i,
           results[i].dtype(), results[i].shape(), expected[i].dtype(), expected[i].shape());
    const auto [off, largest] = difference(results[i], expected[i]);
    if (!(off <= part * largest + noise))
      fail(
          "save_onnx",
          "the model that was made does not compute what the function does: result {} (input 0: {}) differs by {:.2g}, "
          "its largest number being {:.2g}; the function may depend on the batch's size or on the numbers in its input, or "
          "have an op of its own that is called like another",
          i, inputs[0].shape(), off, largest);
  }
}

OnnxModel loaded(std::span<const std::uint8_t> bytes, bool channels_first) {
  try {
    return load_onnx(bytes, {.images = channels_first ? ImageOrder::NHWC : ImageOrder::AsInFile});
  } catch (const Error& error) {
    fail("save_onnx",
         "the model that was made cannot be read again ({}): is an op one of your own, called like another?",
         error.message());
  }
}

// With both batches of the export, and with a single sample.
void check(std::span<const std::uint8_t> bytes, const OnnxFunction& f, const onnx::Runs& runs,
           bool channels_first) {
  OnnxModel model = loaded(bytes, channels_first);
  model.eval();
  for (Tensor Twin::*const run : {&Twin::first, &Twin::second}) {
    std::vector<Tensor> inputs, expected;
    for (const Twin& twin : runs.inputs) inputs.push_back(twin.*run);
    for (const Twin& twin : runs.outputs) expected.push_back(twin.*run);
    check(model, inputs, expected);
  }
  if (!runs.has_batch()) return;
  const std::vector<Tensor> single = runs.batch(1);
  check(model, single, onnx::results_of(f, single, true));
}

struct Named {
  std::map<Key, std::string> paths;
  std::map<const Module*, std::string> layers;
};

// Names for the parameters that have none.
void name_parameters(const onnx::Runs& runs, std::map<Key, std::string>& paths) {
  int unnamed = 0;
  std::set<Key> computed;
  for (const onnx::TwinOp& op : runs.ops) {
    for (const Tensor& x : op.first->inputs)
      if (x.is_parameter() && !paths.contains(onnx::key_of(x)) && !computed.contains(onnx::key_of(x)))
        paths.emplace(onnx::key_of(x), fmt::format("parameter_{}", ++unnamed));
    computed.insert(op.output().key());
  }
}

std::vector<std::uint8_t> bytes_of(onnx::Runs& runs, const OnnxExportOptions& options, Named named) {
  onnx::Exporter exporter(runs, options);
  exporter.layers = named.layers;
  runs.find_ops({.is_known = [&](const TracedOp& op) { return exporter.writer(op) != nullptr; },
                 .has_name = [&](const Tensor& x) { return named.paths.contains(onnx::key_of(x)); },
                 .called = [&](const TracedOp& op) { return exporter.str(op); }});
  name_parameters(runs, named.paths);
  exporter.set_paths(std::move(named.paths));
  const std::string made = onnx::written(exporter.model());
  constexpr std::size_t kMostBytes = std::size_t{1} << 31;
  if (made.size() >= kMostBytes)
    fail("save_onnx", "a model must have less than 2 GiB, as protobuf's messages do, got {} bytes",
         made.size());
  return {made.begin(), made.end()};
}

std::vector<std::uint8_t> exported(const OnnxFunction& f, const std::vector<Tensor>& examples,
                                   const OnnxExportOptions& options, Named named) {
  const NoGrad no_grad;
  require_inputs(examples, options);
  for (const auto& [name, x] : options.names)
    if (x.defined()) named.paths.emplace(onnx::key_of(x), name);
  onnx::Runs runs(f, examples, options);
  std::vector<std::uint8_t> bytes = bytes_of(runs, options, std::move(named));
  check(bytes, f, runs, options.channels_first);
  return bytes;
}

void write(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  const std::span<const std::uint8_t> parts[] = {bytes};
  detail::write_file("save_onnx", path, parts);
}

}  // namespace

std::vector<std::uint8_t> onnx_bytes(Module& module, const Tensor& example,
                                     const OnnxExportOptions& options) {
  const InEvalMode in_eval_mode(module);
  Named named;
  named.layers[&module] = "";
  Visitor visitor([&](const std::string& path, Tensor& x) { named.paths.emplace(onnx::key_of(x), path); },
                  [&](const std::string& path, Module& inner) { named.layers.emplace(&inner, path); });
  module.visit(visitor);
  const auto f = [&](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{module(inputs[0])}; };
  return exported(f, {example}, options, std::move(named));
}

std::vector<std::uint8_t> onnx_bytes(const OnnxFunction& f, const std::vector<Tensor>& examples,
                                     const OnnxExportOptions& options) {
  if (!f) fail("save_onnx", "takes a function, and this one is empty");
  return exported(f, examples, options, {});
}

void save_onnx(const std::filesystem::path& path, Module& module, const Tensor& example,
               const OnnxExportOptions& options) {
  write(path, onnx_bytes(module, example, options));
}

void save_onnx(const std::filesystem::path& path, const OnnxFunction& f, const std::vector<Tensor>& examples,
               const OnnxExportOptions& options) {
  write(path, onnx_bytes(f, examples, options));
}

}  // namespace tapegrad::inline v0
