#include <algorithm>
#include <cstring>

#include "tapegrad/base/json_internal.h"
#include "tapegrad/exchange/onnx_call_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/ops/create.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0::onnx {
namespace {

OpTable all_writers() {
  OpTable table;
  add_elementwise(table);
  add_windows(table);
  add_shapes(table);
  add_reductions(table);
  add_choices(table);
  add_losses(table);
  return table;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(TensorAccess::elements(a), TensorAccess::elements(b),
                     static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0;
}

std::vector<int> inverse(const std::vector<int>& order) {
  std::vector<int> back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    back[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  return back;
}

void require_same_parameter(const Twin& twin, const std::string& what) {
  if (twin.key() != key_of(twin.second))
    fail("save_onnx", "{} takes another parameter with another batch, which cannot be exported", what);
}

// The names of inputs or results.
std::vector<std::string> names(const std::vector<std::string>& given, const char* kind, std::size_t count) {
  if (!given.empty() && given.size() != count)
    fail("save_onnx", "{}_names must have one name for each of the {} {}s, got {}", kind, count, kind,
         given.size());
  if (!given.empty()) return given;
  if (count == 1) return {kind};
  std::vector<std::string> numbered;
  for (std::size_t i = 0; i < count; ++i) numbered.push_back(fmt::format("{}_{}", kind, i));
  return numbered;
}

}  // namespace

Exporter::Exporter(Runs& of, const OnnxExportOptions& given)
    : graph(given.opset), runs(of), options(given), table_(all_writers()) {}

const WriteOp* Exporter::writer(const TracedOp& op) const {
  if (const WriteOp* fused = fused_writer(op)) return fused;  // it may have the name of a plain one
  const auto found = table_.find(op.op);
  return found != table_.end() ? &found->second : part_writer(op);
}

std::string Exporter::str(const TracedOp& op) const {
  const auto found = layers.find(op.layer);
  if (op.layer == nullptr || found == layers.end()) return fmt::format("the op '{}'", op.op);
  const std::string type = detail::class_name(*op.layer);
  return found->second.empty() ? fmt::format("the op '{}' of the module ({})", op.op, type)
                               : fmt::format("the op '{}' of layer '{}' ({})", op.op, found->second, type);
}

std::string Exporter::path_of(const Tensor& x) const {
  const auto found = paths_.find(key_of(x));
  return found == paths_.end() ? "" : found->second;
}

bool Exporter::is_given(const Tensor& x) const {
  return !made_.contains(key_of(x));
}

// Inputs, results, parameters and buffers are called as their users know them; all else gives way.
void Exporter::reserve_names() {
  input_names_ = names(options.input_names, "input", runs.inputs.size());
  output_names_ = names(options.output_names, "output", runs.outputs.size());
  const auto reserve = [&](const std::string& name, const char* what) {
    if (name.empty() || !detail::is_utf8(name))
      fail("save_onnx", "a name of {} is empty, or not UTF-8", what);
    if (graph.unique(name) != name)
      fail(
          "save_onnx",
          "two of the model's inputs, results, parameters and buffers are called '{}': input_names, output_names and names "
          "give others",
          name);
  };
  for (const std::string& name : input_names_) reserve(name, "an input");
  for (const std::string& name : output_names_) reserve(name, "a result");
  for (const auto& [key, path] : paths_) reserve(path, "a parameter");
}

void Exporter::add_inputs() {
  for (std::size_t i = 0; i < input_names_.size(); ++i) {
    const Twin& twin = runs.inputs[i];
    FileValue& value = values[twin.key()];
    value.sizes = runs.sizes(twin, "input " + std::to_string(i));
    const bool is_nchw = options.channels_first && twin.first.rank() == 4;
    (is_nchw ? value.nchw : value.natural) = input_names_[i];
    graph.proto.inputs.push_back(info(twin, input_names_[i], is_nchw));
  }
  graph.batched_input = input_names_[0];
}

ValueInfoProto Exporter::info(const Twin& twin, const std::string& name, bool is_nchw) const {
  ValueInfoProto made;
  made.name = name;
  made.is_tensor = made.has_shape = true;
  made.type = element_type(twin.first.dtype());
  Sizes sizes = runs.sizes(twin, "'" + name + "'");
  if (is_nchw) sizes = {sizes[0], sizes[3], sizes[1], sizes[2]};
  for (const Size& size : sizes)
    made.shape.push_back({size.is_open() ? -1 : size.number,
                          !size.is_open()        ? ""
                          : size.per_sample == 1 ? "batch"
                                                 : fmt::format("{}_per_sample", size.per_sample)});
  return made;
}

void Exporter::add_outputs() {
  graph.set_prefix("");
  for (std::size_t i = 0; i < output_names_.size(); ++i) {
    const Twin& twin = runs.outputs[i];
    const bool is_nchw = options.channels_first && twin.first.rank() == 4;
    FileValue& made = value(twin, "result " + std::to_string(i));
    const std::string from = is_nchw ? nchw(made) : natural(made);
    graph.output(from, output_names_[i]);
    for (auto& [key, same] : values)  // several values may be one in the file
      for (std::string* name : {&same.natural, &same.nchw})
        if (*name == from) *name = output_names_[i];
    graph.proto.outputs.push_back(info(twin, output_names_[i], is_nchw));
  }
}

FileValue& Exporter::value(const Twin& twin, const std::string& what) {
  const auto found = values.find(twin.key());
  if (found != values.end()) return found->second;
  if (made_.contains(twin.key()))  // its op comes later: what is written is not what was computed
    fail("save_onnx", "{} takes a value that is computed after it", what);
  return values[twin.key()] = leaf(twin, what);
}

FileValue Exporter::leaf(const Twin& twin, const std::string& what) {
  const Sizes sizes = runs.sizes(twin, "a tensor that " + what + " takes");
  const std::string path = path_of(twin.first);
  const auto stored = filters_.find(twin.key());
  if (stored != filters_.end())
    return {sizes, graph.transposed(stored->second.first, inverse(stored->second.second)), ""};
  if (!path.empty()) require_same_parameter(twin, what);
  if (!path.empty() && twin.first.is_parameter()) {
    graph.initializer(path, twin.first);
    return {sizes, path, ""};
  }
  if (same_bits(twin.first, twin.second)) return {sizes, graph.constant(twin.first, path), ""};
  return {sizes, repeated(twin, sizes, what), ""};
}

// A constant with a row for each sample, all of which are the same.
std::string Exporter::repeated(const Twin& twin, const Sizes& sizes, const std::string& what) {
  Tensor rows[] = {twin.first, twin.second};
  for (Tensor& x : rows) {
    std::vector<Range> ranges;
    for (const Size& size : sizes) ranges.push_back(size.is_open() ? Range{0, 1} : Range{});
    const Tensor row = copy(slice(x, ranges));
    if (!same_bits(broadcast_to(row, x.shape()), x))
      x = Tensor();
    else
      x = row;
  }
  if (!rows[0].defined() || !rows[1].defined() || !same_bits(rows[0], rows[1]))
    fail(
        "save_onnx",
        "{} takes a tensor of shape {} that no op computes, and that is another one for another input: values that "
        "were taken out of tensors (item(), values()) and random draws cannot be exported",
        what, twin.first.shape());
  return graph.node("Expand", {graph.constant(rows[0]), graph.sizes(sizes)});
}

const std::string& Exporter::natural(FileValue& value) {
  if (value.natural.empty()) value.natural = graph.transposed(value.nchw, to_nhwc());
  return value.natural;
}

const std::string& Exporter::nchw(FileValue& value) {
  if (value.nchw.empty()) value.nchw = graph.transposed(value.natural, to_nchw());
  return value.nchw;
}

std::string Exporter::filter(const Twin& w, const std::vector<int>& order, const std::string& what) {
  const std::string path = path_of(w.first);
  const auto stored = filters_.find(w.key());
  if (stored != filters_.end() && stored->second.second == order) return stored->second.first;
  if (path.empty() || !is_given(w.first) || values.contains(w.key()) || stored != filters_.end())
    return graph.transposed(natural(value(w, what)), order);
  require_same_parameter(w, what);
  graph.initializer(path, permute(stop_gradient(w.first), order));
  filters_[w.key()] = {path, order};
  return path;
}

ModelProto Exporter::model() {
  for (const TwinOp& op : runs.ops) made_.insert(op.output().key());
  for (const Twin& input : runs.inputs) made_.insert(input.key());
  for (const TwinOp& op : runs.ops)
    if (writer(*op.first) == nullptr)
      fail("save_onnx", "{} has no counterpart in ONNX that is known here", str(*op.first));
  reserve_names();
  add_inputs();
  for (const TwinOp& op : runs.ops) {
    if (folded.contains(op.output().key())) continue;
    const auto layer = layers.find(op.first->layer);
    graph.set_prefix(layer == layers.end() || layer->second.empty() ? "" : layer->second + ".");
    Call call(*this, op);
    (*writer(*op.first))(call);
    call.require_all_read();
  }
  add_outputs();
  ModelProto model;
  constexpr std::int64_t kIrOf13 = 7, kIrOf15 = 8;
  model.ir_version = options.opset < 15 ? kIrOf13 : kIrOf15;
  model.producer = "tapegrad";
  model.opsets = {{"", options.opset}};
  model.graph = graph.proto;
  model.graph.name = "model";
  return model;
}

}  // namespace tapegrad::inline v0::onnx
